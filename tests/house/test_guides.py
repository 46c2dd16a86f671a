"""The guides for contributors are true: every path they name exists, every snippet is in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ["docs/architecture.md", "CONTRIBUTING.md"]
FOLDERS = "langchain_customgpt|llama_index_customgpt|shared|tests|docs|cassettes|\\.ci"
PATH = re.compile(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./-]*\w/?")
FILE = re.compile(r"\b\w+\.(?:py|md|toml|json)\b")


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_that_a_guide_names_exists(guide: str) -> None:
    text = (ROOT / guide).read_text(encoding="utf-8")
    paths = set(PATH.findall(text))
    assert len(paths) > 8
    assert [] == sorted(path for path in paths if not (ROOT / path).exists())
    # A name without its folder is one of a file in the root, a package or the tests.
    folders = (ROOT / name for name in ("shared", "tests", "langchain_customgpt", "llama_index_customgpt"))
    known = {path.name for path in ROOT.glob("*.*")} | {path.name for f in folders for path in f.rglob("*.*")}
    assert [] == sorted(set(FILE.findall(PATH.sub("", text))) - known)


def test_the_rooms_of_the_drawing_are_those_of_the_packages() -> None:
    drawing = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("```")[1]
    for package in ("customgpt_transport", "customgpt_emulator"):
        rooms = {path.parent.name for path in (ROOT / "shared" / package).glob("*/__init__.py")}
        assert {f"{room}/" for room in rooms} <= set(re.findall(r"\w+/", drawing))


def test_the_snippets_for_a_new_endpoint_are_the_code_of_the_file_named_before_them() -> None:
    steps = re.findall(
        r"\*\*\d\. .*?\*\*.*?in `(shared/[\w/]+\.py)`.*?```\n(.*?)```",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert ["_wire", "_api", "routes"] == [Path(path).parent.name for path, _ in steps]
    assert [] == [path for path, snippet in steps if snippet not in (ROOT / path).read_text(encoding="utf-8")]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_make_target_that_a_guide_names_exists(guide: str) -> None:
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    named = re.findall(r"(?m)(?:^|`)make ([a-z]+)", (ROOT / guide).read_text(encoding="utf-8"))
    assert named
    assert set(named) <= set(targets)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_contract_that_a_guide_names_exists(guide: str) -> None:
    contracts = re.findall(r'(?m)^id = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rows = re.findall(r"(?m)contracts? (`.+`) \|$", (ROOT / guide).read_text(encoding="utf-8"))
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} <= set(contracts)
