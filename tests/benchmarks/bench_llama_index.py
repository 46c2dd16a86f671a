"""What the LlamaIndex adapter costs on top of the transport, and that its async paths leave the loop alone.

CPU is that of the reading thread; the server's runs in others. All figures are ratios of one run.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from customgpt_transport import AnswerDelta, AsyncClient, Client
from llama_index_customgpt import CustomGPTChatEngine, CustomGPTQueryEngine, CustomGPTRetriever
from tests.benchmarks.ratio import Ratio, median_of

TOKENS = 10_000
ROUNDS = 5
SESSION = "00000000-0000-4000-8000-000000000000"
ANSWER = {"id": 1, "user_query": "Go on.", "openai_response": "word " * 20, "citations": [1, 2]}


def _event(**data: Any) -> bytes:
    return f"event: {data['status']}\ndata: {json.dumps(data)}\n\n".encode()


def _chunked(events: Iterator[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


def _stream(tokens: int) -> bytes:
    def events() -> Iterator[bytes]:
        yield _event(status="start", prompt="Go on.")
        for n in range(tokens):
            yield _event(status="progress", message=f" word{n}")
        yield _event(status="finish", id=1, session_id=SESSION, citations=[1, 2])

    return _chunked(events())


STREAMS = {TOKENS: _stream(TOKENS), 50: _stream(50)}


class _Handler(BaseHTTPRequestHandler):
    """The service with fixed answers, each after the server's delay."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.path.partition("?")[0].endswith("/messages"):
            self._json(201, {"session_id": SESSION, "id": 1})
            return
        time.sleep(self.server.delay)
        if "stream=" not in self.path:
            self._json(200, ANSWER)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=UTF-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(STREAMS[self.server.tokens])

    def do_GET(self) -> None:
        self._json(200, {"id": 1, "title": "A page", "url": "https://pages.example/1"})

    def _json(self, status: int, data: dict[str, Any]) -> None:
        body = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    delay = 0.0
    tokens = TOKENS


@contextmanager
def _service() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _cpu(run: Callable[[], Any]) -> float:
    began = time.thread_time()
    run()
    return time.thread_time() - began


def _sync_figures(where: dict[str, Any]) -> list[Ratio]:
    client = Client(**where)
    query = CustomGPTQueryEngine(streaming=True, client=client)
    chat = CustomGPTChatEngine(client=client)

    def transport() -> None:
        with client.stream("Go on.") as answer:
            assert sum(isinstance(event, AnswerDelta) for event in answer) == TOKENS

    def queried() -> None:
        assert sum(1 for _ in query.query("Go on.").response_gen) == TOKENS

    def chatted() -> None:
        assert sum(1 for _ in chat.stream_chat("Go on.", []).response_gen) == TOKENS

    return _added("sync", [transport, queried, chatted])


def _async_figures(where: dict[str, Any]) -> list[Ratio]:
    async def transport() -> None:
        async with AsyncClient(**where) as client, client.stream("Go on.") as answer:
            assert len([1 async for event in answer if isinstance(event, AnswerDelta)]) == TOKENS

    async def queried() -> None:
        async with CustomGPTQueryEngine(streaming=True, **where) as engine:
            response = await engine.aquery("Go on.")
            assert len([1 async for _ in response.response_gen]) == TOKENS

    async def chatted() -> None:
        async with CustomGPTChatEngine(**where) as engine:
            response = await engine.astream_chat("Go on.")
            assert len([1 async for _ in response.async_response_gen()]) == TOKENS

    return _added("async", [lambda run=run: asyncio.run(run()) for run in (transport, queried, chatted)])


def _added(colour: str, runs: list[Callable[[], Any]]) -> list[Ratio]:
    transport, queried, chatted = median_of(ROUNDS, *(partial(_cpu, run) for run in runs))
    name = f"{colour}: CPU per token that the {{}} stream adds / the transport's own"
    note = f"transport {transport / TOKENS * 1e6:.1f} us per token"
    return [
        Ratio(name.format("query"), queried / transport - 1, 1, note=note),
        Ratio(name.format("chat"), chatted / transport - 1, 1),
    ]


async def _ticks(work: Awaitable[Any]) -> tuple[int, float]:
    """Run `work`. Return how often a 2 ms ticker ran beside it, and the seconds it took."""
    task = asyncio.ensure_future(work)
    began, ticks = time.monotonic(), 0
    while not task.done():
        await asyncio.sleep(0.002)
        ticks += 1
    await task
    return ticks, time.monotonic() - began


def _loop_figures(server: _Server, where: dict[str, Any]) -> list[Ratio]:
    server.delay, server.tokens = 0.4, 50

    async def read(response: Any) -> None:
        async for _ in response.async_response_gen():
            pass

    async def streamed(engine: CustomGPTQueryEngine) -> None:
        await read(await engine.aquery("Go on."))

    async def stream_chat(chat: CustomGPTChatEngine) -> None:
        await read(await chat.astream_chat("Go on.", []))

    async def measure() -> list[Ratio]:
        figures = []
        async with AsyncClient(**where) as client:
            plain, streaming = (CustomGPTQueryEngine(async_client=client, streaming=s) for s in (False, True))
            chat, retriever = (
                CustomGPTChatEngine(async_client=client),
                CustomGPTRetriever(async_client=client),
            )
            doors: dict[str, Callable[[], Awaitable[Any]]] = {
                "aquery": lambda: plain.aquery("Go on."),
                "aquery, streamed": lambda: streamed(streaming),
                "as_tool().acall": lambda: streaming.as_tool().acall("Go on."),
                "achat": lambda: chat.achat("Go on.", []),
                "astream_chat": lambda: stream_chat(chat),
                "aretrieve": lambda: retriever.aretrieve("Go on."),
            }
            for name, door in doors.items():
                await door()
                ticks, seconds = await _ticks(door())
                bare, slept = await _ticks(asyncio.sleep(seconds))
                value = (ticks / seconds) / (bare / slept)
                figures.append(Ratio(f"ticks during {name} / during a bare sleep", value, 0.8, at_least=True))
        return figures

    return asyncio.run(measure())


def run() -> list[Ratio]:
    """Measure against a service with fixed answers."""
    with _service() as server:
        where = {"base_url": f"http://127.0.0.1:{server.server_port}", "api_key": "1|bench", "project_id": 1}
        return [*_sync_figures(where), *_async_figures(where), *_loop_figures(server, where)]
