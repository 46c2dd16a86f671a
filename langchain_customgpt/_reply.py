"""From what the service answers to what LangChain gets: the only place that knows both vocabularies.

`invoke` and `stream`, sync and async, all come through here, so their results agree by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from customgpt_transport.models import AnswerDelta, AnswerFinished, Message
from langchain_customgpt._citations import CITATIONS_KEY, PROVIDER
from langchain_customgpt._history import METADATA_KEY
from langchain_customgpt._stop import StopFilter, cut

_EVERY_CHUNK = {"model_provider": PROVIDER}


class Reply:
    """One answer on its way to LangChain. Feed it a stream's events, or give it the whole message."""

    def __init__(self, stops: Sequence[str], model_name: str) -> None:
        self._stops = stops
        self._filter = StopFilter(stops) if stops else None
        self._model_name = model_name

    def chunk(self, event: AnswerDelta | AnswerFinished) -> ChatGenerationChunk | None:
        """The chunk for one event; None when there is nothing to show. Called for every token: kept short."""
        if isinstance(event, AnswerFinished):
            return None  # the last chunk comes when the citations are there
        text = event.text if self._filter is None else self._filter.feed(event.text)
        if not text:
            return None
        return ChatGenerationChunk(message=AIMessageChunk(content=text, response_metadata=_EVERY_CHUNK))

    def last_chunk(self, metadata: dict[str, Any]) -> ChatGenerationChunk:
        """The last chunk of the stream; all that is known about the answer is in it, and in no other."""
        rest = "" if self._filter is None else self._filter.flush()
        message = AIMessageChunk(content=rest, response_metadata=metadata, chunk_position="last")
        return ChatGenerationChunk(message=message)

    def result(self, message: Message, metadata: dict[str, Any]) -> ChatResult:
        """The whole answer at once: equal to the sum of the chunks."""
        answer = AIMessage(content=cut(message.answer, self._stops), response_metadata=metadata)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def metadata(self, note: dict[str, Any], sources: list[dict[str, Any]] | None) -> dict[str, Any]:
        """What goes into `response_metadata`, as plain JSON; nothing about sources when they are None."""
        found = {} if sources is None else {CITATIONS_KEY: sources}
        return {**_EVERY_CHUNK, "model_name": self._model_name, **found, METADATA_KEY: note}
