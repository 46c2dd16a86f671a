"""Requirements 2, 13, 24: nothing blocks the loop, calls overlap, leaving hangs up, waiting is idle."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
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
async def test_requirement_02_nothing_blocks_the_loop(
    door: str, where: dict[str, Any], blockbuster: BlockBuster
) -> None:
    await DOORS[door](where)


async def _warm(engine: CustomGPTQueryEngine) -> None:
    """Imports and the first connection are not what is asked about."""
    response = await engine.aquery(QUESTION)
    if engine.streaming:
        await response.get_response()


@pytest.mark.parametrize("streaming", [False, True])
async def test_requirement_02_four_at_once_are_in_flight_together(
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


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestRequirement24:
    def test_requirement_24_waiting_for_tokens_costs_no_cpu(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
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

    async def test_requirement_24_waiting_for_tokens_costs_no_cpu_async(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        async with CustomGPTChatEngine(**where) as engine:
            await engine.achat(QUESTION)
            held = emulator.faults.stall(after_events=4)
            response = await engine.astream_chat(QUESTION)
            threading.Timer(0.5, held.release).start()
            began, cpu = time.monotonic(), time.thread_time()
            assert [token async for token in response.async_response_gen()]
            waited, used = time.monotonic() - began, time.thread_time() - cpu
            assert used < waited / 5

    def test_requirement_24_leaving_hangs_up_before_the_answer_ends(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        engine = CustomGPTChatEngine(**where)
        emulator.faults.stall(after_events=4)
        for _ in engine.stream_chat(QUESTION).response_gen:
            break
        _wait_for(lambda: emulator.journal.prompts()[-1].disconnected)
        assert [message.role.value for message in engine.chat_history] == ["user", "assistant"]
        engine.close()

    async def test_requirement_24_leaving_hangs_up_before_the_answer_ends_async(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        async with CustomGPTChatEngine(**where) as engine:
            emulator.faults.stall(after_events=4)
            tokens = (await engine.astream_chat(QUESTION)).async_response_gen()
            await tokens.__anext__()
            await tokens.aclose()
            await asyncio.to_thread(_wait_for, lambda: emulator.journal.prompts()[-1].disconnected)
            assert [message.role.value for message in engine.chat_history] == ["user", "assistant"]

    async def test_requirement_24_cancelling_a_reader_hangs_up_and_keeps_the_partial_answer(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        async with CustomGPTChatEngine(**where) as engine:
            emulator.faults.stall(after_events=4)
            response = await engine.astream_chat(QUESTION)
            seen: list[str] = []
            first = asyncio.Event()

            async def read() -> None:
                async for token in response.async_response_gen():
                    seen.append(token)
                    first.set()

            task = asyncio.create_task(read())
            await first.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(_wait_for, lambda: emulator.journal.prompts()[-1].disconnected)
            user, agent = engine.chat_history
            assert user.content == QUESTION
            assert (agent.content or "").startswith("".join(seen))

    def test_dropping_a_streamed_query_hangs_up(self, where: dict[str, Any], emulator: Emulator) -> None:
        engine = CustomGPTQueryEngine(streaming=True, **where)
        emulator.faults.stall(after_events=4)
        response = engine.query(QUESTION)
        next(response.response_gen)
        del response
        _wait_for(lambda: emulator.journal.prompts()[-1].disconnected)
        engine.close()

    def test_requirement_22_the_session_is_known_while_the_first_token_is_awaited(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        engine = CustomGPTChatEngine(**where)
        held = emulator.faults.stall(after_events=1)
        response = engine.stream_chat(QUESTION)
        assert engine.session_id
        held.release()
        assert str(response)
        engine.close()
