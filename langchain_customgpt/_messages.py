"""LangChain messages as turns of a history: the only module that knows their classes and parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage

from customgpt_transport.histories import NOTE_KEY
from customgpt_transport.transcript import TEXT_PARTS, HistoryTurn, read_turn
from langchain_customgpt.errors import ConfigurationError

# By `message.type`; any other type, such as "remove", is a note.
_ROLES = frozenset({"system", "human", "ai", "tool", "function"})


def read_turns(messages: Iterable[BaseMessage]) -> list[HistoryTurn]:
    """Return the messages as turns, in order, also those without text.

    Raises `ConfigurationError`, naming the type, for a human or system message with a part that is not text.
    In AI and tool messages, which come from other models, such a part becomes `[image]` and the like.
    """
    return [_turn(message) for message in messages]


def _turn(message: BaseMessage) -> HistoryTurn:
    content = [message.content] if isinstance(message.content, str) else message.content
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    calls, note = [], None
    if isinstance(message, AIMessage):
        calls = [(call["name"], call["args"]) for call in message.tool_calls]
        note = message.response_metadata.get(NOTE_KEY)
    turn = read_turn(
        _role(message),
        [(_kind(part), str(part.get("text", ""))) for part in parts],
        name=message.name,
        calls=calls,
        note=note,
    )
    if turn.role in ("system", "human"):
        _refuse_other_than_text(message, parts)
    return turn


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    kind = message.type.removesuffix("MessageChunk").lower()
    return kind if kind in _ROLES else "Note"


def _kind(part: dict[str, Any]) -> str:
    return str(part.get("type", "text"))


def _refuse_other_than_text(message: BaseMessage, parts: Iterable[dict[str, Any]]) -> None:
    for part in parts:
        if _kind(part) not in TEXT_PARTS or not isinstance(part.get("text"), str):
            raise ConfigurationError(
                f"CustomGPT.ai takes text only: a {message.type} message has a part of type {_kind(part)!r}. "
                "Remove it, or describe it in words."
            )
