"""An answer belongs to the prompt that asked for it: a connection with anything else on it is closed."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import requests
import urllib3.util.connection
from aiohttp.connector import aiohappyeyeballs

from customgpt_transport import Client, ConnectionFailed, CustomGPTError, ProtocolError, RetryPolicy
from tests.doors import DOORS, Door
from tests.transport.peers import Peer

PAUSE = 0.005  # seconds, so that what follows is a segment of its own
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"


def whole(text: str, *, short_by: int = 0) -> bytes:
    body = json.dumps({"status": "success", "data": {"id": 1, "openai_response": text}}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (len(body) - short_by) + body


def streamed(text: str) -> bytes:
    events = ({"status": "progress", "message": text}, {"status": "finish", "id": 1})
    body = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


STRAY = whole("somebody else's answer")

# What the service sends for a prompt, after the answer to it (A). A number is a pause, None hangs up.
HABITS: dict[str, Callable[[bytes], list[bytes | float | None]]] = {
    "nothing odd": lambda a: [a],
    "early hints": lambda a: [HINTS + a],
    "many interim answers": lambda a: [PROCESSING, PAUSE, HINTS + CONTINUE, PAUSE, PROCESSING[:20], PAUSE,
                                       PROCESSING[20:], PAUSE, HINTS[:-2], PAUSE, HINTS[-2:] + a],
    "another protocol": lambda a: [SWITCHING + a, PAUSE, STRAY],
    "blank lines behind it": lambda a: [a + b"\r\n\r\n"],
    "bytes left over": lambda a: [a[:-4], PAUSE, a[-4:] + b"bytes"],
    "bytes in one piece with it": lambda a: [a + b"bytes"],
    "two answers": lambda a: [a + STRAY],
    "two answers, the first in pieces": lambda a: [a[:-4], PAUSE, a[-4:] + STRAY],
    "two answers, the second in pieces": lambda a: [a + STRAY[:20], PAUSE, STRAY[20:]],
    "two answers, the second without its end": lambda a: [a[:-4], PAUSE, a[-4:] + STRAY[:-4]],
    "interim answer left over": lambda a: [a[:-4], PAUSE, a[-4:] + HINTS],
    "half an interim answer left over": lambda a: [a[:-4], PAUSE, a[-4:] + HINTS[:-2]],
    "answer that nobody asked for": lambda a: [a, PAUSE, STRAY],
    "half an answer that nobody asked for": lambda a: [a, PAUSE, STRAY[:40]],
    "half an interim answer that nobody asked for": lambda a: [a, PAUSE, HINTS[:-2]],
    "last goodbye": lambda a: [a, PAUSE, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", None],
}  # fmt: skip
FAILING = {"another protocol"}
COSTLY = {"bytes left over", "bytes in one piece with it"}  # aiohttp's parser may forget the answer over them


class Service(Peer):
    """Answers each prompt after the habit that it names, again and again on one connection."""

    def __init__(self, secured: ssl.SSLContext | None = None) -> None:
        self._secured = secured
        self.said, self.left = threading.Semaphore(0), threading.Semaphore(0)
        self.connections = 0
        super().__init__(self._answer, "http" if secured is None else "https")

    def _answer(self, connection: socket.socket) -> None:
        self.connections += 1
        if self._secured is not None:
            connection = self._secured.wrap_socket(connection, server_side=True)
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    body = self.read(connection)
                except OSError:
                    self.left.release()
                    raise
                prompt = json.loads(body)["prompt"]
                text = f"answer to {prompt}"
                stream = b"stream=true" in self.requests[-1].partition(b"\r\n")[0]
                answer = streamed(text) if stream else whole(text)
                try:
                    for part in HABITS[prompt.rpartition(" ")[0]](answer):
                        if isinstance(part, float):
                            time.sleep(part)
                        elif part is None:
                            return
                        else:
                            connection.sendall(part)
                finally:
                    self.said.release()


@pytest.fixture(params=[False, True], ids=["http", "https"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    running = Service(request.getfixturevalue("secured") if request.param else None)
    yield running
    running.close()


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, service: Service) -> Iterator[Door]:
    options = {"recovery_patience": 0, "retry": RetryPolicy(max_retries=0)}
    if service._secured is not None:
        options["verify"] = str(request.getfixturevalue("certificate"))
    opened = DOORS[request.param](service, **options)
    yield opened
    opened.close()


def answered(door: Door, prompt: str, *, stream: bool) -> str:
    if not stream:
        return door.ask(prompt, session_id="s").answer
    heard = door.stream(prompt, session_id="s")
    if heard.error is not None:
        raise heard.error
    return heard.text


def test_each_of_a_hundred_prompts_gets_its_own_answer_whatever_the_service_sends_besides(door, service):
    habits, wrong = list(HABITS), {}
    for number in range(100):
        habit = habits[number % len(habits)]
        prompt, stream = f"{habit} {number}", number // len(habits) % 2 == 1
        try:
            got: object = answered(door, prompt, stream=stream)
        except CustomGPTError as error:
            got = type(error)
        right = [ProtocolError] if habit in FAILING else [f"answer to {prompt}"]
        if got not in right + [ProtocolError] * (habit in COSTLY):
            wrong[prompt] = got
        assert service.said.acquire(timeout=10)  # whatever it sends unasked is there before the next prompt
    assert {} == wrong
    assert 100 == len(service.requests)


def test_interim_answers_cost_no_connection(door, service):
    for stream in (False, True, False, True):
        for habit in ("nothing odd", "early hints", "many interim answers"):
            assert f"answer to {habit} 1" == answered(door, f"{habit} 1", stream=stream)
    assert 1 == service.connections


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("habit", [name for name in HABITS if "left over" in name or "two" in name])
def test_a_connection_with_anything_left_on_it_is_closed_at_once(door, service, habit, stream):
    assert f"answer to {habit} 1" == answered(door, f"{habit} 1", stream=stream)
    assert service.left.acquire(timeout=10)


def test_a_length_that_is_too_short_spoils_one_answer_only(door, service, monkeypatch):
    monkeypatch.setitem(HABITS, "short", lambda a: [whole("cut", short_by=9) + STRAY])
    with pytest.raises(ProtocolError):
        answered(door, "short 1", stream=False)
    assert "answer to nothing odd 2" == answered(door, "nothing odd 2", stream=False)


@pytest.mark.parametrize("service", [False], indirect=True, ids=["http"])
def test_an_answer_of_a_service_that_speaks_first_is_nobodys(door, service, speaks_first):
    for stream in (False, True):
        with pytest.raises(ConnectionFailed, match="before anything was asked") as caught:
            answered(door, "nothing odd 1", stream=stream)
        assert caught.value.resend_safe
    assert [] == service.requests


@pytest.fixture
def speaks_first(service, monkeypatch):
    """The service answers whoever connects, and the clients come to look when that has arrived."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(STRAY)
        service.said.release()
        service.until_left(connection)

    def connect(*args: object, **kwargs: object) -> socket.socket:
        made = create_connection(*args, **kwargs)
        assert service.said.acquire(timeout=10)
        return made

    async def start(*args: object, **kwargs: object) -> socket.socket:
        made = await start_connection(*args, **kwargs)
        assert service.said.acquire(timeout=10)
        return made

    create_connection = urllib3.util.connection.create_connection
    start_connection = aiohappyeyeballs.start_connection
    monkeypatch.setattr(service, "_serve", speak)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start)


def test_a_session_of_the_callers_takes_no_interim_answer_for_its_own():
    service = Service()
    with requests.Session() as session:
        client = Client(api_key="1|k", base_url=service.base_url, project_id=7, session=session)
        with pytest.raises(ProtocolError, match="status 103"):
            client.ask("early hints 1", session_id="s", options=replace(client.options, recovery_patience=0))
        assert "answer to last goodbye 2" == client.ask("last goodbye 2", session_id="s").answer
    service.close()
