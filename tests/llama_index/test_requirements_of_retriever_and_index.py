"""Requirements 25 and 26: the retriever, and the index over an agent's sources and pages."""

from __future__ import annotations

import copy
import io
import logging
import pickle
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.indices.managed.base import BaseManagedIndex
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import Document

from customgpt_transport import ConfigurationError, CustomGPTError, RequestTimeout
from llama_index_customgpt import (
    CustomGPTChatEngine,
    CustomGPTIndex,
    CustomGPTQueryEngine,
    CustomGPTRetriever,
    PromptSettings,
)
from tests.llama_index.fake_models import Says
from tests.llama_index.hands import Hands

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

QUESTION = "How do refunds work?"


class TestRequirement25Retriever:
    @pytest.fixture(params=["sync", "async"])
    def retrieve(self, request: pytest.FixtureRequest) -> Callable[..., Any]:
        async def run(retriever: CustomGPTRetriever) -> list[Any]:
            if request.param == "sync":
                return list(retriever.retrieve(QUESTION))
            nodes = await retriever.aretrieve(QUESTION)
            await retriever.aclose()
            return list(nodes)

        return run

    async def test_requirement_25_one_prompt_per_retrieval(
        self, retriever: CustomGPTRetriever, retrieve: Any, emulator: Emulator
    ) -> None:
        assert isinstance(retriever, BaseRetriever)
        nodes = await retrieve(retriever)
        assert len(nodes) >= 2
        assert [scored.node.metadata["position"] for scored in nodes] == list(range(1, len(nodes) + 1))
        assert len(emulator.journal.prompts()) == 1

    async def test_requirement_25_the_answer_as_a_node(
        self, where: dict[str, Any], retrieve: Any, emulator: Emulator
    ) -> None:
        first, *pages = await retrieve(CustomGPTRetriever(include_answer=True, similarity_top_k=1, **where))
        assert len(pages) == 1
        assert first.node.metadata["kind"] == "answer"
        assert first.node.node_id == f"answer-{first.node.metadata['prompt_id']}"
        assert first.text
        assert first.node.get_content("llm") == first.text
        assert len(emulator.journal.prompts()) == 1

    def test_requirement_25_settings_and_score(self, where: dict[str, Any], emulator: Emulator) -> None:
        retriever = CustomGPTRetriever(settings=PromptSettings(lang="de"), score=None, **where)
        assert {scored.score for scored in retriever.retrieve(QUESTION)} == {None}
        assert emulator.journal.prompts()[0].query["lang"] == "de"

    def test_requirement_25_it_pickles(self, retriever: CustomGPTRetriever) -> None:
        expected = retriever.retrieve(QUESTION)
        for twin in (pickle.loads(pickle.dumps(retriever)), copy.deepcopy(retriever)):
            assert [scored.node for scored in twin.retrieve(QUESTION)] == [scored.node for scored in expected]
            twin.close()


ROOF = Document(
    id_="manuals/roof box.md",
    text="The roof box Meridian carries 75 kilograms and locks with two keys.",
    metadata={"title": "Roof box Meridian", "url": "https://shop.example/roof-box"},
)
TENT = Document(id_="manuals/tent.md", text="The tent Aurora sleeps four people and weighs nine kilograms.")


@pytest.fixture
def index(where: dict[str, Any]) -> CustomGPTIndex:
    return CustomGPTIndex(poll_every=0.02, **where)


