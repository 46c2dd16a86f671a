"""Overlapping turns of one conversation: who waits, whose stream is closed, what the history says."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from customgpt_transport import ClientOptions, ConfigurationError, RequestTimeout, StreamInterrupted
from llama_index_customgpt import CustomGPTChatEngine

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

QUESTION = "How do refunds work?"


def asked(engine: CustomGPTChatEngine) -> list[str | None]:
    return [message.content for message in engine.chat_history if message.role.value == "user"]


def in_a_thread(work: Any) -> Any:
    """Run `work` in a thread of its own and wait for it to end."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


async def until_asked(emulator: Emulator, prompts: int) -> None:
    while len(emulator.journal.prompts()) < prompts:  # noqa: ASYNC110 - the server's view, no event of ours
        await asyncio.sleep(0.005)


class TestOpeningAConversation:
    async def test_a_sync_chat_on_the_loop_that_opens_it_is_refused(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        held = emulator.faults.slow_first_byte()
        first = asyncio.create_task(chat_engine.achat(QUESTION))
        await until_asked(emulator, 1)
        for method in (chat_engine.chat, chat_engine.stream_chat):
            with pytest.raises(ConfigurationError, match="achat"):
                method("And gift cards?")
        held.release()
        assert (await first).response
        assert chat_engine.chat("And gift cards?").response
        await chat_engine.aclose()

    async def test_who_waits_for_it_waits_no_longer_than_session_wait(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        engine = CustomGPTChatEngine(client_options=ClientOptions(session_wait=0.05), **where)
        held = emulator.faults.slow_first_byte()
        first = asyncio.create_task(engine.achat(QUESTION))
        await until_asked(emulator, 1)
        with pytest.raises(RequestTimeout, match="opening this conversation") as error:
            await engine.achat("And gift cards?")
        assert (error.value.clock, error.value.sent) == ("session", False)
        with pytest.raises(RequestTimeout, match="opening this conversation"):
            await asyncio.to_thread(engine.chat, "And gift cards?")
        held.release()
        await first
        assert asked(engine) == [QUESTION]
        await engine.aclose()

    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_an_answer_stays_in_its_conversation_when_its_sources_fail(
        self, where: dict[str, Any], emulator: Emulator, asynchronous: bool
    ) -> None:
        class Refuses(BaseNodePostprocessor):
            def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
                raise KeyError("a postprocessor of yours")

        engine = CustomGPTChatEngine(node_postprocessors=[Refuses()], **where)
        for question in (QUESTION, "And gift cards?"):
            with pytest.raises(KeyError, match="of yours"):
                await engine.achat(question) if asynchronous else engine.chat(question)
        sessions = {entry.path.split("/")[-2] for entry in emulator.journal.prompts()}
        assert sessions == {engine.session_id}
        assert asked(engine) == [QUESTION, "And gift cards?"]
        assert [message.role.value for message in engine.chat_history] == ["user", "assistant"] * 2
        await engine.aclose()


class TestWhoLeavesAStream:
    def test_a_thread_that_comes_after_the_asker_has_ended_breaks_nothing_off(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        chat_engine.chat("Who are you?")
        for _ in range(5):  # numbers of threads are given out again
            response = in_a_thread(lambda: chat_engine.stream_chat(QUESTION))
            other = threading.Thread(target=chat_engine.chat, args=("And gift cards?",))
            other.start()
            assert str(response)
            other.join()

    async def test_a_task_that_waits_its_turn_does_not_take_the_place_of_the_open_stream(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        await chat_engine.achat("Who are you?")
        mine = await chat_engine.astream_chat(QUESTION)
        tokens = mine.async_response_gen()
        await tokens.__anext__()

        async def other() -> str:
            response = await chat_engine.astream_chat("Do you ship?")
            return "".join([token async for token in response.async_response_gen()])

        waiting = asyncio.create_task(other())
        await asyncio.sleep(0)
        assert (await chat_engine.achat("And gift cards?")).response
        assert await waiting
        with pytest.raises(StreamInterrupted, match="next message"):
            await tokens.__anext__()
        await chat_engine.aclose()

    async def test_an_async_question_hangs_up_the_sync_stream_of_its_task(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        response = chat_engine.stream_chat(QUESTION)
        assert next(response.response_gen)
        assert (await chat_engine.achat("And gift cards?")).response
        with pytest.raises(StreamInterrupted, match="next message"):
            str(response)
        await chat_engine.aclose()

    # aiohttp says that such a loop left a connection open, which is so; the connection goes with it.
    @pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")
    @pytest.mark.filterwarnings("ignore:.*Connection.__del__:pytest.PytestUnraisableExceptionWarning")
    def test_a_stream_of_a_loop_that_was_just_closed_is_left(self, chat_engine: CustomGPTChatEngine) -> None:
        loop = asyncio.new_event_loop()
        response = loop.run_until_complete(chat_engine.astream_chat(QUESTION))
        loop.close()

        async def go_on() -> str:
            try:
                return (await chat_engine.achat("And gift cards?")).response
            finally:
                await chat_engine.aclose()

        assert asyncio.run(go_on())
        gc.collect()
        with pytest.raises(StreamInterrupted, match="event loop"):
            str(response)
        assert asked(chat_engine) == [QUESTION, "And gift cards?"]


class TestHistory:
    async def test_it_has_the_order_of_the_service(self, chat_engine: CustomGPTChatEngine) -> None:
        await chat_engine.achat("Who are you?")
        response = await chat_engine.astream_chat(QUESTION)
        other = asyncio.create_task(chat_engine.achat("And gift cards?"))
        assert "".join([token async for token in response.async_response_gen()])
        await other
        client = await chat_engine._clients.on_this_loop()
        served = [
            message.prompt
            async for message in client.messages.list(
                chat_engine.session_id, project_id=chat_engine.project_id, order="asc"
            )
        ]
        assert asked(chat_engine) == served
        await chat_engine.aclose()

    def test_a_turn_that_was_left_before_the_first_token_is_in_it(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        emulator.faults.stall(after_events=1)
        chat_engine.stream_chat(QUESTION).close()
        assert [(message.role.value, message.content) for message in chat_engine.chat_history] == [
            ("user", QUESTION)
        ]

    def test_the_garbage_collector_may_end_a_stream_while_the_lock_is_held(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        def drop_in_a_cycle() -> None:
            response = chat_engine.stream_chat(QUESTION)
            next(response.response_gen)
            cycle: list[Any] = [response]
            cycle.append(cycle)

        gc.disable()
        try:
            drop_in_a_cycle()
            done = threading.Event()

            def collect() -> None:
                with chat_engine._conversation._lock:
                    gc.collect()
                done.set()

            threading.Thread(target=collect, daemon=True).start()
            assert done.wait(10)
        finally:
            gc.enable()
        assert asked(chat_engine) == [QUESTION]
