"""A server with scripted answers that keeps every request: exactly what goes over the wire.

The emulator plays the service; this one only sends the answers it was told to, so that a test can show which
request was made and how often, and answer with a captured body.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from customgpt_transport import AsyncClient, Client, ClientOptions

SAMPLES = Path(__file__).parent.parent / "contract" / "samples"


class Server(Protocol):
    """What a client needs to know of a server."""

    base_url: str
    api_key: str
    project_id: int


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, str | tuple[str, bytes]]:
        """Return the fields of a multipart body: text, or (file name, bytes)."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        found: dict[str, str | tuple[str, bytes]] = {}
        for part in BytesParser().parsebytes(head + self.body).get_payload():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            filename = part.get_filename()
            found[name] = content.decode() if filename is None else (filename, content)
        return found


@dataclass
class Answer:
    """One answer of the script. With `drop`, the connection is closed once the request was read."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    cut_after: int | None = None


class ScriptedAPI:
    """`on("GET /projects/7", answer, ...)`: answers are sent in order, then the last one again and again."""

    api_key = "1|scripted"
    project_id = 7

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._script: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._failures: list[BaseException | None] = []
        # A failure of this server fails the test; by default it would only print a traceback.
        self._server.handle_error = lambda *_: self._failures.append(sys.exc_info()[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, line: str, *answers: Answer) -> None:
        self._script[line].extend(answers)

    def data(self, line: str, *data: object, status: int = 200) -> None:
        """Answer with each of `data` in turn, in the vendor's envelope."""
        for each in data:
            self.on(line, Answer(status, json.dumps({"data": each, "status": "success"}).encode()))

    def sample(self, line: str, name: str, status: int = 200) -> None:
        self.on(line, Answer(status, (SAMPLES / name).read_bytes()))

    def lines(self) -> list[str]:
        """Return the method and path of each request, in order."""
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def __enter__(self) -> ScriptedAPI:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        assert [] == self._failures

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # a client may hang up at any time
                    super().handle()

            def _serve(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                path = url.path.removeprefix("/api/v1")
                api.seen.append(Seen(self.command, path, query, headers, body))
                script = api._script.get(f"{self.command} {path}")
                answer = script[0] if script else Answer(404, b'{"message":"not in the script"}')
                if script and len(script) > 1:
                    script.popleft()
                if answer.drop:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut_after])
                self.close_connection |= answer.cut_after is not None

            do_GET = do_POST = do_PUT = do_DELETE = _serve

        return Handler


class Call:
    """One of the two clients, called the same way: `call(lambda client: client.agents.get(7))`.

    The clock moves only by the pauses that the client asks for. They are kept in `naps` and take no time.
    """

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop | None) -> None:
        self.naps: list[float] = []
        self._loop = loop
        options = ClientOptions(
            api_key=server.api_key,
            base_url=server.base_url,
            project_id=server.project_id,
            clock=lambda: sum(self.naps),
            sleep=self._nap,
        )
        self.client: Any = Client(options=options) if loop is None else AsyncClient(options=options)

    def __call__(self, use: Callable[[Any], Any]) -> Any:
        """Return the result. An iterator is returned as a list."""
        result = use(self.client) if self._loop is None else self._loop.run_until_complete(self._await(use))
        return list(result) if hasattr(result, "__next__") else result

    async def _await(self, use: Callable[[Any], Any]) -> Any:
        result = use(self.client)
        return [row async for row in result] if isinstance(result, AsyncIterator) else await result

    def _nap(self, seconds: float) -> None:
        self.naps.append(seconds)
