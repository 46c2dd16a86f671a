"""The service's answers as LangChain's results: the only module that knows both vocabularies.

`invoke` and `stream`, sync and async, all build their results here, so these agree by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from customgpt_transport.delivery import Delivery
from customgpt_transport.histories import NOTE_KEY
from customgpt_transport.models import AnswerDelta, AnswerFinished
from langchain_customgpt._citations import CITATIONS_KEY, PROVIDER
from langchain_customgpt._stop import StopFilter, cut

_EVERY_CHUNK = {"model_provider": PROVIDER}


class Reply:
    """The answer to one prompt, as LangChain's results. For a stream, `chunk` takes each of its events."""

    def __init__(self, delivery: Delivery, stops: Sequence[str], model_name: str) -> None:
        self.delivery = delivery
        self._stops = stops
        self._filter = StopFilter(stops) if stops else None
        self._model_name = model_name

    def chunk(self, event: AnswerDelta | AnswerFinished) -> ChatGenerationChunk | None:
        """Return the chunk for one event; None when there is nothing to show. Called for every token."""
        if isinstance(event, AnswerFinished):
            return None  # the last chunk comes when the citations are there
        text = event.text if self._filter is None else self._filter.feed(event.text)
        if not text:
            return None
        return ChatGenerationChunk(message=AIMessageChunk(content=text, response_metadata=_EVERY_CHUNK))

    def last_chunk(self, sources: list[dict[str, Any]] | None) -> ChatGenerationChunk:
        """Return the last chunk of the stream, the only one with metadata. `sources` are as in `result`."""
        rest = "" if self._filter is None else self._filter.flush()
        message = AIMessageChunk(
            content=rest, response_metadata=self._metadata(sources), chunk_position="last"
        )
        return ChatGenerationChunk(message=message)

    def result(self, sources: list[dict[str, Any]] | None) -> ChatResult:
        """Return the whole answer, equal to the sum of the chunks. None leaves the sources out."""
        text = cut(self.delivery.message.answer, self._stops)
        answer = AIMessage(content=text, response_metadata=self._metadata(sources))
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def _metadata(self, sources: list[dict[str, Any]] | None) -> dict[str, Any]:
        found = {} if sources is None else {CITATIONS_KEY: sources}
        note = self.delivery.note()
        return {**_EVERY_CHUNK, "model_name": self._model_name, **found, NOTE_KEY: note}
