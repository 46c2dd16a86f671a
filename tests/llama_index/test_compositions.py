"""What users build around the query engine, sync and async, streaming and not."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.evaluation import (
    BatchEvalRunner,
    FaithfulnessEvaluator,
    GuidelineEvaluator,
    RelevancyEvaluator,
)
from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.indices.query.query_transform.feedback_transform import FeedbackQueryTransformation
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import (
    RetryGuidelineQueryEngine,
    RetryQueryEngine,
    RetrySourceQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
    TransformQueryEngine,
)
from llama_index.core.question_gen.types import BaseQuestionGenerator, SubQuestion
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import QueryEngineTool
from llama_index.core.tools.eval_query_engine import EvalQueryEngineTool

from llama_index_customgpt import CustomGPTQueryBundle, CustomGPTQueryEngine, CustomGPTRetriever
from tests.llama_index.fake_models import CallsTheTool, Says

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Collect garbage, so that what a test left open is reported in that test."""
    yield
    gc.collect()


QUESTION = "How do refunds work?"
OTHER = "How long is a gift card valid?"


@pytest.fixture(params=[False, True], ids=["whole", "streaming"])
def any_engine(request: pytest.FixtureRequest, where: dict[str, Any]) -> CustomGPTQueryEngine:
    return CustomGPTQueryEngine(streaming=request.param, **where)


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def ask(engine: Any, question: Any, colour: str) -> Any:
    """Ask synchronously or asynchronously, and read the answer to its end."""
    if colour == "sync":
        response = engine.query(question)
        str(response)
        return response
    response = await engine.aquery(question)
    if isinstance(response, AsyncStreamingResponse):
        await response.get_response()
    return response


def ids(response: Any) -> set[str]:
    return {scored.node.node_id for scored in response.source_nodes}


@pytest.fixture
def expected(where: dict[str, Any]) -> dict[str, Response]:
    """The engine's own answers, without anything around it."""
    with CustomGPTQueryEngine(**where) as engine:
        answers = {question: engine.query(question) for question in (QUESTION, OTHER)}
    assert all(answer.source_nodes for answer in answers.values())
    return answers


class Picks(BaseSelector):
    def __init__(self, *indexes: int) -> None:
        self.result = SelectorResult(selections=[SingleSelection(index=n, reason="rote") for n in indexes])

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: Any) -> None:
        pass

    def _select(self, choices: Any, query: Any) -> SelectorResult:
        return self.result

    async def _aselect(self, choices: Any, query: Any) -> SelectorResult:
        return self.result


class TestRouter:
    def router(self, engine: CustomGPTQueryEngine, *picks: int) -> RouterQueryEngine:
        tools = [
            engine.as_tool(name="one", description="One."),
            engine.as_tool(name="two", description="Two."),
        ]
        return RouterQueryEngine(Picks(*picks), tools, llm=Says(text="Both agree."))

    async def test_one_pick_keeps_metadata_and_sources(
        self, any_engine: CustomGPTQueryEngine, colour: str, expected: dict[str, Response]
    ) -> None:
        response = await ask(self.router(any_engine, 1), QUESTION, colour)
        assert str(response) == expected[QUESTION].response
        assert ids(response) == ids(expected[QUESTION])
        assert response.metadata["selector_result"].ind == 1
        assert response.metadata["session_id"]
        assert response.metadata["prompt_id"]
        assert ids(response) <= set(response.metadata)
        await any_engine.aclose()

    async def test_two_picks_have_all_sources(
        self, any_engine: CustomGPTQueryEngine, colour: str, expected: dict[str, Response]
    ) -> None:
        response = await ask(self.router(any_engine, 0, 1), QUESTION, colour)
        assert str(response) == "Both agree."
        assert ids(response) == ids(expected[QUESTION])
        assert len(response.source_nodes) == 2 * len(expected[QUESTION].source_nodes)
        await any_engine.aclose()


class TwoQuestions(BaseQuestionGenerator):
    def generate(self, tools: Any, query: Any) -> list[SubQuestion]:
        return [SubQuestion(sub_question=question, tool_name="ask") for question in (QUESTION, OTHER)]

    async def agenerate(self, tools: Any, query: Any) -> list[SubQuestion]:
        return self.generate(tools, query)

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: Any) -> None:
        pass


