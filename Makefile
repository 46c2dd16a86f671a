# Two commands for a newcomer: `make demo` and `make test`. Both need only Python 3.10 or newer, pip, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
QUESTION ?=
PYTEST ?= $(BIN)/python -m pytest -n auto

.PHONY: demo test check format lint types imports lowest extras matrix bench browser cassettes clean help

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

# The pip that comes with Python may not know dependency groups, so it is brought up to date first.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## ask an agent through LangChain and LlamaIndex: make demo QUESTION="..."
	@$(BIN)/customgpt-demo $(if $(QUESTION),"$(QUESTION)")

test: $(VENV)/.dev ## run the whole test suite, offline
	$(PYTEST)

check: $(VENV)/.dev format lint types imports test ## everything that must be clean before a change lands

format: $(VENV)/.dev ## is the code formatted?
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## who may import whom
	$(BIN)/lint-imports

lowest: ## the adapters' tests on the lowest supported frameworks
	$(PYTHON) tests/matrix.py --only lowest --python $(PYTHON)

extras: $(VENV)/.dev ## the wheel with one framework's extra at a time
	$(BIN)/python tests/extras.py

matrix: ## the tests on every Python from 3.10 to 3.14 found here, lowest and newest frameworks
	$(PYTHON) tests/matrix.py

bench: $(VENV)/.dev ## the benchmarks, as ratios within one run
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev --group bench
	$(BIN)/python -m tests.benchmarks

browser: $(VENV)/.dev ## the emulator's page in the Chromium on PATH, and its screenshot
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev --group browser
	$(BIN)/python -m pytest -m browser tests/emulator

cassettes: $(VENV)/.dev ## write the cassettes anew (cassettes/README.md says from what)
	$(BIN)/python -m tests.contract.transcribe
	$(BIN)/python -m tests.contract.record
	$(BIN)/python -m tests.langchain.record

clean: ## remove what was made here
	rm -rf $(VENV) .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
