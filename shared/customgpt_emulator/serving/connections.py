"""The TCP connections: which one serves what, who has left, and how to hang up on somebody."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from customgpt_emulator.journal.entries import Entry

__all__ = ["Connection", "Connections", "Gone"]


class Gone(Exception):
    """The client has left, or was cut off: nothing more can be sent."""


class Connection:
    """One TCP connection. Belongs to the emulator's thread."""

    def __init__(self, number: int, transport: asyncio.Transport | None) -> None:
        self.number = number
        self.serving: Entry | None = None
        """The request that is being answered on it."""
        self.rate: Mapping[str, str] | None = None
        """The headers about the quota that the present answer has; None: the usual ones."""
        self.lost = transport is None
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._waker: asyncio.Future[None] | None = None
        self._last = False
        self._held = False

    async def pause(self, seconds: float | None) -> None:
        """Wait so many seconds (None: until `wake`). Raises `Gone` as soon as the client leaves."""
        if self.lost:
            raise Gone
        self._waker = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, self.wake)
        try:
            await self._waker
        finally:
            self._waker = None
            if timer is not None:
                timer.cancel()
        if self.lost:
            raise Gone

    def wake(self) -> None:
        """End a pause."""
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def wake_from_outside(self) -> None:
        """End a pause, from any thread."""
        self._loop.call_soon_threadsafe(self.wake)

    def write(self, data: bytes) -> None:
        """Send bytes that are outside of any framing."""
        if self._transport is None or self._transport.is_closing():
            raise Gone
        self._transport.write(data)

    async def flush(self) -> None:
        """Wait until the system has taken everything that was written."""
        while self._transport is not None and not self.lost and self._transport.get_write_buffer_size():
            await self.pause(0.005)

    def hang_up(self) -> None:
        """Close it: what was written still arrives, then the end (FIN)."""
        self._cut()
        self._close()

    def reset(self) -> None:
        """Tear it down: the client is told of a reset (RST)."""
        self._cut()
        if self._transport is not None:
            peer: socket.socket | None = self._transport.get_extra_info("socket")
            if peer is not None:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def ended(self) -> None:
        """The connection is no more."""
        self.lost = True
        if self.serving is not None:
            self.serving.has_ended()
            if not self.serving.complete and not self.serving.cut:
                self.serving.disconnected = True
        self.wake()

    def close_soon(self) -> None:
        """Close it as soon as nothing is being answered on it."""
        self._last = True
        if self.serving is None and not self._held:
            self._close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Not closed meanwhile: a request is being answered that is not in the journal."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._last:
                self._close()

    def served(self) -> None:
        """The answer was given, as far as it could be."""
        if self.serving is not None:
            self.serving.has_ended()
        self.serving = None
        if self._last:
            self._close()

    def end_pause(self) -> None:
        """Hang up if the answer is waiting for something."""
        if self._waker is not None:
            self.hang_up()
            self.ended()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _cut(self) -> None:
        if self.serving is not None:
            self.serving.cut = True
            self.serving.has_ended()


class Connections:
    """All open connections. `open` may be read from any thread."""

    def __init__(self) -> None:
        self.refused: Callable[[], bool] = bool
        """Asked for each new connection whether it is to be reset at once."""
        self._by_protocol: dict[Any, Connection] = {}
        self._count = 0
        self._busy = 0
        self.most_busy = 0
        """The most requests that were ever being answered at once."""

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._by_protocol)

    @property
    def open_numbers(self) -> list[int]:
        """The numbers of the open connections."""
        return [connection.number for connection in list(self._by_protocol.values())]

    @property
    def idle_numbers(self) -> list[int]:
        """The numbers of those that wait for a request."""
        return [c.number for c in list(self._by_protocol.values()) if c.serving is None]

    def watch(self, server: web.Server) -> None:
        """Have the server tell of each connection that is made or lost."""
        made, lost = server.connection_made, server.connection_lost

        def on_made(handler: web.RequestHandler, transport: asyncio.Transport) -> None:
            made(handler, transport)
            self._count += 1
            self._by_protocol[handler] = connection = Connection(self._count, transport)
            if self.refused():
                connection.reset()

        def on_lost(handler: web.RequestHandler, exc: BaseException | None = None) -> None:
            lost(handler, exc)
            connection = self._by_protocol.pop(handler, None)
            if connection is not None:
                connection.ended()

        # aiohttp has no public hook for this: its handlers call these two on their server.
        server.connection_made = on_made  # type: ignore[method-assign] # see above
        server.connection_lost = on_lost  # type: ignore[method-assign] # see above

    def of(self, request: web.BaseRequest) -> Connection:
        """The connection that a request came on."""
        return self._by_protocol.get(request.protocol) or Connection(0, None)

    @contextmanager
    def serving(self, connection: Connection, entry: Entry) -> Iterator[None]:
        """While a request is being answered."""
        connection.serving, connection.rate = entry, None
        self._busy += 1
        self.most_busy = max(self.most_busy, self._busy)
        try:
            yield
        finally:
            connection.served()
            self._busy -= 1

    def close_gently(self) -> None:
        """Close the idle connections, and the busy ones when their answer is complete."""
        for connection in list(self._by_protocol.values()):
            connection.close_soon()

    def end_all(self) -> None:
        """The emulator closes: answers that wait for something break off."""
        for connection in list(self._by_protocol.values()):
            connection.end_pause()

    def clear(self) -> None:
        """Forget what was measured."""
        self.most_busy = self._busy
