"""Requests sent and answers read with aiohttp; knows sockets and loops, and nothing of the API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import certifi
from yarl import URL

from customgpt_transport import _naming, _observe
from customgpt_transport._async.naming import LIBRARY_ERRORS, named
from customgpt_transport._flows import Send
from customgpt_transport._secrets import Secret, redact_bytes, redact_headers
from customgpt_transport._wire.http import Body, Request, Response, Sink, dump_json
from customgpt_transport.errors import ConfigurationError, CustomGPTError
from customgpt_transport.options import ClientOptions

ERROR_BYTES = 64 * 1024
DRAIN_SECONDS, DRAIN_BYTES = 0.1, 64 * 1024
KEPT_IDLE = 60.0  # seconds that an unused connection is kept

SessionFactory = Callable[[], aiohttp.ClientSession]


@dataclass(frozen=True)
class _Held:
    """The session of one loop, and the generator that closes it when the loop ends."""

    session: aiohttp.ClientSession
    keeper: AsyncGenerator[None, None] | None
    process: int


class Connections:
    """The pooled connections of one client: one aiohttp session for each running loop that uses it."""

    def __init__(self, factory: SessionFactory | None = None) -> None:
        self._factory = factory
        self._held: dict[asyncio.AbstractEventLoop, _Held] = {}
        self._certificates: dict[bool | str, ssl.SSLContext] = {}

    async def aclose(self) -> None:
        """Close this loop's idle connections; a session of the caller's stays as it is."""
        held = self._held.pop(asyncio.get_running_loop(), None)
        if held is not None and held.keeper is not None and held.process == os.getpid():
            await held.keeper.aclose()

    async def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is not None and held.process == os.getpid() and not held.session.closed:
            return held.session
        for ended in [other for other in list(self._held) if other.is_closed()]:
            self._held.pop(ended, None)
        if self._factory is not None:
            self._held[loop] = _Held(self._factory(), None, os.getpid())
        else:
            session = _new_session()
            keeper = _keep(session, weakref.ref(self), loop)
            self._held[loop] = _Held(session, keeper, os.getpid())
            await keeper.__anext__()  # from here on the loop closes it when it ends
        return self._held[loop].session

    async def _verify(self, options: ClientOptions) -> ssl.SSLContext | bool:
        verify = options.verify
        if verify is False or not (options.base_url or "").startswith("https"):
            return verify is not False
        if verify not in self._certificates:  # reading the certificates takes long enough to be felt
            self._certificates[verify] = await asyncio.get_running_loop().run_in_executor(
                None, _certificates, verify
            )
        return self._certificates[verify]

    async def open(self, send: Send, options: ClientOptions) -> aiohttp.ClientResponse:
        """Send, and give the response when its headers are there. Raises our errors only."""
        request = send.request
        connect, first = options.connect_timeout, options.first_byte_timeout
        if send.timeout is not None:
            connect, first = min(connect, send.timeout), min(first, send.timeout)
        brought: dict[str, Any] = {}
        if self._factory is None:
            brought = {"ssl": await self._verify(options), "proxy": options.proxy or None}
        upload = None if request.body is None else _Upload(request.body)
        session = await self._session()
        for _ in range(2):  # the loop may have stood still while an idle connection was closed: let it hear
            await asyncio.sleep(0)
        try:
            return await session.request(
                request.method,
                URL(request.url(options.base_url or ""), encoded=True),
                data=_payload(request, upload),
                headers=_headers(request, options),
                skip_auto_headers=("Content-Type",),
                timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_read=first),
                allow_redirects=False,
                **brought,
            )
        except LIBRARY_ERRORS as error:
            problem = named(error, options, "first_byte", first)
        except ValueError as error:
            if self._factory is None:
                raise
            problem = ConfigurationError(
                f"The session that session_factory made cannot send this: {error}. Make it without auth, and "
                "without trust_env where a ~/.netrc names this host."
            )
        if upload is not None and upload.failure is not None:
            raise upload.failure  # the disk's, not the connection's
        raise problem

    async def exchange(self, send: Send, options: ClientOptions) -> Response:
        """Send, and give the whole response."""
        response = await self.open(send, options)
        sink = send.request.save_to
        limit = send.timeout
        if limit is None and sink is None:
            limit = options.event_timeout  # a JSON answer is one event: bytes that trickle do not prolong it
        body = Reader(response, options, limit)
        try:
            if sink is None or not 200 <= response.status < 300:
                return as_response(response, await body.rest(), options)
            return as_response(response, b"", options, saved=await _save(response, body, sink))
        except BaseException:
            body.hang_up()
            raise


class Reader:
    """The body of one response, piece by piece, with its clocks.

    aiohttp's own clock does not see a server that goes silent inside a malformed chunk: the one here does.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, options: ClientOptions, limit: float | None = None
    ) -> None:
        self._response = response
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._waiting = False
        self._silent = False
        self._ended = False
        self._limit = limit
        self._deadline = None if limit is None else options.clock() + limit
        self._clock = "idle"
        self._seconds = options.idle_timeout if limit is None else min(limit, options.idle_timeout)
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = None
            connection.protocol.start_timeout()  # which stops the clock of the first byte

    def arm(self, clock: str, seconds: float) -> None:
        """Let the next reads wait at most `seconds` for a byte; `clock` is named when it runs out."""
        self._clock, self._seconds = clock, max(seconds, 0.001)

    async def read(self) -> bytes:
        """Give the next bytes, b"" at the end. Raises our errors only."""
        if self._ended:
            return b""
        self._due = self._loop.time() + self._seconds
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()
        self._waiting = True
        try:
            chunk = await self._response.content.readany()
            if chunk:
                if self._deadline is not None and self._options.clock() > self._deadline:
                    self._clock, self._seconds = "events", self._limit or 0.0
                    raise TimeoutError
                return chunk
            self._end()
            return b""
        except LIBRARY_ERRORS as error:
            if self._silent:
                problem: CustomGPTError = _naming.silent(self._clock, self._seconds)
            else:
                problem = named(error, self._options, self._clock, self._seconds)
        finally:
            self._waiting = False
        self.hang_up()
        raise problem

    async def rest(self, most: int | None = None) -> bytes:
        """Give all bytes that are left, or stop after `most` and hang up."""
        parts, size = [], 0
        while chunk := await self.read():
            parts.append(chunk)
            size += len(chunk)
            if most is not None and size >= most:
                self.hang_up()
                break
        return b"".join(parts)

    async def drain(self) -> None:
        """Read what little may follow, so that the connection can be used again; hang up where it is more."""
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
        if self._loop.is_closed():
            return
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()

    def hang_up_from_anywhere(self) -> None:
        """As `hang_up`, from the garbage collector, which runs on any thread."""
        if not self._ended and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop closed meanwhile
                self._loop.call_soon_threadsafe(self.hang_up)

    def _end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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


