"""The clock: dates and new ids, which a seed makes the same in every run."""

from __future__ import annotations

import random
import time
import uuid

__all__ = ["Clock"]

SEEDED_START = 1_735_689_600.0  # 2025-01-01T00:00:00Z


class Clock:
    """Tells the time and makes session ids.

    With a seed, the date advances by one second with each request and stands still in between, so that the
    same requests in the same order get the same dates. An id depends on the seed and the number of its row,
    so that a state file continues where it ended. Limits and delays always run in real time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Return a seeded clock to its start."""
        self._seeded_now = SEEDED_START

    def resume(self, latest: float) -> None:
        """Continue after the latest date in a state file, so that dates never go back."""
        self._seeded_now = max(self._seeded_now, latest)

    def now(self) -> float:
        """Return the current date in seconds since the epoch; with a seed it is not the real one."""
        return self.real() if self._seed is None else self._seeded_now

    def real(self) -> float:
        """Return the real seconds since the epoch, for delays and limits."""
        return time.time()

    def tick(self) -> None:
        """Advance a seeded clock: a request has come."""
        self._seeded_now += 1

    def session_id(self, number: int) -> str:
        """Return a UUID v4 for the conversation with this number."""
        return str(uuid.UUID(int=self._bits("session", number), version=4))

    def slug(self, number: int) -> str:
        """Return 32 hexadecimal digits, under which the agent with this number is shared."""
        return f"{self._bits('slug', number):032x}"

    def _bits(self, use: str, number: int) -> int:
        seed = None if self._seed is None else f"{self._seed} {use} {number}"
        return random.Random(seed).getrandbits(128)  # noqa: S311 - identifiers to be repeated, not secrets
