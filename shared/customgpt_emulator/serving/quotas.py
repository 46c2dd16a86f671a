"""What a key may ask for: requests per minute, credits, prompts at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from customgpt_emulator.wire.errors import Throttled, credits_exhausted

if TYPE_CHECKING:
    from customgpt_emulator.serving.call import Call

__all__ = ["SHOWN", "Quotas"]

PROMPTS = frozenset({"messages.send", "completions.create"})
WINDOW = 60.0  # seconds
SHOWN = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}  # as captured, where there is no quota
_NAMES = ("requests_per_minute", "credits", "concurrent_prompts")


class Quotas:
    """Limits; None: none. They may be changed at any time.

    `requests_per_minute`: of any kind, counted in windows of 60 s that begin with their first request, as the
    vendor's framework does; then 429 `{"message":"Too Many Attempts."}` with `Retry-After` (seconds) and
    `X-RateLimit-Reset` (epoch). `X-RateLimit-Remaining` falls with each request.
    `credits`: prompts that are left; then 429 in the documented words. What stored no answer costs nothing.
    `concurrent_prompts`: more at once are throttled, with `Retry-After: 1`; what the service does is unknown.
    `clock`: gives the seconds since the epoch; may be replaced, so that a test need not wait.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        requests_per_minute: int | None = None,
        credits: int | None = None,  # noqa: A002 - the vendor's word
        concurrent_prompts: int | None = None,
    ) -> None:
        self.clock = clock
        self.requests_per_minute: int | None = None
        self.credits: int | None = None
        self.concurrent_prompts: int | None = None
        self.change(
            requests_per_minute=requests_per_minute, credits=credits, concurrent_prompts=concurrent_prompts
        )
        self._first = self.as_dict()
        self._opened = -math.inf
        self._requests = 0
        self._prompts = 0

    def change(self, **limits: int | None) -> None:
        """Set some of the three; raises `ValueError` for what makes no sense, and changes nothing then."""
        for name, value in limits.items():
            if name not in _NAMES:
                raise ValueError(f"there is no quota {name!r}; there are {', '.join(_NAMES)}.")
            least = 0 if name == "credits" else 1
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (whole and value >= least):
                raise ValueError(
                    f"{name} must be a whole number, {least} or more, or None for no limit, not {value!r}."
                )
        for name, value in limits.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, int | None]:
        """The limits by name."""
        return {name: getattr(self, name) for name in _NAMES}

    def reset(self) -> None:
        """As it was made, with a fresh window."""
        for name, value in self._first.items():
            setattr(self, name, value)
        self._opened = -math.inf

    @contextmanager
    def admitted(self, call: Call) -> Iterator[None]:
        """Let a request in, while it is answered. Raises `ApiError` when it is one too many."""
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

    def _count(self, call: Call) -> None:
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
