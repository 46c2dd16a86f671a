"""A streamed answer to a query: every way of reading it gives the same text, sources and metadata."""

from __future__ import annotations

import asyncio
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.instrumentation.events.query import QueryEndEvent

from customgpt_transport import (
    AnswerFinished,
    Citation,
    ClientOptions,
    Message,
)
from llama_index_customgpt import (
    CustomGPTAsyncStreamingResponse,
    CustomGPTQueryEngine,
    CustomGPTStreamingResponse,
)

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "How do refunds work?"
NOTHING = "zzzz qqqq"


def ids(response: Any) -> list[str]:
    return [scored.node.node_id for scored in response.source_nodes]


@pytest.fixture
def plain(engine: CustomGPTQueryEngine) -> Response:
    """The answer without streaming, which every other way must equal."""
    response = engine.query(QUESTION)
    assert isinstance(response, Response)
    assert len(response.source_nodes) >= 2
    return response


class TestStreamingAlwaysReturnsAStream:
    @pytest.mark.parametrize("question", [QUESTION, NOTHING])
    def test_query_returns_a_streaming_response(
        self, streaming_engine: CustomGPTQueryEngine, question: str
    ) -> None:
        response = streaming_engine.query(question)
        assert isinstance(response, StreamingResponse)
        assert str(response)

    @pytest.mark.parametrize("question", [QUESTION, NOTHING])
    async def test_aquery_returns_an_async_streaming_response(
        self, streaming_engine: CustomGPTQueryEngine, question: str
    ) -> None:
        response = await streaming_engine.aquery(question)
        assert isinstance(response, AsyncStreamingResponse)
        assert (await response.get_response()).response
        await streaming_engine.aclose()


class _SaysNothing:
    """A client whose answers are empty and have sources all the same."""

    options = ClientOptions(project_id=1)

    def stream(self, prompt: str, **arguments: Any) -> Any:
        return self

    session_id, partial_answer = "a-session", ""
    message = Message("", "Why?", 1, "a-session", 7, (12,))

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __iter__(self) -> Any:
        return iter([AnswerFinished(7, "a-session", (12,))])

    def citations(self, message: Message, **_: Any) -> list[Citation]:
        return [Citation(12, "A page")]


def test_an_empty_answer_is_a_stream_too() -> None:
    response = CustomGPTQueryEngine(streaming=True, client=_SaysNothing()).query("Why?")  # type: ignore[arg-type]
    assert isinstance(response, StreamingResponse)
    assert list(response.response_gen) == []
    assert str(response) == response.response == ""
    assert ids(response) == ["12"]


def _printed(response: Any) -> str:
    out = StringIO()
    with redirect_stdout(out):
        response.print_response_stream()
    return out.getvalue()


WAYS = {
    "response_gen": lambda response: "".join(response.response_gen),
    "str": str,
    "get_response": lambda response: response.get_response().response,
    "response": lambda response: response.response,
    "print_response_stream": _printed,
    "next and str": lambda response: (next(response.response_gen), str(response))[1],
}


async def _aprinted(response: Any) -> str:
    out = StringIO()
    with redirect_stdout(out):
        await response.print_response_stream()
    return out.getvalue().rstrip("\n")


async def _read(tokens: Any) -> str:
    return "".join([token async for token in tokens])


async def _text(response: Any) -> str:
    return (await response.get_response()).response


async def _half_way_then_all(response: Any) -> str:
    await response.response_gen.__anext__()
    return await _text(response)


async def _say(response: Any) -> str:
    return str(response)


AWAYS = {
    "response_gen": lambda response: _read(response.response_gen),
    "async_response_gen": lambda response: _read(response.async_response_gen()),
    "get_response": _text,
    "str": _say,
    "print_response_stream": _aprinted,
    "next and get_response": _half_way_then_all,
}


