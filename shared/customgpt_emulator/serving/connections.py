"""The TCP connections: what each one serves, whether its client has left, and how to close it."""

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
    """The client has left or was cut off. Nothing more can be sent."""


class Connection:
    """One TCP connection. It belongs to the emulator's thread."""

    def __init__(self, number: int, transport: asyncio.Transport | None) -> None:
        self.number = number
        self.serving: Entry | None = None
        """The request that it is serving."""
        self.rate: Mapping[str, str] | None = None
        """The quota headers of the current answer; None: the usual ones."""
        self.lost = transport is None
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._waker: asyncio.Future[None] | None = None
        self._last = False
        self._held = False

    async def pause(self, seconds: float | None) -> None:
        """Wait `seconds`, or until `wake` if None. Raises `Gone` as soon as the client leaves."""
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
        """Send raw bytes, outside of HTTP's framing."""
        if self._transport is None or self._transport.is_closing():
            raise Gone
        self._transport.write(data)

    async def flush(self) -> None:
        """Wait until the operating system has taken everything that was written."""
        while self._transport is not None and not self.lost and self._transport.get_write_buffer_size():
            await self.pause(0.005)

    def hang_up(self) -> None:
        """Close it (FIN). What was written still arrives."""
        self._cut()
        self._close()

    def reset(self) -> None:
        """Reset it (RST)."""
        self._cut()
        if self._transport is not None:
            peer: socket.socket | None = self._transport.get_extra_info("socket")
            if peer is not None:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def ended(self) -> None:
        """Note that the connection is lost."""
        self.lost = True
        if self.serving is not None:
            self.serving.has_ended()
            if not self.serving.complete and not self.serving.cut:
                self.serving.disconnected = True
        self.wake()

    def close_soon(self) -> None:
        """Close it once it serves nothing."""
        self._last = True
        if self.serving is None and not self._held:
            self._close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it open while it serves a request that is not in the journal."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._last:
                self._close()

    def served(self) -> None:
        """Note that the answer is over."""
        if self.serving is not None:
            self.serving.has_ended()
        self.serving = None
        if self._last:
            self._close()

    def end_pause(self) -> None:
        """Hang up if the answer is waiting."""
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
    """All open connections. `open` is safe to read from any thread."""

    def __init__(self) -> None:
        self.refused: Callable[[], bool] = bool
        """Called for each new connection: whether to reset it at once."""
        self._by_protocol: dict[Any, Connection] = {}
        self._count = 0
        self._busy = 0
        self.most_busy = 0
        """The largest number of requests served at the same time so far."""

    @property
    def open(self) -> int:
        """The number of open connections."""
        return len(self._by_protocol)

    @property
    def open_numbers(self) -> list[int]:
        """The numbers of the open connections."""
        return [connection.number for connection in list(self._by_protocol.values())]

    @property
    def idle_numbers(self) -> list[int]:
        """The numbers of the open connections that serve nothing."""
        return [c.number for c in list(self._by_protocol.values()) if c.serving is None]

    def watch(self, server: web.Server) -> None:
        """Follow the connections that a server makes and loses."""
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

        # aiohttp has no public hook for this. Its handlers call these two methods of their server.
        server.connection_made = on_made  # type: ignore[method-assign] # see above
        server.connection_lost = on_lost  # type: ignore[method-assign] # see above

    def of(self, request: web.BaseRequest) -> Connection:
        """Return the connection that a request came on."""
        return self._by_protocol.get(request.protocol) or Connection(0, None)

    @contextmanager
    def serving(self, connection: Connection, entry: Entry) -> Iterator[None]:
        """Mark the connection as serving a request."""
        connection.serving, connection.rate = entry, None
        self._busy += 1
        self.most_busy = max(self.most_busy, self._busy)
        try:
            yield
        finally:
            connection.served()
            self._busy -= 1

    def close_gently(self) -> None:
        """Close the idle connections now, and the busy ones after their answer."""
        for connection in list(self._by_protocol.values()):
            connection.close_soon()

    def end_all(self) -> None:
        """Hang up on all answers that wait. The emulator is closing."""
        for connection in list(self._by_protocol.values()):
            connection.end_pause()

    def clear(self) -> None:
        """Forget the largest number of requests."""
        self.most_busy = self._busy
