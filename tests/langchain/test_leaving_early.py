"""Whoever leaves an answer early hangs up at once, and callbacks hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler

from langchain_customgpt import ChatCustomGPT, CustomGPTRetriever

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid?"


def left_early(emulator: Emulator) -> int:
    """Return how many events the emulator had sent when it saw the client leave."""
    return emulator.journal.wait_for(lambda entry: entry.disconnected).events_sent


def test_breaking_out_of_a_stream_hangs_up_at_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    emulator.faults.stall(after_events=3)
    for chunk in chat.stream(QUESTION):
        assert chunk.content
        break
    assert left_early(emulator) == 3


def test_close_of_a_stream_hangs_up_at_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    emulator.faults.stall(after_events=3)
    chunks = chat.stream(QUESTION)
    next(iter(chunks))
    chunks.close()
    assert left_early(emulator) == 3


async def test_aclose_of_an_async_stream_hangs_up_at_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    emulator.faults.stall(after_events=3)
    chunks = chat.astream(QUESTION)
    await anext(chunks)
    await chunks.aclose()
    assert await asyncio.to_thread(left_early, emulator) == 3


async def test_breaking_out_of_an_async_stream_hangs_up_at_once(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    emulator.faults.stall(after_events=3)
    async for _ in chat.astream(QUESTION):
        break
    assert await asyncio.to_thread(left_early, emulator) == 3


async def test_aclose_of_v3_events_hangs_up_at_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    emulator.faults.stall(after_events=3)
    events = await chat.astream_events(QUESTION, version="v3")
    async for _ in events:
        break
    await events.aclose()
    assert await asyncio.to_thread(left_early, emulator) <= 3


class Heard(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.events: list[str] = []

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("start")

    async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("end")

    async def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.events.append(f"error:{type(error).__name__}")

    async def on_retriever_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("start")

    async def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(f"error:{type(error).__name__}")


async def sent(emulator: Emulator) -> None:
    """Wait until a prompt is being answered."""
    await asyncio.to_thread(
        emulator.journal.wait_for, lambda entry: entry.prompt is not None and entry.events_sent > 0
    )


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_cancelled_ainvoke_tells_callbacks_and_hangs_up(
    make_chat: MakeChat, emulator: Emulator, streaming: bool
) -> None:
    chat, heard = make_chat(streaming=True) if streaming else make_chat(), Heard()
    emulator.faults.stall(after_events=3)
    task = asyncio.ensure_future(chat.ainvoke(QUESTION, {"callbacks": [heard]}))
    await sent(emulator)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.events == ["start", "error:CancelledError"]
    assert await asyncio.to_thread(left_early, emulator) == 3


async def test_a_cancelled_retriever_tells_callbacks(where: dict[str, Any], emulator: Emulator) -> None:
    heard = Heard()
    emulator.faults.stall(after_events=3)
    task = asyncio.ensure_future(CustomGPTRetriever(**where).ainvoke(QUESTION, {"callbacks": [heard]}))
    await sent(emulator)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.events == ["start", "error:CancelledError"]
