"""Bytes that trickle in do not wind the blocking client's clocks, wherever in an answer they come."""

from __future__ import annotations

import contextlib
import io
import itertools
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from customgpt_transport import (
    AnswerDelta,
    Client,
    ClientOptions,
    CustomGPTError,
    ProtocolError,
    RequestTimeout,
    RetryPolicy,
    ServerError,
)
from tests.transport.peers import HEAD, Peer

EVENT = b'data: {"status":"progress","message":"a"}\n\n'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
LONG = b"HTTP/1.1 %s\r\nContent-Length: 100000\r\n\r\n"
CLOCKS = ("first_byte_timeout", "idle_timeout", "event_timeout")

Run = Callable[..., Peer]


@pytest.fixture
def trickling() -> Iterator[Callable[..., Client]]:
    """Make clients of a server that sends `head`, then `piece` over and over, until the client leaves.

    The server goes on for so long that a client which waits for the end fails its test.
    """
    with contextlib.ExitStack() as ends:

        def make(head: bytes, piece: bytes = b"x", seconds: float = 0.3, **options: object) -> Client:
            def serve(connection: socket.socket) -> None:
                peer.read(connection)
                connection.sendall(head)
                ends_at = time.monotonic() + 20
                while time.monotonic() < ends_at:
                    connection.sendall(piece)
                    time.sleep(0.01)

            peer = Peer(serve)
            ends.callback(peer.close)
            settings = {
                **dict.fromkeys(CLOCKS, seconds),
                "retry": RetryPolicy(max_retries=0),
                "recovery_patience": 0,
                **options,
            }
            client = Client(
                options=ClientOptions(
                    api_key="k",
                    base_url=peer.base_url,
                    project_id=7,
                    **settings,  # type: ignore[arg-type]
                )
            )
            ends.callback(client.close)
            return client

        yield make


def streamed(client: Client) -> tuple[list[object], CustomGPTError]:
    events: list[object] = []
    with pytest.raises(CustomGPTError) as caught, client.stream("Why?", session_id="s") as answer:
        events.extend(answer)
    return events, caught.value


def asked(client: Client) -> CustomGPTError:
    with pytest.raises(CustomGPTError) as caught:
        client.ask("Why?", session_id="s")
    return caught.value


def clock_of(error: BaseException | None) -> str:
    while error is not None and not isinstance(error, RequestTimeout):
        error = error.__cause__
    assert error is not None
    return error.clock


def test_a_status_line_and_headers_that_trickle_end_by_the_first_byte_clock(trickling):
    for head in (b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: "):
        assert "first_byte" == clock_of(asked(trickling(head)))


def test_endless_interim_answers_end_by_the_first_byte_clock(trickling):
    assert "first_byte" == clock_of(asked(trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n")))


def test_a_chunk_that_trickles_ends_by_the_event_clock(trickling):
    events, error = streamed(trickling(CHUNKED + b"100000\r\n", b":"))
    assert [AnswerDelta("a")] == events
    assert "events" == clock_of(error)


def test_a_chunk_of_endless_text_ends_at_the_bound_of_an_event(trickling):
    """A chunk is parsed as it arrives, so an event cannot grow beyond its bound within one."""
    client = trickling(CHUNKED + b"fffffff\r\ndata: ", b"x" * 50, seconds=20, max_event_bytes=500)
    assert isinstance(streamed(client)[1], ProtocolError)


def test_a_chunk_header_that_trickles_ends_by_the_idle_clock(trickling):
    assert "idle" in clock_of(streamed(trickling(CHUNKED + b"5;", b"x", event_timeout=20))[1])


def test_trailers_that_trickle_end_by_the_idle_clock(trickling):
    assert "idle" in clock_of(streamed(trickling(CHUNKED + b"0\r\n", b"X: y\r\n", event_timeout=20))[1])


def test_blank_lines_do_not_begin_an_answer(trickling):
    client = trickling(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n\n\r\n")
    assert "first_byte" == clock_of(streamed(client)[1])


@pytest.mark.parametrize("way", [asked, lambda client: streamed(client)[1]])
def test_a_body_that_is_no_event_stream_ends_by_the_event_clock(trickling, way):
    assert "events" == clock_of(way(trickling(LONG % b"200 OK" + b"{")))


@pytest.mark.parametrize("way", [asked, lambda client: streamed(client)[1]])
@pytest.mark.parametrize(
    ("status", "kind"), [(b"500 X", ServerError), (b"302 X\r\nLocation: /x", ProtocolError)]
)
def test_an_error_that_trickles_is_what_its_status_says_when_the_event_clock_has_run_out(
    trickling, way, status, kind
):
    error = way(trickling(LONG % status))
    assert kind is type(error)
    assert int(status[:3]) == error.status


@pytest.mark.parametrize("ids", [[1], [1, 2]])
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", LONG % b"200 OK" + b"{"])
def test_a_citation_is_not_waited_for_beyond_its_own_clock(trickling, ids, head):
    client = trickling(head, seconds=20, citation_timeout=0.3)
    for citation in client.citations(ids):
        assert "not back within 0.3 s (citation_timeout)" == citation.problem


def test_a_citation_that_comes_late_and_slowly_ends_by_its_own_clock(trickling):
    """Connecting, the headers and the body share the seconds of one clock."""
    ticks = itertools.count(step=0.05)
    client = trickling(LONG % b"200 OK" + b"{", seconds=20, citation_timeout=1, clock=lambda: next(ticks))
    [citation] = client.citations([1])
    assert "not back within 1 s (citation_timeout)" == citation.problem


def test_a_download_that_trickles_is_read_to_its_end(trickling):
    """Only silence ends a download, however long it takes in all."""
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"
    to = io.BytesIO()
    assert 60 == trickling(body, seconds=0.3).pages.preview(1, to=to)
    assert b"x" * 60 == to.getvalue()
