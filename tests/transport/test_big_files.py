"""A big file is uploaded and downloaded without ever being in memory, through both clients."""

from __future__ import annotations

import contextlib
import socket
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.transport.scripted import Call

SIZE = 100 * 2**20
ALLOWED = 8 * 2**20


class BulkServer:
    """Takes one upload and throws it away, or sends `SIZE` zeros, with one small buffer."""

    api_key = "1|bulk"
    project_id = 7

    def __init__(self) -> None:
        self.received = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, if nobody came
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            head, _, early = head.partition(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            left = int(lines.get(b"content-length", 0)) - len(early)
            self.received = len(early)
            buffer = bytearray(256 * 1024)
            while left > 0 and (count := connection.recv_into(buffer, min(left, len(buffer)))):
                left -= count
                self.received += count
            if head.startswith(b"POST"):
                body = b'{"status":"success","data":{"id":1}}'
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
                for _ in range(SIZE // len(buffer)):
                    connection.sendall(buffer)


@pytest.fixture
def api() -> Iterator[BulkServer]:
    server = BulkServer()
    yield server
    server.close()


def peak_of(call: Call, use) -> int:
    tracemalloc.start()
    try:
        call(use)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_upload_streams_from_disk(call, api, tmp_path):
    path = tmp_path / "big.pdf"
    with path.open("wb") as file:
        file.truncate(SIZE)
    assert peak_of(call, lambda client: client.sources.add(file=path)) < ALLOWED
    assert api.received > SIZE


def test_a_preview_streams_to_disk(call, api, tmp_path):
    path = tmp_path / "big.pdf"
    assert peak_of(call, lambda client: client.pages.preview(9, to=path)) < ALLOWED
    assert path.stat().st_size == SIZE