def as_response(
    response: aiohttp.ClientResponse, body: bytes, options: ClientOptions, saved: int = 0
) -> Response:
    """Give the plain response; a key that the body echoes is taken out."""
    return Response(
        status=response.status,
        headers=redact_headers(response.headers.items(), options.api_key or ""),
        body=redact_bytes(body, options.api_key or ""),
        url=str(response.url).partition("?")[0],
        saved=saved,
    )


class _Upload:
    """A body that is read from disk in an executor, piece by piece. `failure` is what the disk raised."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop, sent = asyncio.get_running_loop(), 0
        chunks = self._body.chunks()
        try:
            while chunk := await loop.run_in_executor(None, next, chunks, b""):
                yield chunk
                sent += len(chunk)
                self._body.sent(sent)
        except Exception as error:
            self.failure = error
            raise
        finally:
            with contextlib.suppress(ValueError):  # still reading in its thread: it closes when that is done
                chunks.close()  # type: ignore[attr-defined]  # a generator


async def _save(response: aiohttp.ClientResponse, body: Reader, sink: Sink) -> int:
    """Write the body to the sink in an executor; give the bytes written."""
    loop, count = asyncio.get_running_loop(), 0
    length = response.content_length if "Content-Encoding" not in response.headers else None
    await loop.run_in_executor(None, sink.open)
    complete = False
    try:
        while chunk := await body.read():
            await loop.run_in_executor(None, sink.write, chunk)
            count += len(chunk)
            sink.received(count, length)
        complete = True
    finally:
        ending = loop.run_in_executor(None, lambda: sink.close(complete=complete))
        await asyncio.shield(ending)
    return count


async def _keep(
    session: aiohttp.ClientSession, owner: weakref.ref[Connections], loop: asyncio.AbstractEventLoop
) -> AsyncGenerator[None, None]:
    """Wait until the loop ends (`asyncio.run` closes generators that it began), then close the session."""
    try:
        yield
    finally:
        connections = owner()
        if connections is not None:
            held = connections._held.get(loop)
            if held is not None and held.session is session:
                connections._held.pop(loop, None)
        await session.close()


def _new_session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_IDLE, socket_factory=_socket)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
    # aiohttp sends a GET, PUT or DELETE again by itself when a kept connection drops, unseen by the policy: a
    # sync of a source (a PUT) would start twice. There is no public way to say no.
    session._retry_connection = False
    return session


def _socket(address: Any) -> socket.socket:
    """Give a socket whose idle connection is kept alive on the way, where the platform can."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _certificates(verify: bool | str) -> ssl.SSLContext:
    """Give the context for `verify`: True means the certificates that requests uses, too."""
    path = certifi.where() if verify is True else str(verify)
    if os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)


def _headers(request: Request, options: ClientOptions) -> dict[str, str]:
    headers = {
        "Authorization": Secret(f"Bearer {options.api_key}"),
        "User-Agent": _observe.user_agent(options, f"aiohttp/{aiohttp.__version__}"),
        "Accept": "text/event-stream" if request.stream else "application/json",
        "Accept-Encoding": "identity" if request.stream else "gzip, deflate",
    }
    if request.body is not None:
        headers["Content-Type"] = request.body.content_type
        headers["Content-Length"] = str(len(request.body))
    elif request.json is not None:
        headers["Content-Type"] = "application/json"
    return {**headers, **request.headers}


def _payload(request: Request, upload: _Upload | None) -> Any:
    if upload is not None:
        return upload
    return None if request.json is None else dump_json(request.json)
