"""The writer of answers that go out in parts, and the script that it follows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiohttp import HttpVersion11, web

from customgpt_emulator.journal.entries import Entry
from customgpt_emulator.serving.connections import Connection, Gone

__all__ = ["EventWriter", "Script", "takes_chunks"]

KEEP_ALIVE = b": keep-alive\n\n"
FAIR = 256  # events, about a millisecond's worth, after which other requests get their turn


def takes_chunks(request: web.BaseRequest) -> bool:
    """Return whether the client knows chunked bodies. In HTTP/1.0 the end of the connection ends a body."""
    return request.version >= HttpVersion11


class Script:
    """How one answer goes out. The base class changes nothing; faults override it.

    A method may do anything to the connection. It raises `Gone` if nothing can follow.
    """

    persist: bool | None = None
    """Whether a lost answer is stored; None: as the switch `on_disconnect` has it."""
    mute = False
    """Nothing of what the handler sends is sent."""

    def head(self, response: web.StreamResponse) -> None:
        """Change status and headers."""

    async def before(self, out: EventWriter) -> None:
        """Act before the first byte."""

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        """Write event number `index`, from 0. `last` marks the events that complete the answer."""
        await out.write(frame)

    async def after(self, out: EventWriter) -> None:
        """Act after the last event, before the end of the body."""


class EventWriter:
    """Sends events at once, each as one chunk of the body.

    A script may change each event; `pause` gives the seconds to wait before token number n. All methods raise
    `Gone` if the client has left or a fault has cut it off.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        entry: Entry,
        connection: Connection,
        *,
        script: Script | None = None,
        pause: Callable[[int], float] | None = None,
        keep_alive: float | None = None,
    ) -> None:
        self.response = response
        self.connection = connection
        self._request = request
        self._entry = entry
        self._script = script
        self._muted = script is not None and script.mute
        self._pause = pause
        self._keep_alive = keep_alive
        self._index = 0
        self._tokens = 0

    async def open(self, content_type: str = "text/event-stream; charset=UTF-8") -> None:
        """Send status and headers."""
        if self._muted:
            return
        self.response.headers["Content-Type"] = content_type
        if self._script is not None:
            await self._script.before(self)
            self._script.head(self.response)
        self._entry.status = self.response.status
        if takes_chunks(self._request):
            self.response.enable_chunked_encoding()
        await self._guarded(self.response.prepare(self._request))

    async def send(self, frames: Iterable[bytes]) -> None:
        """Write events, one by one."""
        if self._muted:
            return
        if self._script is None and self._pause is None:
            await self._pour(frames)
            return
        for frame in frames:
            await self._play(frame, last=False)

    async def finish(self, frames: Sequence[bytes]) -> None:
        """Write the events that complete the answer, and end the body."""
        if self._muted:
            return
        for frame in frames[:-1]:
            await self._play(frame, last=True)
        self._entry.complete = True  # before the client can know
        self._entry.has_ended()
        try:
            for frame in frames[-1:]:
                await self._play(frame, last=True)
        except Gone:
            self._entry.complete = False
            self._entry.disconnected = not self._entry.cut
            raise
        if self._script is not None:
            await self._script.after(self)
        await self.end()

    async def write(self, data: bytes, *, counts: bool = True) -> None:
        """Write one chunk of the body."""
        if counts:
            self._entry.events_sent += 1  # before the client can know
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
        """Wait as long as the rest of `frames` events would have taken. The client is gone."""
        if self._pause is not None and not self._muted:
            await asyncio.sleep(sum(self._pause(index) for index in range(self._tokens, frames)))

    async def _pour(self, frames: Iterable[bytes]) -> None:
        """Do what `_play` does for each event, faster: there is no script and no pause."""
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
        if self._script is None:
            await self.write(frame)
        else:
            await self._script.event(self, self._index, frame, last)
        self._index += 1
        if self._index % FAIR == 0:
            await asyncio.sleep(0)

    async def _wait(self, seconds: float) -> None:
        """Wait, and send comments meanwhile if the switch `keep_alive_seconds` asks for them."""
        every = self._keep_alive
        while every is not None and seconds > every:
            await self.connection.pause(every)
            await self.write(KEEP_ALIVE, counts=False)
            seconds -= every
        if seconds > 0:
            await self.connection.pause(seconds)

    async def _guarded(self, step: Awaitable[object]) -> None:
        try:
            await step
        except (ConnectionError, RuntimeError) as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception) -> Gone:
        if isinstance(error, RuntimeError) and "closing transport" not in str(error):
            raise error  # our own mistake; nobody has left
        self._entry.disconnected = not (self._entry.complete or self._entry.cut)
        return Gone()
