"""What the transport costs on top of its HTTP library, and on top of splitting bytes and `json.loads`.

CPU is this process's own, user and system; the server is another process. All figures are ratios of one run,
medians of five rounds in which the compared readers take turns.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from statistics import median
from typing import Any

import aiohttp
import requests

from customgpt_transport import AnswerDelta, AsyncClient, Client
from customgpt_transport._answer import Answer
from tests.benchmarks import loopback, many_streams
from tests.benchmarks.ratio import Ratio, median_of

ROUNDS = 5
EVENTS = 20_000
TOKENS, REPLIES = 5_000, 4
BLOCK = 64 * 1024
FLOWS = 40
HUGE = 16 * 2**20
PROMPT = "Go on."


def _cpu(run: Callable[[], Any]) -> float:
    """Return the CPU seconds of `run`: the least of three runs, since disturbances only add."""
    return min(_once(run) for _ in range(3))


def _once(run: Callable[[], Any]) -> float:
    gc.collect()
    began = time.process_time()
    run()
    return time.process_time() - began


def _cut(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def _by_hand(chunks: Iterable[bytes]) -> int:
    """The floor: split the bytes and `json.loads` them. Return the number of tokens."""
    count, tail = 0, b""
    for chunk in chunks:
        *events, tail = (tail + chunk).split(b"\n\n")
        for event in events:
            data = json.loads(event.partition(b"\ndata: ")[2])
            count += data["status"] == "progress"
    return count


def _by_answer(chunks: Iterable[bytes]) -> int:
    answer = Answer(
        prompt=PROMPT, project_id=1, session_id=loopback.SESSION, external_id="e", max_event_bytes=32 * 2**20
    )
    count = sum(len(answer.feed(chunk)) for chunk in chunks)
    assert answer.failure is None
    return count


def _decoding() -> list[Ratio]:
    each = loopback.events(EVENTS)[1:-1]
    figures = []
    for name, limit, chunks in (
        ("in 64 KiB chunks", 1.5, _cut(b"".join(each), BLOCK)),
        ("at one event a chunk", 2, each),
    ):
        assert _by_answer(chunks) == _by_hand(chunks) == EVENTS
        ours, floor = median_of(
            ROUNDS, partial(_cpu, partial(_by_answer, chunks)), partial(_cpu, partial(_by_hand, chunks))
        )
        figures.append(
            Ratio(
                f"decode and parse one event / split and json.loads, {name}",
                ours / floor,
                limit,
                note=f"{ours / EVENTS * 1e6:.2f} us an event",
            )
        )
    return figures


def _huge_event() -> list[Ratio]:
    whole = loopback.event(status="progress", message="x" * HUGE)
    small, one = _cut(whole, 1024), [whole]
    assert _by_answer(small) == _by_answer(one) == 1
    cut, together = median_of(
        ROUNDS, partial(_once, partial(_by_answer, small)), partial(_once, partial(_by_answer, one))
    )
    note = f"{cut * 1e3:.0f} ms"
    return [Ratio("an event of 16 MB in chunks of 1 KB / in one chunk", cut / together, 4, note=note)]


def _address(url: str) -> str:
    return f"{url}/api/v1/projects/{TOKENS}/conversations/{loopback.SESSION}/messages?stream=true"


def _blocking(url: str) -> list[Ratio]:
    with Client(base_url=url, api_key="1|bench", project_id=TOKENS) as client, requests.Session() as session:

        def ours() -> None:
            for _ in range(REPLIES):
                with client.stream(PROMPT, session_id=loopback.SESSION) as answer:
                    assert sum(event.__class__ is AnswerDelta for event in answer) == TOKENS

        def floor() -> None:
            for _ in range(REPLIES):
                with session.post(_address(url), json={"prompt": PROMPT}, stream=True) as response:
                    assert _by_hand(response.iter_content(None)) == TOKENS

        return [_per_token("Client.stream", "requests", ours, floor)]


def _asynchronous(url: str) -> list[Ratio]:
    async def ours() -> None:
        async with AsyncClient(base_url=url, api_key="1|bench", project_id=TOKENS) as client:
            for _ in range(REPLIES):
                async with client.stream(PROMPT, session_id=loopback.SESSION) as answer:
                    count = 0
                    async for event in answer:
                        count += event.__class__ is AnswerDelta
                    assert count == TOKENS

    async def floor() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(REPLIES):
                async with session.post(_address(url), json={"prompt": PROMPT}) as response:
                    count, tail = 0, b""
                    async for chunk in response.content.iter_any():
                        *events, tail = (tail + chunk).split(b"\n\n")
                        for event in events:
                            data = json.loads(event.partition(b"\ndata: ")[2])
                            count += data["status"] == "progress"
                    assert count == TOKENS

    return [
        _per_token("AsyncClient.stream", "aiohttp", lambda: asyncio.run(ours()), lambda: asyncio.run(floor()))
    ]


def _per_token(name: str, library: str, ours: Callable[[], Any], floor: Callable[[], Any]) -> Ratio:
    for run in (ours, floor):
        run()  # what is made once is not the tokens' cost
    mine, least = median_of(ROUNDS, partial(_cpu, ours), partial(_cpu, floor))
    note = f"{mine / TOKENS / REPLIES * 1e6:.1f} us a token"
    return Ratio(f"{name}, CPU a token / {library}, split and json.loads", mine / least, 2, note=note)


def _many_at_once(url: str) -> list[Ratio]:
    ways = [(reader, manner) for manner in ("in-turn", "at-once") for reader in ("client", "floor")]
    rounds = [[many_streams.measure(*way, url) for way in ways] for _ in range(ROUNDS)]
    columns = dict(zip(ways, zip(*rounds, strict=True), strict=True))
    what = f"{many_streams.STREAMS} streams at once"
    figures = []
    # Answers that come in one piece each are mostly aiohttp's buffers: their memory is shown, not judged.
    for manner, told, most in (("in-turn", "", 64), ("at-once", ", each answer in one piece", None)):
        ours, floor = columns["client", manner], columns["floor", manner]
        speed = [median(load.tokens_per_second for load in loads) for loads in (ours, floor)]
        memory = [median(load.kib_per_stream for load in loads) for loads in (ours, floor)]
        figures += [
            Ratio(
                f"{what}{told}: tokens a second / aiohttp, split and json.loads",
                speed[0] / speed[1],
                0.4,
                at_least=True,
            ),
            Ratio(
                f"{what}{told}: KiB a stream over the start",
                memory[0],
                most,
                note=f"aiohttp alone {memory[1]:.0f}",
            ),
        ]
    return figures


def _to_first_token(url: str) -> list[Ratio]:
    where: dict[str, Any] = {"base_url": url, "api_key": "1|bench", "project_id": 50}

    def first(client: Client, session_id: str | None) -> float:
        began = time.perf_counter()
        with client.stream(PROMPT, session_id=session_id) as answer:
            next(answer)
            seconds = time.perf_counter() - began
            for _ in answer:
                pass  # what is left early loses its connection
        return seconds

    def cold() -> float:
        with Client(**where) as fresh:
            return first(fresh, loopback.SESSION)

    async def afirst(client: AsyncClient, session_id: str | None) -> float:
        began = time.perf_counter()
        async with client.stream(PROMPT, session_id=session_id) as answer:
            await answer.__anext__()
            seconds = time.perf_counter() - began
            async for _ in answer:
                pass
        return seconds

    async def acold() -> float:
        async with AsyncClient(**where) as fresh:
            return await afirst(fresh, loopback.SESSION)

    with closing(Client(**where)) as kept:
        blocking = median_of(FLOWS, cold, lambda: first(kept, loopback.SESSION), lambda: first(kept, None))
    with closing(asyncio.new_event_loop()) as loop:
        akept, until = AsyncClient(**where), loop.run_until_complete
        asynchronous = median_of(
            FLOWS,
            lambda: until(acold()),
            lambda: until(afirst(akept, loopback.SESSION)),
            lambda: until(afirst(akept, None)),
        )
        until(akept.aclose())
        until(loop.shutdown_asyncgens())
    return [
        figure
        for name, (fresh, warm, created) in (("Client", blocking), ("AsyncClient", asynchronous))
        for figure in (
            Ratio(f"{name}, time to first token: new connection / kept", fresh / warm, note=_ms(fresh, warm)),
            Ratio(
                f"{name}, time to first token: create conversation and message / message",
                created / warm,
                note=_ms(created, warm),
            ),
        )
    ]


def _ms(one: float, other: float) -> str:
    return f"{one * 1e3:.1f} ms / {other * 1e3:.1f} ms, loopback"


def run() -> list[Ratio]:
    """Measure against ready-made bytes."""
    with loopback.server() as url:
        return [
            *_decoding(),
            *_huge_event(),
            *_blocking(url),
            *_asynchronous(url),
            *_many_at_once(url),
            *_to_first_token(url),
        ]
