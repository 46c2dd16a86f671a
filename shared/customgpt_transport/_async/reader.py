"""The body of one response, read piece by piece under its clocks."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import aiohttp

from customgpt_transport import _naming
from customgpt_transport._async.naming import LIBRARY_ERRORS, named
from customgpt_transport._secrets import redact_bytes, redact_headers
from customgpt_transport._wire.http import Response, Sink
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions

ERROR_BYTES = 64 * 1024
DRAIN_SECONDS, DRAIN_BYTES = 0.1, 64 * 1024


class Reader:
    """The body of one response, read piece by piece under its clocks.

    aiohttp's own clock does not see a server that goes silent inside a malformed chunk: the one here does.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, options: ClientOptions, ended: Callable[[], object]
    ) -> None:
        """`ended` is called once, at the end of the body or when it was given up."""
        self._response = response
        self._options = options
        self._tell = ended
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._waiting = False
        self._silent = False
        self._ended = False
        self._total: tuple[str, float] | None = None
        self._deadline = 0.0
        self._clock, self._seconds = "idle", options.idle_timeout
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = None
            connection.protocol.start_timeout()  # which stops the clock of the first byte

    @property
    def status(self) -> int:
        """The response's status."""
        return self._response.status

    def arm(self, clock: str, seconds: float) -> None:
        """Let the next reads wait at most `seconds` for a byte; `clock` is named when it runs out."""
        self._clock, self._seconds = clock, max(seconds, 0.001)

    def bound(self, clock: str, seconds: float | None) -> None:
        """Let all that is still to come take at most `seconds`, however bytes trickle; None lifts that."""
        self._total = None if seconds is None else (clock, seconds)
        self._deadline = self._options.clock() + (seconds or 0.0)

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises our errors only."""
        if self._ended:
            return b""
        seconds = self._seconds
        if self._total is not None:
            seconds = min(seconds, max(0.001, self._deadline - self._options.clock()))
        self._due = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()
        self._waiting = True
        try:
            chunk = await self._response.content.readany()
            if chunk:
                if self._total is not None and self._options.clock() > self._deadline:
                    raise TimeoutError
                return chunk
            self._end()
            return b""
        except LIBRARY_ERRORS as error:
            problem = self._problem(error, seconds)
        finally:
            self._waiting = False
        self.hang_up()
        raise problem

    def _problem(self, error: BaseException, waited: float) -> CustomGPTError:
        clock, seconds = self._clock, self._seconds
        if self._total is not None and (waited < seconds or self._options.clock() > self._deadline):
            clock, seconds = self._total
        if self._silent:
            return _naming.silent(clock, seconds)
        return named(error, self._options, clock, seconds)

    async def rest(self) -> bytes:
        """Return all that is left: of an answer at most `max_event_bytes`, of an error the beginning."""
        good = 200 <= self.status < 300
        most = self._options.max_event_bytes if good else ERROR_BYTES
        parts, size = [], 0
        try:
            while chunk := await self.read():
                parts.append(chunk)
                size += len(chunk)
                if most is not None and size > most:
                    raise _naming.too_large(most)
        except CustomGPTError:
            self.hang_up()
            if good:
                raise  # an error that breaks off is still the error that its status says
        return b"".join(parts)

    async def drain(self) -> None:
        """Read what little may follow, so that the connection can be used again, or else hang up."""
        ends_at, left = self._loop.time() + DRAIN_SECONDS, DRAIN_BYTES
        try:
            with contextlib.suppress(CustomGPTError):
                while not self._ended and left > 0 and (wait := ends_at - self._loop.time()) > 0:
                    self.arm("idle", wait)
                    left -= len(await self.read())
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection now. Harmless when repeated, and after the end."""
        if self._ended:
            return
        self._end()
        # A forked child shares the sockets, and the loop's list of them, with its parent.
        if self._loop.is_closed() or self._process != os.getpid():
            return
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()

    def hang_up_from_anywhere(self) -> None:
        """As `hang_up`, from the garbage collector, which runs on any thread."""
        if not self._ended and not self._loop.is_closed() and self._process == os.getpid():
            with contextlib.suppress(RuntimeError):  # the loop closed meanwhile
                self._loop.call_soon_threadsafe(self.hang_up)

    def response(self, body: bytes = b"", *, saved: int = 0) -> Response:
        """Return the plain response; a key that the body or a header echoes is taken out."""
        response = self._response
        return Response(
            status=response.status,
            headers=redact_headers(response.headers.items(), self._options.api_key or ""),
            body=redact_bytes(body, self._options.api_key or ""),
            url=str(response.url).partition("?")[0],
            saved=saved,
        )

    async def save(self, sink: Sink) -> int:
        """Write the body to `sink` and return the number of bytes; what is not complete is thrown away."""
        loop, count, response = self._loop, 0, self._response
        total = response.content_length if "Content-Encoding" not in response.headers else None
        pending: asyncio.Future[None] | None = None
        complete = False

        async def end() -> None:
            if pending is not None:  # cancelled in the middle: a thread may still be opening or writing
                await asyncio.wait({pending})
                pending.cancelled() or pending.exception()
            await loop.run_in_executor(None, lambda: sink.close(complete=complete))

        try:
            pending = loop.run_in_executor(None, sink.open)
            await asyncio.shield(pending)
            while chunk := await self.read():
                pending = loop.run_in_executor(None, sink.write, chunk)
                await asyncio.shield(pending)
                count += len(chunk)
                sink.received(count, total)
            complete = True
        finally:
            await asyncio.shield(asyncio.ensure_future(end()))
        return count

    def _end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        """One timer for all reads: it looks whether the clock of the read that waits now has run out."""
        self._timer = None
        if not self._waiting:
            return  # a slow consumer is not a silent server
        if self._loop.time() < self._due:
            self._set_timer()
            return
        # A loop that was blocked hears the bell and the bytes in one turn: who has bytes reads them first.
        self._loop.call_soon(self._give_up, self._due)

    def _give_up(self, due: float) -> None:
        if self._waiting and self._due == due:
            self._silent = True
            self._response.content.set_exception(TimeoutError())
            self._response.close()
