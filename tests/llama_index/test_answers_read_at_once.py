"""One streamed answer, several readers: threads, tasks and event loops, and who is told that it was cut."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_transport import AnswerFinished, ClientOptions, Message, StreamInterrupted
from llama_index_customgpt import CustomGPTChatEngine, CustomGPTQueryEngine
from llama_index_customgpt._replay import AsyncPump, Pump

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

QUESTION = "How do refunds work?"


def source() -> Any:
    yield from ("", "Within", " 30", " days.")


async def asource() -> Any:
    for piece in source():
        yield piece


class TestSeveralLoops:
    async def test_another_loop_is_refused_while_a_read_is_under_way_and_harms_nobody(self) -> None:
        go_on, waiting = asyncio.Event(), asyncio.Event()

        async def slow() -> Any:
            yield "Within"
            waiting.set()
            await go_on.wait()
            yield " 30 days."

        pump = AsyncPump(slow())
        reading = asyncio.create_task(pump.drain())
        await waiting.wait()
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, pump.drain())
        go_on.set()
        assert await reading == "Within 30 days."

    def test_threads_may_take_str_of_an_unstarted_async_answer_at_once(
        self, streaming_engine: CustomGPTQueryEngine
    ) -> None:
        for _ in range(3):
            response = asyncio.run(streaming_engine.aquery(QUESTION))
            with ThreadPoolExecutor(4) as pool:
                texts = set(pool.map(lambda r: str(r), [response] * 4))
            assert len(texts) == 1

    def test_an_answer_whose_loop_was_closed_half_way_says_so(
        self, streaming_engine: CustomGPTQueryEngine
    ) -> None:
        tokens: list[str] = []

        async def begin() -> Any:
            response = await streaming_engine.aquery(QUESTION)
            tokens.append(await response.response_gen.__anext__())
            return response

        response = asyncio.run(begin())
        for read in (lambda: str(response), lambda: asyncio.run(response.get_response())):
            with pytest.raises(StreamInterrupted, match="event loop") as error:
                read()
            assert error.value.partial_answer == tokens[0]


class TestHangingUp:
    def test_close_wakes_a_thread_that_waits_and_tells_it(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        emulator.faults.stall(after_events=3)
        response = chat_engine.stream_chat(QUESTION)
        tokens, began, errors = iter(response.response_gen), threading.Event(), []

        def read() -> None:
            try:
                for _ in tokens:
                    began.set()
            except StreamInterrupted as error:
                errors.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert began.wait(10)
        response.close()
        reader.join(10)
        assert errors
        assert errors[0].partial_answer == response.response == str(response)
        assert chat_engine.chat_history[-1].content == str(response)

    async def test_aclose_wakes_a_task_that_waits_and_tells_it(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        emulator.faults.stall(after_events=3)
        response = await chat_engine.astream_chat(QUESTION)
        began = asyncio.Event()

        async def read() -> None:
            async for _ in response.async_response_gen():
                began.set()

        reader = asyncio.create_task(read())
        await began.wait()
        await asyncio.wait_for(response.aclose(), 10)
        with pytest.raises(StreamInterrupted):
            await reader
        assert chat_engine.chat_history[-1].content == str(response)
        await chat_engine.aclose()

    def test_the_last_reader_that_leaves_hangs_up(self) -> None:
        pump = Pump(source(), hang_up_on_leave=True)
        first, second = pump.replay(), pump.replay()
        assert next(first) == next(second) == "Within"
        first.close()
        assert next(second) == " 30"
        second.close()
        assert pump.ended
        assert pump.drain() == "Within 30"

    def test_a_reader_in_the_middle_hears_of_it_and_later_ones_get_what_was_read(self) -> None:
        pump = Pump(source())
        reader = pump.replay()
        assert next(reader) == "Within"
        pump.close()
        with pytest.raises(StreamInterrupted, match="hung up"):
            next(reader)
        assert "".join(pump.replay()) == pump.drain() == "Within"

    def test_leaving_a_complete_answer_breaks_nothing_off(self) -> None:
        pump = Pump(source())
        pump.drain()
        pump.leave()
        assert pump.drain() == "Within 30 days."

    def test_a_for_loop_after_next_hangs_up_too_when_it_is_left(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        response = chat_engine.stream_chat(QUESTION)
        first = next(response.response_gen)
        for _ in response.response_gen:
            break
        assert response.response.startswith(first)
        assert chat_engine.chat_history[-1].content == response.response


async def test_str_of_an_async_chat_is_never_a_part(chat_engine: CustomGPTChatEngine) -> None:
    response = await chat_engine.astream_chat(QUESTION)
    with pytest.raises(RuntimeError, match="async_response_gen"):
        str(response)
    text = await asyncio.to_thread(str, response)
    assert text == str(response) == "".join([token async for token in response.async_response_gen()])
    await chat_engine.aclose()


@pytest.mark.parametrize("pump", [Pump(source()), AsyncPump(asource())])
def test_an_unfinished_answer_is_refused_when_it_is_pickled_not_when_it_is_loaded(pump: Any) -> None:
    with pytest.raises(TypeError, match="still coming"):
        pickle.dumps(pump)


def test_a_list_that_somebody_put_in_place_of_the_sources_is_filled(
    streaming_engine: CustomGPTQueryEngine, chat_engine: CustomGPTChatEngine
) -> None:
    for response in (streaming_engine.query(QUESTION), chat_engine.stream_chat(QUESTION)):
        response.source_nodes = []
        assert str(response)
        assert len(response.source_nodes) >= 2


class _SaysNothing:
    """A client whose answers are empty."""

    options = ClientOptions(project_id=1)
    session_id, partial_answer = "a-session", ""
    message = Message("", "Why?", 1, "a-session", 7)

    def ask(self, prompt: str, **_: Any) -> Message:
        return self.message

    def stream(self, prompt: str, **_: Any) -> Any:
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __iter__(self) -> Any:
        return iter([AnswerFinished(7, "a-session", ())])


@pytest.mark.parametrize("streaming", [False, True])
def test_an_empty_answer_reads_as_the_empty_string(streaming: bool) -> None:
    engine = CustomGPTQueryEngine(streaming=streaming, client=_SaysNothing())  # type: ignore[arg-type]
    response = engine.query("Why?")
    assert str(response) == ""
    if streaming:
        assert str(response.get_response()) == ""
    assert engine.as_tool().call("Why?").content == ""
