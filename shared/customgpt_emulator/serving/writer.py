"""The one way out for the bytes of an answer that goes out in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from customgpt_emulator.serving.connections import Gone

if TYPE_CHECKING:
    from customgpt_emulator.serving.call import Call

__all__ = ["EventWriter"]

KEEP_ALIVE = b": keep-alive\n\n"
FAIR = 256  # events, about a millisecond, after which other requests get their turn


class EventWriter:
    """Sends events, each as one chunk of the chunked body, as soon as it is there.

    A fault's script takes the place of each event; pacing puts a pause before it. All methods raise `Gone`
    when the client has left, or was cut off by a fault.
    """

    def __init__(self, call: Call, response: web.StreamResponse | None = None) -> None:
        self.connection = call.connection
        self.response = web.StreamResponse() if response is None else response
        self._call = call
        self._entry = call.entry
        self._entry.streamed = response is None and not (call.fault is not None and call.fault.mute)
        self._fault = call.fault
        self._muted = call.fault is not None and call.fault.mute
        # An answer that is no stream has had its pause before it came here.
        self._pause = call.context.pacing.pauses() if response is None else None
        self._keep_alive = call.context.switches.keep_alive_seconds
        self._index = 0
        self._tokens = 0

    async def open(self, content_type: str = "text/event-stream; charset=UTF-8") -> None:
        """Send status and headers."""
        if self._muted:
            return
        self.response.headers["Content-Type"] = content_type
        if self._fault is not None:
            for step in self._fault.before():
                await step.take(self)
            self._fault.head(self.response)
        self._entry.status = self.response.status
        if self._call.takes_chunks:
            self.response.enable_chunked_encoding()
        self._call.begun = self.response
        await self._guarded(self.response.prepare(self._call.request))

    async def send(self, frames: Iterable[bytes]) -> None:
        """Write events, one by one."""
        if self._muted:
            return
        if self._fault is None and self._pause is None:
            await self._pour(frames)
            return
        for frame in frames:
            await self._play(frame, last=False)

    async def finish(self, frames: Sequence[bytes]) -> None:
        """Write the events that make the answer complete, and end the body."""
        if self._muted:
            return
        for frame in frames[:-1]:
            await self._play(frame, last=True)
        self._entry.complete = True  # before the client can see it
        self._entry.has_ended()
        try:
            for frame in frames[-1:]:
                await self._play(frame, last=True)
        except Gone:
            self._entry.complete = False
            self._entry.disconnected = not self._entry.cut
            raise
        if self._fault is not None:
            for step in self._fault.after():
                await step.take(self)
        await self.end()

    async def write(self, data: bytes, *, counts: bool = True) -> None:
        """Write one chunk of the body."""
        if counts:
            self._entry.events_sent += 1  # before the client can see it
        try:
            await self.response.write(data)
        except (ConnectionError, RuntimeError) as error:
            if counts:
                self._entry.events_sent -= 1
            raise self._gone(error) from error

    async def end(self) -> None:
        """End the body properly."""
        await self._guarded(self.response.write_eof())

    async def live_on(self, frames: int) -> None:
        """The client is gone: wait as long as the rest of so many events would have taken."""
        if self._pause is not None and not self._muted:
            await asyncio.sleep(sum(self._pause(index) for index in range(self._tokens, frames)))

    async def _pour(self, frames: Iterable[bytes]) -> None:
        """Nothing stands between the events: `_play` for each, at less cost."""
        write, entry = self.response.write, self._entry
        try:
            for frame in frames:
                entry.events_sent += 1
                await write(frame)
                self._index += 1
                if self._index % FAIR == 0:
                    await asyncio.sleep(0)
        except (ConnectionError, RuntimeError) as error:
            entry.events_sent = self._index
            raise self._gone(error) from error

    async def _play(self, frame: bytes, *, last: bool) -> None:
        if self._pause is not None and not frame.startswith(b"event: start"):
            await self._wait(self._pause(self._tokens))
            self._tokens += 1
        if self._fault is None:
            await self.write(frame)
        else:
            for step in self._fault.steps(self._index, frame, last):
                await step.take(self)
        self._index += 1
        if self._index % FAIR == 0:
            await asyncio.sleep(0)

    async def _wait(self, seconds: float) -> None:
        """Wait, with comments to keep the connection alive where the switch asks for them."""
        every = self._keep_alive
        while every is not None and seconds > every:
            await self.connection.pause(every)
            await self.write(KEEP_ALIVE, counts=False)
            seconds -= every
        if seconds > 0:
            await self.connection.pause(seconds)

    async def _guarded(self, step: Any) -> None:
        try:
            await step
        except (ConnectionError, RuntimeError) as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception) -> Gone:
        if isinstance(error, RuntimeError) and "closing transport" not in str(error):
            raise error  # a mistake of ours, and nobody has left
        self._entry.disconnected = not (self._entry.complete or self._entry.cut)
        return Gone()
