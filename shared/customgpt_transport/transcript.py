"""Earlier turns of a conversation, written into one prompt.

The API takes no message history: a conversation lives on the server and cannot be edited or branched. A chat
that continues from turns which the server does not hold therefore starts a new conversation and replays them,
delimited, in front of the question. Both adapters replay through this module, so that the same history gives
the same prompt whichever framework it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MAX_TRANSCRIPT_CHARACTERS", "Turn", "with_transcript"]

MAX_TRANSCRIPT_CHARACTERS = 24_000
"""How much of the past is replayed at most; the service documents no limit for a prompt."""

_OPEN = "<conversation>"
_CLOSE = "</conversation>"
_OMITTED = "[earlier turns left out]"
_LEAD_IN = "This is our conversation so far:"
_HAND_OVER = "Continue it by answering this message:"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said. `speaker` is shown as it is, for example "User" or "Assistant"."""

    speaker: str
    text: str


def with_transcript(
    turns: Sequence[Turn], question: str, *, max_characters: int = MAX_TRANSCRIPT_CHARACTERS
) -> str:
    """Give the prompt that replays `turns`, oldest first, and then asks `question`: alone without turns.

    Turns without text are skipped. When the transcript would be longer than `max_characters`, the oldest
    turns go first and a line says so; of a newest turn that is too long by itself, the end is kept. With 0
    characters nothing is replayed. A delimiter inside a turn is defused, so that no turn can pretend to be
    what follows the transcript.
    """
    if max_characters <= 0:
        return question
    turns_with_text = [turn for turn in turns if turn.text.strip()]
    lines = [f"{turn.speaker}: {_defused(turn.text.strip())}" for turn in turns_with_text]
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
        kept = [f"{newest.speaker}: …{_defused(newest.text.strip()[-max_characters:])}"]
    if len(kept) < len(lines) or kept[0] != lines[0]:
        kept.insert(0, _OMITTED)
    return "\n".join([_LEAD_IN, _OPEN, *kept, _CLOSE, "", _HAND_OVER, question])


def _defused(text: str) -> str:
    return text.replace(_CLOSE, "<\\/conversation>").replace(_OPEN, "<\\conversation>")
