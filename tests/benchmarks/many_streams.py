"""200 streams at once in a process of its own; run as a module with `client|floor in-turn|at-once URL`.

`in-turn`: the answers come ten events at a time, in turn; `at-once`: each in one piece, so that nearly all of
them wait in aiohttp's buffers at once, the most that memory can be asked for.

Prints a line of JSON: tokens per second, and the memory at its peak over that at the start, in KiB a stream.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp

from customgpt_transport import AnswerDelta, AsyncClient

STREAMS, TOKENS = 200, 200
Read = Callable[[int], Awaitable[int]]


class Load(NamedTuple):
    """What one child measured."""

    tokens_per_second: float
    kib_per_stream: float


def measure(reader: str, manner: str, url: str) -> Load:
    """Run the streams in a process of their own."""
    command = [sys.executable, "-m", "tests.benchmarks.many_streams", reader, manner, url]
    return Load(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def client(manner: str, url: str) -> tuple[Read, Callable[[], Awaitable[None]]]:
    """Return the package's own reader."""
    ours = AsyncClient(base_url=url, api_key="1|bench", project_id=TOKENS)

    async def read(number: int) -> int:
        count = 0
        async with ours.stream("Go on.", session_id=f"{manner}-{number}") as answer:
            async for event in answer:
                count += event.__class__ is AnswerDelta
        return count

    return read, ours.aclose


def floor(manner: str, url: str) -> tuple[Read, Callable[[], Awaitable[None]]]:
    """Return a reader of aiohttp with nothing but split and `json.loads`."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    )

    async def read(number: int) -> int:
        count, tail = 0, b""
        address = f"{url}/api/v1/projects/{TOKENS}/conversations/{manner}-{number}/messages?stream=true"
        async with session.post(address, json={"prompt": "Go on."}) as response:
            async for chunk in response.content.iter_any():
                *events, tail = (tail + chunk).split(b"\n\n")
                for event in events:
                    data = json.loads(event.partition(b"\ndata: ")[2])
                    count += data["status"] == "progress"
        return count

    return read, session.close


def _memory(field: str) -> float:
    """Return VmRSS (now) or VmHWM (the peak of this program alone), in KiB."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().partition(f"{field}:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)


async def _main(reader: str, manner: str, url: str) -> Load:
    read, close = (client if reader == "client" else floor)(manner, url)
    gc.collect()
    before = _memory("VmRSS")
    began = time.perf_counter()
    counts = await asyncio.gather(*(read(number) for number in range(STREAMS)))
    seconds = time.perf_counter() - began
    memory = _memory("VmHWM") - before
    assert counts == [TOKENS] * STREAMS, counts
    await close()
    return Load(STREAMS * TOKENS / seconds, memory / STREAMS)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_main(*sys.argv[1:]))._asdict()))
