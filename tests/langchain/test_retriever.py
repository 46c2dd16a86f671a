"""The retriever: the pages that an agent cites, as LangChain documents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from langchain_core.documents import Document

from customgpt_transport import ClientOptions, CustomGPTError, RetryPolicy
from langchain_customgpt import CustomGPTRetriever

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "When are refunds paid, and what about a gift card and the shipping of lamps?"
ONCE = ClientOptions(retry=RetryPolicy(max_retries=0), recovery_patience=0)


@pytest.fixture
def blockbuster() -> Iterator[BlockBuster]:
    with blockbuster_ctx("langchain_customgpt") as bb:
        yield bb


class TestRetriever:
    def test_documents_have_title_url_and_citation_id(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        documents = CustomGPTRetriever(**where).invoke(QUESTION)
        assert len(documents) >= 2
        for document in documents:
            assert document.id == str(document.metadata["citation_id"])
            assert document.metadata["url"] == document.metadata["source"]
            assert document.metadata["url"].startswith(emulator.base_url)
            assert document.metadata["title"] in document.page_content
            assert document.metadata["resolved"] is True
            assert not {"score", "relevance_score"} & set(document.metadata)
            assert "answer" not in document.metadata
            json.dumps(document.metadata)

    def test_k_limits_the_documents_and_their_look_ups(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        everything = CustomGPTRetriever(**where).invoke(QUESTION)
        first = CustomGPTRetriever(**where, k=1).invoke(QUESTION)
        assert [document.id for document in first] == [everything[0].id]
        assert len(CustomGPTRetriever(**where, k=1).invoke(QUESTION, k=2)) == 2
        looked_up = len(emulator.journal.entries("citations.get"))
        CustomGPTRetriever(**where).invoke(QUESTION, k=1)
        assert len(emulator.journal.entries("citations.get")) == looked_up + 1, "no look-up is wasted"
        for wrong in (0, -1):
            with pytest.raises(ValueError, match="k"):
                CustomGPTRetriever(**where, k=wrong)
            with pytest.raises(ValueError, match="k must be 1 or more"):
                CustomGPTRetriever(**where).invoke(QUESTION, k=wrong)

    async def test_ainvoke_does_not_block_the_loop(
        self, where: dict[str, Any], blockbuster: BlockBuster
    ) -> None:
        retriever = CustomGPTRetriever(**where)
        assert await retriever.ainvoke(QUESTION, k=2) == retriever_without_ids(
            await retriever.ainvoke(QUESTION, k=2)
        )

    def test_include_answer_puts_the_answer_in_each_documents_metadata(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        documents = CustomGPTRetriever(**where, include_answer=True).invoke(QUESTION)
        assert {document.metadata["answer"] for document in documents}.pop()

    def test_a_call_is_one_prompt_in_a_conversation_of_its_own(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        retriever = CustomGPTRetriever(**where, lang="de")
        retriever.invoke(QUESTION)
        asyncio.run(retriever.ainvoke(QUESTION, model="gpt-4-o"))
        prompts = emulator.journal.prompts()
        assert len({entry.path for entry in prompts}) == 2
        assert [entry.query["lang"] for entry in prompts] == ["de", "de"]
        assert prompts[1].fields["chatbot_model"] == "gpt-4-o"
        assert "one prompt" in (CustomGPTRetriever.__doc__ or "")

    def test_a_page_that_cannot_be_looked_up_is_still_a_document(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        emulator.faults.error(404, on="citations.get", times=None)
        for document in CustomGPTRetriever(**where).invoke(QUESTION):
            assert document.id
            assert document.metadata["resolved"] is False
            assert document.metadata["problem"]

    def test_an_answer_without_citations_gives_no_documents(self, where: dict[str, Any]) -> None:
        assert CustomGPTRetriever(**where).invoke("zxqv") == []

    @pytest.mark.parametrize("query", ["", "  "])
    def test_an_empty_query_is_refused(self, where: dict[str, Any], emulator: Emulator, query: str) -> None:
        with pytest.raises(ValueError, match="prompt"):
            CustomGPTRetriever(**where).invoke(query)
        assert not list(emulator.journal)

    def test_a_wrong_key_raises_a_typed_error(self, where: dict[str, Any], emulator: Emulator) -> None:
        emulator.faults.unauthorized(on=None, times=None)
        retriever = CustomGPTRetriever(**where)
        with pytest.raises(CustomGPTError, match="CUSTOMGPT_API_KEY"):
            retriever.invoke(QUESTION)
        with pytest.raises(CustomGPTError, match="CUSTOMGPT_API_KEY"):
            asyncio.run(retriever.ainvoke(QUESTION))


def retriever_without_ids(documents: list[Document]) -> Any:
    """Equal to the same documents of another conversation."""

    class Same(list[Document]):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, list) and [d.page_content for d in other] == [
                d.page_content for d in self
            ]

        __hash__ = None

    return Same(documents)
