"""What a prompt holds while it runs, in both colours; the shells wait for it."""

from __future__ import annotations

from dataclasses import dataclass

from customgpt_transport._pacing import Gate, Slot
from customgpt_transport._sessions import Turn as Place
from customgpt_transport._sessions import sessions


@dataclass
class Turn:
    """One prompt's turn in its conversation and its slot in flight; `seen` is as of its beginning."""

    place: Place
    gate: Gate
    slot: Slot
    seen: int

    def end(self, prompt_id: int | None = None) -> None:
        """Let the next prompt go."""
        sessions.note(self.place.key, prompt_id)
        self.gate.release(self.slot)
        sessions.leave(self.place)

    def abandon(self) -> None:
        """As `end`, from the garbage collector, which must not wait for a lock."""
        self.gate.abandon(self.slot)
        sessions.abandon(self.place)
