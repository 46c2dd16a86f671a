"""A server of ready-made bytes in a process of its own, so that none of its work counts as the client's.

Answers as many tokens as the project's number says: `/projects/5000/...` streams 5,000. Each event is an HTTP
chunk of its own, and all are written at once: the reader is never kept waiting. A session named `in-turn-...`
gets ten chunks at a time, in turn with the other connections. Nothing of the client's code makes these bytes.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

CREATED = "2026-01-01T00:00:00.000000Z"
SESSION = "00000000-0000-4000-8000-000000000000"
_TOKENS = re.compile(rb"/projects/(\d+)/")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def event(**data: Any) -> bytes:
    """Return one event as the service writes it."""
    return f"event: {data['status']}\ndata: {json.dumps(data)}\n\n".encode()


def events(tokens: int) -> list[bytes]:
    """Return the events of one answer."""
    return [
        event(status="start", prompt="Go on."),
        *(event(status="progress", message=f" word{n}") for n in range(tokens)),
        event(status="finish", id=1, created_at=CREATED, session_id=SESSION, citations=[1]),
    ]


@cache
def _pieces(tokens: int) -> tuple[bytes, ...]:
    """Return the head, the chunks ten at a time, and the end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=UTF-8\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(one), one) for one in events(tokens)]
    return head, *(b"".join(chunks[at : at + 10]) for at in range(0, len(chunks), 10)), b"0\r\n\r\n"


@cache
def _created() -> bytes:
    body = json.dumps({"status": "success", "data": {"id": 1, "session_id": SESSION}}).encode()
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


class _Connection(asyncio.Protocol):
    """One connection, whose requests are answered in turn."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._came = b""

    def data_received(self, data: bytes) -> None:
        self._came += data
        while True:
            head, end, rest = self._came.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if not end or len(rest) < size:
                return
            self._came = rest[size:]
            path = head.split(b" ", 2)[1]
            tokens = _TOKENS.search(path)
            if tokens is None or b"/messages" not in path:
                self._transport.write(_created())
            elif b"/in-turn-" in path:
                self._write_in_turn(_pieces(int(tokens[1])))
            else:
                self._transport.write(b"".join(_pieces(int(tokens[1]))))

    def _write_in_turn(self, pieces: tuple[bytes, ...]) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(pieces[0])
        if len(pieces) > 1:
            asyncio.get_running_loop().call_soon(self._write_in_turn, pieces[1:])


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the benchmark closes it, or dies


@contextmanager
def server() -> Iterator[str]:
    """Run a server for the length of the block. Yields its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.loopback"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
