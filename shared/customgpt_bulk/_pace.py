"""When the next request may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pace:
    """Spreads requests evenly over the minute, and holds all of them when the service asks for a pause.

    `rpm` is the requests a minute, None for no limit of the user's. `stop` ends every wait.
    """

    def __init__(self, rpm: float | None, clock: Callable[[], float], stop: asyncio.Event) -> None:
        self._gap = 60.0 / rpm if rpm else 0.0
        self._clock = clock
        self._stop = stop
        self._next = clock()

    @property
    def limited(self) -> bool:
        """Whether the user set a limit."""
        return self._gap > 0

    async def wait(self) -> None:
        """Wait for this request's moment."""
        now = self._clock()
        moment = max(now, self._next)
        self._next = moment + self._gap
        if moment > now:
            await pause(moment - now, self._stop)

    def hold(self, seconds: float) -> None:
        """Let nothing leave before `seconds` are over."""
        self._next = max(self._next, self._clock() + seconds)


async def pause(seconds: float, stop: asyncio.Event) -> None:
    """Wait `seconds`, or until `stop` is set."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([stopped], timeout=seconds)
    finally:
        stopped.cancel()
