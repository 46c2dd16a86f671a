"""What may still be sent: a number of prompts, a number of credits, a number of requests a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from customgpt_transport import UsageLimits

LEARN = 10
"""Prompts after which the usage is read to learn what one costs."""

RARELY = 100
"""Prompts between two readings of the usage after that."""


class Credits:
    """How many of `most` credits are used, from what `/limits/usage` says and from prompts sent since.

    The account's other users are in its figures, and so count. `kept` is what `as_fact` gave at an earlier
    start, `prompts` how many prompts were sent by then and later: a start that was killed left its last ones
    uncounted, and they count at the price of one.
    """

    def __init__(self, most: float, kept: Any, prompts: int) -> None:
        self.most = most
        self._known = kept is not None
        kept = kept or {"used": 0.0, "prompts": 0, "price": 1.0}
        self.price: float = kept["price"]
        self._before: float = kept["used"] + (prompts - kept["prompts"]) * self.price
        self._base: int | None = None  # the account's figure when this start began,
        self._begun_with = self._read_at = prompts  # and the prompts by then
        self.used: float = self._before

    def would_be(self, prompts: int) -> float:
        """Return the credits used once `prompts` prompts were sent."""
        return self.used + (prompts - self._read_at) * self.price

    def due(self, prompts: int) -> bool:
        """Whether the usage must be read before the next prompt, of which `prompts` were sent."""
        if self._base is None:
            return True
        sent = prompts - self._read_at
        return sent >= (RARELY if self._known else LEARN) or self.would_be(prompts + 1) > self.most

    def read(self, usage: UsageLimits, settled: int) -> None:
        """Take note of the account's figure when `settled` prompts had been answered.

        A prompt costs one credit at least: a figure that lags behind, or that a new billing cycle has set
        back, does not count for less than that.
        """
        figure = usage.current_queries or 0
        if self._base is None or figure < self._base:
            self._base, self._begun_with = figure, settled
            self.used = self._before = self.would_be(settled)
        else:
            sent = settled - self._begun_with
            self.used = self._before + max(figure - self._base, sent)
            if sent:
                self.price = max(1.0, (figure - self._base) / sent)
                self._known = self._known or sent >= LEARN
        self._read_at = settled

    def as_fact(self) -> dict[str, float]:
        """Return what a later start needs to go on counting."""
        return {"used": self.used, "prompts": self._read_at, "price": self.price}


class Budget:
    """Admits one prompt after the other, as long as prompts and credits last.

    `spent` counts the prompts that were billed or may have been, those under way included. `read_usage`
    reads the account's figures; `keep` puts away what `Credits` knows.
    """

    def __init__(
        self,
        spent: int,
        max_prompts: int | None,
        credits: Credits | None,  # noqa: A002 - the vendor's word
        read_usage: Callable[[], Awaitable[UsageLimits]],
        keep: Callable[[Credits], Awaitable[None]],
    ) -> None:
        self.spent = spent
        self.credits = credits
        self._max_prompts = max_prompts
        self._read_usage = read_usage
        self._keep = keep
        self._flying = 0
        self._changed = asyncio.Condition()

    async def _read_and_find_empty(self) -> bool:
        assert self.credits is not None  # noqa: S101 - only asked for when there is such a budget
        self.credits.read(await self._read_usage(), self.spent)
        await self._keep(self.credits)
        return self.credits.would_be(self.spent + 1) > self.credits.most

    async def admit(self) -> Literal["max_prompts", "max_credits"] | None:
        """Count a prompt as spent and return None; or return which budget has no room for it."""
        async with self._changed:
            while True:
                used_up = self._max_prompts is not None and self.spent >= self._max_prompts
                due = self.credits is not None and self.credits.due(self.spent)
                if not used_up and not due:
                    break
                if self._flying:  # one of them may come back unbilled; and a price is learned at rest
                    await self._changed.wait()
                    continue
                if used_up:
                    return "max_prompts"
                if await self._read_and_find_empty():
                    return "max_credits"
                break
            self.spent += 1
            self._flying += 1
            return None

    async def settle(self, *, billed: bool) -> None:
        """A prompt that was admitted has ended; one that was not billed is given back."""
        async with self._changed:
            self._flying -= 1
            self.spent -= not billed
            self._changed.notify_all()
