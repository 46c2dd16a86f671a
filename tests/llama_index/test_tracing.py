"""The span of a streamed answer is open until its last token, under OpenInference too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.response.schema import Response
from llama_index.core.instrumentation import root_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.chat_engine import (
    StreamChatDeltaReceivedEvent,
    StreamChatEndEvent,
    StreamChatStartEvent,
)
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.query import QueryEndEvent
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler

from customgpt_transport import AuthenticationFailed
from llama_index_customgpt import CustomGPTChatEngine, CustomGPTQueryEngine

QUESTION = "How do refunds work?"


class Log(BaseEventHandler):
    """Keeps every event, and which spans were open when it came."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[Any] = []
        self._spans = SimpleSpanHandler()
        root_dispatcher.add_event_handler(self)
        root_dispatcher.add_span_handler(self._spans)

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._seen.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self._seen if isinstance(event, kind)]

    def open(self) -> list[str]:
        return [name.partition("-")[0] for name in self._spans.open_spans]

    def done(self, name: str) -> Any:
        (span,) = [span for span in self._spans.completed_spans if span.id_.startswith(name + "-")]
        return span

    def dropped(self) -> list[str]:
        return [span.id_.partition("-")[0] for span in self._spans.dropped_spans]


@pytest.fixture
def log() -> Log:
    return Log()


