"""What the LangChain adapter costs: per streamed token, to construct, to import.

Per token: the CPU that a model costs beyond what langchain-core itself costs for a fake model that builds and
yields the same chunks; ours as a share of `ChatOpenAI`'s. Both read from one loopback server in a process of
its own, each in its own format, the same words in the same pieces. Each figure is the least of several
rounds, since what else runs on the machine can only add to it; all are of one run.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from langchain_customgpt import ChatCustomGPT
from tests.benchmarks.ratio import Ratio

TOKENS = 3_000
ROUNDS = 7
SESSION = "00000000-0000-4000-8000-000000000000"
WORDS = [f" word{n}" for n in range(TOKENS)]


def _ours() -> Iterator[bytes]:
    def event(**data: Any) -> bytes:
        return f"event: {data['status']}\ndata: {json.dumps(data)}\n\n".encode()

    yield event(status="start", prompt="Go on.")
    for word in WORDS:
        yield event(status="progress", message=word)
    yield event(status="finish", id=1, session_id=SESSION, citations=[])


def _openai() -> Iterator[bytes]:
    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        data = {
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
            "service_tier": "default", "system_fingerprint": "fp_1", "choices": [choice],
        }  # fmt: skip
        return f"data: {json.dumps(data)}\n\n".encode()

    yield chunk({"role": "assistant", "content": ""})
    for word in WORDS:
        yield chunk({"content": word})
    yield chunk({}, "stop")
    yield b"data: [DONE]\n\n"


class _Handler(BaseHTTPRequestHandler):
    """Both services with fixed answers. Each event is a chunk and a write of its own, as real tokens are."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path.endswith("/conversations"):
            body = json.dumps({"status": "success", "data": {"id": 1, "session_id": SESSION}}).encode()
            self._head(201, "application/json", ("Content-Length", str(len(body))))
            self.wfile.write(body)
            return
        self._head(200, "text/event-stream", ("Transfer-Encoding", "chunked"))
        for event in EVENTS["ours" if path.endswith("/messages") else "openai"]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, content_type: str, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", content_type), *headers):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Log nothing."""


EVENTS = {"ours": list(_ours()), "openai": list(_openai())}


def serve() -> None:
    """Serve on a free port and print it, until the process that started this one ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()


@contextmanager
def _server() -> Iterator[str]:
    program = "from tests.benchmarks.bench_langchain import serve; serve()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


class Fake(BaseChatModel):
    """Yields chunks like those of `pattern`, made without any work: what is measured is langchain-core."""

    pattern: list[AIMessageChunk]

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _made(self) -> Iterator[ChatGenerationChunk]:
        for chunk in self.pattern:
            message = AIMessageChunk(
                content=chunk.content,
                response_metadata=chunk.response_metadata,
                usage_metadata=chunk.usage_metadata,
                chunk_position=chunk.chunk_position,
            )
            yield ChatGenerationChunk(message=message)

    def _stream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        return self._made()

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._made():
            yield chunk


def _chunks(model: BaseChatModel) -> list[Any]:
    """Return the model's chunks, as it hands them to langchain-core."""
    return [chunk.message for chunk in model._stream([HumanMessage("Go on.")])]


def _sync_cost(model: BaseChatModel) -> Callable[[], float]:
    def measure() -> float:
        began = time.process_time()
        count = sum(1 for _ in model.stream("Go on."))
        assert count >= TOKENS, count
        return (time.process_time() - began) / TOKENS * 1e6

    return measure


def least_of(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """Return each measure's least over `rounds`. Measures take turns, so that drift affects all alike."""
    results = [[measure() for measure in measures] for _ in range(rounds)]
    return [min(column) for column in zip(*results, strict=True)]


# One loop for all: a ChatOpenAI does not survive a second one.
LOOP = asyncio.new_event_loop()


def _async_cost(model: BaseChatModel) -> Callable[[], float]:
    async def consume() -> float:
        began = time.process_time()
        count = 0
        async for _ in model.astream("Go on."):
            count += 1
        assert count >= TOKENS, count
        return (time.process_time() - began) / TOKENS * 1e6

    return lambda: LOOP.run_until_complete(consume())


def _tokens() -> Iterator[Ratio]:
    from langchain_openai import ChatOpenAI

    with _server() as address:
        ours = ChatCustomGPT(project_id=1, api_key="1|made-up", base_url=address)
        theirs = ChatOpenAI(
            model="gpt-4o", api_key="made-up", base_url=f"{address}/v1", use_responses_api=False
        )
        like_ours, like_theirs = Fake(pattern=_chunks(ours)), Fake(pattern=_chunks(theirs))
        for name, cost in (("stream", _sync_cost), ("astream", _async_cost)):
            measures = [cost(model) for model in (ours, like_ours, theirs, like_theirs)]
            for measure in measures:
                measure()  # connections and imports
            a, b, c, d = least_of(ROUNDS, *measures)
            note = f"µs a token: ours {a:.1f} - {b:.1f}, ChatOpenAI {c:.1f} - {d:.1f}"
            yield Ratio(
                f"CPU of {name} beyond langchain-core's, of ChatOpenAI's", (a - b) / (c - d), 0.08, note=note
            )
        LOOP.run_until_complete(ours._clients.aclose())


def _construction() -> Iterator[Ratio]:
    def measure() -> float:
        began = time.process_time()
        for _ in range(500):
            ChatCustomGPT(project_id=1, api_key="1|made-up")
        return (time.process_time() - began) / 500 * 1e3

    measure()
    (milliseconds,) = least_of(ROUNDS, measure)
    yield Ratio("construction, ms", milliseconds, 0.1)


IMPORT = """
import resource, sys, time
import langchain_core.language_models.chat_models
before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import langchain_customgpt
langchain_customgpt.ChatCustomGPT
after = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(after[0] - before[0], (after[1] - before[1]) / (2**20 if sys.platform == "darwin" else 2**10))
"""


def _import() -> Iterator[Ratio]:
    def measure() -> tuple[float, float]:
        said = subprocess.run(
            [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
        ).stdout
        seconds, megabytes = map(float, said.split())
        return seconds, megabytes

    measure()  # writes the .pyc files
    measured = sorted(measure() for _ in range(5))
    seconds, megabytes = measured[2]
    yield Ratio("import and naming ChatCustomGPT over core's chat models, CPU s", seconds, 0.2)
    yield Ratio("the same, MB", megabytes, 12)


def run() -> list[Ratio]:
    """Measure the LangChain adapter."""
    try:
        return [*_tokens(), *_construction(), *_import()]
    finally:
        LOOP.close()
