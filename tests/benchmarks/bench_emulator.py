"""What the emulator costs a test suite: streams, memory over many messages, indexing.

Servers run in processes of their own: one core serves, another asks, with the same few lines for all of them.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.ratio import Ratio, median_of

STREAMS = 200
TOKENS = 500
MESSAGES = 10_000
FILES = 10_000
FILE_SIZE = 10_000  # bytes; 100 MB in all
QUESTION = json.dumps({"prompt": "Say the poem"}).encode()


def run() -> list[Ratio]:
    """Compare streams with a bare handler, memory with a state file, indexing with its least work."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_streams(Path(folder)), *_memory(Path(folder)), *_indexing(Path(folder))]


# Streams


def _streams(folder: Path) -> list[Ratio]:
    documents = _poem(folder, TOKENS)
    with _server("emulator", documents) as emulator:
        frames = asyncio.run(emulator.one()).split(b"\r\n\r\n", 1)[1]
        (folder / "frames").write_bytes(frames)
        events = frames.count(b"event: progress")
        assert events >= TOKENS, events
        with _server("bare", folder / "frames") as bare:
            least, seconds = median_of(5, bare.seconds, emulator.seconds)
    note = f"{seconds:.2f} s against {least:.2f} s; {events} tokens each"
    return [
        Ratio(f"{STREAMS} streams at once: emulator / bare aiohttp handler", seconds / least, 3.0, note=note)
    ]


def _poem(folder: Path, words: int) -> Path:
    """Make a folder with one document that is quoted whole: a block of code, each word of it a token."""
    documents = folder / f"poem{words}"
    documents.mkdir()
    lines = [" ".join(["word"] * 24) for _ in range(words // 24)]  # and each break between lines
    (documents / "poem.md").write_text("# Poem\n\n```\n" + "\n".join(lines) + "\n```\n")
    return documents


class _Server:
    """A server in its own process, and requests to it."""

    def __init__(self, told: dict[str, Any], pid: int) -> None:
        self.port: int = told["port"]
        self.key: str = told["key"]
        self.project: str = told["project"]
        self.status = Path(f"/proc/{pid}/status")

    def seconds(self) -> float:
        """Return the seconds that `STREAMS` streams take at once, after their conversations were created."""

        async def timed() -> float:
            sessions = [await self.session() for _ in range(STREAMS)]
            before = time.perf_counter()
            await asyncio.gather(*(self.stream(session) for session in sessions))
            return time.perf_counter() - before

        return asyncio.run(timed())

    async def one(self) -> bytes:
        """Return the raw answer with its head."""
        return await self.stream(await self.session())

    async def session(self) -> str:
        if not self.key:
            return "bare"
        body = (await self.ask(f"{self.project}/conversations", b'{"name":"a"}')).split(b"\r\n")[-4]
        return str(json.loads(body)["data"]["session_id"])

    async def stream(self, session: str) -> bytes:
        return await self.ask(f"{self.project}/conversations/{session}/messages?stream=true", QUESTION)

    async def ask(self, path: str, body: bytes) -> bytes:
        """Send one request on its own connection and return the raw answer with its chunks."""
        loop = asyncio.get_running_loop()
        transport, reader = await loop.create_connection(_Reader, "127.0.0.1", self.port)
        transport.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await reader.done
        transport.close()
        return bytes(reader.received)

    def memory(self) -> float:
        """Return the resident memory in megabytes (Linux)."""
        line = next(line for line in self.status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


class _Reader(asyncio.Protocol):
    """Collects a chunked answer to its end: the cheapest client that can tell where it ends."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"\r\n0\r\n\r\n") and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the answer broke off"))


@contextmanager
def _server(kind: str, *arguments: Path) -> Iterator[_Server]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_emulator", kind, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield _Server(json.loads(process.stdout.readline()), process.pid)
        finally:
            process.kill()


def _serve_emulator(documents: str, state: str | None = None) -> None:
    from customgpt_emulator import Emulator

    with Emulator(documents=documents, state=state) as emulator:
        port = int(emulator.base_url.rpartition(":")[2])
        project = f"/api/v1/projects/{emulator.project_id}"
        print(json.dumps({"port": port, "key": emulator.api_key, "project": project}), flush=True)
        sys.stdin.read()


def _serve_bare(recorded: str) -> None:
    """Serve the same bytes in the same chunks, and nothing else."""
    from aiohttp import web

    frames = _chunks(Path(recorded).read_bytes())

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=UTF-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for frame in frames:
            await response.write(frame)
        await response.write_eof()
        return response

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/{rest:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(json.dumps({"port": runner.addresses[0][1], "key": "", "project": ""}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(serve())


def _chunks(body: bytes) -> list[bytes]:
    found: list[bytes] = []
    while True:
        head, _, body = body.partition(b"\r\n")
        size = int(head, 16)
        if not size:
            return found
        found.append(body[:size])
        body = body[size + 2 :]


# Memory


def _memory(folder: Path) -> list[Ratio]:
    documents = _poem(folder, 50)
    with _server("emulator", documents, folder / "state.sqlite") as emulator:

        async def send(messages: int) -> None:
            session = await emulator.session()
            for _ in range(messages):
                await emulator.stream(session)

        asyncio.run(send(MESSAGES // 10))
        early = emulator.memory()
        asyncio.run(send(MESSAGES - MESSAGES // 10))
        late = emulator.memory()
        asyncio.run(send(MESSAGES // 2))
        after = emulator.memory()
    note = f"{early:.0f}, {late:.0f} and {after:.0f} MB"
    return [
        # In between the journal fills: it keeps 10,000 requests, with about 1.5 kB for each.
        Ratio(f"memory after {MESSAGES} messages / after a tenth of them", late / early, 1.5, note=note),
        Ratio("memory after half as many more / after those", after / late, 1.03),
    ]


# Indexing


def _indexing(folder: Path) -> list[Ratio]:
    documents = folder / "many"
    _write_files(documents)

    before, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with _server("emulator", documents):
        seconds = time.perf_counter() - before
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime

    began = time.process_time()
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE VIRTUAL TABLE pages USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')")
        for path in sorted(documents.rglob("*.md")):
            rows = [(part,) for part in path.read_text(encoding="utf-8").split("\n\n")]
            db.executemany("INSERT INTO pages VALUES (?)", rows)
    db.close()
    least = time.process_time() - began

    what = f"indexing {FILES} files, {FILES * FILE_SIZE // 10**6} MB"
    note = f"{computed:.0f} s against {least:.0f} s of computing"
    return [
        Ratio(f"{what}: emulator / reading and plain FTS5 inserts", computed / least, 4.0, note=note),
        Ratio(f"{what}: seconds", seconds, 120.0),
    ]


def _write_files(root: Path) -> None:
    random_ = random.Random(1)
    words = [
        "".join(random_.choices("abcdefghijklmnoprstuvwy", k=random_.randint(2, 9))) for _ in range(20_000)
    ]
    for number in range(FILES):
        folder = root / f"{number // 100:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        text = f"# Document {number}\n"
        while len(text) < FILE_SIZE:
            text += "\n" + " ".join(random_.choices(words, k=60)) + ".\n"
            if random_.random() < 0.2:
                text += f"\n## {' '.join(random_.choices(words, k=3))}\n"
        (folder / f"{number:05d}.md").write_text(text[:FILE_SIZE], encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        _serve_bare(sys.argv[2])
    else:
        _serve_emulator(*sys.argv[2:])
