"""Streamed answers: the bytes of each event, and the one way out for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from customgpt_emulator.call import Call
from customgpt_emulator.shapes import dump

__all__ = ["EventWriter", "Gone", "event", "fresh_tokens", "progress_events", "replay_tokens"]

KEEP_ALIVE = b": keep-alive\n\n"
FAIR = 32  # events after which other requests get their turn
_ASCII_SIGNS = r"!-/:-@\[-`{-~"
_FRESH = re.compile(rf" ?[^\s{_ASCII_SIGNS}]{{1,12}}| ?[{_ASCII_SIGNS}]+|\s+")


def fresh_tokens(answer: str) -> list[str]:
    """Cut an answer as fresh answers come: an empty piece first, then words with their LEADING space.

    Captured 2023 and 2024 (vendor docs "Requests and Responses"). The cuts depend on spaces and ASCII signs
    alone, not on Python's tables of letters, which change from version to version.
    """
    return ["", *_FRESH.findall(answer)]


def replay_tokens(answer: str) -> list[str]:
    """Cut an answer as cached answers come: words with a TRAILING space, no empty piece (captured 2023)."""
    words = answer.split(" ")
    return [word + " " for word in words[:-1]] + ([words[-1]] if words[-1] else [])


def event(name: str, data: Mapping[str, Any], *, ascii_only: bool = True) -> bytes:
    """One event: `event: X`, `data: {...}`, a blank line, all with LF."""
    return b"event: " + name.encode() + b"\ndata: " + dump(data, ascii_only=ascii_only) + b"\n\n"


def progress_events(tokens: Iterable[str], *, ascii_only: bool = True) -> list[bytes]:
    """The `progress` events of an answer: `event` for each token, at a third of the cost."""
    head, tail = event("progress", {"status": "progress", "message": ""}).split(b'""')
    return [b"".join((head, dump(token, ascii_only=ascii_only), tail)) for token in tokens]


class Gone(Exception):
    """The client has left, or was cut off: nothing more can be sent."""


class EventWriter:
    """The one way out for the bytes of a stream.

    Each frame becomes one chunk of the chunked body, written as soon as it is there. `pause(index)` gives the
    seconds to wait before frame number `index`; None means that there is no pacing at all.
    """

    def __init__(self, call: Call, pause: Callable[[int], float] | None = None) -> None:
        self._request = call.request
        self._entry = call.entry
        self._keep_alive = call.context.switches.keep_alive_seconds
        self.fault = call.fault
        self._pause = pause
        self._sent = 0
        self.response = web.StreamResponse()

    async def open(self, content_type: str = "text/event-stream; charset=UTF-8") -> None:
        """Send status and headers."""
        self.response.headers["Content-Type"] = content_type
        self._entry.status = self.response.status
        self.response.enable_chunked_encoding()
        await self._guarded(self.response.prepare(self._request))

    async def send(self, frames: Iterable[bytes]) -> None:
        """Write the frames one by one. Raises `Gone` when the client has left."""
        for frame in frames:
            if self._pause is not None:
                await self._wait(self._pause(self._sent))
            try:
                await self.response.write(frame)
            except (ConnectionError, RuntimeError) as error:
                raise self._gone() from error
            self._sent += 1
            self._entry.events_sent = self._sent
            if self._sent % FAIR == 0:
                await asyncio.sleep(0)

    async def live_on(self, frames: int) -> None:
        """The client is gone: wait as long as the rest of so many frames would have taken."""
        if self._pause is not None:
            await asyncio.sleep(sum(self._pause(index) for index in range(self._sent, frames)))

    async def _wait(self, seconds: float) -> None:
        """Sleep, with comments to keep the connection alive where the switch asks for them."""
        every = self._keep_alive
        while every is not None and seconds > every:
            await asyncio.sleep(every)
            await self._guarded(self.response.write(KEEP_ALIVE))
            seconds -= every
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """End the body properly."""
        await self._guarded(self.response.write_eof())

    async def _guarded(self, step: Any) -> None:
        try:
            await step
        except (ConnectionError, RuntimeError) as error:
            raise self._gone() from error

    def _gone(self) -> Gone:
        self._entry.disconnected = True
        return Gone()
