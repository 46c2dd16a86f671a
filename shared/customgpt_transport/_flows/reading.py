"""The state and decisions of a streamed answer, for both clients, which read it chunk by chunk."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Any, Protocol

from customgpt_transport._answer import Answer, looks_like
from customgpt_transport._flows import Call, Flow, Open, Send
from customgpt_transport._flows.prompts import Prompt, begin, is_recoverable, open_stream, recover
from customgpt_transport._flows.turns import Turn, take_turn
from customgpt_transport._naming import silent
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import ConfigurationError, CustomGPTError, RequestTimeout, TransportError
from customgpt_transport.models import Message, MessageEvent


class BodyReader(Protocol):
    """The body of one response, read under its clocks. What reads is awaited in the asynchronous client."""

    @property
    def status(self) -> int:
        """The response's status."""

    def arm(self, clock: str, seconds: float) -> None:
        """Let the next reads wait at most `seconds` for a byte; `clock` is named when it runs out."""

    def bound(self, clock: str, seconds: float | None) -> None:
        """Let all that is still to come take at most `seconds`, however bytes trickle; None lifts that."""

    def read(self) -> Any:
        """Return the next bytes, b"" at the end. Raises our errors only."""

    def rest(self) -> Any:
        """Return all that is left: of an answer at most `max_event_bytes`, of an error the beginning."""

    def drain(self) -> Any:
        """Read what little may follow, so that the connection can be used again, or else hang up."""

    def hang_up(self) -> None:
        """Close the connection now. Harmless when repeated, and after the end."""

    def hang_up_from_anywhere(self) -> None:
        """As `hang_up`, from the garbage collector, which runs on any thread."""

    def response(self, body: bytes = b"", *, saved: int = 0) -> Response:
        """Return the plain response; a key that the body or a header echoes is taken out."""