class TestSpans:
    def test_the_span_of_a_streamed_query_ends_with_the_whole_answer(
        self, streaming_engine: CustomGPTQueryEngine, log: Log
    ) -> None:
        response = streaming_engine.query(QUESTION)
        assert log.open() == []
        next(response.response_gen)
        assert log.open() == ["CustomGPTQueryEngine.stream"]
        str(response)
        assert log.open() == []
        span = log.done("CustomGPTQueryEngine.stream")
        assert span.parent_id == log.done("CustomGPTQueryEngine._query").id_
        (start,), (end,) = log.of(SynthesizeStartEvent), log.of(SynthesizeEndEvent)
        assert start.span_id == end.span_id == span.id_
        assert isinstance(end.response, Response)
        assert end.response.response == str(response)
        assert len(end.response.source_nodes) == len(response.source_nodes) >= 2
        end.model_dump_json()

    async def test_the_span_of_an_async_query_ends_with_the_whole_answer(
        self, streaming_engine: CustomGPTQueryEngine, log: Log
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        await response.response_gen.__anext__()
        assert log.open() == ["CustomGPTQueryEngine.stream"]
        await response.get_response()
        assert log.open() == []
        span = log.done("CustomGPTQueryEngine.stream")
        assert span.parent_id == log.done("CustomGPTQueryEngine._aquery").id_
        (end,) = log.of(SynthesizeEndEvent)
        assert end.span_id == span.id_
        assert len(end.response.source_nodes) >= 2
        await streaming_engine.aclose()

    def test_the_span_of_an_answer_left_early_ends_with_what_was_read(
        self, streaming_engine: CustomGPTQueryEngine, log: Log
    ) -> None:
        response = streaming_engine.query(QUESTION)
        token = next(response.response_gen)
        response.close()
        assert log.open() == []
        (end,) = log.of(SynthesizeEndEvent)
        assert end.response.response.startswith(token)

    def test_an_error_drops_the_span(self, where: dict[str, Any], log: Log) -> None:
        engine = CustomGPTQueryEngine(streaming=True, **{**where, "api_key": "1|wrong"})
        response = engine.query(QUESTION)
        with pytest.raises(AuthenticationFailed):
            str(response)
        assert log.open() == []
        assert log.dropped() == ["CustomGPTQueryEngine.stream"]
        (event,) = log.of(ExceptionEvent)
        assert isinstance(event.exception, AuthenticationFailed)

    def test_the_events_of_the_base_class_come_once(self, engine: CustomGPTQueryEngine, log: Log) -> None:
        response = engine.query(QUESTION)
        (end,) = log.of(QueryEndEvent)
        assert end.response is response

    def test_a_streamed_chat_reports_its_tokens(self, chat_engine: CustomGPTChatEngine, log: Log) -> None:
        response = chat_engine.stream_chat(QUESTION)
        assert log.open() == ["CustomGPTChatEngine.stream"]
        tokens = list(response.response_gen)
        span = log.done("CustomGPTChatEngine.stream")
        assert span.parent_id == log.done("CustomGPTChatEngine.stream_chat").id_
        assert [event.delta for event in log.of(StreamChatDeltaReceivedEvent)] == tokens
        (start,), (end,) = log.of(StreamChatStartEvent), log.of(StreamChatEndEvent)
        assert start.span_id == end.span_id == span.id_


class TestUnderOpenInference:
    """OpenInference replaces `response_gen` with a proxy, and ends its span there."""

    @pytest.fixture
    def spans(self) -> Iterator[Any]:
        # Its newest release needs a newer llama-index-workflows than llama-index-core 0.13.0 comes with.
        pytest.importorskip("openinference.instrumentation.llama_index._handler", exc_type=ImportError)
        from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        instrumentor = LlamaIndexInstrumentor()
        instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
        yield exporter
        instrumentor.uninstrument()
        provider.shutdown()

    def finished(self, spans: Any) -> dict[str, Any]:
        return {span.name: span for span in spans.get_finished_spans()}

    @pytest.mark.parametrize("way", ["loop then str", "next then str", "str", "get_response"])
    def test_the_spans_of_a_query_end_with_the_whole_text(
        self, streaming_engine: CustomGPTQueryEngine, spans: Any, way: str
    ) -> None:
        response = streaming_engine.query(QUESTION)
        assert "CustomGPTQueryEngine._query" not in self.finished(spans)
        looped = "".join(response.response_gen) if way == "loop then str" else None
        if way == "next then str":
            next(response.response_gen)
        text = response.get_response().response if way == "get_response" else str(response)
        assert text
        assert looped in (None, text)
        names = self.finished(spans)
        assert {"CustomGPTQueryEngine.query", "CustomGPTQueryEngine._query"} <= set(names)
        stream = names["CustomGPTQueryEngine.stream"]
        assert stream.attributes["output.value"] == text
        assert stream.parent.span_id == names["CustomGPTQueryEngine._query"].context.span_id
        assert len(response.source_nodes) >= 2

    @pytest.mark.parametrize("way", ["loop then str", "async_response_gen", "get_response"])
    async def test_the_spans_of_an_aquery_end_with_the_whole_text(
        self, streaming_engine: CustomGPTQueryEngine, spans: Any, way: str
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        if way == "loop then str":
            looped = "".join([token async for token in response.response_gen])
        elif way == "async_response_gen":
            looped = "".join([token async for token in response.async_response_gen()])
        else:
            looped = (await response.get_response()).response
        assert looped == str(response) == (await response.get_response()).response
        names = self.finished(spans)
        assert {"CustomGPTQueryEngine.aquery", "CustomGPTQueryEngine._aquery"} <= set(names)
        assert names["CustomGPTQueryEngine.stream"].attributes["output.value"] == looped
        await streaming_engine.aclose()

    @pytest.mark.parametrize("first", ["loop", "str"])
    def test_the_tokens_can_be_read_again(
        self, streaming_engine: CustomGPTQueryEngine, spans: Any, first: str
    ) -> None:
        response = streaming_engine.query(QUESTION)
        text = "".join(response.response_gen) if first == "loop" else str(response)
        assert text
        assert "".join(response.response_gen) == "".join(response.response_gen) == str(response) == text

    def test_an_error_ends_the_spans_too(self, where: dict[str, Any], spans: Any) -> None:
        engine = CustomGPTQueryEngine(streaming=True, **{**where, "api_key": "1|wrong"})
        response = engine.query(QUESTION)
        with pytest.raises(AuthenticationFailed):
            str(response)
        names = self.finished(spans)
        assert not names["CustomGPTQueryEngine._query"].status.is_ok
        assert not names["CustomGPTQueryEngine.stream"].status.is_ok

    def test_a_streamed_chat_and_a_chat_end_their_spans(
        self, chat_engine: CustomGPTChatEngine, spans: Any
    ) -> None:
        response = chat_engine.stream_chat(QUESTION)
        assert str(response)
        chat_engine.chat("And gift cards?")
        assert {"CustomGPTChatEngine.stream", "CustomGPTChatEngine.chat"} <= set(self.finished(spans))
