"""Habits of requests and urllib3 that must not reach the caller of the blocking client."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from customgpt_transport import (
    Client,
    ClientOptions,
    ConnectionFailed,
    CustomGPTError,
    ProtocolError,
    RequestTimeout,
    RetryPolicy,
)
from tests.transport.peers import Peer
from tests.transport.scripted import Answer


@pytest.fixture
def talking() -> Iterator[Callable[..., tuple[Client, Peer]]]:
    """Make a client and its server: `talking(lambda peer, connection: ...)`."""
    with contextlib.ExitStack() as ends:

        def make(serve: Callable[[Peer, socket.socket], object], **more: Any) -> tuple[Client, Peer]:
            session = more.pop("session", None)
            peer = Peer(lambda connection: serve(peer, connection))
            ends.callback(peer.close)
            options = ClientOptions(api_key="k", base_url=peer.base_url, project_id=7, recovery_patience=0)
            client = Client(options=options, session=session, **more)
            ends.callback(client.close)
            return client, peer

        yield make


def moved(location: bytes) -> Callable[[Peer, socket.socket], None]:
    def serve(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection)
        connection.sendall(b"HTTP/1.1 302 X\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")

    return serve


@pytest.mark.parametrize("location", [b"http://[/", b"/\xff\xfe", b"http://h:port/"])
def test_a_redirect_to_no_address_is_a_protocol_error(talking, location):
    client, peer = talking(moved(location))
    with pytest.raises(ProtocolError, match="answered 302"):
        client.ask("Why?", session_id="s")
    assert 1 == len(peer.requests)


@pytest.mark.parametrize("location", [b"http://[/", b"/\xff\xfe"])
def test_a_redirect_to_no_address_is_a_protocol_error_in_a_session_of_the_callers(talking, location):
    with requests.Session() as session:
        client, peer = talking(moved(location), session=session)
        with pytest.raises(ProtocolError):
            client.ask("Why?", session_id="s")
    assert 1 == len(peer.requests)


def test_two_lengths_of_one_answer_are_a_protocol_error(talking):
    def serve(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n")

    client, peer = talking(serve)
    with pytest.raises(ProtocolError):
        client.ask("Why?", session_id="s")
    assert 1 == len(peer.requests)


def test_a_pool_that_is_closed_under_a_prompt_is_opened_again(api, monkeypatch):
    """Another thread closes the client after a pool was taken and before its connection was."""
    api.sample("POST /projects/7/conversations/s/messages", "messages.send.200.int-citations.json")
    options = ClientOptions(api_key="k", base_url=api.base_url, project_id=7, sleep=lambda _: None)
    taken = urllib3.HTTPConnectionPool._get_conn
    with Client(options=options) as client:

        def closed_first(pool: Any, timeout: Any = None) -> Any:
            if pool.pool is not None and not api.seen and not closed:
                closed.append(client.close())
            return taken(pool, timeout)

        closed: list[None] = []
        monkeypatch.setattr(urllib3.HTTPConnectionPool, "_get_conn", closed_first)
        assert client.ask("Why?", session_id="s").answer
    assert [None] == closed
    assert 1 == len(api.seen)


def test_a_full_pool_of_the_callers_is_connection_failed(talking):
    class Full(urllib3.HTTPConnectionPool):
        def _get_conn(self, timeout: float | None = None) -> Any:
            raise urllib3.exceptions.EmptyPoolError(self, "Pool is full")

    with requests.Session() as session:
        adapter = HTTPAdapter()
        adapter.poolmanager.pool_classes_by_scheme = {"http": Full}  # type: ignore[attr-defined]
        session.mount("http://", adapter)
        client, _ = talking(moved(b"/"), session=session)
        with pytest.raises(ConnectionFailed):
            client.ask("Why?", session_id="s", options=ClientOptions(retry=RetryPolicy(max_retries=0)))


def test_a_request_body_that_nobody_reads_names_first_byte_timeout(talking):
    """urllib3 would apply the connect timeout to it, and name the first-byte timeout."""
    held = threading.Event()
    client, _ = talking(lambda peer, connection: connection.recv(1) and held.wait(10))
    options = ClientOptions(
        connect_timeout=60, first_byte_timeout=0.3, retry=RetryPolicy(max_retries=0), recovery_patience=0
    )
    with pytest.raises(RequestTimeout) as caught:
        client.ask("w" * 30_000_000, session_id="s", options=options)
    held.set()
    assert "first_byte" == caught.value.clock
    assert "0.3 s (ClientOptions.first_byte_timeout)" in str(caught.value)


def test_what_the_callers_own_progress_raises_is_not_a_lost_connection(api, tmp_path):
    def show(sent: int, total: int) -> None:
        raise BrokenPipeError("the terminal went away")

    file = tmp_path / "refunds.txt"
    file.write_text("Refunds take 14 days.")
    options = ClientOptions(api_key="k", base_url=api.base_url, project_id=7)
    with Client(options=options) as client, pytest.raises(BrokenPipeError, match="terminal"):
        client.sources.add(file=file, on_progress=show)


def test_a_download_whose_file_cannot_be_written_hangs_up(talking):
    def serve(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        peer.until_left(connection)
        left.set()

    class NoTape(io.BytesIO):
        def tell(self) -> int:
            raise OSError("no tape in the drive")

    left = threading.Event()
    client, _ = talking(serve)
    with pytest.raises(OSError, match="no tape") as caught:
        client.pages.preview(1, to=NoTape())
    assert left.wait(5), caught  # whose traceback would hold the connection open


def test_a_stream_that_another_thread_closes_raises_an_error_of_ours(api, monkeypatch):
    """Also when it happens between two reads."""
    api.on(
        "POST /projects/7/conversations/s/messages",
        Answer(200, b'data: {"status":"progress","message":"a"}\n\n', {"Content-Type": "text/event-stream"}),
    )
    options = ClientOptions(api_key="k", base_url=api.base_url, project_id=7, recovery_patience=0)
    with Client(options=options) as client, client.stream("Why?", session_id="s") as answer:
        next(answer)
        monkeypatch.setattr(answer, "_resume", answer.close)
        with pytest.raises((CustomGPTError, StopIteration)):
            next(answer)


def test_a_stop_iteration_from_a_hook_reaches_the_caller(api):
    api.on("GET /preview/1", Answer(200, b"text"))

    def stop(*_: object) -> None:
        next(iter(()))

    options = ClientOptions(api_key="k", base_url=api.base_url, project_id=7)
    with Client(options=options) as client, pytest.raises(StopIteration):
        client.pages.preview(1, to=io.BytesIO(), on_progress=stop)
