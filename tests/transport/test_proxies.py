"""A proxy means the same to both clients: which requests go through it, and what it sees of them."""

from __future__ import annotations

import socket
import threading
import traceback
from base64 import b64encode
from collections.abc import Iterator

import pytest

from customgpt_transport import ClientOptions, ConfigurationError, ConnectionFailed, RetryPolicy

PROMPT = "When are refunds paid?"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
ONCE = {"retry": RetryPolicy(max_retries=0)}


class Proxy:
    """A proxy that forwards plain requests, refuses tunnels, and keeps the head of each request."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        return [head.partition("\r\n")[0] for head in self.heads]

    def _accept(self) -> None:
        workers = []
        while True:
            peer, _ = self._listener.accept()
            if self._listener.gettimeout() is not None:  # told to end
                peer.close()
                break
            workers.append(threading.Thread(target=self._serve, args=(peer,)))
            workers[-1].start()
        for worker in workers:
            worker.join(5)

    def _serve(self, peer: socket.socket) -> None:
        """Forward one request, then the answer as it arrives."""
        with peer:
            peer.settimeout(10)
            data = b""
            while b"\r\n\r\n" not in data:
                if not (more := peer.recv(65536)):
                    return
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            self.heads.append(head.decode("latin-1"))
            method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
            if method == "CONNECT":
                peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            lines = head.split(b"\r\n")[1:]
            lengths = [int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")]
            while len(body) < sum(lengths):
                body += peer.recv(65536)
            host, _, path = target.removeprefix("http://").partition("/")
            name, _, port = host.partition(":")
            kept = [line for line in lines if not line.lower().startswith((b"connection:", b"proxy-"))]
            kept += [b"Connection: close", b"", body]
            with socket.create_connection((name, int(port)), timeout=10) as origin:
                origin.sendall(f"{method} /{path} HTTP/1.1\r\n".encode() + b"\r\n".join(kept))
                while more := origin.recv(65536):
                    peer.sendall(more)

    def close(self) -> None:
        self._listener.settimeout(1)
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def proxy(monkeypatch) -> Iterator[Proxy]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    made = Proxy()
    yield made
    made.close()


def test_all_requests_go_through_the_proxy_of_the_options(service, open_door, proxy):
    door = open_door(service, proxy=f"http://{proxy.address}")
    message = door.stream(PROMPT).message
    assert all(citation.resolved for citation in door.citations(message))
    assert len(service.journal) == len(proxy.lines)
    assert all(line.split(" ")[1].startswith(f"{service.base_url}/api/v1/") for line in proxy.lines)
    assert all(entry.keyed for entry in service.journal)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_all_requests_go_through_the_proxy_of_the_environment(service, open_door, proxy, monkeypatch, name):
    if name == "HTTP_PROXY":
        monkeypatch.delenv("REQUEST_METHOD", raising=False)  # with it, this name is not to be trusted
    monkeypatch.setenv(name, proxy.address)
    open_door(service).ask(PROMPT)
    assert 2 == len(proxy.lines) == len(service.journal)


@pytest.mark.parametrize("excepted", ["127.0.0.1", "*", "example.com, 127.0.0.1"])
def test_hosts_that_the_environment_excepts_are_reached_directly(
    service, open_door, proxy, monkeypatch, excepted
):
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    monkeypatch.setenv("no_proxy", excepted)
    assert open_door(service).ask(PROMPT).answer
    assert [] == proxy.lines


def test_no_proxy_at_all_is_said_by_an_empty_one(service, open_door, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    assert open_door(service, proxy="").ask(PROMPT).answer
    assert [] == proxy.lines


def test_a_tunnel_is_asked_for_without_the_key_and_a_refused_one_is_no_connection(service, open_door, proxy):
    door = open_door(service, base_url="https://api.example.test", proxy=f"http://{proxy.address}", **ONCE)
    with pytest.raises(ConnectionFailed) as raised:
        door.ask(PROMPT)
    assert raised.value.resend_safe
    assert ["CONNECT api.example.test:443 HTTP/1.1"] == [line.replace("1.0", "1.1") for line in proxy.lines]
    assert service.api_key not in proxy.heads[0]
    assert "\r\nauthorization:" not in proxy.heads[0].lower()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_password_goes_to_the_proxy_only_and_is_not_shown(service, open_door, proxy, scheme):
    base = service.base_url if scheme == "http" else "https://api.example.test"
    door = open_door(service, base_url=base, proxy=f"http://me:s3cret@{proxy.address}", **ONCE)
    shown = repr(door.client)
    if scheme == "http":
        assert door.ask(PROMPT).answer
    else:
        with pytest.raises(ConnectionFailed) as raised:
            door.ask(PROMPT)
        shown += str(raised.value)
    expected = f"Proxy-Authorization: Basic {b64encode(b'me:s3cret').decode()}"
    assert all(expected in head for head in proxy.heads)
    assert proxy.heads
    assert "s3cret" not in shown


def test_a_proxy_that_is_not_there_is_no_connection(service, open_door):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = closed.getsockname()
    door = open_door(service, proxy=f"http://127.0.0.1:{address[1]}", **ONCE)
    with pytest.raises(ConnectionFailed, match="Nothing was sent"):
        door.ask(PROMPT)
    assert 0 == len(service.journal)


def locals_shown(error: BaseException) -> str:
    """What a crash reporter shows of the frames of the transport and of the libraries below it."""
    frames = [
        frame
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "tests" not in frame.f_code.co_filename
    ]
    assert frames
    return repr([frame.f_locals for frame in frames]) + repr(error)


@pytest.mark.parametrize("way", ["option", "environment"])
def test_no_traceback_with_locals_shows_the_password_of_a_proxy(open_door, service, monkeypatch, way):
    address = "http://me:hunter2@127.0.0.1:9"
    if way == "environment":
        monkeypatch.setenv("http_proxy", address)
    door = open_door(service, **ONCE, **({"proxy": address} if way == "option" else {}))
    with pytest.raises(ConnectionFailed) as asked:
        door.ask(PROMPT, session_id="s")
    streamed = door.stream(PROMPT, session_id="s").error
    assert isinstance(streamed, ConnectionFailed)
    for error in (asked.value, streamed):
        assert "hunter2" not in locals_shown(error)
    assert "hunter2" not in repr(door.client) + repr(vars(door.client.options))


@pytest.mark.parametrize("way", ["option", "environment"])
@pytest.mark.parametrize("address", ["socks5://me:hunter2@127.0.0.1:9", "http://me:hunter2@[::1"])
def test_a_proxy_that_cannot_be_used_is_refused_without_showing_its_password(monkeypatch, way, address):
    if way == "environment":
        monkeypatch.setenv("https_proxy", address)
    options = ClientOptions(api_key="1|k", proxy=address if way == "option" else None)
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        options.resolve()
    assert "hunter2" not in locals_shown(caught.value)
