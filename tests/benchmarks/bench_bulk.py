"""A bulk run beside the plainest way to ask as many questions: `asyncio.gather` and a semaphore.

The emulator is another process, so that its work is not this one's. Both ways ask the same questions, 50 at a
time, and create a conversation for each; the run keeps its ledger on the disk besides.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from customgpt_bulk import run as run_bulk
from customgpt_transport import AsyncClient, ClientOptions
from tests.benchmarks.ratio import Ratio, median_of
from tests.bulk.asked import patient, questions

ROWS, AT_ONCE, ROUNDS = 500, 50, 3
SERVE = """
import sys
from customgpt_emulator import Emulator
with Emulator(sys.argv[1]) as emulator:
    print(emulator.base_url, emulator.api_key, emulator.project_id, flush=True)
    sys.stdin.read()
"""


@contextmanager
def _serving() -> Iterator[ClientOptions]:
    command = [sys.executable, "-c", SERVE, str(Path(__file__).parents[1] / "documents")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield patient(*process.stdout.readline().split())
        process.stdin.close()


def _plain(options: ClientOptions) -> float:
    async def main() -> None:
        at_once = asyncio.Semaphore(AT_ONCE)
        async with AsyncClient(options=options) as client:

            async def one(question: str) -> None:
                async with at_once:
                    await client.ask(question)

            await asyncio.gather(*(one(row["question"]) for row in questions(ROWS)))

    began = time.perf_counter()
    asyncio.run(main())
    return ROWS / (time.perf_counter() - began)


def _bulk(options: ClientOptions) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        summary = run_bulk(questions(ROWS), Path(folder, "run.sqlite"), options=options, concurrency=AT_ONCE)
        assert summary.complete
        return ROWS / (time.perf_counter() - began)


def _again(options: ClientOptions) -> float:
    """Seconds that a finished run of 1,000 rows takes when it is started again."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder, "run.sqlite")
        run_bulk(questions(1000), ledger, options=options, concurrency=AT_ONCE)
        began = time.perf_counter()
        run_bulk(questions(1000), ledger, options=options)
        return time.perf_counter() - began


def run() -> list[Ratio]:
    """Compare the two ways."""
    with _serving() as options:
        ours, plain = median_of(ROUNDS, lambda: _bulk(options), lambda: _plain(options))
        again = _again(options)
    return [
        Ratio(
            "rows a second of a bulk run, as a share of a plain gather",
            ours / plain,
            0.8,
            at_least=True,
            note=f"{ours:.0f} and {plain:.0f} rows a second, {AT_ONCE} at once",
        ),
        Ratio("seconds of a finished run of 1,000 rows, started again", again, 1.0),
    ]
