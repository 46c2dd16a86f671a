"""What is sent: messages of every kind, the persona, settings, files; and what is refused."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_customgpt import ChatCustomGPT
from tests.langchain.ways import WAYS, Way, ainvoke, astream, invoke, stream

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid, and what about a gift card and the shipping of lamps?"
way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def test_system_messages_become_the_persona(
    make_chat: MakeChat, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    messages: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("hello")]
    for _ in range(3):
        make_chat().invoke(messages)
    assert emulator.journal.prompts()[0].fields["custom_persona"] == "Be brief."
    assert emulator.journal.prompts()[0].fields["prompt"] == "hello"
    assert [record.levelno for record in caplog.records if "persona" in record.message] == [logging.WARNING]
    make_chat(custom_persona="You are Ada.").invoke(messages)
    assert emulator.journal.prompts()[-1].fields["custom_persona"] == "You are Ada.\n\nBe brief."


def test_system_messages_can_be_prepended_ignored_or_refused(make_chat: MakeChat, emulator: Emulator) -> None:
    messages: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("hello")]
    make_chat(system_message="prepend").invoke(messages)
    make_chat(system_message="ignore").invoke(messages)
    sent = [entry.fields for entry in emulator.journal.prompts()]
    assert sent == [{"prompt": "Be brief.\n\nhello"}, {"prompt": "hello"}]
    with pytest.raises(ValueError, match="system message"):
        make_chat(system_message="error").invoke(messages)


@way
def test_the_model_can_be_chosen_per_call(way: Way, make_chat: MakeChat, emulator: Emulator) -> None:
    assert way(make_chat(model="gpt-4-o"), "hello").response_metadata["model_name"] == "gpt-4-o"
    assert emulator.journal.prompts()[-1].fields["chatbot_model"] == "gpt-4-o"
    answer = make_chat(model="gpt-4-o").invoke("hello", model="claude-3.5-sonnet")
    assert answer.response_metadata["model_name"] == "claude-3.5-sonnet"
    assert emulator.journal.prompts()[-1].fields["chatbot_model"] == "claude-3.5-sonnet"
    assert isinstance(make_chat().invoke("hello").response_metadata["model_name"], str)


def test_every_setting_can_be_given_to_the_model_or_to_the_call(
    make_chat: MakeChat, emulator: Emulator
) -> None:
    settings = {
        "custom_persona": "Ada",
        "custom_context": "It is winter.",
        "response_source": "own_content",
        "agent_capability": "optimal-choice",
    }
    make_chat(**settings, lang="de", external_id="mine").invoke("hello")
    make_chat().invoke("hello", **settings, lang="de", external_id="mine")
    for entry in emulator.journal.prompts():
        assert {**entry.fields, **entry.query} == {
            **settings,
            "prompt": "hello",
            "lang": "de",
            "external_id": "mine",
        }


def test_files_go_with_the_prompt(chat: ChatCustomGPT, emulator: Emulator, tmp_path: Any) -> None:
    (tmp_path / "note.txt").write_text("Lamps are blue.")
    chat.invoke("What does the note say?", files=[tmp_path / "note.txt"])
    assert "note.txt" in str(emulator.journal.prompts()[-1].fields)


@pytest.mark.parametrize("kind", ["image_url", "image", "audio", "file"])
def test_parts_that_are_not_text_are_refused_by_name(
    chat: ChatCustomGPT, emulator: Emulator, kind: str
) -> None:
    picture = base64.b64encode(b"png").decode()
    part = {
        "image_url": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        "image": {"type": "image", "base64": picture, "mime_type": "image/png"},
        "audio": {"type": "audio", "base64": picture, "mime_type": "audio/wav"},
        "file": {"type": "file", "base64": picture, "mime_type": "application/pdf"},
    }[kind]
    with pytest.raises(ValueError, match=kind):
        chat.invoke([HumanMessage([{"type": "text", "text": "what is this?"}, part])])
    assert not list(emulator.journal)


def test_messages_of_other_models_are_told_as_text(chat: ChatCustomGPT, emulator: Emulator) -> None:
    foreign: list[BaseMessage] = [
        HumanMessage("What is 1 + 2?"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}]),
        ToolMessage("3", tool_call_id="1", name="add"),
        FunctionMessage("3", name="check"),
        AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "It is 3."}]),
        HumanMessage(QUESTION),
    ]
    assert chat.invoke(foreign).content
    assert "It is 3." in emulator.journal.prompts()[-1].fields["prompt"]


@pytest.mark.parametrize("messages", [[], [AIMessage("hi")], [HumanMessage("hi"), AIMessage("yes?")]])
def test_a_list_that_does_not_end_in_a_human_message_is_refused(
    chat: ChatCustomGPT, emulator: Emulator, messages: list[BaseMessage]
) -> None:
    for ask in (invoke, ainvoke, stream, astream):
        with pytest.raises(ValueError, match="human message"):
            ask(chat, messages)
    assert not list(emulator.journal)
