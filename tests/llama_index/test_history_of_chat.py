from __future__ import annotations

import logging

import pytest
from llama_index.core.base.llms import types
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock

from customgpt_transport.adapting import with_persona
from customgpt_transport.histories import system_text
from customgpt_transport.options import PromptSettings
from customgpt_transport.transcript import HistoryTurn, with_transcript
from llama_index_customgpt._history import assistant_message, opening_prompt, read_turns, user_message
from llama_index_customgpt.nodes import to_nodes

PAST = [
    ChatMessage(role=MessageRole.SYSTEM, content="You speak like a pirate."),
    user_message("Do you ship to Norway?"),
    assistant_message("Yes.", [], {"session_id": "s", "prompt_id": 1}),
]


def test_a_replay_is_the_transcript_that_the_transport_writes_for_both_adapters():
    said = [HistoryTurn("User", "Do you ship to Norway?"), HistoryTurn("Assistant", "Yes.")]
    assert opening_prompt(PAST, "And Sweden?") == with_transcript(said, "And Sweden?")


def test_without_history_the_prompt_is_the_message():
    assert opening_prompt([], "And Sweden?") == "And Sweden?"
    assert opening_prompt(PAST[:1], "And Sweden?") == "And Sweden?"


def test_other_roles_are_named():
    tool = ChatMessage(role=MessageRole.TOOL, content="42", additional_kwargs={"name": "multiply"})
    model = ChatMessage(role=MessageRole.MODEL, content="Six times seven.")
    assert "Tool multiply: 42\nAssistant: Six times seven." in opening_prompt([tool, model], "Why?")


@pytest.mark.skipif(
    not hasattr(types, "ToolCallBlock"), reason="llama-index-core 0.13.0 has no block for tool calls"
)
def test_a_call_of_a_tool_is_replayed_in_words():
    call = types.ToolCallBlock(tool_name="multiply", tool_kwargs={"a": 6})
    asked = ChatMessage(role=MessageRole.ASSISTANT, content=[call])
    assert 'Assistant: [called multiply with {"a": 6}]' in opening_prompt([asked], "Why?")


def test_of_what_is_not_text_the_name_is_replayed_and_a_warning_logged(caplog):
    picture = ChatMessage(
        role=MessageRole.USER, content=[TextBlock(text="This?"), ImageBlock(url="http://x/y.png")]
    )
    with caplog.at_level(logging.WARNING):
        assert "User: This?\n[image]" in opening_prompt([picture], "Why?")
    assert "image" in caplog.text


def test_system_messages_join_the_persona_that_the_caller_set():
    system = system_text(read_turns(PAST))
    assert with_persona(None, system) == PromptSettings(custom_persona="You speak like a pirate.")
    given = PromptSettings(custom_persona="A clerk.", lang="de")
    joined = PromptSettings(custom_persona="A clerk.\n\nYou speak like a pirate.", lang="de")
    assert with_persona(given, system) == joined
    assert system_text(read_turns(PAST[1:])) == ""


def test_an_answer_in_the_history_reads_as_its_text():
    from customgpt_transport.models import Citation

    message = assistant_message("Yes.", to_nodes([Citation(1, "Shipping")]), {"prompt_id": 7})
    assert message.content == "Yes."
    assert [block.block_type for block in message.blocks] == ["text", "citation"]
    assert message.additional_kwargs["customgpt"] == {"prompt_id": 7}
