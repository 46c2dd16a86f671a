"""The body of one response, read piece by piece under its clocks."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import requests
import urllib3

from customgpt_transport import _naming
from customgpt_transport._secrets import redact_bytes, redact_headers
from customgpt_transport._sync.line import Line
from customgpt_transport._sync.naming import LIBRARY_ERRORS, named
from customgpt_transport._wire.http import Response, Sink
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions

BLOCK = 64 * 1024
ERROR_BYTES = 64 * 1024
DRAIN_SECONDS, DRAIN_BYTES = 0.1, 64 * 1024


class Reader:
    """The body of one response, read piece by piece under its clocks."""

    def __init__(self, response: requests.Response, options: ClientOptions) -> None:
        self._response = response
        self._options = options
        self._chunks = _pieces(response)
        self._socket = _socket_of(response)
        self._line = _line_of(response)
        self._clock = "idle"
        self._seconds = options.idle_timeout
        self._ended = False
        self._process = os.getpid()
        self.arm("idle", options.idle_timeout)
        self.bound("events", None)

    @property
    def status(self) -> int:
        """The response's status."""
        return self._response.status_code

    def bound(self, clock: str, seconds: float | None) -> None:
        """Let all that is still to come take at most `seconds`, however bytes trickle; None lifts that."""
        self._bound, self._limit = clock, seconds or 0.0
        self._deadline = None if seconds is None else self._options.clock() + seconds

    def arm(self, clock: str, seconds: float) -> None:
        """Let the next reads wait at most `seconds` for a byte; `clock` is named when it runs out."""
        self._clock, self._seconds = clock, seconds
        self._wait_for(seconds)

    def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises our errors only."""
        clock, seconds = self._clock, self._seconds
        try:
            if self._line is not None:
                self._line.begin()
            if self._deadline is not None:
                left = self._deadline - self._options.clock()
                if left < seconds:
                    clock, seconds = self._bound, self._limit
                    self._wait_for(left)
                if left <= 0:
                    raise TimeoutError
            for chunk in self._chunks:
                if chunk:
                    return chunk
            self._ended = True
            return b""
        except LIBRARY_ERRORS as error:
            problem: CustomGPTError = named(error, self._options, clock, seconds, answering=True)
        except (ValueError, AttributeError) as error:  # what urllib3 raises when closed by another thread
            problem = _naming.dropped(error)
        self.hang_up()
        raise problem

    def rest(self) -> bytes:
        """Return all that is left: of an answer at most `max_event_bytes`, of an error the beginning."""
        good = 200 <= self.status < 300
        most = self._options.max_event_bytes if good else ERROR_BYTES
        parts, size = [], 0
        try:
            while chunk := self.read():
                parts.append(chunk)
                size += len(chunk)
                if most is not None and size > most:
                    raise _naming.too_large(most)
        except CustomGPTError:
            self.hang_up()
            if good:
                raise  # an error that breaks off is still the error that its status says
        return b"".join(parts)

    def drain(self) -> None:
        """Read what little may follow, so that the connection can be used again, or else hang up."""
        ends_at, left = time.monotonic() + DRAIN_SECONDS, DRAIN_BYTES
        with contextlib.suppress(CustomGPTError):
            while not self._ended and left > 0 and (wait := ends_at - time.monotonic()) > 0:
                self.arm("idle", wait)
                left -= len(self.read())
        if not self._ended:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection now. Harmless when repeated, and after the end."""
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

    def hang_up_from_anywhere(self) -> None:
        """As `hang_up`, from the garbage collector, which runs on any thread."""
        self.hang_up()

    def response(self, body: bytes = b"", *, saved: int = 0) -> Response:
        """Return the plain response; a key that the body or a header echoes is taken out."""
        response = self._response
        return Response(
            status=response.status_code,
            headers=redact_headers(response.headers.items(), self._options.api_key or ""),
            body=redact_bytes(body, self._options.api_key or ""),
            url=(response.url or "").partition("?")[0],
            saved=saved,
        )

    def save(self, sink: Sink) -> int:
        """Write the body to `sink` and return the number of bytes; what is not complete is thrown away."""
        count, total, complete = 0, _length(self._response), False
        try:
            sink.open()
            while chunk := self.read():
                sink.write(chunk)
                count += len(chunk)
                sink.received(count, total)
            complete = True
        finally:
            sink.close(complete=complete)
        return count

    def _wait_for(self, seconds: float) -> None:
        with contextlib.suppress(OSError):  # closed meanwhile: the next read tells
            if self._line is not None:
                self._line.arm(max(seconds, 0.001))
            elif self._socket is not None:
                self._socket.settimeout(max(seconds, 0.001))


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Iterate over the bytes as they come. Each kind of body has one way that neither waits nor loses any."""
    raw = response.raw
    if not isinstance(raw, urllib3.HTTPResponse):  # a cassette
        return iter(response.iter_content(8192))
    body = getattr(raw, "_fp", None)
    if isinstance(body, http.client.HTTPResponse) and body.chunked and "content-encoding" not in raw.headers:
        return _chunks(raw, body)
    return _by_what_is_there(raw)


def _chunks(raw: urllib3.HTTPResponse, body: http.client.HTTPResponse) -> Iterator[bytes]:
    """Iterate over what has arrived of each chunk.

    urllib3's `stream` waits until the chunk that was announced is whole, and its `read1` costs twice as much.
    """
    while chunk := body.read1(BLOCK):
        yield chunk
    raw.release_conn()


def _by_what_is_there(raw: urllib3.HTTPResponse) -> Iterator[bytes]:
    """Return what one `recv` gave, each time. Where it is decoded, nothing may come out of something."""
    encoded = bool(raw.headers.get("content-encoding"))
    while (chunk := raw.read1(BLOCK, decode_content=True)) or (encoded and not raw.closed):
        yield chunk


def _socket_of(response: requests.Response) -> socket.socket | None:
    """Return the socket, to set its clock and to hang up at once; None under a cassette."""
    raw: Any = response.raw
    found = getattr(getattr(raw, "connection", None), "sock", None)
    if found is None:
        found = getattr(_incoming(response), "_sock", None)
    return found if hasattr(found, "settimeout") and hasattr(found, "shutdown") else None


def _line_of(response: requests.Response) -> Line | None:
    """Return the line, where the connection is one of our own."""
    found = _incoming(response)
    return found if isinstance(found, Line) else None


def _incoming(response: requests.Response) -> Any:
    return getattr(getattr(getattr(response.raw, "_fp", None), "fp", None), "raw", None)


def _length(response: requests.Response) -> int | None:
    """Return the number of bytes that are to come, None when that is not known."""
    text = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return int(text) if text.isascii() and text.isdigit() and not encoded else None
