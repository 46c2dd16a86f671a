"""A conversation on the server, read as LangChain messages that a chat continues."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.exceptions import ModelNotFoundError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from customgpt_transport import Client, NotFound
from langchain_customgpt import ChatCustomGPT, aconversation_messages, conversation_messages

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

Read = Callable[..., list[BaseMessage]]


def read_asynchronously(session_id: str, **settings: Any) -> list[BaseMessage]:
    return asyncio.run(aconversation_messages(session_id, **settings))


@pytest.fixture(params=[conversation_messages, read_asynchronously], ids=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Read:
    found: Read = request.param
    return found


def converse(chat: ChatCustomGPT, *prompts: str) -> list[BaseMessage]:
    messages: list[BaseMessage] = []
    for prompt in prompts:
        messages.append(HumanMessage(prompt))
        messages.append(chat.invoke(messages))
    return messages


def session_of(messages: list[BaseMessage]) -> str:
    found: str = messages[-1].response_metadata["customgpt"]["session_id"]
    return found


def test_a_conversation_is_read_oldest_first_over_all_pages(
    read: Read, where: dict[str, Any], chat: ChatCustomGPT, emulator: Emulator
) -> None:
    prompts = [f"When are refunds paid? ({number})" for number in range(23)]  # a page has 20
    said = converse(chat, *prompts)
    messages = read(session_of(said), **where)
    assert [(m.type, m.content) for m in messages] == [(m.type, m.content) for m in said]
    assert len(emulator.journal.entries("messages.list")) == 2
    json.dumps([message.model_dump() for message in messages], default=str)


def test_a_chat_continues_what_was_read(read: Read, where: dict[str, Any], chat: ChatCustomGPT) -> None:
    said = converse(chat, "When are refunds paid?", "And gift cards?")
    messages = read(session_of(said), **where)
    answer = chat.invoke([*messages, HumanMessage("And shipping?")])
    assert answer.response_metadata["customgpt"]["mode"] == "continue"
    assert answer.response_metadata["customgpt"]["session_id"] == session_of(said)
    edited = [messages[0], messages[1], HumanMessage("edited"), *messages[3:], HumanMessage("And shipping?")]
    assert chat.invoke(edited).response_metadata["customgpt"]["mode"] == "fork"


def test_sources_are_there_as_ids(
    read: Read, where: dict[str, Any], chat: ChatCustomGPT, emulator: Emulator
) -> None:
    said = converse(chat, "When are refunds paid?")
    emulator.journal.clear()
    answer = read(session_of(said), **where)[-1]
    assert isinstance(answer, AIMessage)
    expected = [citation["id"] for citation in said[-1].response_metadata["citations"]]
    assert [citation["id"] for citation in answer.response_metadata["citations"]] == expected
    (block,) = answer.content_blocks
    assert [annotation["id"] for annotation in block["annotations"]] == [str(number) for number in expected]
    assert not emulator.journal.entries("citations.get")


def test_what_was_asked_outside_langchain_can_be_continued(
    read: Read, where: dict[str, Any], chat: ChatCustomGPT
) -> None:
    with Client(**where) as client:
        session_id = client.ask("When are refunds paid?").session_id
        messages = (
            read(session_id, client=client) if read is conversation_messages else read(session_id, **where)
        )
    answer = chat.invoke([*messages, HumanMessage("And gift cards?")])
    assert answer.response_metadata["customgpt"]["session_id"] == session_id


def test_an_answer_that_was_lost_can_be_continued_after_reading(
    read: Read, where: dict[str, Any], chat: ChatCustomGPT, emulator: Emulator
) -> None:
    """The claim of the lost prompt does not block it: the server says where the conversation stands."""
    said = converse(chat, "When are refunds paid?")
    stream = chat.stream([*said, HumanMessage("And gift cards?")])
    next(iter(stream))
    stream.close()
    emulator.journal.wait_for(lambda entry: entry.disconnected or entry.complete)
    messages = read(session_of(said), **where)
    answer = chat.invoke([*messages, HumanMessage("And shipping?")])
    assert answer.response_metadata["customgpt"]["session_id"] == session_of(said)


def test_an_unknown_conversation_is_a_typed_error(read: Read, where: dict[str, Any]) -> None:
    with pytest.raises(NotFound) as caught:
        read("6f1fe2b1-62f9-44d8-9c4a-7f8e6f2c1d11", **where)
    assert isinstance(caught.value, ModelNotFoundError)


async def test_reading_does_not_block_the_loop(where: dict[str, Any], chat: ChatCustomGPT) -> None:
    session_id = (await chat.ainvoke("hello")).response_metadata["customgpt"]["session_id"]
    with blockbuster_ctx("langchain_customgpt"):
        assert len(await aconversation_messages(session_id, **where)) == 2
