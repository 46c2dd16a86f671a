"""What a stream of an answer knows and decides, in both colours; the shells add the reading itself."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from customgpt_transport._answer import Answer
from customgpt_transport._flows.prompts import Prompt
from customgpt_transport._naming import silent
from customgpt_transport.errors import ConfigurationError, CustomGPTError, RequestTimeout, TransportError
from customgpt_transport.models import Message, MessageEvent


class Clocked(Protocol):
    """A body whose reads wait for a limited time."""

    def arm(self, clock: str, seconds: float) -> None:
        """Let the next reads wait at most `seconds` for a byte; `clock` is named when it runs out."""


class Reading:
    """The state of one stream: what was asked, what came, and since when no event did."""

    def __init__(self, prompt: Prompt, session_id: str | None) -> None:
        self._prompt = prompt
        self._options = prompt.options
        self._session_id = session_id
        self._answer: Answer | None = None
        self._ready: deque[MessageEvent] = deque()
        self._closed = False
        self._clock = prompt.options.clock
        self._event_at = 0.0
        self._taken_at = 0.0
        self._events = 0
        self._rearmed = False  # the next read waits less than usual, because events are overdue

    @property
    def session_id(self) -> str:
        """The conversation; known once entered (or when it was given)."""
        if self._session_id is None:
            raise ConfigurationError(
                "The session_id of a new conversation is known once the stream is entered."
            )
        return self._session_id

    @property
    def external_id(self) -> str:
        """The id that finds the message later, with `find_message` of the client."""
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

    @property
    def _prompt_id(self) -> int | None:
        finished = None if self._answer is None else self._answer.finished
        return None if finished is None else finished.prompt_id

    def _once(self) -> None:
        """Refuse to be entered again."""
        if self._answer is not None or self._closed:
            raise ConfigurationError("A stream is entered once. Call client.stream(...) again to ask again.")

    def _opened(self) -> Answer:
        """Give the answer that is being read; refuse to read what is not open."""
        answer = self._answer
        if answer is None or (self._closed and answer.finished is None):
            raise ConfigurationError(
                "This stream is not open: iterate inside the `with client.stream(...) as answer` block."
            )
        return answer

    def _take(self, events: list[MessageEvent], answer: Answer, reader: Clocked | None) -> None:
        """Keep what came; look at the clock of events, which bytes alone do not reset."""
        self._ready.extend(events)
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

    def _resume(self) -> None:
        """The next read begins: what the caller took until now was not the service's silence."""
        self._event_at += self._clock() - self._taken_at

    def _arm(self, reader: Clocked, event_left: float) -> None:
        self._rearmed = False
        idle = self._options.idle_timeout
        if event_left < idle:
            reader.arm("events", event_left)
        else:
            reader.arm("idle", idle)

    def _broken(self, error: CustomGPTError) -> CustomGPTError:
        """Give the error for a stream that a transport failure cut."""
        if isinstance(error, RequestTimeout) and error.clock == "events":  # the last read had the rest of it
            error = silent("events", self._options.event_timeout)
        if not isinstance(error, TransportError) or self._answer is None:
            return error
        interrupted = self._answer.interrupted(f"The answer broke off. {error}")
        interrupted.__cause__ = error
        return interrupted

    def _found(self, message: Message, error: CustomGPTError, answer: Answer) -> None:
        """Take the stored message for the rest; raises when it does not continue what was shown."""
        try:
            self._ready.extend(answer.complete(message))
        except CustomGPTError as differs:
            answer.failure = differs
            differs.__cause__ = error
            raise
