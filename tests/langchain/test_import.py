"""Importing the package is cheap, typed, and says what to install when LangChain is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import langchain_customgpt

IMPORT = """
import sys
import langchain_customgpt
heavy = {"langchain_core", "pydantic", "requests", "aiohttp"}
assert not [name for name in sys.modules if name.partition(".")[0] in heavy]
from langchain_customgpt import *
import langchain_core.language_models.chat_models
ChatCustomGPT(project_id=1, api_key="1|made-up"), CustomGPTRetriever(project_id=1, api_key="1|made-up")
assert "aiohttp" not in sys.modules and "llama_index" not in sys.modules
clients = ("customgpt_transport._sync", "customgpt_transport._async")
assert not [name for name in sys.modules if name.startswith(clients)]
"""


def test_importing_loads_no_framework_and_no_http_library() -> None:
    subprocess.run([sys.executable, "-c", IMPORT], check=True)


def test_without_langchain_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["langchain_core"] = None
import langchain_customgpt
try:
    langchain_customgpt.ChatCustomGPT
except ImportError as error:
    assert "customgpt-adapters[langchain]" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_is_typed() -> None:
    assert resources.files(langchain_customgpt).joinpath("py.typed").is_file()
