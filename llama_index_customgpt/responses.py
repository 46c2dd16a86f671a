"""Streamed answers that can be read in any way, any number of times, and have their sources at the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.types import TokenAsyncGen, TokenGen

from llama_index_customgpt._asking import AsyncLine, Line
from llama_index_customgpt._outside import text_from_outside
from llama_index_customgpt._readers import AsyncReplayGenerator, ReplayGenerator
from llama_index_customgpt._replay import AsyncPump, Pump

__all__ = [
    "CustomGPTAsyncStreamingChatResponse",
    "CustomGPTAsyncStreamingResponse",
    "CustomGPTResponse",
    "CustomGPTStreamingChatResponse",
    "CustomGPTStreamingResponse",
]


class CustomGPTResponse(Response):
    """A `Response` whose `str()` is the text, even if it is empty (core's would be "None")."""

    def __str__(self) -> str:
        return self.response or ""


class CustomGPTStreamingResponse(StreamingResponse):
    """A streamed answer. The prompt is sent when it is first read.

    Loop over `response_gen`, or use `str()`, `.response` or `get_response()`, at any time and as often as you
    like: each gives the whole answer, from one request. `source_nodes` and `metadata` are complete when the
    text is. `close()`, or dropping the response, hangs up: what has been read stays readable, and those who
    are reading get `StreamInterrupted`.
    """

    def __init__(self, source: Generator[str, None, None], line: Line, *, metadata: dict[str, Any]) -> None:
        self._pump = Pump(source, hang_up=line.hang_up)
        self._own_reader = ReplayGenerator(self._pump)
        super().__init__(response_gen=self._own_reader, source_nodes=[], metadata=metadata)

    @property
    def response_gen(self) -> TokenGen:
        """The answer as it comes. A tracer may set a wrapper, which is returned until it has seen the end."""
        return self._own_reader if self._own_reader.at_end else self._tokens

    @response_gen.setter
    def response_gen(self, tokens: TokenGen) -> None:
        self._tokens = tokens

    def __str__(self) -> str:
        try:
            text = self._pump.drain()
        finally:
            self._end_tracers()
        self.response_txt = text
        return text

    @property
    def response(self) -> str:
        """The whole text, as evaluators read it."""
        return str(self)

    def get_response(self) -> CustomGPTResponse:
        """Return the finished answer as a plain `Response`."""
        return CustomGPTResponse(str(self), self.source_nodes, self.metadata)

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
        """Run the wrapper of `response_gen` to its end as well: OpenInference then closes its span."""
        if self._tokens is self._own_reader or self._own_reader.at_end or not self._pump.ended:
            return
        try:
            for _ in self._tokens:
                pass
        except Exception as error:
            if error not in (self._pump.error, self._pump.hung_up):
                raise


class CustomGPTAsyncStreamingResponse(AsyncStreamingResponse):
    """A streamed answer for async code. The prompt is sent when it is first read, on the loop that reads it.

    Loop over `response_gen` or `async_response_gen()`, or `await get_response()`, at any time and as often as
    you like: each gives the whole answer, from one request. So do `str()` and `.response` when everything has
    been read, or nothing; in that case they read on a loop of their own and block the calling thread. Half
    read, on the loop that reads the answer, they raise a RuntimeError, because the wait would never end.
    """

    def __init__(
        self, source: AsyncGenerator[str, None], line: AsyncLine, *, metadata: dict[str, Any]
    ) -> None:
        self._pump = AsyncPump(source, hang_up=line.hang_up)
        self._own_reader = AsyncReplayGenerator(self._pump)
        super().__init__(response_gen=self._own_reader, source_nodes=[], metadata=metadata)

    @property
    def response_gen(self) -> TokenAsyncGen:
        """The answer as it comes. A tracer may set a wrapper, which is returned until it has seen the end."""
        return self._own_reader if self._own_reader.at_end else self._tokens

    @response_gen.setter
    def response_gen(self, tokens: TokenAsyncGen) -> None:
        self._tokens = tokens

    def __str__(self) -> str:
        self.response_txt = text_from_outside(
            self._pump, self._adrain, "Use `(await r.get_response()).response` instead of `str(r)`."
        )
        return self.response_txt

    @property
    def response(self) -> str:
        """The whole text, as evaluators read it. Waits, or raises, as `str()` does."""
        return str(self)

    async def get_response(self) -> CustomGPTResponse:
        """Return the finished answer as a plain `Response`."""
        text = await self._adrain()
        return CustomGPTResponse(text, self.source_nodes, self.metadata)

    async def async_response_gen(self) -> AsyncGenerator[str, None]:
        """Yield the answer from the beginning, as it comes."""
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

    async def _end_tracers(self) -> None:
        if self._tokens is self._own_reader or self._own_reader.at_end or not self._pump.ended:
            return
        try:
            async for _ in self._tokens:
                pass
        except Exception as error:
            if error not in (self._pump.error, self._pump.hung_up):
                raise


class CustomGPTStreamingChatResponse(StreamingAgentChatResponse):
    """A streamed answer of the chat engine. Its prompt has been sent.

    Loop over `response_gen`, or use `str()`. `close()`, dropping the response, or leaving its last `for` loop
    early hangs up; the text so far then goes into the history. `source_nodes` and `metadata` (with session
    and prompt id) are complete when the text is.
    """

    def __init__(self, source: Generator[str, None, None], line: Line, *, metadata: dict[str, Any]) -> None:
        super().__init__(is_writing_to_memory=False)
        self.metadata = metadata
        self._pump = Pump(source, hang_up=line.hang_up, hang_up_on_leave=True)
        self._own_reader = ReplayGenerator(self._pump)

    def __str__(self) -> str:
        return self._pump.drain()

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """The answer as it comes. Every loop over it starts at the beginning."""
        return self._own_reader

    def async_response_gen(self) -> AsyncGenerator[str, None]:
        """Raise `ValueError`: this answer comes over the sync client."""
        raise ValueError(
            "This answer comes from stream_chat(). To read one asynchronously, use `await astream_chat()`."
        )

    def close(self) -> None:
        """Hang up. What has been read stays readable."""
        self._pump.close()


class CustomGPTAsyncStreamingChatResponse(StreamingAgentChatResponse):
    """A streamed answer of the chat engine for async code. Its prompt has been sent.

    Loop over `async_response_gen()`. `aclose()`, dropping the response, or leaving its last loop early hangs
    up; the text so far then goes into the history. `str()` gives the whole text once it has been read. Before
    that, it blocks when called from another thread, and raises a RuntimeError on the loop that reads the
    answer. `source_nodes` and `metadata` (with session and prompt id) are complete when the text is.
    """

    def __init__(
        self, source: AsyncGenerator[str, None], line: AsyncLine, *, metadata: dict[str, Any]
    ) -> None:
        super().__init__(is_writing_to_memory=False)
        self.metadata = metadata
        self._pump = AsyncPump(source, hang_up=line.hang_up, hang_up_on_leave=True)

    def __str__(self) -> str:
        return text_from_outside(
            self._pump, self._pump.drain, "Read `async_response_gen()` to its end before you take `str(r)`."
        )

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """Raise `ValueError`: this answer comes over the async client."""
        raise ValueError("This answer comes from astream_chat(): read it with `async_response_gen()`.")

    def async_response_gen(self) -> AsyncGenerator[str, None]:
        """Yield the answer from the beginning, as it comes."""
        return self._pump.replay()

    async def aclose(self) -> None:
        """Hang up. What has been read stays readable."""
        await self._pump.aclose()
