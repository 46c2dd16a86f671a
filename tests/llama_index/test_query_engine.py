"""The query engine: construction, metadata, conversations, tools, settings, postprocessors."""

from __future__ import annotations

import asyncio
import copy
import pickle
import socket
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import Response
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.tools import QueryEngineTool

from customgpt_transport import Client, ClientOptions, ConfigurationError, RequestTimeout
from llama_index_customgpt import (
    CustomGPTQueryBundle,
    CustomGPTQueryEngine,
    PromptSettings,
)

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "How do refunds work?"


def ids(response: Any) -> list[str]:
    return [scored.node.node_id for scored in response.source_nodes]


@pytest.fixture
def plain(engine: CustomGPTQueryEngine) -> Response:
    """The answer without streaming, which every other way must equal."""
    response = engine.query(QUESTION)
    assert isinstance(response, Response)
    assert len(response.source_nodes) >= 2
    return response


def test_it_is_a_base_query_engine_and_needs_no_llm(engine: CustomGPTQueryEngine) -> None:
    assert isinstance(engine, BaseQueryEngine)
    assert not isinstance(engine, CustomQueryEngine)
    assert engine.get_prompts() == {}
    assert engine.query(QUESTION).response
    assert Settings._llm is None


class TestMetadata:
    def test_a_whole_answer_has_ids_and_the_metadata_of_its_sources(self, plain: Response) -> None:
        metadata = plain.metadata or {}
        assert {"project_id", "session_id", "prompt_id", "external_id"} <= set(metadata)
        for scored in plain.source_nodes:
            assert metadata[scored.node.node_id] == scored.node.metadata

    def test_a_streamed_answer_has_each_id_as_soon_as_it_is_known(
        self, streaming_engine: CustomGPTQueryEngine, emulator: Emulator
    ) -> None:
        response = streaming_engine.query(QUESTION)
        assert response.metadata == {"project_id": emulator.project_id}
        next(response.response_gen)
        assert response.metadata["session_id"]
        str(response)
        assert response.metadata["prompt_id"]
        assert set(ids(response)) <= set(response.metadata)

    def test_metadata_that_the_caller_replaced_is_filled_too(
        self, streaming_engine: CustomGPTQueryEngine
    ) -> None:
        response = streaming_engine.query(QUESTION)
        response.metadata = {"mine": 1}
        str(response)
        assert response.metadata["mine"] == 1
        assert response.metadata["prompt_id"]


class TestConversations:
    def test_each_query_begins_a_new_conversation(self, engine: CustomGPTQueryEngine) -> None:
        sessions = {engine.query(QUESTION).metadata["session_id"] for _ in range(3)}
        assert len(sessions) == 3

    @pytest.mark.parametrize("streaming", [False, True])
    async def test_a_pinned_conversation_is_asked_one_prompt_at_a_time(
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

    def test_a_question_may_name_its_conversation(self, engine: CustomGPTQueryEngine) -> None:
        session = engine.query(QUESTION).metadata["session_id"]
        answer = engine.query(CustomGPTQueryBundle("And gift cards?", session_id=session))
        assert answer.metadata["session_id"] == session


def test_legacy_handlers_get_a_pair_of_query_events(where: dict[str, Any]) -> None:
    for streaming in (False, True):
        debug = LlamaDebugHandler(print_trace_on_end=False)
        engine = CustomGPTQueryEngine(streaming=streaming, callback_manager=CallbackManager([debug]), **where)
        response = engine.query(QUESTION)
        ((start, end),) = debug.get_event_pairs(CBEventType.QUERY)
        assert start.payload["query_str"] == QUESTION
        assert end.payload["response"] is response


class TestTools:
    @pytest.mark.parametrize("streaming", [False, True])
    async def test_the_frameworks_tool_works_twice_in_a_running_loop(
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
    async def test_as_tool_works_twice_in_a_running_loop(
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

    def test_a_blocking_call_of_as_tool_has_text_and_sources(
        self, streaming_engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        output = streaming_engine.as_tool()(QUESTION)
        assert output.content == plain.response
        assert ids(output.raw_output) == ids(plain)


class TestConstruction:
    def test_it_pickles_and_copies_without_live_clients(
        self, engine: CustomGPTQueryEngine, plain: Response
    ) -> None:
        engine.query(QUESTION)
        for twin in (pickle.loads(pickle.dumps(engine)), copy.deepcopy(engine)):
            assert not twin._clients._made
            assert twin.query(QUESTION).response == plain.response
            twin.close()

    def test_the_key_is_in_no_repr_and_no_attribute(
        self, engine: CustomGPTQueryEngine, where: dict[str, Any]
    ) -> None:
        def shown(thing: Any, depth: int = 4) -> str:
            inner = getattr(thing, "__dict__", {}) if depth else {}
            return repr(thing) + "".join(shown(value, depth - 1) for value in inner.values())

        assert where["api_key"] not in shown(engine)
        assert where["api_key"] not in str(vars(engine))

    def test_the_constructor_does_no_io(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("a socket was asked for")

        monkeypatch.setattr(socket, "socket", refuse)
        CustomGPTQueryEngine(1, api_key="1|made-up")

    async def test_ready_made_clients_are_used_and_stay_open(
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

    def test_a_ready_made_client_and_a_key_together_are_refused(self, where: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="ready-made client"):
            CustomGPTQueryEngine(client=Client(**where), api_key="1|other")

    @pytest.mark.parametrize("streaming", [False, True])
    async def test_a_timeout_beside_a_ready_made_client_holds_for_its_prompts(
        self, where: dict[str, Any], emulator: Emulator, streaming: bool
    ) -> None:
        quick = ClientOptions(recovery_patience=0)
        with Client(options=quick, **where) as client:
            engine = CustomGPTQueryEngine(client=client, timeout=0.2, max_retries=0, streaming=streaming)
            emulator.faults.slow_first_byte()
            with pytest.raises(RequestTimeout, match=r"0\.2 s"):
                str(engine.query(QUESTION))
            emulator.faults.slow_first_byte()
            with pytest.raises(RequestTimeout, match=r"0\.2 s"):
                response = await engine.aquery(QUESTION)
                if streaming:
                    await response.get_response()
            await engine.aclose()

    @pytest.mark.parametrize("misspelt", ["agent_id", "projct_id"])
    def test_a_misspelt_keyword_is_refused_with_the_right_one(self, misspelt: str) -> None:
        with pytest.raises(TypeError, match=f"'{misspelt}'. Did you mean 'project_id'"):
            CustomGPTQueryEngine(api_key="1|made-up", **{misspelt: 1})


class TestSettingsOfThePrompt:
    def test_settings_of_a_query_override_those_of_the_engine(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
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
