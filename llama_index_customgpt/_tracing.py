"""A span of its own for a stream.

LlamaIndex closes the span of `query` when the method returns, long before the last token, and tracers throw
away what is reported to a closed span. So a stream reports to a span that opens with its first token and
closes with its last, a child of the span that asked.
"""

from __future__ import annotations

import inspect
from typing import Any
from uuid import uuid4

# The next names are there for everybody's use, only not declared as exports: hence the ignores.
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
    """Lend its signature: LlamaIndex wants the bound arguments of what a span is about."""


class StreamSpan:
    """The span of one stream. Make it inside the span that asks: that one becomes its parent."""

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
        """Report `events`, the last of which carries the sources, and close the span."""
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
    """Tell whether an event would reach somebody; an event per token costs more than the token."""
    level: Any = _dispatcher
    while level is not None:
        if any(type(handler) is not NullEventHandler for handler in level.event_handlers):
            return True
        level = level.parent if level.propagate else None
    return False
