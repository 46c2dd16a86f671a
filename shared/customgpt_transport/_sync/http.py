"""Requests sent and answers read with the requests library; knows sockets, and nothing of the API."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from customgpt_transport import _naming, _observe
from customgpt_transport._flows import Send
from customgpt_transport._secrets import Secret, redact_bytes, redact_headers
from customgpt_transport._sync.naming import LIBRARY_ERRORS, named
from customgpt_transport._wire.http import Body, Request, Response, dump_json
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions

ERROR_BYTES = 64 * 1024
BLOCK = 64 * 1024
DRAIN_SECONDS, DRAIN_BYTES = 0.1, 64 * 1024
POOLED = 1_000  # idle connections that are kept; as many as there are threads may be open at once


class _Key(AuthBase):
    """The key as an auth object: requests lets a `~/.netrc` entry replace a plain header, silently."""

    def __init__(self, key: str) -> None:
        self._value = Secret(f"Bearer {key}")

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = self._value
        return prepared


class _Upload:
    """A body with a length that requests reads piece by piece."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        with contextlib.closing(self._body.chunks()) as chunks:  # type: ignore[type-var]  # a generator
            for chunk in chunks:
                yield chunk
                sent += len(chunk)
                self._body.sent(sent)


class _Adapter(HTTPAdapter):
    """Keeps idle connections alive on the way, where the platform can."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, socket_options=_socket_options(), **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, socket_options=_socket_options(), **kwargs)

    def close(self) -> None:
        """Close the idle connections now: urllib3 leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it has keys(), and refuses to be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()


def _socket_options() -> list[tuple[int, int, int]]:
    given = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            given.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return given


class Connections:
    """The pooled connections of one client: one pool for each process that uses it."""

    def __init__(self, session: requests.Session | None = None) -> None:
        self._own = session
        self._pools: dict[int, requests.Session] = {}

    def close(self) -> None:
        """Close the idle connections; a session of the caller's stays as it is."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _session(self) -> requests.Session:
        if self._own is not None:
            return self._own
        pool = self._pools.get(os.getpid())
        if pool is None:  # setdefault: two threads may come here at once, and a fork must not copy a lock
            pool = self._pools.setdefault(os.getpid(), _new_session())
        return pool

    def open(self, send: Send, options: ClientOptions) -> requests.Response:
        """Send, and give the response when its headers are there. Raises our errors only."""
        request = send.request
        connect, first = options.connect_timeout, options.first_byte_timeout
        if send.timeout is not None:
            connect, first = min(connect, send.timeout), min(first, send.timeout)
        brought = {} if self._own is not None else _route(options)
        try:
            return self._session().request(
                request.method,
                request.url(options.base_url or ""),
                data=_payload(request),
                headers=_headers(request, options),
                auth=_Key(options.api_key or ""),
                timeout=(connect, first),
                allow_redirects=False,
                stream=True,
                **brought,
            )
        except LIBRARY_ERRORS as error:
            problem = named(error, options, "first_byte", first)
        raise problem

    def exchange(self, send: Send, options: ClientOptions) -> Response:
        """Send, and give the whole response."""
        response = self.open(send, options)
        sink = send.request.save_to
        limit = send.timeout
        if limit is None and sink is None:
            limit = options.event_timeout  # a JSON answer is one event: bytes that trickle do not prolong it
        body = Reader(response, options, limit)
        if sink is None or not 200 <= response.status_code < 300:
            try:
                return as_response(response, body.rest(), options)
            except BaseException:
                body.hang_up()
                raise
        count, total = 0, _length(response)
        sink.open()
        complete = False
        try:
            while chunk := body.read():
                sink.write(chunk)
                count += len(chunk)
                sink.received(count, total)
            complete = True
        finally:
            sink.close(complete=complete)
            if not complete:
                body.hang_up()
        return as_response(response, b"", options, saved=count)


class Reader:
    """The body of one response, piece by piece, with its clocks."""

    def __init__(
        self, response: requests.Response, options: ClientOptions, limit: float | None = None
    ) -> None:
        self._response = response
        self._options = options
        self._chunks = _pieces(response)
        self._socket = _socket_of(response)
        self._clock = "idle"
        self._seconds = options.idle_timeout
        self._limit = limit
        self._deadline = None if limit is None else options.clock() + limit
        self._ended = False
        self._process = os.getpid()
        self.arm("idle", options.idle_timeout if limit is None else min(limit, options.idle_timeout))

    def arm(self, clock: str, seconds: float) -> None:
        """Let the next reads wait at most `seconds` for a byte; `clock` is named when it runs out."""
        self._clock, self._seconds = clock, seconds
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed meanwhile: the next read tells
                self._socket.settimeout(max(seconds, 0.001))

    def read(self) -> bytes:
        """Give the next bytes, b"" at the end. Raises our errors only."""
        try:
            for chunk in self._chunks:
                if chunk:
                    if self._deadline is not None and self._options.clock() > self._deadline:
                        self._clock, self._seconds = "events", self._limit or 0.0
                        raise TimeoutError
                    return chunk
            self._ended = True
            return b""
        except LIBRARY_ERRORS as error:
            problem: CustomGPTError = named(error, self._options, self._clock, self._seconds)
        except (ValueError, AttributeError) as error:  # what urllib3 raises when closed by another thread
            problem = _naming.dropped(error)
        self.hang_up()
        raise problem

    def rest(self, most: int | None = None) -> bytes:
        """Give all bytes that are left, or stop after `most` and hang up."""
        parts, size = [], 0
        while chunk := self.read():
            parts.append(chunk)
            size += len(chunk)
            if most is not None and size >= most:
                self.hang_up()
                break
        return b"".join(parts)

    def drain(self) -> None:
        """Read what little may follow, so that the connection can be used again; hang up where it is more."""
        ends_at, left = time.monotonic() + DRAIN_SECONDS, DRAIN_BYTES
        with contextlib.suppress(CustomGPTError):
            while not self._ended and left > 0 and (wait := ends_at - time.monotonic()) > 0:
                self.arm("idle", wait)
                left -= len(self.read())
        if not self._ended:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection now; a thread that reads from it wakes. Harmless when repeated."""
        if self._ended:
            return
        self._ended = True
        # A forked child may drop its copy of the stream, but not end it for its parent.
        if self._socket is not None and self._process == os.getpid():
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Exception):  # whatever state the library is in, it is over
            # Not the response's own close, which puts the dead connection back under the pool's lock: the
            # garbage collector comes here, too.
            self._response.raw.close()


