"""Earlier turns of a conversation, told in one prompt.

The API takes no message history: a conversation lives on the server and cannot be edited or branched. A chat
that continues from turns which the server does not hold therefore starts a new conversation and tells them,
delimited, before the question. Both adapters tell them through this module, so that the same history gives
the same prompt whichever framework it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["MAX_HISTORY_CHARACTERS", "SpokenTurn", "Turn", "transcript"]

MAX_HISTORY_CHARACTERS = 24_000
"""How much of the past is told unless said otherwise; the service documents no limit for a prompt."""

_OPEN, _CLOSE = "<conversation_so_far>", "</conversation_so_far>"
_LEFT_OUT = "[earlier messages left out]"


class Turn(Protocol):
    """What one side said. `label` is shown as it is, for example "User" or "Assistant"."""

    @property
    def label(self) -> str:
        """Who spoke."""

    @property
    def text(self) -> str:
        """What was said."""


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """The plainest `Turn`."""

    label: str
    text: str


def transcript(turns: Sequence[Turn], question: str, max_characters: int = MAX_HISTORY_CHARACTERS) -> str:
    """Give a prompt that tells the conversation so far, oldest turn first, and then asks `question`.

    At most `max_characters` of the turns' text are told, the newest; what was left out is said. Of a newest
    turn that is too long by itself the end is told. Without turns, or with 0 characters, the prompt is the
    question. A closing delimiter inside a turn is defused: no turn can pretend to be what comes after.
    """
    spoken = [turn for turn in turns if turn.text.strip()]
    if not spoken or max_characters <= 0:
        return question
    told: list[str] = []
    room = max_characters
    for turn in reversed(spoken):
        if len(turn.text) > room:
            if not told:
                told.append(f"{turn.label}: …{turn.text[-room:]}")
            told.append(_LEFT_OUT)
            break
        told.append(f"{turn.label}: {turn.text}")
        room -= len(turn.text)
    history = "\n".join(reversed(told)).replace(_CLOSE, "</ conversation_so_far>")
    return f"{_OPEN}\n{history}\n{_CLOSE}\n\n{question}"