class Reading:
    """The state of one stream: the prompt, what has arrived, and when the last event did."""

    def __init__(self, prompt: Prompt, session_id: str | None, *, blocking: bool) -> None:
        self._prompt = prompt
        self._options = prompt.options
        self._session_id = session_id
        self._blocking = blocking
        self._answer: Answer | None = None
        self._turn: Turn | None = None
        self._reader: BodyReader | None = None
        self._ready: deque[MessageEvent] = deque()
        self._closed = False
        self._clock = prompt.options.clock
        self._event_at = 0.0
        self._taken_at = 0.0
        self._events = 0
        self._rearmed = False  # the next read waits less than usual, because events are overdue

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # collected half made, or as the interpreter ends
            if self._reader is not None:
                self._reader.hang_up_from_anywhere()

    @property
    def session_id(self) -> str:
        """The conversation's id, once the stream is entered (or from the start, if it was given)."""
        if self._session_id is None:
            raise ConfigurationError(
                "The session_id of a new conversation is known once the stream is entered."
            )
        return self._session_id

    @property
    def external_id(self) -> str:
        """The id to find the message by later, with the client's `find_message`."""
        return self._prompt.external_id

    @property
    def project_id(self) -> int:
        """The agent that answers."""
        return self._prompt.project_id

    @property
    def partial_answer(self) -> str:
        """The text so far."""
        return "" if self._answer is None else self._answer.text

    @property
    def message(self) -> Message:
        """The whole message, after the finish event; raises `CustomGPTError` before it."""
        if self._answer is None:
            raise ConfigurationError("Nothing was sent yet: enter the stream, and read it to its end.")
        return self._answer.message

    def _once(self) -> None:
        """Raise `ConfigurationError` if the stream was entered before."""
        if self._answer is not None or self._closed:
            raise ConfigurationError("A stream is entered once. Call client.stream(...) again to ask again.")

    def _starting(self) -> Flow[None]:
        """Send the prompt, in its turn, and take the first bytes of the answer."""
        self._prompt, session_id = yield from begin(self._prompt, self._session_id)
        self._session_id = session_id
        self._turn = yield from take_turn(self._options, session_id, blocking=self._blocking)
        answer = self._answer = self._prompt.answer(session_id)
        try:
            first = yield from open_stream(self._prompt, session_id, answer, self._opening)
        except CustomGPTError as error:
            failure = error
        else:
            self._event_at = self._taken_at = self._clock()
            if isinstance(first, Message):
                self._ready.extend(answer.complete(first))
                self._end_turn()
            else:
                self._feed(answer, first)
            return
        yield from self._recovering(failure, answer)

    def _opening(self, send: Send) -> Flow[Response]:
        """Perform the one streamed `Send`: an event stream stays open, anything else is read whole."""
        options, first, kind = self._options, b"", ""
        reader: BodyReader = yield Open(send)
        try:
            if not 200 <= reader.status < 300:
                reader.bound("events", options.event_timeout)
                return reader.response((yield Call(reader.rest)))
            reader.arm("first_byte", options.first_byte_timeout)
            reader.bound("first_byte", options.first_byte_timeout)
            while not kind and (first := (yield Call(reader.read))):
                kind = looks_like(first)  # what came before was blank
            if kind != "events":
                reader.bound("events", options.event_timeout)
                return reader.response(first + (yield Call(reader.rest)))
        except BaseException:
            del first  # it may echo the key, and tracebacks can show locals
            reader.hang_up()
            raise
        self._reader = reader
        reader.bound("events", None)
        self._arm(reader, options.event_timeout)
        return reader.response(first)

    def _recovering(self, error: CustomGPTError, answer: Answer) -> Flow[None]:
        """Get the rest from the stored message, or raise `error`."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.hang_up()
        found: Message | None = None
        try:
            if not self._closed and is_recoverable(error) and self._turn is not None:
                seen, retries = self._turn.seen, answer.retries
                found = yield from recover(self._prompt, self.session_id, seen, error, retries=retries)
            if found is None:
                answer.failure = error
                raise error
            try:
                self._ready.extend(answer.complete(found))
            except CustomGPTError as differs:
                answer.failure = differs
                differs.__cause__ = error
                raise
        except BaseException:
            self._leave()
            raise
        finally:
            self._end_turn()

    def _leave(self) -> BodyReader | None:
        """Stop reading. After the finish return the body to drain, otherwise hang up."""
        self._closed = True
        self._ready.clear()
        reader, self._reader = self._reader, None
        if reader is None or (self._answer is not None and self._answer.finished is not None):
            return reader
        reader.hang_up()
        return None

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            finished = None if self._answer is None else self._answer.finished
            turn.end(None if finished is None else finished.prompt_id)

    def _opened(self) -> Answer:
        """Return the answer that is being read. Raise `ConfigurationError` if the stream is not open."""
        answer = self._answer
        if answer is None or (self._closed and answer.finished is None):
            raise ConfigurationError(
                "This stream is not open: iterate inside the `with client.stream(...) as answer` block."
            )
        return answer

    def _feed(self, answer: Answer, chunk: bytes) -> None:
        """Take the next bytes, and check the clock of events, which bytes alone do not reset."""
        reader = self._reader
        self._ready.extend(answer.feed(chunk) if chunk else answer.end())
        now = self._taken_at = self._clock()
        if answer.events != self._events:
            self._events, self._event_at = answer.events, now
            if self._rearmed and reader is not None:
                self._arm(reader, self._options.event_timeout)
        elif reader is not None and answer.finished is None and answer.failure is None:
            left = self._options.event_timeout - (now - self._event_at)
            if left <= 0:
                answer.failure = self._broken(silent("events", self._options.event_timeout))
            else:
                self._arm(reader, left)
                self._rearmed = True
        if answer.finished is not None:
            self._end_turn()

    def _resume(self) -> None:
        """Begin the next read. Time that the caller took does not count as silence of the service."""
        self._event_at += self._clock() - self._taken_at

    def _arm(self, reader: BodyReader, event_left: float) -> None:
        self._rearmed = False
        idle = self._options.idle_timeout
        if event_left < idle:
            reader.arm("events", event_left)
        else:
            reader.arm("idle", idle)

    def _broken(self, error: CustomGPTError) -> CustomGPTError:
        """Return the error for a stream that a transport failure cut short."""
        if isinstance(error, RequestTimeout) and error.clock == "events":  # the last read had the rest of it
            error = silent("events", self._options.event_timeout)
        if not isinstance(error, TransportError) or self._answer is None:
            return error
        interrupted = self._answer.interrupted(f"The answer broke off. {error}")
        interrupted.__cause__ = error
        return interrupted
