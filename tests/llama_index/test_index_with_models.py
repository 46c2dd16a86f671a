"""An index with an LLM of the user's: every argument reaches the part it belongs to, once."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_customgpt import CustomGPTIndex
from tests.llama_index.fake_models import Says

QUESTION = "How do refunds work?"


class Counts(BaseNodePostprocessor):
    """Counts its calls."""

    calls: list[int]

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        self.calls.append(len(nodes))
        return nodes


@pytest.fixture
def index(where: dict[str, Any]) -> CustomGPTIndex:
    return CustomGPTIndex(**where)


@pytest.mark.parametrize(
    "options",
    [{}, {"streaming": True}, {"response_mode": "tree_summarize"}, {"verbose": False}, {"score": 0.5}],
    ids=str,
)
def test_a_query_engine_takes_its_own_options_and_the_retrievers(
    index: CustomGPTIndex, options: dict[str, Any]
) -> None:
    response = index.as_query_engine(llm=Says(text="Five days."), similarity_top_k=1, **options).query(
        QUESTION
    )
    assert str(response) == "Five days."
    assert [scored.score for scored in response.source_nodes] == [options.get("score", 1.0)]
    index.close()


@pytest.mark.parametrize(
    "mode", [ChatMode.BEST, ChatMode.CONTEXT, ChatMode.CONDENSE_PLUS_CONTEXT, ChatMode.CONDENSE_QUESTION]
)
def test_a_chat_engine_takes_its_own_options_and_the_retrievers(
    index: CustomGPTIndex, mode: ChatMode
) -> None:
    own = {} if mode == ChatMode.CONDENSE_QUESTION else {"system_prompt": "Be brief."}
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000, tokenizer_fn=str.split)
    counts = Counts(calls=[])
    engine = index.as_chat_engine(
        mode,
        llm=Says(text="Five days."),
        similarity_top_k=1,
        node_postprocessors=[counts],
        memory=memory,
        **own,
    )
    response = engine.chat(QUESTION)
    assert str(response) == "Five days."
    assert counts.calls == [1], "postprocessors run once"
    index.close()


def test_postprocessors_of_a_query_engine_run_once(index: CustomGPTIndex) -> None:
    counts = Counts(calls=[])
    index.as_query_engine(llm=Says(text="Five days."), node_postprocessors=[counts]).query(QUESTION)
    assert len(counts.calls) == 1
    index.close()


@pytest.mark.parametrize("make", ["as_query_engine", "as_chat_engine", "as_retriever"])
def test_a_callback_manager_of_ones_own_is_used(index: CustomGPTIndex, make: str) -> None:
    mine = CallbackManager([])
    assert getattr(index, make)(callback_manager=mine).callback_manager is mine
    index.close()


def test_the_callback_manager_of_the_index_is_used(where: dict[str, Any]) -> None:
    mine = CallbackManager([])
    with CustomGPTIndex(callback_manager=mine, **where) as index:
        assert index.as_query_engine(llm=Says(text="")).callback_manager is mine
        assert index.as_retriever().callback_manager is mine


def test_making_an_engine_leaves_the_index_as_it_was(index: CustomGPTIndex) -> None:
    index.as_query_engine(llm=Says(text=""), similarity_top_k=1)
    assert index.as_retriever().similarity_top_k is None
    with pytest.raises(TypeError, match="similarty_top_k"):
        index.as_retriever(similarty_top_k=1)
    index.close()


@pytest.mark.parametrize("name", ["docstore", "storage_context"])
def test_stores_that_a_managed_index_has_not_are_explained(index: CustomGPTIndex, name: str) -> None:
    with pytest.raises(AttributeError, match=f"managed index has no {name}"):
        getattr(index, name)
    index.close()
