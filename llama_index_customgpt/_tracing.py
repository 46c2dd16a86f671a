"""Spans for streams.

LlamaIndex closes the span of `query` when the method returns, long before the last token, and tracers drop
what is reported to a closed span. So a stream has a span of its own, a child of the span that asked, from its
first token to its last.
"""

from __future__ import annotations

import inspect
from typing import Any
from uuid import uuid4

# The names below are public, but not declared as exports: hence the ignores.
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import NullEventHandler
from llama_index.core.instrumentation.events.base import BaseEvent  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events.chat_engine import StreamChatDeltaReceivedEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.span import SpanDropEvent  # type: ignore[attr-defined]
from llama_index.core.instrumentation.span import active_span_id

__all__ = ["StreamSpan", "anyone_listens"]

_dispatcher = get_dispatcher(__name__)


def _stream(question: str) -> None:
    """Provide a signature: LlamaIndex wants the bound arguments of the call that a span describes."""


class StreamSpan:
    """The span of one stream. Construct it inside the span that asks, which becomes its parent."""

    def __init__(self, owner: object, question: str) -> None:
        self._owner = owner
        self._id = f"{type(owner).__name__}.stream-{uuid4()}"
        self._parent = active_span_id.get()
        self._arguments = inspect.signature(_stream).bind(question)

    def enter(self, *events: BaseEvent) -> None:
        """Open the span and report `events` to it."""
        _dispatcher.span_enter(
            id_=self._id, bound_args=self._arguments, instance=self._owner, parent_id=self._parent
        )
        self._report(*events)

    def delta(self, text: str) -> None:
        """Report a token."""
        self._report(StreamChatDeltaReceivedEvent(delta=text))

    def exit(self, result: object, *events: BaseEvent) -> None:
        """Report `events` and close the span with `result`, which carries the sources."""
        self._report(*events)
        _dispatcher.span_exit(id_=self._id, bound_args=self._arguments, instance=self._owner, result=result)

    def drop(self, error: Exception, *events: BaseEvent) -> None:
        """Report `error` and close the span as failed."""
        self._report(*events, ExceptionEvent(exception=error), SpanDropEvent(err_str=str(error)))
        _dispatcher.span_drop(id_=self._id, bound_args=self._arguments, instance=self._owner, err=error)

    def _report(self, *events: BaseEvent) -> None:
        for event in events:
            event.span_id = self._id
            _dispatcher.event(event)


def anyone_listens() -> bool:
    """Return whether an event would reach a handler. An event per token costs more than the token."""
    level: Any = _dispatcher
    while level is not None:
        if any(type(handler) is not NullEventHandler for handler in level.event_handlers):
            return True
        level = level.parent if level.propagate else None
    return False