def as_response(response: requests.Response, body: bytes, options: ClientOptions, saved: int = 0) -> Response:
    """Give the plain response; a key that the body echoes is taken out."""
    return Response(
        status=response.status_code,
        headers=redact_headers(response.headers.items(), options.api_key or ""),
        body=redact_bytes(body, options.api_key or ""),
        url=(response.url or "").partition("?")[0],
        saved=saved,
    )


def _new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no netrc; proxies and certificates are worked out once for both clients
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    adapter = _Adapter(pool_maxsize=POOLED, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _route(options: ClientOptions) -> dict[str, Any]:
    verify = certifi.where() if options.verify is True else options.verify
    proxies = {"http": options.proxy, "https": options.proxy} if options.proxy else {}
    return {"verify": verify, "proxies": proxies}


def _headers(request: Request, options: ClientOptions) -> dict[str, str]:
    headers = {
        "User-Agent": _observe.user_agent(options, f"requests/{requests.__version__}"),
        "Accept": "text/event-stream" if request.stream else "application/json",
        "Accept-Encoding": "identity" if request.stream else "gzip, deflate",
    }
    if request.body is not None:
        headers["Content-Type"] = request.body.content_type
    elif request.json is not None:
        headers["Content-Type"] = "application/json"
    return {**headers, **request.headers}


def _payload(request: Request) -> Any:
    if request.body is not None:
        return _Upload(request.body)
    return None if request.json is None else dump_json(request.json)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Give the bytes as they come. Each kind of body has one way that neither waits nor loses any."""
    raw = response.raw
    if not isinstance(raw, urllib3.HTTPResponse):  # a cassette
        return iter(response.iter_content(8192))
    if getattr(raw, "chunked", False) and raw.supports_chunked_reads():
        return iter(raw.stream(None, decode_content=True))
    if hasattr(raw, "read1"):
        return _by_what_is_there(raw)
    return iter(lambda: raw.read(1, decode_content=True), b"")  # an old urllib3: dear, but prompt


def _by_what_is_there(raw: urllib3.HTTPResponse) -> Iterator[bytes]:
    """Give what one `recv` gave, each time. Where it is decoded, nothing may come out of something."""
    encoded = bool(raw.headers.get("content-encoding"))
    while (chunk := raw.read1(BLOCK, decode_content=True)) or (encoded and not raw.closed):
        yield chunk


def _socket_of(response: requests.Response) -> socket.socket | None:
    """Give the socket, to set its clock and to hang up at once; None under a cassette."""
    raw: Any = response.raw
    connection = getattr(raw, "connection", None)
    found = getattr(connection, "sock", None)
    if found is None:
        found = getattr(getattr(getattr(getattr(raw, "_fp", None), "fp", None), "raw", None), "_sock", None)
    return found if hasattr(found, "settimeout") and hasattr(found, "shutdown") else None


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return int(text) if text.isascii() and text.isdigit() and not encoded else None
