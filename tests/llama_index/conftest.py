"""What the LlamaIndex tests share: engines over a fresh emulator, and one way to call sync and async."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.llama_index.calls import Call

if TYPE_CHECKING:
    from customgpt_emulator import Emulator
    from llama_index_customgpt import CustomGPTChatEngine, CustomGPTQueryEngine, CustomGPTRetriever

QUESTION = "How do refunds work?"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CUSTOMGPT_") or name == "OPENAI_API_KEY"]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _quiet_llama_index() -> Iterator[None]:
    """No event handler or callback outlives a test, and nothing falls back to an LLM."""
    from llama_index.core import Settings
    from llama_index.core.instrumentation import root_dispatcher

    events, spans = list(root_dispatcher.event_handlers), list(root_dispatcher.span_handlers)
    manager = Settings._callback_manager
    yield
    root_dispatcher.event_handlers[:] = events
    root_dispatcher.span_handlers[:] = spans
    Settings._callback_manager = manager
    Settings._llm = Settings._transformations = Settings._node_parser = None


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls methods synchronously in one run of the test and asynchronously in the other."""
    return Call(request.param)


@pytest.fixture
def where(emulator: Emulator) -> dict[str, Any]:
    """The arguments that point at the emulator's agent."""
    return {
        "base_url": emulator.base_url,
        "api_key": emulator.api_key,
        "project_id": emulator.project_id,
    }


@pytest.fixture
def engine(where: dict[str, Any]) -> Iterator[CustomGPTQueryEngine]:
    from llama_index_customgpt import CustomGPTQueryEngine

    with CustomGPTQueryEngine(**where) as engine:
        yield engine


@pytest.fixture
def streaming_engine(where: dict[str, Any]) -> Iterator[CustomGPTQueryEngine]:
    from llama_index_customgpt import CustomGPTQueryEngine

    with CustomGPTQueryEngine(streaming=True, **where) as engine:
        yield engine


@pytest.fixture
def chat_engine(where: dict[str, Any]) -> Iterator[CustomGPTChatEngine]:
    from llama_index_customgpt import CustomGPTChatEngine

    with CustomGPTChatEngine(**where) as engine:
        yield engine


@pytest.fixture
def retriever(where: dict[str, Any]) -> Iterator[CustomGPTRetriever]:
    from llama_index_customgpt import CustomGPTRetriever

    with CustomGPTRetriever(**where) as retriever:
        yield retriever
