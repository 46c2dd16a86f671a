"""What one answer may cost in memory is bounded, whatever the service sends."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from customgpt_transport import (
    APIError,
    CustomGPTError,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerError,
)
from tests.transport.conftest import OpenDoor
from tests.transport.peers import Peer

MIB = 2**20
ONE = json.dumps({"status": "success", "data": {"id": 1, "openai_response": "x" * 16 * MIB}}).encode()


class Service(Peer):
    """Answers with `head`, and with pieces of a body until the client has had enough; counts what it sent."""

    def __init__(self, head: bytes, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._head, self._pieces = head, pieces
        self.sent = self.left = 0
        super().__init__(self._answer)

    def _answer(self, connection: socket.socket) -> None:
        self.read(connection)
        try:
            connection.sendall(b"HTTP/1.1 " + self._head + b"Transfer-Encoding: chunked\r\n\r\n")
            for piece in self._pieces():
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.sent += len(piece)
            connection.sendall(b"0\r\n\r\n")
            self.read(connection)
        except OSError:
            self.left += 1
            raise


@pytest.fixture
def serving() -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(head: bytes, pieces: Callable[[], Iterator[bytes]]) -> Service:
        made.append(Service(head, pieces))
        return made[-1]

    yield make
    for each in made:
        each.close()


def endless(piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.repeat(piece)


def cut(body: bytes, size: int = 64 * 1024) -> Callable[[], Iterator[bytes]]:
    return lambda: (body[at : at + size] for at in range(0, len(body), size))


BOMBS = {
    "json": (b"", cut(ONE)),
    "gzipped": (b"Content-Encoding: gzip\r\n", cut(gzip.compress(ONE))),
    "endless": (b"", endless(b"[" * 60_000)),
}


@pytest.mark.parametrize("stream", [False, True], ids=["ask", "stream"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_an_answer_that_is_too_large_is_refused_at_the_bound(open_door: OpenDoor, serving, bomb, stream):
    head, pieces = BOMBS[bomb]
    service = serving(b"200 OK\r\nContent-Type: application/json\r\n" + head, pieces)
    door = open_door(service, max_event_bytes=MIB, recovery_patience=0)
    tracemalloc.start()
    try:
        error = failed(door, stream=stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ProtocolError is type(error)
    assert "larger than 1048576 bytes" in str(error)
    assert "max_event_bytes" in str(error)
    assert peak < 8 * MIB
    assert 1 == len(service.requests)


def test_an_answer_that_is_too_large_is_looked_for_like_any_that_is_in_no_known_form(
    open_door: OpenDoor, emulator
):
    session = open_door(emulator).call("conversations.create", "x").session_id
    door = open_door(emulator, max_event_bytes=150, recovery_patience=1)
    with pytest.raises(ProtocolError):
        door.ask("When are refunds paid?", session_id=session)
    assert 1 == len(emulator.journal.prompts())
    assert any(e.method == "GET" and e.path.endswith("/messages") for e in emulator.journal)


REFUSAL = gzip.compress(b'{"status":"error","data":{"code":1,"message":"' + b"No. " * 4 * MIB)
STATUSES = {
    b"404 Not Found": NotFound,
    b"429 Too Many Requests": RateLimited,
    b"503 Service Unavailable": ServerError,
    b"418 I'm a teapot": APIError,
}


@pytest.mark.parametrize("stream", [False, True], ids=["ask", "stream"])
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "gzipped"])
def test_an_endless_error_is_the_error_that_its_status_says(
    open_door: OpenDoor, serving, status, encoded, stream
):
    encoding = b"Content-Encoding: gzip\r\n" if encoded else b""
    service = serving(
        status + b"\r\nContent-Type: application/json\r\n" + encoding,
        cut(REFUSAL) if encoded else endless(b"No. " * 16_000),
    )
    error = failed(open_door(service, recovery_patience=0), stream=stream)
    assert STATUSES[status] is type(error)
    assert "No. No. No." in error.body
    assert len(service.requests) == (3 if type(error) is RateLimited else 1)
    assert service.sent < 16 * MIB


@pytest.mark.parametrize("stream", [False, True], ids=["ask", "stream"])
def test_an_error_that_breaks_off_is_the_error_that_its_status_says(open_door: OpenDoor, serving, stream):
    def broken() -> Iterator[bytes]:
        yield b'{"message":"Slow down, '
        raise ConnectionAbortedError

    service = serving(b"429 Too Many Requests\r\nRetry-After: 7\r\n", broken)
    door = open_door(service)
    error = failed(door, stream=stream)
    assert RateLimited is type(error)
    assert "Slow down" in str(error)
    assert 3 == len(service.requests)
    assert [7, 7] == door.naps


def failed(door, *, stream: bool) -> CustomGPTError:
    if stream:
        error = door.stream("Why?", session_id="s").error
        assert error is not None
        return error
    with pytest.raises(CustomGPTError) as caught:
        door.ask("Why?", session_id="s")
    return caught.value
