"""Every name that a package exports can be imported and is listed."""

from __future__ import annotations

import importlib
import re
from importlib import metadata
from pathlib import Path

import pytest

import customgpt_transport

ROOT = Path(__file__).resolve().parents[2]
DOORS = {
    "customgpt_transport": {
        "Client",
        "AsyncClient",
        "ClientOptions",
        "PromptSettings",
        "RetryPolicy",
        "Message",
    },
    "customgpt_emulator": {"Emulator"},
    "customgpt_bulk": {"run", "arun", "estimate", "status", "export", "retry", "cleanup"},
    "langchain_customgpt": {"ChatCustomGPT", "CustomGPTRetriever", "CustomGPTTool", "conversation_messages"},
    "llama_index_customgpt": {
        "CustomGPTQueryEngine",
        "CustomGPTChatEngine",
        "CustomGPTRetriever",
        "CustomGPTIndex",
    },
}


@pytest.mark.parametrize("package", DOORS)
def test_every_name_in_all_can_be_had_and_is_listed_by_dir(package: str) -> None:
    module = importlib.import_module(package)
    assert DOORS[package] <= set(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("package", DOORS)
def test_an_unknown_name_is_an_attribute_error_that_says_so(package: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        module.Nothing  # noqa: B018 - the access is what is tested


def test_the_transport_exports_every_error_and_every_model() -> None:
    for name in ("errors", "models"):
        module = importlib.import_module(f"customgpt_transport.{name}")
        assert set(module.__all__) <= set(customgpt_transport.__all__)


def test_the_version_is_one_fact() -> None:
    (declared,) = re.findall(r"(?m)^version = \"(.+)\"$", (ROOT / "pyproject.toml").read_text())
    assert declared == customgpt_transport.__version__ == metadata.version("customgpt-adapters")
