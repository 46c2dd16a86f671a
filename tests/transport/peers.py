"""A server that does to a connection what the test says, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


class Peer:
    """A server that runs `serve(connection)` for each connection, on a thread of its own."""

    project_id, api_key = 7, "1|peer"

    def __init__(self, serve: Callable[[socket.socket], object], scheme: str = "http") -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._serve = serve
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._one, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection, contextlib.suppress(OSError):
            self._serve(connection)

    def read(self, connection: socket.socket) -> bytes:
        """Read one whole request and return its body. Raise `OSError` when the client has hung up."""
        data, _, body = self._until(b"\r\n\r\n", connection).partition(b"\r\n\r\n")
        length = next(
            (int(x[15:]) for x in data.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += self._received(connection)
        self.requests.append(data + b"\r\n\r\n" + body)
        return body

    def _until(self, end: bytes, connection: socket.socket) -> bytes:
        data = b""
        while end not in data:
            data += self._received(connection)
        return data

    def _received(self, connection: socket.socket) -> bytes:
        if data := connection.recv(65536):
            return data
        raise ConnectionResetError("the client has hung up")

    def until_left(self, connection: socket.socket) -> None:
        """Wait until the client has hung up."""
        while connection.recv(65536):
            pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)
