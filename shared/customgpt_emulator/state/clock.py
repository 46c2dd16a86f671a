"""Dates and fresh identifiers: real ones, or the same ones in every run when there is a seed."""

from __future__ import annotations

import random
import time
import uuid

__all__ = ["Clock"]

SEEDED_START = 1_735_689_600.0  # 2025-01-01T00:00:00Z


class Clock:
    """Tells the time and makes session ids.

    With a seed, dates stand still during a request and move on by one second with each, so that the same
    requests in the same order get the same dates; and an identifier depends on the seed and on the number of
    what it is for, so that a state file goes on where it ended. Limits and delays are real time, seed or not.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Begin again: a seeded clock returns to its start."""
        self._seeded_now = SEEDED_START

    def resume(self, latest: float) -> None:
        """Go on after what is in the state file: dates never go back."""
        self._seeded_now = max(self._seeded_now, latest)

    def now(self) -> float:
        """The date of what happens now, in seconds since the epoch."""
        return self.real() if self._seed is None else self._seeded_now

    def real(self) -> float:
        """Seconds since the epoch, for what is waited for."""
        return time.time()

    def tick(self) -> None:
        """A request has come."""
        self._seeded_now += 1

    def session_id(self, number: int) -> str:
        """A UUID v4 for the conversation of this number: a fresh one, or the seed's."""
        return str(uuid.UUID(int=self._bits("session", number), version=4))

    def slug(self, number: int) -> str:
        """A name for the agent of this number when it is shared: 32 hexadecimal digits."""
        return f"{self._bits('slug', number):032x}"

    def _bits(self, use: str, number: int) -> int:
        seed = None if self._seed is None else f"{self._seed} {use} {number}"
        return random.Random(seed).getrandbits(128)  # noqa: S311 - identifiers to be repeated, not secrets
