"""The port: open, or really closed, but with its number kept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from aiohttp import web

from customgpt_emulator.serving.connections import Connections

__all__ = ["Listener"]

BACKLOG = 1024  # many clients may connect at once
SETTLING = 5  # rounds of the loop until the server knows a connection that was just accepted


class Listener:
    """Listens and stops listening. Its methods are safe to call from any thread once it is open."""

    def __init__(self, runner: web.AppRunner, connections: Connections) -> None:
        self._runner = runner
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._kept: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Start to listen and return the address."""
        await web.TCPSite(self._runner, host, port, backlog=BACKLOG).start()
        address: tuple[str, int] = self._runner.addresses[0][:2]
        return address

    def refuse(self, seconds: float | None) -> None:
        """Close the port. Idle connections are closed at once, busy ones after their answer."""
        if _running_loop() is self._loop:
            self._start(self._refuse(seconds))
        else:
            asyncio.run_coroutine_threadsafe(self._refuse(seconds), self._loop).result()

    def accept(self) -> None:
        """Open the port again. Connections succeed once this returns."""
        kept, self._kept = self._kept, []
        for sock in kept:
            sock.listen(BACKLOG)  # the system accepts connections from now on, the server a moment later
            self._loop.call_soon_threadsafe(self._serve, sock)

    async def close(self) -> None:
        """Release the port."""
        if self._tasks:
            await asyncio.wait(self._tasks)  # what is being opened is closed with the rest
        kept, self._kept = self._kept, []
        for sock in kept:
            sock.close()
        if self._timer is not None:
            self._timer.cancel()
        await self._stop()

    async def _stop(self) -> list[Any]:
        """Stop listening and return the addresses."""
        sites = self._runner.sites
        sockets = [sock for site in sites for sock in getattr(site._server, "sockets", None) or ()]
        addresses = [sock.getsockname() for sock in sockets]
        # Stop accepting first, and let what was just accepted become a connection: asyncio's server, closed
        # in between, would leave it open and forget it.
        with contextlib.suppress(NotImplementedError):  # Windows
            for sock in sockets:
                self._loop.remove_reader(sock.fileno())
        for _ in range(SETTLING):
            await asyncio.sleep(0)
        for site in sites:
            await site.stop()
        return addresses

    async def _refuse(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._lock:
            # Bound but not listening: the number stays ours, and clients are refused.
            self._kept += [_bound(address) for address in await self._stop()]
        self._connections.close_gently()
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self.accept)

    def _serve(self, sock: socket.socket) -> None:
        self._start(web.SockSite(self._runner, sock, backlog=BACKLOG).start())

    def _start(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _bound(address: Any) -> socket.socket:
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
