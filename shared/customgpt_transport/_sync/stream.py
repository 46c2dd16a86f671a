"""An answer while it arrives, blocking."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

from customgpt_transport._answer import Answer, looks_like
from customgpt_transport._flows import Send
from customgpt_transport._flows.prompts import Prompt, begin, is_recoverable, open_stream, recover
from customgpt_transport._flows.reading import Reading
from customgpt_transport._flows.turns import Turn
from customgpt_transport._sync.http import Connections
from customgpt_transport._sync.performing import drive, take_turn
from customgpt_transport._sync.reader import Reader, as_response
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import Message, MessageEvent


class MessageStream(Reading):
    """A prompt's answer, read as it comes: enter it (this sends the prompt), then iterate.

    Gives `AnswerDelta` (never an empty one) and at last one `AnswerFinished`, after which `message` is whole.
    Leaving early hangs up at once. An answer that breaks off is looked for where the options allow, and
    otherwise raises `StreamInterrupted`; the other errors are those of `Client.ask`.
    """

    def __init__(self, connections: Connections, prompt: Prompt, session_id: str | None) -> None:
        super().__init__(prompt, session_id)
        self._connections = connections
        self._turn: Turn | None = None
        self._reader: Reader | None = None

    def __enter__(self) -> MessageStream:
        self._once()
        try:
            self._start()
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
        self._closed = True
        self._ready.clear()
        reader, self._reader = self._reader, None
        try:
            if reader is not None:
                if self._answer is not None and self._answer.finished is not None:
                    reader.drain()
                else:
                    reader.hang_up()
        finally:
            self._end_turn()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # collected half made, or as the interpreter ends
            if self._reader is not None:
                self._reader.hang_up()
            if self._turn is not None:
                self._turn.abandon()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end(self._prompt_id)

    def _start(self) -> None:
        connections, options = self._connections, self._options
        begun = drive(begin(self._prompt, self._session_id), connections, options)
        prompt, session_id = self._prompt, self._session_id = begun
        self._turn = take_turn(prompt, session_id)
        answer = self._answer = prompt.answer(session_id)
        try:
            first = drive(open_stream(prompt, session_id, answer), connections, options, self._open)
        except CustomGPTError as error:
            self._recover(error, answer)
            return
        self._event_at = self._taken_at = self._clock()
        if isinstance(first, Message):
            self._ready.extend(answer.complete(first))
            self._end_turn()
        else:
            self._read(answer, first)

    def _open(self, send: Send) -> Response:
        """Perform the one streamed `Send`: an event stream stays open, anything else is read whole."""
        options = self._options
        response = self._connections.open(send, options)
        reader, first, kind = Reader(response, options), b"", ""
        try:
            if not 200 <= response.status_code < 300:
                reader.bound("events", options.event_timeout)
                return as_response(response, reader.rest(), options)
            reader.arm("first_byte", options.first_byte_timeout)
            reader.bound("first_byte", options.first_byte_timeout)
            while not kind and (first := reader.read()):
                kind = looks_like(first)  # what came before was blank
            if kind != "events":
                reader.bound("events", options.event_timeout)
                return as_response(response, first + reader.rest(), options)
        except BaseException:
            reader.hang_up()
            raise
        self._reader = reader
        reader.bound("events", None)
        self._arm(reader, options.event_timeout)
        return as_response(response, first, options)

    def _more(self) -> MessageEvent:
        answer = self._opened()
        while True:
            if answer.failure is not None:
                self._recover(answer.failure, answer)
            elif (
                answer.finished is not None or (reader := self._reader) is None
            ):  # another thread may close it
                self.close()
                raise StopIteration
            else:
                self._resume()
                try:
                    chunk = reader.read()
                except CustomGPTError as error:
                    self._recover(self._broken(error), answer)
                else:
                    self._read(answer, chunk)
                    del chunk  # it may echo the key, and tracebacks can show locals
            if self._ready:
                return self._ready.popleft()

    def _read(self, answer: Answer, chunk: bytes) -> None:
        self._take(answer.feed(chunk) if chunk else answer.end(), answer, self._reader)
        if answer.finished is not None:
            self._end_turn()

    def _recover(self, error: CustomGPTError, answer: Answer) -> None:
        """Get the rest from the stored message, or raise `error`."""
        if self._reader is not None:
            self._reader.hang_up()
            self._reader = None
        found: Message | None = None
        try:
            if not self._closed and is_recoverable(error) and self._turn is not None:
                flow = recover(self._prompt, self.session_id, self._turn.seen, error, retries=answer.retries)
                found = drive(flow, self._connections, self._options)
            if found is None:
                answer.failure = error
                raise error
            self._found(found, error, answer)
        except BaseException:
            self.close()
            raise
        self._end_turn()
