"""An answer while it arrives, asynchronous."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

from customgpt_transport._async.http import Connections
from customgpt_transport._async.performing import drive
from customgpt_transport._flows.prompts import Prompt
from customgpt_transport._flows.reading import Reading
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import MessageEvent


class AsyncMessageStream(Reading):
    """A prompt's answer, read as it comes: enter it (this sends the prompt), then iterate.

    As `MessageStream`, with `async with`, `async for` and `aclose`. Cancelling the task that reads hangs up.
    """

    def __init__(self, connections: Connections, prompt: Prompt, session_id: str | None) -> None:
        super().__init__(prompt, session_id, blocking=False)
        self._connections = connections

    async def __aenter__(self) -> AsyncMessageStream:
        self._once()
        try:
            await drive(self._starting(), self._connections, self._options)
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
        try:
            if (reader := self._leave()) is not None:
                await reader.drain()
        finally:
            self._end_turn()

    async def _more(self) -> MessageEvent:
        answer = self._opened()
        while True:
            if answer.failure is not None:
                flow = self._recovering(answer.failure, answer)
                await drive(flow, self._connections, self._options)
            elif answer.finished is not None or (reader := self._reader) is None:
                await self.aclose()
                raise StopAsyncIteration
            else:
                self._resume()
                try:
                    chunk = await reader.read()
                except CustomGPTError as error:
                    answer.failure = self._broken(error)
                except BaseException:  # cancelled: nobody reads on
                    await self.aclose()
                    raise
                else:
                    self._feed(answer, chunk)
                    del chunk  # it may echo the key, and tracebacks can show locals
            if self._ready:
                return self._ready.popleft()
