"""A process does not know what happened before it began: it asks the server, once per conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from customgpt_transport import Client
from customgpt_transport.claims import CLAIMS
from langchain_customgpt import ChatCustomGPT
from tests.langchain.ways import WAYS, Way, graph_of

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

MakeChat = Callable[..., ChatCustomGPT]


def note(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["customgpt"]
    return found


def talk(chat: ChatCustomGPT, *texts: str) -> list[Any]:
    messages: list[Any] = []
    for text in texts:
        messages.append(HumanMessage(text))
        messages.append(chat.invoke(messages))
    return messages


def looks(emulator: Emulator) -> int:
    """Return how often the messages of a conversation were listed."""
    return sum(
        entry.method == "GET" and entry.path.rstrip("/").endswith("/messages") for entry in emulator.journal
    )


def restart() -> None:
    CLAIMS.clear()


def test_time_travel_after_a_restart_forks(chat: ChatCustomGPT, emulator: Emulator) -> None:
    graph = graph_of(chat, checkpointer=InMemorySaver())
    thread: dict[str, Any] = {"configurable": {"thread_id": "1"}}
    graph.invoke({"messages": [HumanMessage("one refund")]}, thread)
    past = graph.get_state(thread).config
    graph.invoke({"messages": [HumanMessage("two gifts")]}, thread)
    restart()
    branch = graph.invoke({"messages": [HumanMessage("other two")]}, past)["messages"]
    assert [note(message)["mode"] for message in branch if isinstance(message, AIMessage)] == ["new", "fork"]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_earlier_turn_is_not_continued_after_a_restart(way: Way, chat: ChatCustomGPT) -> None:
    messages = talk(chat, "one", "two", "three")
    restart()
    assert note(way(chat, [*messages[:2], HumanMessage("other")]))["mode"] == "fork"
    assert note(way(chat, [*messages[:4], HumanMessage("other")]))["mode"] == "fork"
    assert note(way(chat, [*messages, HumanMessage("four")]))["mode"] == "continue"


def test_the_server_is_asked_once_for_each_conversation_the_process_did_not_begin(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    messages = talk(chat, "one", "two")
    assert looks(emulator) == 0
    restart()
    for text in ("three", "four", "five"):
        messages.append(HumanMessage(text))
        messages.append(chat.invoke(messages))
        assert note(messages[-1])["mode"] == "continue"
    assert looks(emulator) == 1


def test_verify_tip_never_trusts_the_messages(make_chat: MakeChat, emulator: Emulator) -> None:
    chat = make_chat(verify_tip="never")
    messages = talk(chat, "one", "two")
    restart()
    assert note(chat.invoke([*messages, HumanMessage("three")]))["mode"] == "continue"
    assert looks(emulator) == 0


def test_of_many_at_once_after_a_restart_one_continues(chat: ChatCustomGPT, emulator: Emulator) -> None:
    messages = talk(chat, "one")
    restart()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: chat.invoke([*messages, HumanMessage(f"two {n}")]), range(8)))
    assert sorted(note(answer)["mode"] for answer in answers) == ["continue", *["fork"] * 7]


def test_a_prompt_on_its_way_to_a_pinned_conversation_blocks_its_continuation(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    messages = talk(chat, "one")
    restart()
    pinned = chat.stream("a pinned prompt", session_id=note(messages[-1])["session_id"])
    next(pinned)
    assert note(chat.invoke([*messages, HumanMessage("two")]))["mode"] == "fork"
    pinned.close()


def test_a_conversation_that_moved_on_elsewhere_is_forked(chat: ChatCustomGPT, emulator: Emulator) -> None:
    messages = talk(chat, "one")
    restart()
    with Client(
        api_key=emulator.api_key, base_url=emulator.base_url, project_id=emulator.project_id
    ) as other:
        other.ask("from another process", session_id=note(messages[-1])["session_id"])
    assert note(asyncio.run(chat.ainvoke([*messages, HumanMessage("two")])))["mode"] == "fork"
