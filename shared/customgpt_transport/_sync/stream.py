"""An answer while it arrives, blocking."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from customgpt_transport._flows.prompts import Prompt
from customgpt_transport._flows.reading import Reading
from customgpt_transport._sync.http import Connections
from customgpt_transport._sync.performing import drive
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import MessageEvent


class MessageStream(Reading):
    """A prompt's answer, read as it comes: enter it (this sends the prompt), then iterate.

    Yields `AnswerDelta` (never empty) and finally one `AnswerFinished`, after which `message` is whole.
    Leaving early hangs up at once. An answer that breaks off is looked for where the options allow, and
    otherwise raises `StreamInterrupted`; the other errors are those of `Client.ask`.
    """

    def __init__(self, connections: Connections, prompt: Prompt, session_id: str | None) -> None:
        super().__init__(prompt, session_id, blocking=True)
        self._connections = connections

    def __enter__(self) -> MessageStream:
        self._once()
        try:
            drive(self._starting(), self._connections, self._options)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[MessageEvent]:
        return self

    def __next__(self) -> MessageEvent:
        return self._ready.popleft() if self._ready else self._more()

    def close(self) -> None:
        """Hang up, or after the finish keep the connection for the next request. Harmless when repeated."""
        try:
            if (reader := self._leave()) is not None:
                reader.drain()
        finally:
            self._end_turn()

    def _more(self) -> MessageEvent:
        answer = self._opened()
        while True:
            if answer.failure is not None:
                flow = self._recovering(answer.failure, answer)
                drive(flow, self._connections, self._options)
            elif answer.finished is not None or (reader := self._reader) is None:
                self.close()
                raise StopIteration
            else:
                self._resume()
                try:
                    chunk = reader.read()
                except CustomGPTError as error:
                    answer.failure = self._broken(error)
                else:
                    self._feed(answer, chunk)
                    del chunk  # it may echo the key, and tracebacks can show locals
            if self._ready:
                return self._ready.popleft()
