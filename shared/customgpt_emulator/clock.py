"""Time and fresh identifiers: real ones, or the same ones in every run when there is a seed."""

from __future__ import annotations

import random
import time
import uuid

__all__ = ["Clock"]

SEEDED_START = 1_735_689_600.0  # 2025-01-01T00:00:00Z


class Clock:
    """Tells the time and makes session ids.

    With a seed, time stands still during a request and moves on by one second with each, so that the same
    requests in the same order get the same dates.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Begin again: a seeded clock returns to its start."""
        self._random = random.Random(self._seed)  # noqa: S311 - identifiers to be repeated, not secrets
        self._seeded_now = SEEDED_START

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() if self._seed is None else self._seeded_now

    def tick(self) -> None:
        """A request has come."""
        self._seeded_now += 1

    def session_id(self) -> str:
        """A fresh UUID v4."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def slug(self) -> str:
        """A fresh name for a shared agent: 32 hexadecimal digits."""
        return f"{self._random.getrandbits(128):032x}"