class TestSourcesAfterReading:
    @pytest.mark.parametrize("way", WAYS)
    def test_sources_are_there_after_any_way_of_reading(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response, way: str
    ) -> None:
        response = streaming_engine.query(QUESTION)
        nodes = response.source_nodes
        assert nodes == []
        assert WAYS[way](response) == plain.response
        assert nodes is response.source_nodes
        assert ids(response) == ids(plain)

    @pytest.mark.parametrize("way", AWAYS)
    async def test_sources_are_there_after_any_async_way_of_reading(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response, way: str
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        nodes = response.source_nodes
        assert await AWAYS[way](response) == plain.response
        assert nodes is response.source_nodes
        assert ids(response) == ids(plain)
        await streaming_engine.aclose()

    def test_sources_and_metadata_reach_a_caller_who_dropped_the_response(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = streaming_engine.query(QUESTION)
        tokens, nodes, metadata = response.response_gen, response.source_nodes, response.metadata
        del response
        assert "".join(tokens) == plain.response
        assert [scored.node.node_id for scored in nodes] == ids(plain)
        assert metadata["prompt_id"]


class TestReadingAgain:
    @pytest.mark.parametrize("first", WAYS)
    @pytest.mark.parametrize("second", WAYS)
    def test_the_text_can_be_read_again_in_any_two_ways(
        self, streaming_engine: CustomGPTQueryEngine, emulator: Emulator, first: str, second: str
    ) -> None:
        response = streaming_engine.query(QUESTION)
        text = WAYS[first](response)
        assert text
        if second != "next and str":
            assert WAYS[second](response) == text
        assert str(response) == str(response) == text
        assert len(emulator.journal.prompts()) == 1

    async def test_an_async_answer_can_be_read_again_and_by_str(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response, emulator: Emulator
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        assert str(response) == str(response) == plain.response
        assert await _read(response.response_gen) == plain.response
        assert await _read(response.async_response_gen()) == plain.response
        assert len(emulator.journal.prompts()) == 2

    async def test_str_of_a_half_read_async_answer_says_what_to_await(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        await response.response_gen.__anext__()
        with pytest.raises(RuntimeError, match=r"await r\.get_response\(\)"):
            str(response)
        assert (await response.get_response()).response == plain.response
        assert str(response) == plain.response
        await streaming_engine.aclose()

    async def test_another_thread_may_wait_for_the_rest_of_an_async_answer(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        await response.response_gen.__anext__()
        assert await asyncio.to_thread(str, response) == plain.response
        await streaming_engine.aclose()


def test_response_is_the_text_of_a_stream(streaming_engine: CustomGPTQueryEngine) -> None:
    response = streaming_engine.query(QUESTION)
    assert isinstance(response, CustomGPTStreamingResponse)
    assert response.response == "".join(response.response_gen)


async def test_response_is_the_text_of_an_async_stream(
    streaming_engine: CustomGPTQueryEngine, plain: Response
) -> None:
    response = await streaming_engine.aquery(QUESTION)
    assert isinstance(response, CustomGPTAsyncStreamingResponse)
    assert response.response == plain.response


class TestTheTokens:
    def test_response_gen_is_a_hashable_generator_that_can_be_replaced(
        self, streaming_engine: CustomGPTQueryEngine
    ) -> None:
        response = streaming_engine.query(QUESTION)
        tokens = response.response_gen
        assert {tokens: "a key"}[response.response_gen] == "a key"
        for name in ("__iter__", "__next__", "send", "throw", "close"):
            assert callable(getattr(tokens, name))
        seen: list[str] = []

        def wrapped() -> Any:
            for token in tokens:
                seen.append(token)
                yield token

        response.response_gen = wrapped()
        assert str(response) == "".join(seen) == "".join(tokens)

    async def test_an_async_response_gen_is_a_hashable_generator_that_can_be_replaced(
        self, streaming_engine: CustomGPTQueryEngine
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        tokens = response.response_gen
        assert {tokens: "a key"}[response.response_gen] == "a key"
        for name in ("__aiter__", "__anext__", "asend", "athrow", "aclose"):
            assert callable(getattr(tokens, name))
        seen: list[str] = []

        async def wrapped() -> Any:
            async for token in tokens:
                seen.append(token)
                yield token

        response.response_gen = wrapped()
        assert await _text(response) == "".join(seen)
        await streaming_engine.aclose()

    def test_a_tracer_that_serialises_the_event_consumes_no_token(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = streaming_engine.query(QUESTION)
        QueryEndEvent(query=QUESTION, response=response).model_dump_json()
        assert "".join(response.response_gen) == plain.response
