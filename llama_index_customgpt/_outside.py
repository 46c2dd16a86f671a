"""The text of an async answer for code that cannot await: `str()` of an async response."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from llama_index_customgpt._replay import AsyncPump

__all__ = ["text_from_outside"]

T = TypeVar("T")


def text_from_outside(pump: AsyncPump, drain: Callable[[], Coroutine[Any, Any, str]], instead: str) -> str:
    """Give the whole text, waiting for it with the calling thread where it is not complete.

    Unstarted, it is read on an event loop of its own; half-way, on the loop that feeds it. On that loop
    itself this raises a RuntimeError that says what to do `instead`: waiting would stop what feeds the
    answer. Where that loop has been closed: StreamInterrupted, with the partial answer.
    """
    if not pump.ended:
        if pump.loop is not None and pump.loop is _running_loop():
            raise _half_way(instead)
        with pump.outside:
            if not pump.ended:
                _wait_for(pump, drain, instead)
    if pump.error is not None:
        raise pump.error
    return pump.text


def _wait_for(pump: AsyncPump, drain: Callable[[], Coroutine[Any, Any, str]], instead: str) -> None:
    async def drain_if_first() -> bool:
        if pump.claim():
            await drain()
            return True
        return False

    if pump.loop is None and _run_elsewhere(drain_if_first()):
        return
    feeding = pump.loop
    if feeding is None or feeding.is_closed():
        pump.abandon()
        return
    if not feeding.is_running():
        raise _half_way(instead)
    waiting = asyncio.run_coroutine_threadsafe(drain(), feeding)
    while not concurrent.futures.wait([waiting], timeout=1.0).done:
        if feeding.is_closed():  # it will never run what was scheduled last
            pump.abandon()
            return
    if waiting.cancelled():  # by the end of that loop
        pump.abandon()
    else:
        waiting.result()


def _half_way(instead: str) -> RuntimeError:
    return RuntimeError(
        "This answer has been read half-way on this event loop, and waiting here would stop the loop that "
        f"feeds it. {instead}"
    )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _run_elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` on an event loop of its own in another thread, and wait for it.

    Always in another thread: `asyncio.run` would take the main thread's event loop away from it.
    """
    context = contextvars.copy_context()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="customgpt-str") as pool:
        return pool.submit(context.run, asyncio.run, coroutine).result()
