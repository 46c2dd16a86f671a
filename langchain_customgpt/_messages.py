"""LangChain messages as plain turns of text: the only place that knows their classes and parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, FunctionMessage, ToolMessage

from customgpt_transport import transcript
from langchain_customgpt.errors import ConfigurationError

Role = Literal["system", "human", "ai", "other"]

_CHAT_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "human",
    "human": "human",
    "assistant": "ai",
    "ai": "ai",
}
_TYPES: dict[str, Role] = {"system": "system", "human": "human", "ai": "ai"}
_SPEAKERS: dict[Role, str] = {"system": "System", "human": "User", "ai": "Assistant", "other": "Note"}
_TEXT_PARTS = ("text", "text-plain")
_SILENT_PARTS = (
    "reasoning",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_call",
    "tool_call_chunk",
    "function_call",
)


@dataclass(frozen=True)
class Turn:
    """One message as text. `message` is the one it was made from."""

    role: Role
    speaker: str
    text: str
    message: BaseMessage


def role_of(message: BaseMessage) -> Role:
    """Who speaks: 'other' is everybody who is neither system, human nor AI, tools for example."""
    if isinstance(message, ChatMessage):
        return _CHAT_ROLES.get(message.role.lower(), "other")
    return _TYPES.get(message.type.removesuffix("MessageChunk").lower(), "other")


def read_turns(messages: Iterable[BaseMessage]) -> list[Turn]:
    """The messages as turns, in order, the silent ones too.

    Raises `ConfigurationError` for a human or system message with a part that is not text, naming its type.
    Parts of AI and tool messages that are not text stand as `[image]` and the like: they belong to other
    models.
    """
    turns = []
    for message in messages:
        role = role_of(message)
        text = _own_text(message) if role in ("system", "human") else _foreign_text(message)
        turns.append(Turn(role, _speaker(message, role), text, message))
    return turns


def _own_text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    texts = []
    for part in message.content:
        kind = "text" if isinstance(part, str) else _kind(part)
        if kind not in _TEXT_PARTS or not (isinstance(part, str) or isinstance(part.get("text"), str)):
            raise ConfigurationError(
                f"CustomGPT.ai takes text only: a {message.type} message has a part of type {kind!r}. "
                "Remove it, or describe it in words."
            )
        texts.append(part if isinstance(part, str) else part["text"])
    return "".join(texts)


def _foreign_text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        texts = [message.content]
    else:
        parts = [
            {"type": "text", "text": part} if isinstance(part, str) else part for part in message.content
        ]
        said = "".join(str(part.get("text", "")) for part in parts if _kind(part) in _TEXT_PARTS)
        texts = [
            said,
            *(f"[{_kind(part)}]" for part in parts if _kind(part) not in (*_TEXT_PARTS, *_SILENT_PARTS)),
        ]
    if isinstance(message, AIMessage):
        texts += [f"[called {call['name']} with {_json(call['args'])}]" for call in message.tool_calls]
    return "\n".join(filter(None, texts))


def _kind(part: dict[str, Any]) -> str:
    return str(part.get("type", "text"))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _speaker(message: BaseMessage, role: Role) -> str:
    if isinstance(message, (ToolMessage, FunctionMessage)):
        return f"Tool {message.name}" if message.name else "Tool"
    if isinstance(message, ChatMessage) and role == "other":
        return message.role
    return f"{_SPEAKERS[role]} ({message.name})" if message.name else _SPEAKERS[role]


def with_history(turns: Sequence[Turn], question: str, max_characters: int) -> str:
    """A prompt that replays at most `max_characters` of `turns`, with 0 none, and asks `question`."""
    if max_characters <= 0:
        return question
    spoken = [transcript.Turn(turn.speaker, turn.text) for turn in turns]
    return transcript.with_transcript(spoken, question, max_characters=max_characters)
