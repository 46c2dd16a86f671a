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
    """Return the whole text, blocking the calling thread until it is complete.

    An answer that nobody has begun to read is read on an event loop of its own, one that is half read on the
    loop that reads it. Called on that loop, this raises a RuntimeError that says what to do `instead`,
    because blocking would stop the reading. Raises `StreamInterrupted`, with the partial answer, where that
    loop has been closed.
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
        if feeding.is_closed():  # it will never run what was scheduled
            pump.abandon()
            return
    if waiting.cancelled():  # because that loop ended
        pump.abandon()
    else:
        waiting.result()


def _half_way(instead: str) -> RuntimeError:
    return RuntimeError(
        "This answer is half read on this event loop, and waiting for it here would block the loop that "
        f"reads it. {instead}"
    )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _run_elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of `coroutine`, run on an event loop of its own in another thread.

    It is always another thread: `asyncio.run` would unset the event loop of the main thread.
    """
    context = contextvars.copy_context()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="customgpt-str") as pool:
        return pool.submit(context.run, asyncio.run, coroutine).result()
