"""What the LangChain tests share: models that talk to an emulator. Nothing is remembered between tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_transport.claims import CLAIMS
from langchain_customgpt._settings import forget_warnings

if TYPE_CHECKING:
    from customgpt_emulator import Emulator
    from langchain_customgpt import ChatCustomGPT

Where = dict[str, Any]


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CUSTOMGPT_API_KEY", "CUSTOMGPT_PROJECT_ID", "CUSTOMGPT_BASE_URL", "LC_OUTPUT_VERSION"):
        monkeypatch.delenv(name, raising=False)
    CLAIMS.clear()
    forget_warnings()
    yield
    CLAIMS.clear()
    forget_warnings()


@pytest.fixture
def where(emulator: Emulator) -> Where:
    """Keywords that point any of our classes at the emulator."""
    return {
        "project_id": emulator.project_id,
        "api_key": emulator.api_key,
        "base_url": emulator.base_url,
    }


@pytest.fixture
def make_chat(where: Where) -> Callable[..., ChatCustomGPT]:
    """Make a chat model of the emulator's agent, with the test's own keywords."""
    from langchain_customgpt import ChatCustomGPT

    return lambda **settings: ChatCustomGPT(**{**where, **settings})


@pytest.fixture
def chat(make_chat: Callable[..., ChatCustomGPT]) -> ChatCustomGPT:
    """A chat model of the emulator's agent with nothing else set."""
    return make_chat()
