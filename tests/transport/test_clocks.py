"""Every clock is named in its error, and measures the service's silence, never the caller's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time

import pytest

from customgpt_transport import (
    AnswerFinished,
    AsyncClient,
    Client,
    ClientOptions,
    RequestTimeout,
    RetryPolicy,
    StreamInterrupted,
)
from tests.transport.conftest import wait_until

PROMPT = "When are refunds paid?"
ONCE = {"retry": RetryPolicy(max_retries=0), "recovery_patience": 0}


def test_no_connection_in_time_names_connect_timeout(service, open_door):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = []  # a queue that is full lets nobody in, and refuses nobody
        for _ in range(2):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        door = open_door(
            service, base_url=f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.2, **ONCE
        )
        with pytest.raises(
            RequestTimeout, match=r"No connection after 0.2 s \(ClientOptions.connect_timeout\)"
        ) as it:
            door.ask(PROMPT)
        for one in waiting:
            one.close()
    assert ("connect", False, True) == (it.value.clock, it.value.sent, it.value.resend_safe)


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_no_answer_in_time_names_first_byte_timeout(service, open_door, way):
    service.faults.slow_first_byte()
    error = failed(open_door(service, first_byte_timeout=0.2, **ONCE), way)
    assert isinstance(error, RequestTimeout)
    assert ("first_byte", True, False) == (error.clock, error.sent, error.resend_safe)
    assert "No answer began within 0.2 s (ClientOptions.first_byte_timeout)" in str(error)


def test_headers_alone_do_not_begin_an_answer(service, open_door):
    service.faults.stall(after_events=0)
    heard = open_door(service, first_byte_timeout=0.2, **ONCE).stream(PROMPT)
    assert "first_byte" == heard.error.clock


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_no_byte_in_time_names_idle_timeout(service, open_door, way):
    service.faults.stall(after_events=3)
    error = failed(open_door(service, idle_timeout=0.2, **ONCE), way)
    timeout = error.__cause__ if way == "stream" else error
    assert isinstance(error, StreamInterrupted if way == "stream" else RequestTimeout)
    assert ("idle", True) == (timeout.clock, timeout.sent)
    assert "No byte came for 0.2 s (ClientOptions.idle_timeout)" in str(error)


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_bytes_without_an_event_name_event_timeout(service, open_door, way):
    service.faults.keep_alives(after_events=3, every=0.01)
    error = failed(open_door(service, event_timeout=0.2, idle_timeout=20, **ONCE), way)
    timeout = error.__cause__ if way == "stream" else error
    assert ("events", True) == (timeout.clock, timeout.sent)
    assert "No event came for 0.2 s (ClientOptions.event_timeout)" in str(error)


def test_the_shorter_of_two_clocks_is_the_one_that_is_named(service, open_door):
    service.faults.stall(after_events=3, times=2)
    heard = open_door(service, event_timeout=0.2, idle_timeout=20, **ONCE).stream(PROMPT)
    assert "events" == heard.error.__cause__.clock
    heard = open_door(service, event_timeout=20, idle_timeout=0.2, **ONCE).stream(PROMPT)
    assert "idle" == heard.error.__cause__.clock


def test_keep_alive_comments_wind_the_idle_clock(service, open_door):
    service.faults.keep_alives(after_events=3, every=0.02)
    heard = open_door(service, event_timeout=0.6, idle_timeout=0.3, **ONCE).stream(PROMPT)
    assert "events" == heard.error.__cause__.clock


def test_a_stream_may_last_longer_than_every_clock(service, open_door):
    """The stream lasts longer than every clock, but no silence in it does."""
    service.pacing.change(tokens_per_second=80)
    clocks = dict.fromkeys(("first_byte_timeout", "idle_timeout", "event_timeout"), 0.25)
    door = open_door(service, connect_timeout=0.25, **clocks, **ONCE)
    session = door.call("conversations.create", "x").session_id
    heard = door.stream(PROMPT, session_id=session)
    assert heard.error is None
    assert isinstance(heard.events[-1], AnswerFinished)
    assert service.journal.prompts()[0].events_sent / 80 > 0.25  # else this test shows nothing


def test_a_malformed_chunk_does_not_hang_the_reader(service, open_door):
    service.faults.bad_chunk_size(after_events=3)
    heard = open_door(service, idle_timeout=0.2, event_timeout=0.2, first_byte_timeout=0.2, **ONCE).stream(
        PROMPT
    )
    assert heard.error is not None
    assert 1 == len(service.journal.prompts())


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Chunks:
    """A service that streams one chunk each time it is told to."""

    def __init__(self, *chunks: str) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._chunks = chunks
        self.sent = 0
        self._more = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def options(self) -> ClientOptions:
        base = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        return ClientOptions(
            api_key="1|k", base_url=base, project_id=1, new_session="uuid", recovery_patience=0
        )

    def go(self, count: int = 1) -> None:
        for _ in range(count):
            self._more.release()

    def _serve(self) -> None:
        peer, _ = self._server.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for chunk in self._chunks:
                self._more.acquire()
                data = chunk.encode()
                with contextlib.suppress(OSError):  # the client left
                    peer.sendall(b"%x\r\n%s\r\n" % (len(data), data))
                self.sent += 1
            self._more.acquire()

    def close(self) -> None:
        self.go(100)
        self.thread.join(5)
        self._server.close()


def event(status: str, **more: object) -> str:
    return f"event: {status}\ndata: {json.dumps({'status': status, **more})}\n\n"


COMMENT = ": keep-alive\n\n"
STEPS = (
    event("start") + event("progress", message="So "), COMMENT, COMMENT,
    event("progress", message="it is."), event("finish", id=1, citations=[]),
)  # fmt: skip


@pytest.fixture
def chunks():
    server = Chunks(*STEPS)
    yield server
    server.close()


def with_clock(options: ClientOptions, clock: Clock) -> ClientOptions:
    return ClientOptions(**{**vars(options), "clock": clock, "event_timeout": 100.0, "idle_timeout": 100.0})


def test_a_caller_who_takes_long_between_two_events_is_not_taken_for_a_silent_service(chunks):
    clock = Clock()
    chunks.go()
    with Client(options=with_clock(chunks.options, clock)) as client, client.stream(PROMPT) as answer:
        events = [next(answer)]
        chunks.go(4)
        wait_until(lambda: chunks.sent == 5)
        clock.now += 1000  # the caller thinks; all that he reads then is comments at first
        events += list(answer)
        assert "So it is." == answer.message.answer
    assert 3 == len(events)


async def test_an_asynchronous_caller_who_takes_long_is_not_taken_for_a_silent_service(chunks):
    clock = Clock()
    chunks.go()
    options = with_clock(chunks.options, clock)
    async with AsyncClient(options=options) as client, client.stream(PROMPT) as answer:
        events = [await answer.__anext__()]
        chunks.go(2)
        await asyncio.to_thread(wait_until, lambda: chunks.sent == 3)
        clock.now += 1000
        reading = asyncio.ensure_future(answer.__anext__())
        await asyncio.sleep(0.05)  # so that the comments are read alone
        chunks.go(2)
        events.append(await reading)
        events += [event async for event in answer]
        assert "So it is." == answer.message.answer
    assert 3 == len(events)


def test_silence_that_comments_fill_is_counted_from_the_last_event(chunks):
    clock = Clock()
    chunks.go()
    with Client(options=with_clock(chunks.options, clock)) as client, client.stream(PROMPT) as answer:
        next(answer)
        failure = []

        def read():
            with pytest.raises(StreamInterrupted) as raised:
                next(answer)
            failure.append(raised.value.__cause__)

        thread = threading.Thread(target=read)
        thread.start()
        wait_until(lambda: answer._reader is not None and thread.is_alive())
        time.sleep(0.05)  # it waits by now
        clock.now += 60
        chunks.go()
        time.sleep(0.05)
        clock.now += 60
        chunks.go()
        thread.join(5)
    assert "events" == failure[0].clock


async def test_a_loop_that_was_blocked_does_not_take_what_has_come_for_silence(chunks):
    chunks.go()
    options = ClientOptions(**{**vars(chunks.options), "idle_timeout": 0.2, "event_timeout": 0.2})
    async with AsyncClient(options=options) as client, client.stream(PROMPT) as answer:
        await answer.__anext__()
        reading = asyncio.ensure_future(answer.__anext__())
        await asyncio.sleep(0.01)  # it waits for the next event
        chunks.go(3)
        time.sleep(0.4)  # noqa: ASYNC251 - somebody else blocks the loop, for longer than the clocks allow
        await reading
        chunks.go()
        assert [event async for event in answer]
        assert "So it is." == answer.message.answer


def failed(door, way):
    if way == "stream":
        return door.stream(PROMPT).error
    with pytest.raises(RequestTimeout) as raised:
        door.ask(PROMPT)
    return raised.value
