"""The retriever: the pages that an agent cites, as nodes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.base_retriever import BaseRetriever

from llama_index_customgpt import (
    CustomGPTRetriever,
    PromptSettings,
)

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "How do refunds work?"


class TestRetriever:
    @pytest.fixture(params=["sync", "async"])
    def retrieve(self, request: pytest.FixtureRequest) -> Callable[..., Any]:
        async def run(retriever: CustomGPTRetriever) -> list[Any]:
            if request.param == "sync":
                return list(retriever.retrieve(QUESTION))
            nodes = await retriever.aretrieve(QUESTION)
            await retriever.aclose()
            return list(nodes)

        return run

    async def test_one_prompt_per_retrieval_and_nodes_in_order(
        self, retriever: CustomGPTRetriever, retrieve: Any, emulator: Emulator
    ) -> None:
        assert isinstance(retriever, BaseRetriever)
        nodes = await retrieve(retriever)
        assert len(nodes) >= 2
        assert [scored.node.metadata["position"] for scored in nodes] == list(range(1, len(nodes) + 1))
        assert len(emulator.journal.prompts()) == 1

    async def test_include_answer_puts_the_answer_first_as_a_node(
        self, where: dict[str, Any], retrieve: Any, emulator: Emulator
    ) -> None:
        first, *pages = await retrieve(CustomGPTRetriever(include_answer=True, similarity_top_k=1, **where))
        assert len(pages) == 1
        assert first.node.metadata["kind"] == "answer"
        assert first.node.node_id == f"answer-{first.node.metadata['prompt_id']}"
        assert first.text
        assert first.node.get_content("llm") == first.text
        assert len(emulator.journal.prompts()) == 1

    def test_settings_reach_the_prompt_and_the_score_can_be_none(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        retriever = CustomGPTRetriever(settings=PromptSettings(lang="de"), score=None, **where)
        assert {scored.score for scored in retriever.retrieve(QUESTION)} == {None}
        assert emulator.journal.prompts()[0].query["lang"] == "de"

    def test_it_pickles_and_copies(self, retriever: CustomGPTRetriever) -> None:
        expected = retriever.retrieve(QUESTION)
        for twin in (pickle.loads(pickle.dumps(retriever)), copy.deepcopy(retriever)):
            assert [scored.node for scored in twin.retrieve(QUESTION)] == [scored.node for scored in expected]
            twin.close()
