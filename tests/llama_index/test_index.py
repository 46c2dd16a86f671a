"""The index over an agent's sources and pages: insert, update, delete, refresh, wait, and ask."""

from __future__ import annotations

import io
import logging
import pickle
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Settings
from llama_index.core.indices.managed.base import BaseManagedIndex
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import Document

from customgpt_transport import ConfigurationError, CustomGPTError, RequestTimeout
from llama_index_customgpt import (
    CustomGPTChatEngine,
    CustomGPTIndex,
    CustomGPTQueryEngine,
    CustomGPTRetriever,
)
from tests.llama_index.calls import Call
from tests.llama_index.fake_models import Says

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "How do refunds work?"


ROOF = Document(
    id_="manuals/roof box.md",
    text="The roof box Meridian carries 75 kilograms and locks with two keys.",
    metadata={"title": "Roof box Meridian", "url": "https://shop.example/roof-box"},
)
TENT = Document(id_="manuals/tent.md", text="The tent Aurora sleeps four people and weighs nine kilograms.")


@pytest.fixture
def index(where: dict[str, Any]) -> CustomGPTIndex:
    return CustomGPTIndex(poll_every=0.02, **where)


class TestIndex:
    def test_it_is_a_managed_index_and_making_it_sends_nothing(
        self, index: CustomGPTIndex, emulator: Emulator
    ) -> None:
        assert isinstance(index, BaseManagedIndex)
        assert index.index_id == str(emulator.project_id)
        assert Settings._transformations is None
        assert Settings._llm is None
        assert not len(emulator.journal)

    async def test_its_engines_and_its_retriever_need_no_llm(self, index: CustomGPTIndex, call: Call) -> None:
        query = index.as_query_engine(streaming=False)
        chat = index.as_chat_engine()
        retriever = index.as_retriever(similarity_top_k=1)
        assert (type(query), type(chat), type(retriever)) == (
            CustomGPTQueryEngine,
            CustomGPTChatEngine,
            CustomGPTRetriever,
        )
        assert (await call(query, "query", QUESTION)).source_nodes
        assert (await call(chat, "chat", QUESTION)).source_nodes
        assert len(await call(retriever, "retrieve", QUESTION)) == 1
        assert Settings._llm is None
        await index.aclose()

    def test_with_an_llm_the_cited_pages_are_its_context(self, index: CustomGPTIndex) -> None:
        llm = Says(text="In five days.")
        engine = index.as_query_engine(llm=llm)
        assert isinstance(engine, RetrieverQueryEngine)
        response = engine.query(QUESTION)
        assert str(response) == "In five days."
        assert len(response.source_nodes) >= 2
        assert "Refunds" in llm.asked[-1]

    async def test_an_inserted_document_is_cited_until_it_is_deleted(
        self, index: CustomGPTIndex, call: Call
    ) -> None:
        await call(index, "insert", ROOF)
        info = (await call(index, "ref_doc_info"))[ROOF.id_]
        (page_id,) = info.node_ids
        response = await call(index.as_query_engine(), "query", "How much does the roof box Meridian carry?")
        assert "75 kilograms" in str(response)
        cited = {scored.node.node_id: scored.node.metadata for scored in response.source_nodes}
        assert cited[page_id]["title"] == "Roof box Meridian"
        assert cited[page_id]["url"] == "https://shop.example/roof-box"
        await call(index, "delete_ref_doc", ROOF.id_)
        assert ROOF.id_ not in await call(index, "ref_doc_info")
        await index.aclose()

    async def test_an_update_replaces_the_old_pages(self, index: CustomGPTIndex, call: Call) -> None:
        await call(index, "insert", ROOF)
        before = (await call(index, "ref_doc_info"))[ROOF.id_].node_ids
        newer = Document(id_=ROOF.id_, text="The roof box Meridian carries 90 kilograms.")
        await call(index, "update_ref_doc", newer)
        after = (await call(index, "ref_doc_info"))[ROOF.id_].node_ids
        assert len(after) == 1
        assert after != before
        answer = await call(index.as_query_engine(), "query", "How much does the roof box Meridian carry?")
        assert "90 kilograms" in str(answer)
        assert "75 kilograms" not in str(answer)
        await index.aclose()

    async def test_a_refresh_uploads_only_what_changed_also_in_another_process(
        self, where: dict[str, Any], call: Call, emulator: Emulator
    ) -> None:
        first = CustomGPTIndex(poll_every=0.02, **where)
        assert await call(first, "refresh_ref_docs", [ROOF]) == [True]
        second = pickle.loads(pickle.dumps(first))
        uploads = len(emulator.journal.entries("sources.create"))
        assert await call(second, "refresh_ref_docs", [ROOF, TENT]) == [False, True]
        assert len(emulator.journal.entries("sources.create")) == uploads + 1
        changed = Document(id_=TENT.id_, text="The tent Aurora sleeps six people.")
        assert await call(second, "refresh_ref_docs", [ROOF, changed]) == [False, True]
        info = await call(second, "ref_doc_info")
        assert len(info[TENT.id_].node_ids) == len(info[ROOF.id_].node_ids) == 1
        await first.aclose()
        await second.aclose()

    async def test_from_documents_makes_an_agent(
        self, where: dict[str, Any], call: Call, emulator: Emulator
    ) -> None:
        del where["project_id"]
        index = await call(CustomGPTIndex, "from_documents", [ROOF, TENT], poll_every=0.02, **where)
        assert index.project_id != emulator.project_id
        assert set(await call(index, "ref_doc_info")) == {ROOF.id_, TENT.id_}
        response = await call(index.as_query_engine(), "query", "How many people does the tent Aurora sleep?")
        assert "four people" in str(response)
        await index.aclose()

    async def test_from_documents_adds_to_an_agent_that_is_named(
        self, where: dict[str, Any], call: Call, emulator: Emulator
    ) -> None:
        index = await call(CustomGPTIndex, "from_documents", [ROOF], poll_every=0.02, **where)
        assert index.project_id == emulator.project_id
        info = await call(index, "ref_doc_info")
        assert ROOF.id_ in info
        assert "refunds.md" in info
        await index.aclose()

    async def test_nodes_are_added_and_deleted_by_page(self, index: CustomGPTIndex, call: Call) -> None:
        await call(index, "insert_nodes", [ROOF, TENT])
        info = await call(index, "ref_doc_info")
        await call(index, "delete_nodes", info[TENT.id_].node_ids)
        info = await call(index, "ref_doc_info")
        assert ROOF.id_ in info
        assert TENT.id_ not in info
        await index.aclose()

    async def test_it_waits_for_indexing_and_shows_the_progress(
        self, where: dict[str, Any], call: Call, emulator: Emulator
    ) -> None:
        emulator.switches.readiness_delay = 0.2
        index = CustomGPTIndex(poll_every=0.02, show_progress=True, **where)
        screen = io.StringIO()
        with redirect_stderr(screen):
            await call(index, "insert_nodes", [ROOF, TENT])
        assert "Uploading documents: 100%" in screen.getvalue()
        assert "Indexing documents: 100%" in screen.getvalue()
        info = await call(index, "ref_doc_info")
        assert {info[document.id_].metadata["index_status"] for document in (ROOF, TENT)} == {"ok"}
        await index.aclose()

    async def test_it_does_not_wait_for_indexing_beyond_its_timeout(
        self, where: dict[str, Any], call: Call, emulator: Emulator
    ) -> None:
        emulator.switches.readiness_delay = 3600
        index = CustomGPTIndex(poll_every=0.01, index_timeout=0.03, **where)
        with pytest.raises(RequestTimeout, match="0 of 1 documents"):
            await call(index, "insert", ROOF)
        await index.aclose()

    async def test_deleting_an_unknown_document_is_logged(
        self, index: CustomGPTIndex, call: Call, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            await call(index, "delete_ref_doc", "nowhere.md")
        assert "nowhere.md" in caplog.text
        await index.aclose()

    def test_no_document_no_agent_or_a_wrong_key_raise_typed_errors(self, where: dict[str, Any]) -> None:
        del where["project_id"]
        with pytest.raises(ConfigurationError, match="at least one document"):
            CustomGPTIndex.from_documents([], **where)
        with pytest.raises(ConfigurationError, match="CUSTOMGPT_PROJECT_ID"):
            CustomGPTIndex(**where).as_query_engine()
        with pytest.raises(CustomGPTError):
            CustomGPTIndex(project_id=1, **{**where, "api_key": "1|wrong"}).insert(ROOF)
