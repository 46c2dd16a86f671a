"""LangChain's cache: used only on request, and then without a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage

from langchain_customgpt import ChatCustomGPT
from tests.langchain.ways import ainvoke, astream, invoke, stream

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid?"


@pytest.fixture
def global_cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


def test_a_global_cache_is_not_used_unless_asked_for(
    chat: ChatCustomGPT, emulator: Emulator, global_cache: InMemoryCache
) -> None:
    first, second = chat.invoke("hello"), chat.invoke("hello")
    assert len(emulator.journal.prompts()) == 2
    assert (
        first.response_metadata["customgpt"]["session_id"]
        != second.response_metadata["customgpt"]["session_id"]
    )
    assert not global_cache._cache


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("which", ["own", "global", "by default"])
def test_no_conversation_leaks_through_a_cache(
    make_chat: MakeChat, emulator: Emulator, which: str, streaming: bool, global_cache: InMemoryCache
) -> None:
    cache = {"own": InMemoryCache(), "global": True, "by default": None}[which]
    chat = make_chat(cache=cache, **({"streaming": True} if streaming else {}))
    for ask in (invoke, ainvoke):
        answer = ask(chat, QUESTION)
        note = answer.response_metadata["customgpt"]
        assert "session_id" not in note
        assert "prompt_id" not in note
        assert note["mode"] == "stateless"
        assert answer.response_metadata["citations"]
    assert len(emulator.journal.prompts()) == 1, "the second came from the cache"
    sessions = [entry.path.split("/")[-2] for entry in emulator.journal.prompts()]
    later = [HumanMessage(QUESTION), answer, HumanMessage("And gift cards?")]
    for ask in (invoke, stream, ainvoke, astream):
        assert ask(chat, later).response_metadata["customgpt"]["mode"] == "stateless"
    assert not set(sessions) & {entry.path.split("/")[-2] for entry in emulator.journal.prompts()[1:]}
    assert not any(session in repr(store) for session in sessions for store in (global_cache._cache, cache))
