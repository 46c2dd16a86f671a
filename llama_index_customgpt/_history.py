"""LlamaIndex chat messages as turns of a history, and answers as chat messages. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, CitationBlock, MessageRole, TextBlock
from llama_index.core.schema import NodeWithScore

from customgpt_transport.transcript import HistoryTurn, read_turn, with_transcript
from llama_index_customgpt.nodes import citation_blocks

__all__ = ["assistant_message", "opening_prompt", "read_turns", "user_message"]

logger = logging.getLogger(__name__)

_ROLES = {MessageRole.CHATBOT: "assistant", MessageRole.MODEL: "assistant"}
_NOT_TEXT = {"image", "audio", "video", "document"}


def read_turns(history: Iterable[ChatMessage]) -> list[HistoryTurn]:
    """Return the messages as turns, in order. A part that is not text is reduced to its name: `[image]`."""
    return [_turn(message) for message in history]


def opening_prompt(history: Sequence[ChatMessage], message: str) -> str:
    """Return the first prompt of a new conversation: `history` replayed as a transcript, then `message`."""
    lost = {block.block_type for told in history for block in told.blocks} & _NOT_TEXT
    if lost:
        logger.warning("Earlier messages are replayed as text; left out: %s", ", ".join(sorted(lost)))
    return with_transcript([turn for turn in read_turns(history) if turn.role != "system"], message)


def _turn(message: ChatMessage) -> HistoryTurn:
    parts = [("text", message.content or "")]
    calls = []
    for block in message.blocks:
        if block.block_type == "tool_call":
            calls.append((block.tool_name, block.tool_kwargs))
        elif block.block_type in _NOT_TEXT:
            parts.append((block.block_type, ""))
    role = _ROLES.get(message.role, message.role.value)
    return read_turn(role, parts, name=message.additional_kwargs.get("name"), calls=calls)


def user_message(text: str) -> ChatMessage:
    """Return a message of the user."""
    return ChatMessage(role=MessageRole.USER, content=text)


def assistant_message(text: str, nodes: Iterable[NodeWithScore], metadata: dict[str, Any]) -> ChatMessage:
    """Return a message of the agent: text, a CitationBlock per source, and ids in `additional_kwargs`."""
    blocks: list[TextBlock | CitationBlock] = [TextBlock(text=text), *citation_blocks(nodes)]
    return ChatMessage(
        role=MessageRole.ASSISTANT, content=blocks, additional_kwargs={"customgpt": dict(metadata)}
    )
