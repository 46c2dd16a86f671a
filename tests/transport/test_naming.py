"""A failure below HTTP is named by what happened on the wire, the same by both libraries."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from customgpt_transport import (
    CertificateRefused,
    ClientOptions,
    ConnectionFailed,
    ConnectionLost,
    CustomGPTError,
    ProtocolError,
    RequestTimeout,
    RetryPolicy,
)
from tests.doors import DOORS, Door
from tests.transport.peers import HEAD, Peer

ONCE = {"retry": RetryPolicy(max_retries=0), "recovery_patience": 0}


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Make servers: `peer(lambda peer, connection: ...)`."""
    made: list[Peer] = []

    def make(serve: Callable[[Peer, socket.socket], object], scheme: str = "http") -> Peer:
        made.append(one := Peer(lambda connection: serve(one, connection), scheme))
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture(params=DOORS)
def through(request: pytest.FixtureRequest) -> Iterator[Callable[..., Door]]:
    """Open each client in turn: `through(server, **options)`."""
    opened: list[Door] = []

    def opening(server: object, **options: object) -> Door:
        opened.append(DOORS[request.param](server, **{**ONCE, **options}))  # type: ignore[arg-type]
        return opened[-1]

    yield opening
    for door in opened:
        door.close()


def asked(door: Door) -> CustomGPTError:
    with pytest.raises(CustomGPTError) as caught:
        door.ask("Why?", session_id="s")
    streamed = door.stream("Why?", session_id="s").error
    assert type(caught.value) is type(streamed)
    assert streamed is not None
    return caught.value


class Nobody:
    """An address that refuses connections."""

    project_id, api_key = 7, "1|nobody"

    def __init__(self, base_url: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.base_url = base_url or f"http://127.0.0.1:{free.getsockname()[1]}"


class TestNothingWasSent:
    def test_a_refused_connection_is_connection_failed(self, through):
        error = asked(through(server := Nobody()))
        assert ConnectionFailed is type(error)
        assert error.resend_safe
        assert server.base_url in str(error)
        assert "base_url" in str(error)

    def test_a_name_that_does_not_resolve_is_connection_failed(self, through):
        assert ConnectionFailed is type(asked(through(Nobody("https://no-such-host.invalid"))))

    def test_a_proxy_that_refuses_is_connection_failed(self, through):
        proxy = Nobody().base_url
        assert ConnectionFailed is type(asked(through(Nobody("https://h.test"), proxy=proxy)))

    def test_a_proxy_that_wants_a_password_is_connection_failed(self, through, peer):
        def refuse(proxy: Peer, connection: socket.socket) -> None:
            proxy.read(connection)
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        proxy = peer(refuse)
        assert ConnectionFailed is type(asked(through(Nobody("https://h.test"), proxy=proxy.base_url)))
        assert b"CONNECT h.test:443" in proxy.requests[0]
        assert b"nobody" not in proxy.requests[0]

    def test_a_prompt_whose_connection_was_refused_is_tried_again(self, through):
        door = through(Nobody(), retry=RetryPolicy())
        with pytest.raises(ConnectionFailed):
            door.ask("Why?", session_id="s")
        assert 2 == len(door.naps)

    def test_a_server_without_tls_is_connection_failed(self, through, peer):
        error = asked(through(peer(lambda p, c: c.sendall(b"HTTP/1.1 400 Bad\r\n\r\n"), "https")))
        assert ConnectionFailed is type(error)

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
    def test_a_certificate_that_does_not_verify_is_final(self, through, peer, tmp_path):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x",
             "-addext", "subjectAltName=IP:127.0.0.1"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

        def serve(p: Peer, connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as secure:
                p.read(secure)
                body = b'{"status":"success","data":{"id":5,"openai_response":"Because."}}'
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        server = peer(serve, "https")
        door = through(server, retry=RetryPolicy(), verify=True)
        error = asked(door)
        assert CertificateRefused is type(error)
        assert not error.resend_safe
        assert [] == door.naps
        assert [] == server.requests
        trusting = through(server, verify=str(tmp_path / "cert.pem"))
        assert "Because." == trusting.ask("Why?", session_id="s").answer

    def test_a_connection_that_is_never_made_is_a_timeout_safe_to_resend(self, through):
        """A listener whose backlog is full drops new connections: none is ever made."""
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            with contextlib.ExitStack() as held:
                for _ in range(4):
                    one = held.enter_context(socket.socket())
                    one.setblocking(False)
                    one.connect_ex(("127.0.0.1", port))
                error = asked(through(Nobody(f"http://127.0.0.1:{port}"), connect_timeout=0.2))
        assert isinstance(error, RequestTimeout)
        assert ("connect", False, True) == (error.clock, error.sent, error.resend_safe)


class TestThePromptWasSent:
    def test_a_connection_closed_without_an_answer_is_connection_lost(self, through, peer):
        error = asked(through(peer(lambda p, c: p.read(c))))
        assert ConnectionLost is type(error)
        assert not error.resend_safe

    def test_an_answer_that_is_no_http_is_a_protocol_error(self, through, peer):
        def serve(p: Peer, connection: socket.socket) -> None:
            p.read(connection)
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

        assert ProtocolError is type(asked(through(peer(serve))))

    def test_a_body_that_is_no_gzip_is_a_protocol_error(self, through, peer):
        def serve(p: Peer, connection: socket.socket) -> None:
            p.read(connection)
            connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")

        assert ProtocolError is type(asked(through(peer(serve))))

    def test_no_first_byte_is_a_timeout_not_safe_to_resend(self, through, peer):
        server = peer(lambda p, c: (p.read(c), p.until_left(c)))
        error = asked(through(server, first_byte_timeout=0.2))
        assert isinstance(error, RequestTimeout)
        assert ("first_byte", True, False) == (error.clock, error.sent, error.resend_safe)
        assert 2 == len(server.requests)

    def test_headers_alone_are_no_first_byte_of_an_answer(self, through, peer):
        def serve(p: Peer, connection: socket.socket) -> None:
            p.read(connection)
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            p.until_left(connection)

        heard = through(peer(serve), first_byte_timeout=0.2).stream("Why?", session_id="s")
        assert isinstance(heard.error, RequestTimeout)
        assert "first_byte" == heard.error.clock

    def test_a_body_without_a_length_is_read_as_it_comes(self, through, peer):
        def serve(p: Peer, connection: socket.socket) -> None:
            p.read(connection)
            connection.sendall(HEAD + b"\r\n" + b'data: {"status":"progress","message":"So"}\n\n')
            read.wait(10)
            connection.sendall(b'data: {"status":"finish","id":5}\n\n')

        read = threading.Event()
        door = through(peer(serve), on_response=lambda info: read.set())
        heard = door.stream("Why?", session_id="s")
        assert ("So", None) == (heard.text, heard.error)


def test_options_of_one_call_keep_key_address_and_agent_of_the_client(emulator):
    for library in DOORS.values():
        door = library(emulator)
        try:
            options = ClientOptions().with_timeout(5)
            assert door.ask("When are refunds paid?", options=options).answer
        finally:
            door.close()
