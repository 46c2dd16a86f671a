"""Requirements 1 to 15: the query engine. Those about errors are in test_errors_of_engines.py."""

from __future__ import annotations

import asyncio
import copy
import pickle
import socket
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.events.query import QueryEndEvent
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.tools import QueryEngineTool

from customgpt_transport import (
    AnswerFinished,
    Citation,
    Client,
    ClientOptions,
    ConfigurationError,
    Message,
)
from llama_index_customgpt import (
    CustomGPTAsyncStreamingResponse,
    CustomGPTQueryBundle,
    CustomGPTQueryEngine,
    CustomGPTStreamingResponse,
    PromptSettings,
)

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

QUESTION = "How do refunds work?"
NOTHING = "zzzz qqqq"


def ids(response: Any) -> list[str]:
    return [scored.node.node_id for scored in response.source_nodes]


@pytest.fixture
def plain(engine: CustomGPTQueryEngine) -> Response:
    """The answer without streaming, which all other ways must equal."""
    response = engine.query(QUESTION)
    assert isinstance(response, Response)
    assert len(response.source_nodes) >= 2
    return response


def test_requirement_01_it_is_a_base_query_engine_and_needs_no_llm(engine: CustomGPTQueryEngine) -> None:
    assert isinstance(engine, BaseQueryEngine)
    assert not isinstance(engine, CustomQueryEngine)
    assert engine.get_prompts() == {}
    assert engine.query(QUESTION).response
    assert Settings._llm is None


class TestRequirement03StreamingAlwaysAnswersWithAStream:
    @pytest.mark.parametrize("question", [QUESTION, NOTHING])
    def test_requirement_03_sync(self, streaming_engine: CustomGPTQueryEngine, question: str) -> None:
        response = streaming_engine.query(question)
        assert isinstance(response, StreamingResponse)
        assert str(response)

    @pytest.mark.parametrize("question", [QUESTION, NOTHING])
    async def test_requirement_03_async(self, streaming_engine: CustomGPTQueryEngine, question: str) -> None:
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


def test_requirement_03_an_empty_answer_is_a_stream_too() -> None:
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


