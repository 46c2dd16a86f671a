"""Rate limits as the service reports them, shared by all clients of one key in this process.

There is one gate per origin and (hashed) key. It shuts when the service says that nothing remains in this
minute, or answers 429. The prompts of all threads and loops then wait instead of failing one by one.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
import weakref
from concurrent.futures import Future
from dataclasses import dataclass, field

from customgpt_transport._environment import origin
from customgpt_transport._guard import Guard
from customgpt_transport._sessions import Owner, grant
from customgpt_transport._wire.http import Response
from customgpt_transport._wire.problems import api_error
from customgpt_transport.errors import ConfigurationError, RateLimited
from customgpt_transport.options import ClientOptions

WINDOW = 60.0
"""Seconds of the service's rate window. Source: vendor scripts, `X-RateLimit-*` of captured answers."""

LONGEST = 3_600.0
"""Seconds that one answer can shut a gate for, at most, whatever it says."""

UNNAMED_PAUSE = 1.0
"""Seconds to keep the gate shut after a 429 that names no time."""


@dataclass(eq=False)
class Slot:
    """The right of one prompt to be in flight; `granted` is done once it may be sent. Held as a turn is."""

    owner: Owner
    most: int | None
    granted: Future[None] = field(default_factory=Future)


class Gate:
    """The limits of one key at one origin."""

    def __init__(self) -> None:
        self._guard = Guard()
        self._opens_at = 0.0
        self._refused_at = -math.inf
        self._window_began: float | None = None
        self._lowest = 0
        self._limit: int | None = None
        self._allowance: int | None = None  # what the next window admits, once a limit was seen to be real
        self._flying: list[weakref.ref[Slot]] = []
        self._waiting: list[weakref.ref[Slot]] = []

    def opening(self, now: float, after: float = 0.0) -> float | None:
        """Return the time to wait for before sending; None to send now.

        `after` is a time already waited for. It does not count again, so that a clock that stands still
        cannot block anybody for ever.
        """
        with self._guard, self._guard.lock:
            if self._opens_at > now and self._opens_at > after:
                return self._opens_at
            if self._allowance is not None:
                if now >= self._opens_at + WINDOW:  # that window is long over
                    self._allowance = None
                    return None
                if self._allowance <= 0:  # latecomers wait for the next window
                    self._shut(self._opens_at + WINDOW)
                    return self._opens_at
                self._allowance -= 1
            return None

    def heard(self, response: Response, now: float) -> None:
        """Note the limits that a response names: a 429 says when to come back, others what is left."""
        if response.status == 429:
            refusal = api_error(response)
            if isinstance(refusal, RateLimited):
                with self._guard, self._guard.lock:
                    pause = UNNAMED_PAUSE if refusal.retry_after is None else refusal.retry_after
                    self._shut(now + min(pause, LONGEST))
                    self._refused_at = now
            return
        remaining = _whole(response.header("x-ratelimit-remaining"))
        if remaining is None:
            return
        limit = _whole(response.header("x-ratelimit-limit"))
        with self._guard, self._guard.lock:
            self._limit = limit or self._limit
            began = self._window_began
            # A count that rose by more than what is under way is another window of the service.
            if began is None or now - began >= WINDOW or remaining > self._lowest + len(self._flying):
                began = self._window_began = now
                self._lowest = remaining
            self._lowest = min(self._lowest, remaining)
            if remaining == 0:
                self._shut(began + WINDOW)
            elif now >= self._opens_at or now - self._refused_at >= WINDOW:
                # The service's own count is the better one: it admits again, or whoever refused was wrong.
                self._opens_at, self._allowance = min(self._opens_at, now), None

    def _shut(self, until: float) -> None:
        """Stay shut until `until`, then admit no more prompts than the service does in a window."""
        self._opens_at = max(self._opens_at, until)
        self._allowance = self._limit

    def take(self, most: int | None, *, blocking: bool = False) -> Slot:
        """Ask for a slot: the right to have a prompt in flight, beside at most `most` - 1 others."""
        slot = Slot(Owner(), most)
        ref = weakref.ref(slot, self._abandoned)
        with self._guard, self._guard.lock:
            self._forget()
            if most is None or (len(self._flying) < most and not self._waiting):
                self._flying.append(ref)
                slot.granted.set_result(None)
                return slot
            holders = [held for each in self._flying if (held := each()) is not None]
            if all(slot.owner.would_block(held.owner, blocking=blocking) for held in holders):
                raise ConfigurationError(
                    f"max_concurrent_prompts={most} is used up by streams that this thread or task has open: "
                    "close one first."
                )
            self._waiting.append(ref)
        return slot

    def release(self, slot: Slot) -> None:
        """Return a slot to the gate, or stop waiting for one. Harmless when repeated."""
        with self._guard:
            self._release(slot)

    def _release(self, slot: Slot | None = None) -> None:
        granted: list[Slot] = []
        with self._guard.lock:
            self._forget(slot)
            while self._waiting and (
                (first := self._waiting[0]()) is None or len(self._flying) < (first.most or 0)
            ):
                ref = self._waiting.pop(0)
                if first is not None:
                    granted.append(first)
                    self._flying.append(ref)
        for one in granted:
            grant(one.granted)

    def _forget(self, slot: Slot | None = None) -> None:
        self._flying = [ref for ref in self._flying if ref() not in (None, slot)]
        self._waiting = [ref for ref in self._waiting if ref() not in (None, slot)]

    def _abandoned(self, _: object) -> None:
        self._guard.soon(self._release)


class Pacing:
    """The registry of gates. One per process, see `pacing`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all gates; for tests, and in a forked child."""
        self._lock = threading.Lock()
        self._gates: dict[tuple[str, bytes], Gate] = {}

    def gate(self, options: ClientOptions) -> Gate:
        """Return the gate for resolved options."""
        digest = hashlib.sha256((options.api_key or "").encode()).digest()
        key = (origin(options.base_url or ""), digest)
        with self._lock:
            return self._gates.setdefault(key, Gate())


def too_long(wait: float, retry_patience: float) -> RateLimited | None:
    """Return the error for a wait beyond the caller's patience: nothing is sent then."""
    if wait <= retry_patience + 0.001:
        return None
    return RateLimited(
        f"The service admits no more requests of this key for {wait:.0f} s, which is beyond the patience of "
        f"{retry_patience:g} s (RetryPolicy.patience). Nothing was sent. Try again later.",
        status=429,
        message="Not sent: this process was told to wait.",
        retry_after=wait,
    )


def _whole(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


pacing = Pacing()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pacing.clear)
