"""Streamed answers that can be read in any way, any number of times, and always end with their sources."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.chat_engine.types import StreamingAgentChatResponse

from llama_index_customgpt._replay import AsyncPump, AsyncReader, Pump, Reader

__all__ = [
    "CustomGPTAsyncStreamingChatResponse",
    "CustomGPTAsyncStreamingResponse",
    "CustomGPTStreamingChatResponse",
    "CustomGPTStreamingResponse",
]

T = TypeVar("T")


class CustomGPTStreamingResponse(StreamingResponse):
    """A streamed answer. The prompt is sent when it is first read.

    Loop over `response_gen` as often as you like, take `str()`, `.response` or `get_response()` at any time:
    each gives the whole answer, from one request. `source_nodes` and `metadata` are complete with the text.
    `close()` hangs up; so does dropping the response.
    """

    def __init__(self, source: Generator[str, None, None], *, metadata: dict[str, Any]) -> None:
        self._pump = Pump(source)
        self._own_reader = Reader(self._pump)
        super().__init__(response_gen=self._own_reader, source_nodes=[], metadata=metadata)

    def __str__(self) -> str:
        try:
            text = self._pump.drain()
        finally:
            self._end_tracers()
        self.response_txt = text
        return text

    @property
    def response(self) -> str:
        """The whole text; what evaluators read."""
        return str(self)

    def get_response(self) -> Response:
        """Give the finished answer as a plain `Response`."""
        return Response(str(self), self.source_nodes, self.metadata)

    def print_response_stream(self) -> None:
        """Print the answer as it comes."""
        try:
            for text in self._pump.replay():
                print(text, end="", flush=True)  # noqa: T201 - what the method is for
        finally:
            self._end_tracers()
        self.response_txt = self._pump.text

    def close(self) -> None:
        """Hang up. What has been read stays readable."""
        self._pump.close()

    def _end_tracers(self) -> None:
        """Let whoever wraps `response_gen` see the end as well: OpenInference closes its span on it."""
        if self.response_gen is self._own_reader or not self._pump.ended:
            return
        try:
            for _ in self.response_gen:
                pass
        except Exception as error:
            if error is not self._pump.error:
                raise


class CustomGPTAsyncStreamingResponse(AsyncStreamingResponse):
    """A streamed answer for async code. The prompt is sent when it is first read, on the loop that reads it.

    Loop over `response_gen` or `async_response_gen()` as often as you like, `await get_response()` at any
    time: each gives the whole answer, from one request. `str()` and `.response` do so too when nothing has
    been read (they then read on a loop of their own, and the calling thread waits) or everything; half-way,
    on the loop that feeds the answer, they raise a RuntimeError, because waiting there would never end.
    """

    def __init__(self, source: AsyncGenerator[str, None], *, metadata: dict[str, Any]) -> None:
        self._pump = AsyncPump(source)
        self._own_reader = AsyncReader(self._pump)
        super().__init__(response_gen=self._own_reader, source_nodes=[], metadata=metadata)

    def __str__(self) -> str:
        if not self._pump.ended:
            self._drain_from_outside()
        elif self._pump.error is not None:
            raise self._pump.error
        self.response_txt = self._pump.text
        return self.response_txt

    @property
    def response(self) -> str:
        """The whole text; what evaluators read. As `str()`."""
        return str(self)

    async def get_response(self) -> Response:
        """Give the finished answer as a plain `Response`."""
        text = await self._adrain()
        return Response(text, self.source_nodes, self.metadata)

    async def async_response_gen(self) -> AsyncGenerator[str, None]:
        """Read the answer from the beginning, as it comes."""
        try:
            async for text in self._pump.replay():
                yield text
        finally:
            await self._end_tracers()
        self.response_txt = self._pump.text

    async def print_response_stream(self) -> None:
        """Print the answer as it comes."""
        async for text in self.async_response_gen():
            print(text, end="", flush=True)  # noqa: T201 - what the method is for
        print()  # noqa: T201 - as core does

    async def aclose(self) -> None:
        """Hang up. What has been read stays readable."""
        await self._pump.aclose()

    async def _adrain(self) -> str:
        try:
            text = await self._pump.drain()
        finally:
            await self._end_tracers()
        self.response_txt = text
        return text

    def _drain_from_outside(self) -> None:
        feeding = self._pump.loop
        if feeding is None:
            _run_elsewhere(self._adrain())
            return
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if feeding is here or not feeding.is_running():
            raise RuntimeError(
                "This answer has been read half-way on this event loop, and waiting here would stop the loop "
                "that feeds it. Use `(await r.get_response()).response` instead of `str(r)`."
            )
        asyncio.run_coroutine_threadsafe(self._adrain(), feeding).result()

    async def _end_tracers(self) -> None:
        if self.response_gen is self._own_reader or not self._pump.ended:
            return
        try:
            async for _ in self.response_gen:
                pass
        except Exception as error:
            if error is not self._pump.error:
                raise


class CustomGPTStreamingChatResponse(StreamingAgentChatResponse):
    """A streamed answer of the chat engine; the prompt is already on its way.

    Loop over `response_gen`, or take `str()`. Leaving a loop early, `close()`, and dropping the response hang
    up, and what has been said so far goes into the history. `source_nodes` and `metadata` (session and prompt
    id) are complete when the text is.
    """

    def __init__(self, source: Generator[str, None, None], *, metadata: dict[str, Any]) -> None:
        super().__init__(is_writing_to_memory=False)
        self.metadata = metadata
        self._pump = Pump(source, hang_up_on_leave=True)
        self._own_reader = Reader(self._pump)

    def __str__(self) -> str:
        return self._pump.drain()

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """The answer as it comes; every loop over it starts at the beginning."""
        return self._own_reader

    def async_response_gen(self) -> AsyncGenerator[str, None]:
        """Refuse: this answer comes over the sync client."""
        raise ValueError(
            "This answer comes from stream_chat(); for async reading use `await astream_chat()`."
        )

    def close(self) -> None:
        """Hang up. What has been read stays readable."""
        self._pump.close()


class CustomGPTAsyncStreamingChatResponse(StreamingAgentChatResponse):
    """A streamed answer of the chat engine for async code; the prompt is already on its way.

    Loop over `async_response_gen()`. Leaving a loop early, `aclose()`, and dropping the response hang up, and
    what has been said so far goes into the history. `str()` gives the text so far. `source_nodes` and
    `metadata` (session and prompt id) are complete when the text is.
    """

    def __init__(self, source: AsyncGenerator[str, None], *, metadata: dict[str, Any]) -> None:
        super().__init__(is_writing_to_memory=False)
        self.metadata = metadata
        self._pump = AsyncPump(source, hang_up_on_leave=True)

    def __str__(self) -> str:
        return self._pump.text

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """Refuse: this answer comes over the async client."""
        raise ValueError("This answer comes from astream_chat(); read it with `async_response_gen()`.")

    def async_response_gen(self) -> AsyncGenerator[str, None]:
        """Read the answer from the beginning, as it comes."""
        return self._pump.replay()

    async def aclose(self) -> None:
        """Hang up. What has been read stays readable."""
        await self._pump.aclose()


def _run_elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` on an event loop of its own in another thread, and wait for it.

    Always in another thread: `asyncio.run` would take the main thread's event loop away from it.
    """
    context = contextvars.copy_context()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="customgpt-str") as pool:
        return pool.submit(context.run, asyncio.run, coroutine).result()