@pytest.mark.parametrize("use_async", [False, True])
async def test_sub_questions_have_all_their_sources(
    any_engine: CustomGPTQueryEngine, colour: str, use_async: bool, expected: dict[str, Response]
) -> None:
    llm = Says(text="Summed up.")
    engine = SubQuestionQueryEngine(
        TwoQuestions(),
        get_response_synthesizer(llm=llm),
        [QueryEngineTool.from_defaults(any_engine, name="ask", description="Asks.")],
        verbose=False,
        use_async=use_async,
    )
    response = await ask(engine, "Everything?", colour)
    assert str(response) == "Summed up."
    assert ids(response) >= ids(expected[QUESTION]) | ids(expected[OTHER])
    assert (expected[OTHER].response or "-")[:40] in llm.asked[-1]
    await any_engine.aclose()


class Rephrases(BaseQueryTransform):
    def _run(self, query_bundle: QueryBundle, metadata: Any) -> QueryBundle:
        return CustomGPTQueryBundle(QUESTION)

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: Any) -> None:
        pass


async def test_a_transformed_query_has_text_and_sources(
    any_engine: CustomGPTQueryEngine, colour: str, expected: dict[str, Response]
) -> None:
    response = await ask(TransformQueryEngine(any_engine, Rephrases()), "Refunds?", colour)
    assert str(response) == expected[QUESTION].response
    assert ids(response) == ids(expected[QUESTION])
    await any_engine.aclose()


RETRIES = {
    "retry": lambda engine, llm: RetryQueryEngine(engine, RelevancyEvaluator(llm=llm), max_retries=1),
    "source": lambda engine, llm: RetrySourceQueryEngine(
        engine, RelevancyEvaluator(llm=llm), llm=llm, max_retries=1
    ),
    "guideline": lambda engine, llm: RetryGuidelineQueryEngine(
        engine,
        GuidelineEvaluator(llm=llm),
        max_retries=1,
        query_transformer=FeedbackQueryTransformation(llm=llm),
    ),
}


class TestRetry:
    """These engines have no async of their own: their `aquery` calls the sync path."""

    def verdict(self, kind: str, passing: bool) -> str:
        if kind == "guideline":
            return f'{{"passing": {str(passing).lower()}, "feedback": "by rote"}}'
        return "YES" if passing else "NO"

    @pytest.mark.parametrize("kind", RETRIES)
    def test_a_good_answer_is_handed_on(
        self, any_engine: CustomGPTQueryEngine, kind: str, expected: dict[str, Response], emulator: Emulator
    ) -> None:
        engine = RETRIES[kind](any_engine, Says(text=self.verdict(kind, True)))
        before = len(emulator.journal.prompts())
        response = engine.query(QUESTION)
        assert str(response) == expected[QUESTION].response
        assert ids(response) == ids(expected[QUESTION])
        assert len(emulator.journal.prompts()) == before + 1

    @pytest.mark.parametrize("kind", ["retry", "guideline"])
    def test_a_bad_answer_is_asked_for_again(
        self, any_engine: CustomGPTQueryEngine, kind: str, emulator: Emulator
    ) -> None:
        Settings.llm = Says(text="A better question about refunds?")
        engine = RETRIES[kind](any_engine, Says(text=self.verdict(kind, False)))
        assert str(engine.query(QUESTION))
        assert len(emulator.journal.prompts()) == 2


class TestCondenseQuestion:
    def chat(self, engine: CustomGPTQueryEngine) -> CondenseQuestionChatEngine:
        # Not the default memory, which leaves a database connection open (a ResourceWarning).
        memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
        return CondenseQuestionChatEngine.from_defaults(
            query_engine=engine, llm=Says(text=OTHER), memory=memory
        )

    async def test_chat_has_the_text_and_the_sources_of_the_engine(
        self, any_engine: CustomGPTQueryEngine, colour: str, expected: dict[str, Response]
    ) -> None:
        chat = self.chat(any_engine)
        for question in (QUESTION, OTHER):
            response = chat.chat(question) if colour == "sync" else await chat.achat(question)
            assert response.response == expected[question].response
            assert ids(response.sources[0].raw_output) == ids(expected[question])
        await any_engine.aclose()

    def test_stream_chat_has_the_text_and_the_sources_of_the_engine(
        self, where: dict[str, Any], expected: dict[str, Response]
    ) -> None:
        chat = self.chat(CustomGPTQueryEngine(streaming=True, **where))
        response = chat.stream_chat(QUESTION)
        assert "".join(response.response_gen).strip() == expected[QUESTION].response
        # The framework copies the sources when the stream begins; they are complete in the raw output.
        assert ids(response.sources[0].raw_output) == ids(expected[QUESTION])

    async def test_astream_chat_has_the_text_and_the_sources_of_the_engine(
        self, where: dict[str, Any], expected: dict[str, Response]
    ) -> None:
        engine = CustomGPTQueryEngine(streaming=True, **where)
        response = await self.chat(engine).astream_chat(QUESTION)
        text = "".join([token async for token in response.async_response_gen()])
        assert text.strip() == expected[QUESTION].response
        assert ids(response.sources[0].raw_output) == ids(expected[QUESTION])
        await engine.aclose()


