"""Quotas: requests per minute, credits, prompts at the same time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from customgpt_emulator.journal.entries import Entry
from customgpt_emulator.serving.connections import Connection
from customgpt_emulator.wire.errors import Throttled, credits_exhausted

__all__ = ["SHOWN", "Quotas"]

PROMPTS = frozenset({"messages.send", "completions.create"})
WINDOW = 60.0  # seconds
SHOWN = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}  # without a quota; captured


class _Asked(Protocol):
    """What the quotas need to know about a call."""

    entry: Entry
    connection: Connection

    @property
    def stored(self) -> object | None: ...


class Quotas:
    """Limits, which may be changed at any time. None means no limit.

    `requests_per_minute`: requests of any kind in a window of 60 s that starts with its first request, as in
    the vendor's framework. More get 429 `{"message":"Too Many Attempts."}` with `Retry-After` (seconds) and
    `X-RateLimit-Reset` (epoch). `X-RateLimit-Remaining` counts down.
    `credits`: the prompts left, then 429 in the documented words. A prompt without a stored answer is free.
    `concurrent_prompts`: more at once get 429 with `Retry-After: 1`. What the service does is unknown.
    `clock`: returns the seconds since the epoch. A test may replace it instead of waiting.
    """

    requests_per_minute: int | None
    credits: int | None
    concurrent_prompts: int | None

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        requests_per_minute: int | None = None,
        credits: int | None = None,  # noqa: A002 - the vendor's word
        concurrent_prompts: int | None = None,
    ) -> None:
        self.clock = clock
        self._first = {
            "requests_per_minute": requests_per_minute,
            "credits": credits,
            "concurrent_prompts": concurrent_prompts,
        }
        self.reset()
        self._prompts = 0

    def change(self, **limits: int | None) -> None:
        """Set some of the limits. Raises `ValueError` for an invalid value, and then changes nothing."""
        for name, value in limits.items():
            if name not in self._first:
                raise ValueError(f"there is no quota {name!r}; there are {', '.join(self._first)}.")
            least = 0 if name == "credits" else 1
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (whole and value >= least):
                raise ValueError(
                    f"{name} must be a whole number, {least} or more, or None for no limit, not {value!r}."
                )
        for name, value in limits.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, int | None]:
        """Return the limits by name."""
        return {name: getattr(self, name) for name in self._first}

    def reset(self) -> None:
        """Restore the first limits and start a new window."""
        self.change(**self._first)
        self._opened, self._requests = -math.inf, 0

    @contextmanager
    def admitted(self, call: _Asked) -> Iterator[None]:
        """Admit a request while it is answered. Raises `ApiError` if it is one too many."""
        self._count(call)
        if call.entry.endpoint not in PROMPTS:
            yield
            return
        if self.concurrent_prompts is not None and self._prompts >= self.concurrent_prompts:
            raise Throttled({"Retry-After": "1"})
        if self.credits is not None:
            if not self.credits:
                raise credits_exhausted()
            self.credits -= 1
        self._prompts += 1
        try:
            yield
        finally:
            self._prompts -= 1
            if call.stored is None and self.credits is not None:
                self.credits += 1

    def _count(self, call: _Asked) -> None:
        if self.requests_per_minute is None:
            return
        now = self.clock()
        if not 0 <= now - self._opened < WINDOW:
            self._opened, self._requests = now, 0
        left = self.requests_per_minute - self._requests - 1
        call.connection.rate = {
            "X-RateLimit-Limit": str(self.requests_per_minute),
            "X-RateLimit-Remaining": str(max(0, left)),
        }
        if left < 0:
            reset = self._opened + WINDOW
            seconds = max(1, math.ceil(reset - now))
            raise Throttled({"Retry-After": str(seconds), "X-RateLimit-Reset": str(math.ceil(reset))})
        self._requests += 1
