"""An answer while it arrives, asynchronous."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import TracebackType

from customgpt_transport._answer import Answer, looks_like
from customgpt_transport._async.http import Connections
from customgpt_transport._async.performing import drive, take_turn
from customgpt_transport._async.reader import Reader, as_response
from customgpt_transport._flows import Send
from customgpt_transport._flows.prompts import Prompt, begin, is_recoverable, open_stream, recover
from customgpt_transport._flows.reading import Reading
from customgpt_transport._flows.turns import Turn
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import Message, MessageEvent


class AsyncMessageStream(Reading):
    """A prompt's answer, read as it comes: enter it (this sends the prompt), then iterate.

    As `MessageStream`, with `async with`, `async for` and `aclose`. Cancelling the task that reads hangs up.
    """

    def __init__(self, connections: Connections, prompt: Prompt, session_id: str | None) -> None:
        super().__init__(prompt, session_id)
        self._connections = connections
        self._turn: Turn | None = None
        self._reader: Reader | None = None

    async def __aenter__(self) -> AsyncMessageStream:
        self._once()
        try:
            await self._start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[MessageEvent]:
        return self

    async def __anext__(self) -> MessageEvent:
        return self._ready.popleft() if self._ready else await self._more()

    async def aclose(self) -> None:
        """Hang up, or after the finish keep the connection for the next request. Harmless when repeated."""
        self._closed = True
        self._ready.clear()
        reader, self._reader = self._reader, None
        self._end_turn()
        if reader is not None:
            if self._answer is not None and self._answer.finished is not None:
                await reader.drain()
            else:
                reader.hang_up()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # collected half made, or as the interpreter ends
            if self._reader is not None:
                self._reader.hang_up_from_anywhere()
            if self._turn is not None:
                self._turn.abandon()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end(self._prompt_id)

    async def _start(self) -> None:
        connections, options = self._connections, self._options
        begun = await drive(begin(self._prompt, self._session_id), connections, options)
        prompt, session_id = self._prompt, self._session_id = begun
        self._turn = await take_turn(prompt, session_id)
        answer = self._answer = prompt.answer(session_id)
        try:
            first = await drive(open_stream(prompt, session_id, answer), connections, options, self._open)
        except CustomGPTError as error:
            await self._recover(error, answer)
            return
        self._event_at = self._taken_at = self._clock()
        if isinstance(first, Message):
            self._ready.extend(answer.complete(first))
            self._end_turn()
        else:
            self._read(answer, first)

    async def _open(self, send: Send) -> Response:
        """Perform the one streamed `Send`: an event stream stays open, anything else is read whole."""
        options = self._options
        reader = await self._connections.open(send, options)
        response, first, kind = reader.response, b"", ""
        try:
            if not 200 <= response.status < 300:
                reader.bound("events", options.event_timeout)
                return as_response(response, await reader.rest(), options)
            reader.arm("first_byte", options.first_byte_timeout)
            reader.bound("first_byte", options.first_byte_timeout)
            while not kind and (first := await reader.read()):
                kind = looks_like(first)  # what came before was blank
            if kind != "events":
                reader.bound("events", options.event_timeout)
                return as_response(response, first + await reader.rest(), options)
        except BaseException:
            reader.hang_up()
            raise
        self._reader = reader
        reader.bound("events", None)
        self._arm(reader, options.event_timeout)
        return as_response(response, first, options)

    async def _more(self) -> MessageEvent:
        answer = self._opened()
        while True:
            if answer.failure is not None:
                await self._recover(answer.failure, answer)
            elif answer.finished is not None or self._reader is None:
                await self.aclose()
                raise StopAsyncIteration
            else:
                self._resume()
                try:
                    chunk = await self._reader.read()
                except CustomGPTError as error:
                    await self._recover(self._broken(error), answer)
                except BaseException:  # cancelled: nobody reads on
                    await self.aclose()
                    raise
                else:
                    self._read(answer, chunk)
                    del chunk  # it may echo the key, and tracebacks can show locals
            if self._ready:
                return self._ready.popleft()

    def _read(self, answer: Answer, chunk: bytes) -> None:
        self._take(answer.feed(chunk) if chunk else answer.end(), answer, self._reader)
        if answer.finished is not None:
            self._end_turn()

    async def _recover(self, error: CustomGPTError, answer: Answer) -> None:
        """Get the rest from the stored message, or raise `error`."""
        if self._reader is not None:
            self._reader.hang_up()
            self._reader = None
        found: Message | None = None
        try:
            if not self._closed and is_recoverable(error) and self._turn is not None:
                flow = recover(self._prompt, self.session_id, self._turn.seen, error, retries=answer.retries)
                found = await drive(flow, self._connections, self._options)
            if found is None:
                answer.failure = error
                raise error
            self._found(found, error, answer)
        except BaseException:
            await self.aclose()
            raise
        self._end_turn()
