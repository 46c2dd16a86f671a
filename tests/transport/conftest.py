"""What the transport's tests share."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from customgpt_emulator import Emulator
from tests.conftest import DOCUMENTS
from tests.doors import DOORS, Door, Server
from tests.transport.scripted import Call, ScriptedAPI


@pytest.fixture
def api() -> Iterator[ScriptedAPI]:
    """A server with the answers that the test wrote down."""
    with ScriptedAPI() as running:
        yield running


@pytest.fixture(params=["requests", "aiohttp"])
def call(request: pytest.FixtureRequest, api: ScriptedAPI) -> Iterator[Call]:
    """Each client in turn, talking to `api` (which a test module may replace by another server)."""
    if request.param == "requests":
        call = Call(api, None)
        yield call
        call.client.close()
        return
    loop = asyncio.new_event_loop()
    call = Call(api, loop)
    yield call
    loop.run_until_complete(call.client.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """An emulator for the tests of one module."""
    with Emulator(documents=DOCUMENTS) as emulator:
        yield emulator


@pytest.fixture
def service(running: Emulator) -> Emulator:
    """The module's emulator, reset."""
    running.reset()
    return running


OpenDoor = Callable[..., Door]


@pytest.fixture(params=DOORS)
def open_door(request: pytest.FixtureRequest) -> Iterator[OpenDoor]:
    """Open each client in turn: `open_door(service, idle_timeout=1)`. Closed at the end."""
    opened: list[Door] = []

    def make(server: Server, **options: Any) -> Door:
        opened.append(DOORS[request.param](server, **options))
        return opened[-1]

    yield make
    for door in opened:
        door.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def secured(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def wait_until(true: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until `true()`, looking every few milliseconds; fail after `seconds`."""
    ends_at = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends_at, "still not so"
        time.sleep(0.005)