class TestRequirement04AfterAnyWayOfReadingTheSourcesAreThere:
    @pytest.mark.parametrize("way", WAYS)
    def test_requirement_04_sync(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response, way: str
    ) -> None:
        response = streaming_engine.query(QUESTION)
        nodes = response.source_nodes
        assert nodes == []
        assert WAYS[way](response) == plain.response
        assert nodes is response.source_nodes
        assert ids(response) == ids(plain)

    @pytest.mark.parametrize("way", AWAYS)
    async def test_requirement_04_async(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response, way: str
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        nodes = response.source_nodes
        assert await AWAYS[way](response) == plain.response
        assert nodes is response.source_nodes
        assert ids(response) == ids(plain)
        await streaming_engine.aclose()

    def test_requirement_04_for_a_caller_who_kept_only_the_tokens_and_the_list(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = streaming_engine.query(QUESTION)
        tokens, nodes, metadata = response.response_gen, response.source_nodes, response.metadata
        del response
        assert "".join(tokens) == plain.response
        assert [scored.node.node_id for scored in nodes] == ids(plain)
        assert metadata["prompt_id"]


class TestRequirement05TheTextCanBeHadAgainAndAgain:
    @pytest.mark.parametrize("first", WAYS)
    @pytest.mark.parametrize("second", WAYS)
    def test_requirement_05_sync(
        self, streaming_engine: CustomGPTQueryEngine, emulator: Emulator, first: str, second: str
    ) -> None:
        response = streaming_engine.query(QUESTION)
        text = WAYS[first](response)
        assert text
        if second != "next and str":
            assert WAYS[second](response) == text
        assert str(response) == str(response) == text
        assert len(emulator.journal.prompts()) == 1

    async def test_requirement_05_async_unstarted_and_finished(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response, emulator: Emulator
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        assert str(response) == str(response) == plain.response
        assert await _read(response.response_gen) == plain.response
        assert await _read(response.async_response_gen()) == plain.response
        assert len(emulator.journal.prompts()) == 2

    async def test_requirement_05_async_half_way_says_what_to_await(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        await response.response_gen.__anext__()
        with pytest.raises(RuntimeError, match=r"await r\.get_response\(\)"):
            str(response)
        assert (await response.get_response()).response == plain.response
        assert str(response) == plain.response
        await streaming_engine.aclose()

    async def test_requirement_05_async_half_way_another_thread_may_wait(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = await streaming_engine.aquery(QUESTION)
        await response.response_gen.__anext__()
        assert await asyncio.to_thread(str, response) == plain.response
        await streaming_engine.aclose()


def test_requirement_06_response_is_the_text_of_a_stream(streaming_engine: CustomGPTQueryEngine) -> None:
    response = streaming_engine.query(QUESTION)
    assert isinstance(response, CustomGPTStreamingResponse)
    assert response.response == "".join(response.response_gen)


async def test_requirement_06_response_is_the_text_of_an_async_stream(
    streaming_engine: CustomGPTQueryEngine, plain: Response
) -> None:
    response = await streaming_engine.aquery(QUESTION)
    assert isinstance(response, CustomGPTAsyncStreamingResponse)
    assert response.response == plain.response


class TestRequirement07TheTokensAreAGeneratorThatCanBeReplaced:
    def test_requirement_07_assignable_hashable_whole_protocol(
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

    async def test_requirement_07_async(self, streaming_engine: CustomGPTQueryEngine) -> None:
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

    def test_requirement_07_a_tracer_that_serialises_the_event_takes_nothing_from_the_user(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        response = streaming_engine.query(QUESTION)
        QueryEndEvent(query=QUESTION, response=response).model_dump_json()
        assert "".join(response.response_gen) == plain.response


class TestRequirement08MetadataIsNeverEmpty:
    def test_requirement_08_whole(self, plain: Response) -> None:
        metadata = plain.metadata or {}
        assert {"project_id", "session_id", "prompt_id", "external_id"} <= set(metadata)
        for scored in plain.source_nodes:
            assert metadata[scored.node.node_id] == scored.node.metadata

    def test_requirement_08_stream(self, streaming_engine: CustomGPTQueryEngine, emulator: Emulator) -> None:
        response = streaming_engine.query(QUESTION)
        assert response.metadata == {"project_id": emulator.project_id}
        next(response.response_gen)
        assert response.metadata["session_id"]
        str(response)
        assert response.metadata["prompt_id"]
        assert set(ids(response)) <= set(response.metadata)

    def test_requirement_08_it_goes_through_the_attribute(
        self, streaming_engine: CustomGPTQueryEngine
    ) -> None:
        response = streaming_engine.query(QUESTION)
        response.metadata = {"mine": 1}
        str(response)
        assert response.metadata["mine"] == 1
        assert response.metadata["prompt_id"]


class TestRequirement09Conversations:
    def test_requirement_09_each_query_is_a_new_one(self, engine: CustomGPTQueryEngine) -> None:
        sessions = {engine.query(QUESTION).metadata["session_id"] for _ in range(3)}
        assert len(sessions) == 3

    @pytest.mark.parametrize("streaming", [False, True])
    async def test_requirement_09_a_pinned_session_is_asked_one_prompt_at_a_time(
        self, where: dict[str, Any], streaming: bool
    ) -> None:
        first = CustomGPTQueryEngine(**where).query(QUESTION)
        session = first.metadata["session_id"]
        engine = CustomGPTQueryEngine(session_id=session, streaming=streaming, **where)

        async def ask() -> dict[str, Any]:
            response = await engine.aquery(QUESTION)
            if streaming:
                await response.get_response()
            return response.metadata

        answers = await asyncio.gather(*[ask() for _ in range(5)])
        assert {answer["session_id"] for answer in answers} == {session}
        assert len({answer["prompt_id"] for answer in answers}) == 5
        await engine.aclose()

    def test_requirement_09_a_question_may_bring_its_own(self, engine: CustomGPTQueryEngine) -> None:
        session = engine.query(QUESTION).metadata["session_id"]
        answer = engine.query(CustomGPTQueryBundle("And gift cards?", session_id=session))
        assert answer.metadata["session_id"] == session


def test_requirement_11_legacy_handlers_get_a_pair_of_query_events(where: dict[str, Any]) -> None:
    for streaming in (False, True):
        debug = LlamaDebugHandler(print_trace_on_end=False)
        engine = CustomGPTQueryEngine(streaming=streaming, callback_manager=CallbackManager([debug]), **where)
        response = engine.query(QUESTION)
        ((start, end),) = debug.get_event_pairs(CBEventType.QUERY)
        assert start.payload["query_str"] == QUESTION
        assert end.payload["response"] is response


class TestRequirement13Tools:
    @pytest.mark.parametrize("streaming", [False, True])
    async def test_requirement_13_the_frameworks_own_tool_works_twice_in_a_running_loop(
        self, where: dict[str, Any], streaming: bool, plain: Response
    ) -> None:
        engine = CustomGPTQueryEngine(streaming=streaming, **where)
        tool = QueryEngineTool.from_defaults(engine, name="ask", description="Asks.")
        for _ in range(2):
            output = await tool.acall(QUESTION)
            assert output.content == plain.response
            assert ids(output.raw_output) == ids(plain)
        await engine.aclose()

    @pytest.mark.parametrize("streaming", [False, True])
    async def test_requirement_13_ours_too(
        self, where: dict[str, Any], streaming: bool, plain: Response
    ) -> None:
        engine = CustomGPTQueryEngine(streaming=streaming, **where)
        tool = engine.as_tool(name="ask", description="Asks.")
        assert tool.metadata.get_name() == "ask"
        for _ in range(2):
            output = await tool.acall(input=QUESTION)
            assert output.content == plain.response
            assert ids(output.raw_output) == ids(plain)
        await engine.aclose()

    def test_requirement_13_sync(self, streaming_engine: CustomGPTQueryEngine, plain: Response) -> None:
        output = streaming_engine.as_tool()(QUESTION)
        assert output.content == plain.response
        assert ids(output.raw_output) == ids(plain)


class TestRequirement15Construction:
    def test_requirement_15_it_pickles_and_copies_without_live_clients(
        self, engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        engine.query(QUESTION)
        for twin in (pickle.loads(pickle.dumps(engine)), copy.deepcopy(engine)):
            assert twin._clients._sync is None
            assert twin.query(QUESTION).response == plain.response
            twin.close()

    def test_requirement_15_the_key_is_never_shown(
        self, engine: CustomGPTQueryEngine, where: dict[str, Any]
    ) -> None:
        def shown(thing: Any, depth: int = 4) -> str:
            inner = getattr(thing, "__dict__", {}) if depth else {}
            return repr(thing) + "".join(shown(value, depth - 1) for value in inner.values())

        assert where["api_key"] not in shown(engine)
        assert where["api_key"] not in str(vars(engine))

    def test_requirement_15_the_constructor_does_no_io(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("a socket was asked for")

        monkeypatch.setattr(socket, "socket", refuse)
        CustomGPTQueryEngine(1, api_key="1|made-up")

    async def test_requirement_15_clients_that_were_handed_in_are_used_and_stay_open(
        self, where: dict[str, Any], plain: Response
    ) -> None:
        from customgpt_transport import AsyncClient

        with Client(**where) as client:
            async with AsyncClient(**where) as async_client:
                engine = CustomGPTQueryEngine(client=client, async_client=async_client)
                assert engine.query(QUESTION).response == plain.response
                assert (await engine.aquery(QUESTION)).response == plain.response
                await engine.aclose()
                assert engine._clients.sync is client
                assert engine._clients.asynchronous is async_client
                assert (await async_client.ask(QUESTION)).answer == plain.response

    def test_requirement_15_a_client_and_a_key_together_are_refused(self, where: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="ready client"):
            CustomGPTQueryEngine(client=Client(**where), api_key="1|other")


class TestSettingsOfThePrompt:
    def test_per_engine_and_per_query(self, where: dict[str, Any], emulator: Emulator) -> None:
        engine = CustomGPTQueryEngine(settings=PromptSettings(custom_persona="A clerk.", lang="en"), **where)
        engine.query(QUESTION)
        engine.query(CustomGPTQueryBundle(QUESTION, settings=PromptSettings(lang="de")))
        general, special = emulator.journal.prompts()
        assert general.fields["custom_persona"] == special.fields["custom_persona"] == "A clerk."
        assert general.query["lang"] == "en"
        assert special.query["lang"] == "de"


class OnlyTheFirst(BaseNodePostprocessor):
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        assert query_bundle is not None
        assert query_bundle.query_str == QUESTION
        return nodes[:1]


@pytest.mark.parametrize("streaming", [False, True])
async def test_node_postprocessors_see_the_sources_first(where: dict[str, Any], streaming: bool) -> None:
    engine = CustomGPTQueryEngine(
        node_postprocessors=[SimilarityPostprocessor(), OnlyTheFirst()], streaming=streaming, **where
    )
    response = engine.query(QUESTION)
    assert str(response)
    assert len(response.source_nodes) == 1
    response = await engine.aquery(QUESTION)
    if streaming:
        await response.get_response()
    assert len(response.source_nodes) == 1
    await engine.aclose()
