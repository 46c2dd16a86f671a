"""One request as it is sent, and the clock that runs until the headers of the answer arrive."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from customgpt_transport import _observe
from customgpt_transport._async.line import Line
from customgpt_transport._secrets import Secret
from customgpt_transport._wire import http as wire
from customgpt_transport.options import ClientOptions

_current: ContextVar[Sending] = ContextVar("customgpt_transport_sending")
PIECE = 64 * 1024  # of a long JSON body; what is shorter goes into the socket's buffers at once


class Sending:
    """One request on its way: its body, and how long the headers of the answer may still take.

    aiohttp has no clock while a body is written, and each byte of the headers winds the one after that. The
    clock here starts with `seconds`, which include connecting, and again with `first_byte` for each piece of
    the body that left; it stands still while the disk is read. `failure` is what the disk raised.
    """

    def __init__(self, request: wire.Request, seconds: float, first_byte: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._first_byte = first_byte
        self._due = 0.0
        self._seconds = seconds
        self._patience = max(seconds, first_byte)
        self._json = None if request.json is None else wire.dump_json(request.json)
        self.failure: Exception | None = None
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rung = False
        self.transport: asyncio.Transport | None = None

    @property
    def data(self) -> Any:
        """The body, as aiohttp takes it."""
        if self._request.body is not None:
            return self._from_disk()
        if self._json is not None and len(self._json) > PIECE:
            return self._from_memory(self._json)
        return self._json

    def headers(self, options: ClientOptions) -> dict[str, str]:
        """Return the headers; the key is one of them."""
        request = self._request
        headers = {
            "Authorization": Secret(f"Bearer {options.api_key}"),
            "User-Agent": _observe.user_agent(options, f"aiohttp/{aiohttp.__version__}"),
            "Accept": "text/event-stream" if request.stream else "application/json",
            "Accept-Encoding": "identity" if request.stream else "gzip, deflate",
        }
        if request.body is not None:
            headers["Content-Type"] = request.body.content_type
            headers["Content-Length"] = str(len(request.body))
        elif self._json is not None:
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(self._json))
        return {**headers, **request.headers}

    async def until_headers(self, asking: Awaitable[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
        """Await the library's request; raises what it raises, and `TimeoutError` when the clock ran out.

        In the caller's own task: where the body follows at once, and breaks off, it must be read at once.
        """
        self._task = asyncio.current_task()
        cancelled = self._cancellations()
        token = _current.set(self)
        self._due = self._loop.time() + self._seconds
        self._ring()
        try:
            return await asking
        except asyncio.CancelledError:
            self._hang_up()
            if not self._rung or self._cancellations(less=1) > cancelled:
                raise  # somebody else's, whatever ours
            raise asyncio.TimeoutError from None
        except BaseException:
            self._hang_up()
            raise
        finally:
            _current.reset(token)
            self._task = None
            if self._timer is not None:
                self._timer.cancel()

    def _hang_up(self) -> None:
        """Abort the connection: aiohttp alone would wait until its buffer has been sent."""
        if self.transport is not None:
            self.transport.abort()

    def _cancellations(self, less: int = 0) -> int:
        """Python 3.10 does not count them: there, one of ours hides one of others in the same turn."""
        task: Any = self._task
        if not hasattr(task, "uncancel"):
            return 0
        return int(task.uncancel() if less else task.cancelling())

    def _ring(self) -> None:
        left = self._due - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(min(left, self._patience), self._ring)
        else:  # a loop that was blocked hears the bell and the bytes in one turn: the bytes go first
            self._loop.call_soon(self._give_up)

    def _give_up(self) -> None:
        if self._task is None:
            return
        if self._due > self._loop.time():
            self._ring()
            return
        self._rung = True
        self._task.cancel()

    async def _from_disk(self) -> AsyncIterator[bytes]:
        body, sent = self._request.body, 0
        assert body is not None  # noqa: S101 - `data` looked
        chunks = body.chunks()
        try:
            while chunk := await self._read(chunks):
                yield chunk
                sent += len(chunk)
                body.sent(sent)
        except Exception as error:
            self.failure = error
            raise
        finally:
            with contextlib.suppress(ValueError):  # still reading in its thread: it closes when that is done
                chunks.close()  # type: ignore[attr-defined]  # a generator

    async def _read(self, chunks: Iterator[bytes]) -> bytes:
        self._due = math.inf
        chunk = await self._loop.run_in_executor(None, next, chunks, b"")
        self._due = self._loop.time() + self._first_byte
        return chunk

    async def _from_memory(self, body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), PIECE):
            yield body[start : start + PIECE]
            self._due = self._loop.time() + self._first_byte


class Request(aiohttp.ClientRequest):
    """aiohttp's request, which also notes the connection that it is sent over."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send the request, and return the response before its headers have arrived."""
        sending = _current.get(None)
        if sending is not None:
            sending.transport = conn.transport
        if isinstance(conn.protocol, Line) and not await conn.protocol.is_ready(conn):
            early = ConnectionError("something came before anything was asked")
            raise aiohttp.ClientConnectorError(self.connection_key, early)
        return await super().send(conn)
