"""No call blocks the loop, calls overlap, and waiting costs no CPU."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from llama_index.core.schema import Document

from llama_index_customgpt import (
    CustomGPTChatEngine,
    CustomGPTIndex,
    CustomGPTQueryEngine,
    CustomGPTRetriever,
)

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "How do refunds work?"


@pytest.fixture
def blockbuster() -> Iterator[BlockBuster]:
    """Raise where our code, or what it calls, blocks an event loop; the emulator's own loop is not ours."""
    with blockbuster_ctx("llama_index_customgpt") as bb:
        yield bb


async def _aquery(where: dict[str, Any]) -> None:
    async with CustomGPTQueryEngine(**where) as engine:
        assert (await engine.aquery(QUESTION)).source_nodes


async def _aquery_stream(where: dict[str, Any]) -> None:
    async with CustomGPTQueryEngine(streaming=True, **where) as engine:
        response = await engine.aquery(QUESTION)
        assert [token async for token in response.async_response_gen()]
        assert response.source_nodes


async def _tool(where: dict[str, Any]) -> None:
    for streaming in (False, True):
        async with CustomGPTQueryEngine(streaming=streaming, **where) as engine:
            assert (await engine.as_tool().acall(QUESTION)).raw_output.source_nodes


async def _achat(where: dict[str, Any]) -> None:
    async with CustomGPTChatEngine(**where) as engine:
        for _ in range(2):
            assert (await engine.achat(QUESTION)).source_nodes


async def _astream_chat(where: dict[str, Any]) -> None:
    async with CustomGPTChatEngine(**where) as engine:
        for _ in range(2):
            response = await engine.astream_chat(QUESTION)
            assert [token async for token in response.async_response_gen()]
            assert response.source_nodes


async def _aretrieve(where: dict[str, Any]) -> None:
    async with CustomGPTRetriever(**where) as retriever:
        assert await retriever.aretrieve(QUESTION)


async def _index(where: dict[str, Any]) -> None:
    document = Document(id_="a", text="A lamp weighs two kilograms.")
    async with CustomGPTIndex(poll_every=0.01, **where) as index:
        await index.ainsert(document)
        assert await index.arefresh_ref_docs([document]) == [False]
        await index.adelete_ref_doc("a")


DOORS = {
    "aquery": _aquery,
    "aquery stream": _aquery_stream,
    "tool": _tool,
    "achat": _achat,
    "astream_chat": _astream_chat,
    "aretrieve": _aretrieve,
    "index": _index,
}


@pytest.mark.parametrize("door", DOORS)
async def test_no_async_call_blocks_the_loop(
    door: str, where: dict[str, Any], blockbuster: BlockBuster
) -> None:
    await DOORS[door](where)


async def _warm(engine: CustomGPTQueryEngine) -> None:
    """Import and connect first: neither is what the test measures."""
    response = await engine.aquery(QUESTION)
    if engine.streaming:
        await response.get_response()


@pytest.mark.parametrize("streaming", [False, True])
async def test_four_queries_at_once_are_in_flight_together(
    where: dict[str, Any], emulator: Emulator, streaming: bool
) -> None:
    async with CustomGPTQueryEngine(streaming=streaming, **where) as engine:
        await _warm(engine)
        before = len(emulator.journal.prompts())
        held = emulator.faults.slow_first_byte(times=4)

        async def ask() -> Any:
            response = await engine.aquery(QUESTION)
            return await response.get_response() if streaming else response

        tasks = [asyncio.create_task(ask()) for _ in range(4)]
        while len(emulator.journal.prompts()) < before + 4:  # noqa: ASYNC110 - the server's view, no event of ours
            await asyncio.sleep(0.005)
        assert not any(task.done() for task in tasks)
        held.release()
        assert all(response.source_nodes for response in await asyncio.gather(*tasks))


class TestWaiting:
    def test_waiting_for_tokens_costs_no_cpu(self, where: dict[str, Any], emulator: Emulator) -> None:
        engine = CustomGPTChatEngine(**where)
        engine.chat(QUESTION)
        held = emulator.faults.stall(after_events=4)
        response = engine.stream_chat(QUESTION)
        threading.Timer(0.5, held.release).start()
        began, cpu = time.monotonic(), time.thread_time()
        assert str(response)
        waited, used = time.monotonic() - began, time.thread_time() - cpu
        assert used < waited / 5
        engine.close()

    async def test_awaiting_tokens_costs_no_cpu(self, where: dict[str, Any], emulator: Emulator) -> None:
        async with CustomGPTChatEngine(**where) as engine:
            await engine.achat(QUESTION)
            held = emulator.faults.stall(after_events=4)
            response = await engine.astream_chat(QUESTION)
            threading.Timer(0.5, held.release).start()
            began, cpu = time.monotonic(), time.thread_time()
            assert [token async for token in response.async_response_gen()]
            waited, used = time.monotonic() - began, time.thread_time() - cpu
            assert used < waited / 5