# The framework looks at every attribute of its classes, deprecated ones too; 0.13 uses what it deprecates.
@pytest.mark.filterwarnings("ignore:.*attribute (on the instance )?is deprecated")
@pytest.mark.filterwarnings("ignore:ServiceManager is deprecated")
class TestAgents:
    @pytest.mark.parametrize("own_tool", [True, False], ids=["as_tool", "QueryEngineTool"])
    @pytest.mark.parametrize("streams", [True, False])
    async def test_a_function_agent_uses_the_engine_as_its_tool(
        self,
        any_engine: CustomGPTQueryEngine,
        own_tool: bool,
        streams: bool,
        expected: dict[str, Response],
    ) -> None:
        tool = any_engine.as_tool() if own_tool else QueryEngineTool.from_defaults(any_engine, name="ask")
        agent = FunctionAgent(tools=[tool], llm=CallsTheTool(), streaming=streams)
        for _ in range(2):
            run = agent.run(user_msg=QUESTION, memory=ChatMemoryBuffer.from_defaults(token_limit=3000))
            outputs = [
                event.tool_output async for event in run.stream_events() if isinstance(event, ToolCallResult)
            ]
            assert str(await run) == expected[QUESTION].response
            (output,) = outputs
            assert not output.is_error
            assert ids(output.raw_output) == ids(expected[QUESTION])
        await any_engine.aclose()


class TestEvaluation:
    @pytest.mark.parametrize("kind", [FaithfulnessEvaluator, RelevancyEvaluator])
    async def test_evaluators_read_text_and_sources(
        self, any_engine: CustomGPTQueryEngine, colour: str, kind: Any, expected: dict[str, Response]
    ) -> None:
        llm = Says(text="YES")
        evaluator = kind(llm=llm)
        response = await ask(any_engine, QUESTION, colour)
        if colour == "sync":
            result = evaluator.evaluate_response(QUESTION, response)
        else:
            result = await evaluator.aevaluate_response(QUESTION, response)
        assert result.passing
        assert result.response == expected[QUESTION].response
        assert any("Refunds" in prompt for prompt in llm.asked)
        assert all(scored.node.get_content() in "".join(llm.asked) for scored in response.source_nodes)
        await any_engine.aclose()

    async def test_a_batch_runner_evaluates_every_answer(self, any_engine: CustomGPTQueryEngine) -> None:
        runner = BatchEvalRunner({"faithfulness": FaithfulnessEvaluator(llm=Says(text="YES"))}, workers=4)
        results = await runner.aevaluate_queries(any_engine, queries=[QUESTION, OTHER] * 2)
        assert [result.passing for result in results["faithfulness"]] == [True] * 4
        assert all(result.contexts for result in results["faithfulness"])
        await any_engine.aclose()

    async def test_an_eval_query_engine_tool_hands_a_good_answer_on(
        self, any_engine: CustomGPTQueryEngine, colour: str, expected: dict[str, Response]
    ) -> None:
        tool = EvalQueryEngineTool.from_defaults(
            any_engine, name="ask", description="Asks.", evaluator=RelevancyEvaluator(llm=Says(text="YES"))
        )
        output = tool.call(QUESTION) if colour == "sync" else await tool.acall(QUESTION)
        assert output.content == expected[QUESTION].response
        await any_engine.aclose()


async def test_a_debug_handler_sees_every_query(where: dict[str, Any], colour: str) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    manager = CallbackManager([debug])
    for streaming in (False, True):
        engine = CustomGPTQueryEngine(streaming=streaming, callback_manager=manager, **where)
        await ask(engine, QUESTION, colour)
        await engine.aclose()
    assert len(debug.get_event_pairs(CBEventType.QUERY)) == 2


async def test_a_fusion_of_retrievers_has_all_sources(
    where: dict[str, Any], colour: str, expected: dict[str, Response]
) -> None:
    retriever = CustomGPTRetriever(**where)
    fusion = QueryFusionRetriever([retriever, retriever], llm=Says(), num_queries=1, use_async=False)
    nodes = fusion.retrieve(QUESTION) if colour == "sync" else await fusion.aretrieve(QUESTION)
    assert {scored.node.node_id for scored in nodes} == ids(expected[QUESTION])
    await retriever.aclose()


def test_the_types_are_those_that_composites_ask_for(any_engine: CustomGPTQueryEngine) -> None:
    response = any_engine.query(QUESTION)
    assert isinstance(response, StreamingResponse if any_engine.streaming else Response)
    str(response)
