"""Whoever leaves an answer early hangs up, and the history of a chat keeps what was read."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import MessageRole

from customgpt_transport import StreamInterrupted
from llama_index_customgpt import CustomGPTChatEngine, CustomGPTQueryEngine

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

QUESTION = "How do refunds work?"


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestTheHistoryKeepsWhatWasRead:
    def check(self, engine: CustomGPTChatEngine, token: str) -> None:
        user, agent = engine.chat_history
        assert (user.role, user.content) == (MessageRole.USER, QUESTION)
        assert agent.role == MessageRole.ASSISTANT
        assert (agent.content or "").startswith(token)

    def test_after_close(self, chat_engine: CustomGPTChatEngine) -> None:
        tokens = chat_engine.stream_chat(QUESTION).response_gen
        token = next(tokens)
        tokens.close()
        self.check(chat_engine, token)

    def test_after_break(self, chat_engine: CustomGPTChatEngine) -> None:
        response = chat_engine.stream_chat(QUESTION)
        seen = []
        for token in response.response_gen:
            seen.append(token)
            break
        self.check(chat_engine, seen[0])
        assert response.response.startswith(seen[0])

    def test_after_the_response_was_dropped(self, chat_engine: CustomGPTChatEngine) -> None:
        response = chat_engine.stream_chat(QUESTION)
        token = next(response.response_gen)
        del response
        gc.collect()
        self.check(chat_engine, token)

    def test_the_next_question_ends_the_open_answer(self, chat_engine: CustomGPTChatEngine) -> None:
        response = chat_engine.stream_chat(QUESTION)
        token = next(response.response_gen)
        chat_engine.chat("And gift cards?")
        assert [message.content for message in chat_engine.chat_history[::2]] == [QUESTION, "And gift cards?"]
        assert (chat_engine.chat_history[1].content or "").startswith(token)
        with pytest.raises(StreamInterrupted, match="next message"):
            str(response)

    def test_a_question_from_inside_the_loop_ends_the_open_answer(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        with pytest.raises(StreamInterrupted, match="next message"):
            for _ in chat_engine.stream_chat(QUESTION).response_gen:
                chat_engine.chat("And gift cards?")
        assert len(chat_engine.chat_history) == 4

    async def test_a_question_from_inside_the_async_loop_ends_the_open_answer(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        with pytest.raises(StreamInterrupted, match="next message"):
            async for _ in (await chat_engine.astream_chat(QUESTION)).async_response_gen():
                await chat_engine.achat("And gift cards?")
        assert len(chat_engine.chat_history) == 4
        await chat_engine.aclose()

    async def test_after_an_async_close(self, chat_engine: CustomGPTChatEngine) -> None:
        response = await chat_engine.astream_chat(QUESTION)
        tokens = response.async_response_gen()
        token = await tokens.__anext__()
        await tokens.aclose()
        self.check(chat_engine, token)
        await chat_engine.aclose()

    async def test_after_an_async_break_and_the_next_question(self, chat_engine: CustomGPTChatEngine) -> None:
        for keep in (True, False):
            chat_engine.reset()
            response: Any = await chat_engine.astream_chat(QUESTION)
            seen = []
            async for token in response.async_response_gen():
                seen.append(token)
                break
            if not keep:
                del response
            await chat_engine.achat("And gift cards?")
            asked = [message.content for message in chat_engine.chat_history[::2]]
            assert asked == [QUESTION, "And gift cards?"]
            assert (chat_engine.chat_history[1].content or "").startswith(seen[0])
        await chat_engine.aclose()


class TestHangingUp:
    def test_leaving_hangs_up_before_the_answer_ends(self, where: dict[str, Any], emulator: Emulator) -> None:
        engine = CustomGPTChatEngine(**where)
        emulator.faults.stall(after_events=4)
        for _ in engine.stream_chat(QUESTION).response_gen:
            break
        _wait_for(lambda: emulator.journal.prompts()[-1].disconnected)
        assert [message.role.value for message in engine.chat_history] == ["user", "assistant"]
        engine.close()

    async def test_aclose_hangs_up_before_the_answer_ends(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        async with CustomGPTChatEngine(**where) as engine:
            emulator.faults.stall(after_events=4)
            tokens = (await engine.astream_chat(QUESTION)).async_response_gen()
            await tokens.__anext__()
            await tokens.aclose()
            await asyncio.to_thread(_wait_for, lambda: emulator.journal.prompts()[-1].disconnected)
            assert [message.role.value for message in engine.chat_history] == ["user", "assistant"]

    async def test_cancelling_a_reader_hangs_up_and_keeps_the_partial_answer(
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
