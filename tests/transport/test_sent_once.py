"""A prompt that was sent is not sent again, whatever stands between and whatever the caller was doing."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from customgpt_transport import CertificateRefused, ConnectionFailed, ConnectionLost, CustomGPTError
from tests.doors import DOORS, Door
from tests.transport.peers import Peer

PLAIN = b"HTTP/1.1 408 Request Time-out\r\n\r\n"


class Service(Peer):
    """Answers each request by `behave`, over TLS when it has a context, and counts the prompts."""

    def __init__(
        self, behave: Callable[[socket.socket], object], secured: ssl.SSLContext | None = None
    ) -> None:
        self._behave, self._secured = behave, secured
        super().__init__(self._serve_one, "http" if secured is None else "https")

    @property
    def prompts(self) -> int:
        return sum(request.startswith(b"POST ") and b"/messages" in request for request in self.requests)

    def _serve_one(self, connection: socket.socket) -> None:
        if self._secured is not None:
            connection = self._secured.wrap_socket(connection, server_side=True)
        with connection:
            self.read(connection)
            self._behave(connection)


class Tunnel(Peer):
    """A proxy that forwards whatever goes through its tunnels."""

    def __init__(self) -> None:
        super().__init__(self._pass_on)

    def _pass_on(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port)), 10) as beyond:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(beyond, connection))
            back.start()
            _copy(connection, beyond)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def running() -> Iterator[Callable[[Peer], Peer]]:
    """Close a server at the end of the test: `running(Service(...))`."""
    with contextlib.ExitStack() as ends:

        def begun(peer: Peer) -> Peer:
            ends.callback(peer.close)
            return peer

        yield begun


@pytest.fixture(params=DOORS)
def through(request: pytest.FixtureRequest) -> Iterator[Callable[..., Door]]:
    """Open each client in turn: it retries but does not look for lost answers."""
    with contextlib.ExitStack() as ends:

        def opening(server: object, **options: object) -> Door:
            door = DOORS[request.param](server, **{"recovery_patience": 0, **options})  # type: ignore[arg-type]
            ends.callback(door.close)
            return door

        yield opening


def failed(door: Door) -> CustomGPTError:
    with pytest.raises(CustomGPTError) as caught:
        door.ask("Why?", session_id="s")
    return caught.value


def drop(connection: socket.socket) -> None:
    """Close the connection without an answer."""


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("leave", [drop, reset])
def test_a_prompt_dropped_behind_a_forwarding_proxy_is_sent_once(running, through, leave):
    proxy = running(Service(leave))
    door = through(Address("http://127.0.0.1:9"), proxy=proxy.base_url)
    assert ConnectionLost is type(failed(door))
    assert 1 == proxy.prompts


@pytest.mark.parametrize("leave", [drop, reset])
def test_a_prompt_dropped_behind_a_tunnel_is_sent_once(running, through, secured, certificate, leave):
    service, tunnel = running(Service(leave, secured)), running(Tunnel())
    error = failed(through(service, proxy=tunnel.base_url, verify=str(certificate)))
    assert ConnectionLost is type(error)
    assert 1 == service.prompts


@pytest.mark.parametrize(
    "through", ["requests"], indirect=True
)  # aiohttp does not tell, so it is "lost" there
def test_a_prompt_whose_tunnel_was_never_made_is_tried_again(running, through, certificate):
    tunnel = running(Peer(lambda connection: connection.recv(65536)))
    door = through(Address("https://127.0.0.1:9"), proxy=tunnel.base_url, verify=str(certificate))
    assert ConnectionFailed is type(failed(door))
    assert 2 == len(door.naps)


def test_a_dropped_prompt_is_sent_once_inside_an_except_block_of_the_callers(running, through):
    service = running(Service(drop))
    door = through(service)
    try:
        raise ConnectionRefusedError("something else of the caller's")
    except ConnectionRefusedError:
        error = failed(door)
    assert ConnectionLost is type(error)
    assert 1 == service.prompts


def test_plain_text_on_a_tls_connection_after_the_prompt_sends_nothing_again(
    running, through, secured, certificate
):
    service = running(Service(lambda connection: os.write(connection.fileno(), PLAIN), secured))
    assert failed(through(service, verify=str(certificate))).resend_safe is False
    assert 1 == service.prompts


def test_plain_text_on_a_tls_connection_within_an_answer_sends_nothing_again(
    running, through, secured, certificate
):
    def begin(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        )
        os.write(connection.fileno(), PLAIN)

    service = running(Service(begin, secured))
    assert failed(through(service, verify=str(certificate))).resend_safe is False
    assert 1 == service.prompts


def test_a_refused_certificate_means_that_no_prompt_was_sent(running, through, secured):
    service = running(Service(drop, secured))
    assert CertificateRefused is type(failed(through(service)))
    assert 0 == service.prompts


class Address:
    """An address that only a proxy is asked for."""

    project_id, api_key = 7, "1|nowhere"

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
