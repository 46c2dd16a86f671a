from __future__ import annotations

import logging

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock

from customgpt_transport.options import PromptSettings
from customgpt_transport.transcript import Turn, with_transcript
from llama_index_customgpt._history import assistant_message, opening_prompt, user_message, with_persona
from llama_index_customgpt.nodes import to_nodes

PAST = [
    ChatMessage(role=MessageRole.SYSTEM, content="You speak like a pirate."),
    user_message("Do you ship to Norway?"),
    assistant_message("Yes.", [], {"session_id": "s", "prompt_id": 1}),
]


def test_a_replay_is_the_transcript_that_the_transport_writes_for_both_adapters():
    said = [Turn("User", "Do you ship to Norway?"), Turn("Assistant", "Yes.")]
    assert opening_prompt(PAST, "And Sweden?") == with_transcript(said, "And Sweden?")


def test_without_history_the_prompt_is_the_message():
    assert opening_prompt([], "And Sweden?") == "And Sweden?"
    assert opening_prompt(PAST[:1], "And Sweden?") == "And Sweden?"


def test_other_roles_are_named():
    tool = ChatMessage(role=MessageRole.TOOL, content="42")
    model = ChatMessage(role=MessageRole.MODEL, content="Six times seven.")
    assert "Tool: 42\nAssistant: Six times seven." in opening_prompt([tool, model], "Why?")


def test_what_cannot_be_replayed_is_logged_and_left_out(caplog):
    picture = ChatMessage(
        role=MessageRole.USER, content=[TextBlock(text="This?"), ImageBlock(url="http://x/y.png")]
    )
    with caplog.at_level(logging.WARNING):
        assert "User: This?" in opening_prompt([picture], "Why?")
    assert "image" in caplog.text


def test_system_messages_become_the_persona_unless_the_caller_has_set_one():
    assert with_persona(None, PAST) == PromptSettings(custom_persona="You speak like a pirate.")
    assert with_persona(PromptSettings(lang="de"), PAST).custom_persona == "You speak like a pirate."
    given = PromptSettings(custom_persona="A clerk.")
    assert with_persona(given, PAST) is given
    assert with_persona(None, PAST[1:]) is None


def test_an_answer_in_the_history_reads_as_its_text():
    from customgpt_transport.models import Citation

    message = assistant_message("Yes.", to_nodes([Citation(1, "Shipping")]), {"prompt_id": 7})
    assert message.content == "Yes."
    assert [block.block_type for block in message.blocks] == ["text", "citation"]
    assert message.additional_kwargs["customgpt"] == {"prompt_id": 7}
