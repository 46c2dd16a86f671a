"""What the LangChain tests share: models that talk to an emulator, and no memory between tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from langchain_customgpt import _notices
from langchain_customgpt._claims import CLAIMS

if TYPE_CHECKING:
    from customgpt_emulator import Emulator
    from langchain_customgpt import ChatCustomGPT

Where = dict[str, Any]


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CUSTOMGPT_API_KEY", "CUSTOMGPT_PROJECT_ID", "CUSTOMGPT_BASE_URL", "LC_OUTPUT_VERSION"):
        monkeypatch.delenv(name, raising=False)
    CLAIMS.clear()
    _notices.forget()
    yield
    CLAIMS.clear()
    _notices.forget()


@pytest.fixture
def where(emulator: Emulator) -> Where:
    """The keywords that lead any of our classes to the emulator."""
    return {
        "project_id": emulator.project_id,
        "api_key": emulator.api_key,
        "base_url": emulator.base_url,
    }


@pytest.fixture
def make_chat(where: Where) -> Callable[..., ChatCustomGPT]:
    """Makes a chat model of the emulator's agent, with keywords of the test's own."""
    from langchain_customgpt import ChatCustomGPT

    return lambda **settings: ChatCustomGPT(**{**where, **settings})


@pytest.fixture
def chat(make_chat: Callable[..., ChatCustomGPT]) -> ChatCustomGPT:
    """A chat model of the emulator's agent with nothing else set."""
    return make_chat()