class TestRequirement26Index:
    def test_requirement_26_a_managed_index_that_costs_nothing_to_make(
        self, index: CustomGPTIndex, emulator: Emulator
    ) -> None:
        assert isinstance(index, BaseManagedIndex)
        assert index.index_id == str(emulator.project_id)
        assert Settings._transformations is None
        assert Settings._llm is None
        assert not len(emulator.journal)

    async def test_requirement_26_engines_need_no_llm(self, index: CustomGPTIndex, hands: Hands) -> None:
        query = index.as_query_engine(streaming=False)
        chat = index.as_chat_engine()
        retriever = index.as_retriever(similarity_top_k=1)
        assert (type(query), type(chat), type(retriever)) == (
            CustomGPTQueryEngine,
            CustomGPTChatEngine,
            CustomGPTRetriever,
        )
        assert (await hands(query, "query", QUESTION)).source_nodes
        assert (await hands(chat, "chat", QUESTION)).source_nodes
        assert len(await hands(retriever, "retrieve", QUESTION)) == 1
        assert Settings._llm is None
        await index.aclose()

    def test_requirement_26_with_a_model_of_yours_it_answers_from_the_cited_pages(
        self, index: CustomGPTIndex
    ) -> None:
        llm = Says(text="In five days.")
        engine = index.as_query_engine(llm=llm)
        assert isinstance(engine, RetrieverQueryEngine)
        response = engine.query(QUESTION)
        assert str(response) == "In five days."
        assert len(response.source_nodes) >= 2
        assert "Refunds" in llm.asked[-1]

    async def test_requirement_26_insert_then_ask_then_delete(
        self, index: CustomGPTIndex, hands: Hands
    ) -> None:
        await hands(index, "insert", ROOF)
        info = (await hands(index, "ref_doc_info"))[ROOF.id_]
        (page_id,) = info.node_ids
        response = await hands(index.as_query_engine(), "query", "How much does the roof box Meridian carry?")
        assert "75 kilograms" in str(response)
        cited = {scored.node.node_id: scored.node.metadata for scored in response.source_nodes}
        assert cited[page_id]["title"] == "Roof box Meridian"
        assert cited[page_id]["url"] == "https://shop.example/roof-box"
        await hands(index, "delete_ref_doc", ROOF.id_)
        assert ROOF.id_ not in await hands(index, "ref_doc_info")
        await index.aclose()

    async def test_requirement_26_update_replaces_the_old_pages(
        self, index: CustomGPTIndex, hands: Hands
    ) -> None:
        await hands(index, "insert", ROOF)
        before = (await hands(index, "ref_doc_info"))[ROOF.id_].node_ids
        newer = Document(id_=ROOF.id_, text="The roof box Meridian carries 90 kilograms.")
        await hands(index, "update_ref_doc", newer)
        after = (await hands(index, "ref_doc_info"))[ROOF.id_].node_ids
        assert len(after) == 1
        assert after != before
        answer = await hands(index.as_query_engine(), "query", "How much does the roof box Meridian carry?")
        assert "90 kilograms" in str(answer)
        assert "75 kilograms" not in str(answer)
        await index.aclose()

    async def test_requirement_26_refresh_uploads_what_changed_in_any_process(
        self, where: dict[str, Any], hands: Hands, emulator: Emulator
    ) -> None:
        first = CustomGPTIndex(poll_every=0.02, **where)
        assert await hands(first, "refresh_ref_docs", [ROOF]) == [True]
        second = pickle.loads(pickle.dumps(first))
        uploads = len(emulator.journal.entries("sources.create"))
        assert await hands(second, "refresh_ref_docs", [ROOF, TENT]) == [False, True]
        assert len(emulator.journal.entries("sources.create")) == uploads + 1
        changed = Document(id_=TENT.id_, text="The tent Aurora sleeps six people.")
        assert await hands(second, "refresh_ref_docs", [ROOF, changed]) == [False, True]
        info = await hands(second, "ref_doc_info")
        assert len(info[TENT.id_].node_ids) == len(info[ROOF.id_].node_ids) == 1
        await first.aclose()
        await second.aclose()

    async def test_requirement_26_from_documents_makes_an_agent(
        self, where: dict[str, Any], hands: Hands, emulator: Emulator
    ) -> None:
        del where["project_id"]
        index = await hands(CustomGPTIndex, "from_documents", [ROOF, TENT], poll_every=0.02, **where)
        assert index.project_id != emulator.project_id
        assert set(await hands(index, "ref_doc_info")) == {ROOF.id_, TENT.id_}
        response = await hands(
            index.as_query_engine(), "query", "How many people does the tent Aurora sleep?"
        )
        assert "four people" in str(response)
        await index.aclose()

    async def test_requirement_26_from_documents_joins_an_agent_that_is_named(
        self, where: dict[str, Any], hands: Hands, emulator: Emulator
    ) -> None:
        index = await hands(CustomGPTIndex, "from_documents", [ROOF], poll_every=0.02, **where)
        assert index.project_id == emulator.project_id
        info = await hands(index, "ref_doc_info")
        assert ROOF.id_ in info
        assert "refunds.md" in info
        await index.aclose()

    async def test_requirement_26_nodes_are_added_and_deleted_by_page(
        self, index: CustomGPTIndex, hands: Hands
    ) -> None:
        await hands(index, "insert_nodes", [ROOF, TENT])
        info = await hands(index, "ref_doc_info")
        await hands(index, "delete_nodes", info[TENT.id_].node_ids)
        info = await hands(index, "ref_doc_info")
        assert ROOF.id_ in info
        assert TENT.id_ not in info
        await index.aclose()

    async def test_requirement_26_it_waits_for_indexing_and_shows_how_far(
        self, where: dict[str, Any], hands: Hands, emulator: Emulator
    ) -> None:
        emulator.switches.readiness_delay = 0.2
        index = CustomGPTIndex(poll_every=0.02, show_progress=True, **where)
        screen = io.StringIO()
        with redirect_stderr(screen):
            await hands(index, "insert_nodes", [ROOF, TENT])
        assert "Uploading documents: 100%" in screen.getvalue()
        assert "Indexing documents: 100%" in screen.getvalue()
        info = await hands(index, "ref_doc_info")
        assert {info[document.id_].metadata["index_status"] for document in (ROOF, TENT)} == {"ok"}
        await index.aclose()

    async def test_requirement_26_it_does_not_wait_for_ever(
        self, where: dict[str, Any], hands: Hands, emulator: Emulator
    ) -> None:
        emulator.switches.readiness_delay = 3600
        index = CustomGPTIndex(poll_every=0.01, index_timeout=0.03, **where)
        with pytest.raises(RequestTimeout, match="0 of 1 documents"):
            await hands(index, "insert", ROOF)
        await index.aclose()

    async def test_requirement_26_a_document_that_is_not_there_is_logged(
        self, index: CustomGPTIndex, hands: Hands, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            await hands(index, "delete_ref_doc", "nowhere.md")
        assert "nowhere.md" in caplog.text
        await index.aclose()

    def test_requirement_26_mistakes_are_typed(self, where: dict[str, Any]) -> None:
        del where["project_id"]
        with pytest.raises(ConfigurationError, match="at least one document"):
            CustomGPTIndex.from_documents([], **where)
        with pytest.raises(ConfigurationError, match="CUSTOMGPT_PROJECT_ID"):
            CustomGPTIndex(**where).as_query_engine()
        with pytest.raises(CustomGPTError):
            CustomGPTIndex(project_id=1, **{**where, "api_key": "1|wrong"}).insert(ROOF)
