"""A framework's messages as turns of a history, and such turns replayed in one prompt.

The API takes no message history: a conversation lives on the server and cannot be edited or branched. A chat
that continues from turns which the server does not hold therefore starts a new conversation, and replays the
turns, delimited, before the question. Both adapters use this module, so that the same history gives the same
prompt in every framework.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "MAX_TRANSCRIPT_CHARACTERS",
    "TEXT_PARTS",
    "HistoryTurn",
    "Role",
    "read_turn",
    "with_transcript",
]

MAX_TRANSCRIPT_CHARACTERS = 24_000
"""How much is replayed at most. The service documents no limit for a prompt."""

TEXT_PARTS = ("text", "text-plain")
"""The kinds of a message's parts that are text."""

Role = Literal["system", "human", "ai", "other"]
"""Who speaks. "other" is everybody else, for example a tool. Digests cover these words: never rename them."""

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "human",
    "human": "human",
    "assistant": "ai",
    "ai": "ai",
}
_SPEAKERS: Mapping[Role, str] = {"system": "System", "human": "User", "ai": "Assistant"}
# Reasoning stays with its model, and calls are passed apart from the parts.
_SILENT_PARTS = (
    "reasoning", "thinking", "redacted_thinking", "tool_use", "tool_call", "tool_call_chunk", "function_call",
)  # fmt: skip

_OPEN = "<conversation>"
_CLOSE = "</conversation>"
_OMITTED = "[earlier turns left out]"
_LEAD_IN = "This is our conversation so far:"
_HAND_OVER = "Continue it by answering this message:"


@dataclass(frozen=True, slots=True)
class HistoryTurn:
    """One message of a history, as text. Transcripts show the `speaker`, for example "User".

    The `note` of one of our answers says where it stands on the server (`customgpt_transport.histories`).
    """

    speaker: str
    text: str
    role: Role = "other"
    note: Mapping[str, Any] | None = None


def read_turn(
    role: str,
    parts: Iterable[tuple[str, str]],
    *,
    name: str | None = None,
    calls: Iterable[tuple[str, object]] = (),
    note: Mapping[str, Any] | None = None,
) -> HistoryTurn:
    """Return a framework's message as a turn.

    `role` is the framework's word, such as "user" or "tool"; `name` distinguishes speakers of one role.
    `parts` are pairs of kind and text. Text is joined, reasoning and tool calls are left out, and any other
    part becomes `[image]` and the like. `calls` are pairs of a tool's name and its arguments.
    """
    parts = list(parts)
    said = "".join(text for kind, text in parts if kind in TEXT_PARTS)
    shown = [f"[{kind}]" for kind, _ in parts if kind not in TEXT_PARTS + _SILENT_PARTS]
    called = [
        f"[called {tool} with {json.dumps(arguments, ensure_ascii=False, default=str)}]"
        for tool, arguments in calls
    ]
    known = _ROLES.get(role.lower(), "other")
    if role in ("tool", "function"):
        speaker = f"Tool {name}" if name else "Tool"
    else:
        speaker = _SPEAKERS.get(known, role)
        speaker = f"{speaker} ({name})" if name else speaker
    return HistoryTurn(speaker, "\n".join(filter(None, [said, *shown, *called])), known, note)


def with_transcript(
    turns: Sequence[HistoryTurn], question: str, *, max_characters: int = MAX_TRANSCRIPT_CHARACTERS
) -> str:
    """Return the prompt that replays `turns`, oldest first, and then asks `question`.

    Turns without text are skipped; without any turn the prompt is the question. When the transcript would be
    longer than `max_characters`, the oldest turns go first and a line says so; of a newest turn that is too
    long by itself, the end is kept. With 0 characters nothing is replayed. A delimiter inside a turn is
    escaped, so that no turn can pretend to be what follows the transcript.
    """
    if max_characters <= 0:
        return question
    turns_with_text = [turn for turn in turns if turn.text.strip()]
    lines = [f"{turn.speaker}: {_escaped(turn.text.strip())}" for turn in turns_with_text]
    if not lines:
        return question
    kept: list[str] = []
    room = max_characters
    for line in reversed(lines):
        if len(line) > room:
            break
        kept.insert(0, line)
        room -= len(line) + 1
    if not kept:
        newest = turns_with_text[-1]
        kept = [f"{newest.speaker}: …{_escaped(newest.text.strip()[-max_characters:])}"]
    if len(kept) < len(lines) or kept[0] != lines[0]:
        kept.insert(0, _OMITTED)
    return "\n".join([_LEAD_IN, _OPEN, *kept, _CLOSE, "", _HAND_OVER, question])


def _escaped(text: str) -> str:
    return text.replace(_CLOSE, "<\\/conversation>").replace(_OPEN, "<\\conversation>")
