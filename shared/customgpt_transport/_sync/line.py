"""A connection's incoming bytes, and the answer that is read from them.

Half-private names of `http.client.HTTPResponse` that are overridden here: `_read_status`, `_close_conn`,
`_read_and_discard_trailer`.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any


class Line(io.RawIOBase):
    """A connection's incoming bytes, under a clock that bytes do not reset.

    A socket's own timeout begins again with each byte, so a server that trickles bytes inside a header or the
    frame of a chunk is never late. Here all that one read needs shares the seconds: the headers of an answer,
    then each piece of its body (`begin`).
    """

    def __init__(self, opened: io.RawIOBase, sock: socket.socket) -> None:
        self._opened = opened  # holds the socket open until it is closed itself
        self._sock = sock
        self._seconds = sock.gettimeout()
        self._ends_at: float | None = None
        self._shortened = False
        self._stopped = False

    def stop(self) -> None:
        """Receive no more, so that what is buffered can be looked at without waiting."""
        self._stopped = True

    def arm(self, seconds: float) -> None:
        """Let each following read take at most `seconds`."""
        self._seconds, self._shortened, self._ends_at = seconds, False, None
        self._sock.settimeout(seconds)

    def begin(self) -> None:
        """Begin the next read."""
        self._ends_at = None
        if self._shortened:
            self._shortened = False
            self._sock.settimeout(self._seconds)

    def readinto(self, buffer: Any) -> int | None:
        """Receive once. Raises `TimeoutError` when the read that this belongs to has had its time."""
        if self._stopped:
            return None
        if self._seconds is not None:
            now = time.monotonic()
            if self._ends_at is None:
                self._ends_at = now + self._seconds
            else:
                if now >= self._ends_at:
                    raise TimeoutError("timed out")
                self._shortened = True
                self._sock.settimeout(self._ends_at - now)
        return self._sock.recv_into(buffer)

    def readable(self) -> bool:
        """Return True: bytes can be read from this."""
        return True

    def fileno(self) -> int:
        """Return the socket's own number."""
        return self._opened.fileno()

    def close(self) -> None:
        """Release the socket, which closes when nothing else holds it."""
        super().close()
        self._opened.close()


class Incoming(http.client.HTTPResponse):
    """An answer that is read from a `Line`. `clean` once it was read to its end, with nothing behind it."""

    clean = False
    _trailed = False

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        opened: Any = self.fp
        self._line = Line(opened.detach(), sock)
        self.fp = io.BufferedReader(self._line)

    def _read_status(self) -> tuple[str, int, str]:
        """Read on past every interim answer: the library takes all but 100 for the final one."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # Typeshed does not know it
            if not 100 <= status < 200 or status == 101:  # after which another protocol is spoken
                return version, status, reason
            http.client.parse_headers(self.fp)

    def _read_and_discard_trailer(self) -> None:
        super()._read_and_discard_trailer()  # type: ignore[misc]  # as above
        self._trailed = True

    def _close_conn(self) -> None:
        fp: Any = self.fp
        if self._trailed or self.length == 0:
            self._line.stop()
            self.clean = not fp.peek(1)
        super()._close_conn()  # type: ignore[misc]  # as above


def is_silent(sock: socket.socket) -> bool:
    """Whether nothing waits to be read, not even the end; a socket of TLS may have bytes of its own."""
    seconds = sock.gettimeout()
    try:
        sock.settimeout(0)
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        sock.settimeout(seconds)
        return True
    except OSError:
        pass
    return False
