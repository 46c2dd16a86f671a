"""A service that reads a request, or sends an answer, in drops does not hold the async client for ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from customgpt_transport import (
    AsyncClient,
    ClientOptions,
    CustomGPTError,
    ProtocolError,
    RequestTimeout,
    RetryPolicy,
    ServerError,
)

PROMPT = "When are refunds paid?"
HEAD = b"HTTP/1.1 %s\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
Serve = Callable[[socket.socket, threading.Event], None]


class TricklingServer:
    """A server that runs `serve` for each connection, until the test is over."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that little is taken unread
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._treat, args=(peer,)))
            self._threads[-1].start()

    def _treat(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):  # the client left
            self._serve(peer, self._over)
            self._over.wait(20)

    def close(self) -> None:
        self._over.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def trickling() -> Iterator[Callable[[Serve], TricklingServer]]:
    made: list[TricklingServer] = []

    def make(serve: Serve) -> TricklingServer:
        made.append(TricklingServer(serve))
        return made[-1]

    yield make
    for one in made:
        one.close()


def drops(head: bytes, drop: bytes) -> Serve:
    """Read the request, send `head`, then `drop` again and again."""

    def serve(peer: socket.socket, over: threading.Event) -> None:
        peer.recv(65536)
        peer.sendall(head)
        while not over.wait(0.02):
            peer.sendall(drop)

    return serve


def options(server: TricklingServer, **more: object) -> ClientOptions:
    clocks = {"first_byte_timeout": 0.3, "idle_timeout": 0.3, "event_timeout": 0.3, "connect_timeout": 0.3}
    return ClientOptions(
        api_key="1|k",
        base_url=server.url,
        project_id=1,
        new_session="uuid",
        recovery_patience=0,
        retry=RetryPolicy(max_retries=0),
        **{**clocks, **more},  # type: ignore[arg-type]  # each is of its own type
    )


async def failure(
    server: TricklingServer, *, streamed: bool, prompt: str = PROMPT, **more: object
) -> CustomGPTError:
    """Return the error that a prompt ends in: itself, or the cause of an interrupted stream."""
    async with AsyncClient(options=options(server)) as client:
        with pytest.raises(CustomGPTError) as raised:
            if streamed:
                async with client.stream(prompt, **more) as answer:  # type: ignore[arg-type]  # files
                    async for _ in answer:
                        pass
            else:
                await client.ask(prompt, **more)  # type: ignore[arg-type]  # files
    error = raised.value
    return error.__cause__ if isinstance(error.__cause__, CustomGPTError) else error


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("what", ["a long prompt", "a file"])
async def test_a_request_body_that_nobody_reads_ends_by_the_first_byte_clock(trickling, what, streamed):
    server = trickling(lambda peer, over: None)
    long = "x" * 20_000_000
    asked = {"prompt": long} if what == "a long prompt" else {"files": [("a.txt", long.encode())]}
    error = await asyncio.wait_for(failure(server, streamed=streamed, **asked), 20)
    assert isinstance(error, RequestTimeout)
    assert ("first_byte", True, False) == (error.clock, error.sent, error.resend_safe)


async def test_a_long_prompt_arrives_whole_and_with_its_length(service):
    prompt = "x é " * 100_000
    async with AsyncClient(
        api_key=service.api_key, base_url=service.base_url, project_id=service.project_id
    ) as client:
        message = await client.ask(prompt)
        stored = await client.messages.get(message.session_id, message.prompt_id)
    assert prompt.strip() == stored.prompt.strip()
    assert "content-length" in {name.lower() for name in service.journal.prompts()[0].headers}


@pytest.mark.parametrize("streamed", [False, True])
async def test_headers_that_do_not_end_end_by_the_first_byte_clock(trickling, streamed):
    server = trickling(drops(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"))
    error = await asyncio.wait_for(failure(server, streamed=streamed), 10)
    assert isinstance(error, RequestTimeout)
    assert "first_byte" == error.clock


@pytest.mark.parametrize(
    ("status", "drop", "clock"),
    [
        (b"200 OK", b"\n", "first_byte"),
        (b"200 OK", b'{"a": "', "events"),
        (b"200 OK", b"<html>", "events"),
    ],
    ids=["blank lines", "json", "html"],
)
async def test_a_body_that_never_becomes_an_event_stream_ends_by_its_clock(trickling, status, drop, clock):
    server = trickling(drops(HEAD % status, b"%x\r\n%s\r\n" % (len(drop), drop)))
    error = await asyncio.wait_for(failure(server, streamed=True), 10)
    assert isinstance(error, RequestTimeout)
    assert clock == error.clock


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("status", "kind"), [(b"500 Oh", ServerError), (b"302 Found", ProtocolError)])
async def test_an_error_that_trickles_is_what_its_status_says_when_its_clock_has_run_out(
    trickling, status, kind, streamed
):
    server = trickling(drops(HEAD % status, b"1\r\nx\r\n"))
    error = await asyncio.wait_for(failure(server, streamed=streamed), 10)
    assert kind is type(error)
    assert int(status[:3]) == error.status
