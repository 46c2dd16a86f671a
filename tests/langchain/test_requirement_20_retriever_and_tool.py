"""Requirement 20, and parts 2 and 3: documents from an agent, and an agent as a tool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.tools import ToolException

from customgpt_transport import Client, ClientOptions, CustomGPTError, RetryPolicy
from langchain_customgpt import CustomGPTRetriever, CustomGPTTool
from langchain_customgpt.errors import CustomGPTToolError

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

QUESTION = "When are refunds paid, and what about a gift card and the shipping of lamps?"
ONCE = ClientOptions(retry=RetryPolicy(max_retries=0), recovery_patience=0)


@pytest.fixture
def blockbuster() -> Iterator[BlockBuster]:
    with blockbuster_ctx("langchain_customgpt") as bb:
        yield bb


class TestRetriever:
    """Part 2."""

    def test_requirement_20_documents_have_title_url_and_citation_id(
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

    def test_requirement_20_k_in_the_constructor_and_per_call(
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

    async def test_requirement_20_async_is_native(
        self, where: dict[str, Any], blockbuster: BlockBuster
    ) -> None:
        retriever = CustomGPTRetriever(**where)
        assert await retriever.ainvoke(QUESTION, k=2) == retriever_without_ids(
            await retriever.ainvoke(QUESTION, k=2)
        )

    def test_the_answer_is_kept_on_request(self, where: dict[str, Any], emulator: Emulator) -> None:
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

    def test_no_answer_is_no_documents(self, where: dict[str, Any]) -> None:
        assert CustomGPTRetriever(**where).invoke("zxqv") == []

    @pytest.mark.parametrize("query", ["", "  "])
    def test_an_empty_query_is_refused(self, where: dict[str, Any], emulator: Emulator, query: str) -> None:
        with pytest.raises(ValueError, match="prompt"):
            CustomGPTRetriever(**where).invoke(query)
        assert not list(emulator.journal)

    def test_errors_are_typed(self, where: dict[str, Any], emulator: Emulator) -> None:
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


class CallsTheTool(GenericFakeChatModel):
    """A model that calls the tool it was given, and then says what it got."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def agent_with(tool: CustomGPTTool, **settings: Any) -> Any:
    call = {"name": tool.name, "args": {"query": QUESTION}, "id": "1", "type": "tool_call"}
    messages = iter([AIMessage("", tool_calls=[call]), AIMessage("That is all.")])
    return create_agent(CallsTheTool(messages=messages, disable_streaming=True), tools=[tool], **settings)


class TestTool:
    """Part 3."""

    def test_requirement_20_the_answer_is_the_content_and_the_sources_are_the_artifact(
        self, where: dict[str, Any]
    ) -> None:
        tool = CustomGPTTool(**where)
        call = {"name": tool.name, "args": {"query": QUESTION}, "id": "1", "type": "tool_call"}
        for message in (tool.invoke(call), asyncio.run(tool.ainvoke(call))):
            assert isinstance(message, ToolMessage)
            assert message.content == tool.invoke(QUESTION)
            assert [source["title"] for source in message.artifact]
            assert all(source["url"] for source in message.artifact)
            json.dumps(message.artifact)
        nothing = tool.invoke({**call, "args": {"query": "zxqv"}})
        assert nothing.content
        assert nothing.artifact == []

    async def test_requirement_20_async_is_native(
        self, where: dict[str, Any], blockbuster: BlockBuster
    ) -> None:
        assert await CustomGPTTool(**where).ainvoke({"query": QUESTION})

    def test_requirement_20_what_goes_wrong_is_a_tool_exception(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        emulator.faults.unauthorized(on=None, times=None)
        tool = CustomGPTTool(**where)
        for ask in (tool.invoke, lambda query: asyncio.run(tool.ainvoke(query))):
            with pytest.raises(ToolException, match="CUSTOMGPT_API_KEY") as caught:
                ask(QUESTION)
            assert isinstance(caught.value, CustomGPTToolError)
            assert isinstance(caught.value.__cause__, CustomGPTError)
        handled = CustomGPTTool(**where, handle_tool_error=True)
        assert "CUSTOMGPT_API_KEY" in handled.invoke(QUESTION)

    @pytest.mark.parametrize("shown", [False, True])
    def test_requirement_20_inner_tokens_stay_out_of_the_graphs_stream(
        self, where: dict[str, Any], shown: bool
    ) -> None:
        agent = agent_with(CustomGPTTool(**where, stream_tokens=shown))
        parts = list(agent.stream({"messages": [("human", QUESTION)]}, stream_mode="messages"))
        inner = [
            part
            for part, meta in parts
            if isinstance(part, AIMessageChunk) and meta["langgraph_node"] == "tools"
        ]
        assert bool(inner) is shown
        assert any(isinstance(part, ToolMessage) for part, _ in parts)

    async def test_an_agent_of_langchain_uses_it(self, where: dict[str, Any]) -> None:
        tool = CustomGPTTool(**where)
        for final in (
            agent_with(tool).invoke({"messages": [("human", QUESTION)]}),
            await agent_with(tool).ainvoke({"messages": [("human", QUESTION)]}),
        ):
            _, _, result, last = final["messages"]
            assert "refund" in result.content.lower()
            assert result.artifact
            assert last.content == "That is all."

    def test_the_static_name_and_description_fit_every_model(self) -> None:
        tool = CustomGPTTool(project_id=1, api_key="1|made-up")
        assert tool.name.isidentifier()
        assert "documents" in tool.description
        assert set(tool.args) == {"query"}

    def test_from_agent_reads_name_and_examples(self, where: dict[str, Any]) -> None:
        with Client(**where) as client:
            client.agents.update(where["project_id"], name="Lamp Shop: Hilfe & Preise!")
            client.agents.update_settings(where["project_id"], example_questions=["When are refunds paid?"])
        for tool in (CustomGPTTool.from_agent(**where), asyncio.run(CustomGPTTool.afrom_agent(**where))):
            assert tool.name == "ask_lamp_shop_hilfe_preise"
            assert "'Lamp Shop: Hilfe & Preise!'" in tool.description
            assert "- When are refunds paid?" in tool.description
            assert tool.invoke(QUESTION)
        named = CustomGPTTool.from_agent(**where, name="prices", description="Prices of lamps.")
        assert (named.name, named.description) == ("prices", "Prices of lamps.")

    def test_from_agent_raises_typed_errors(self, where: dict[str, Any]) -> None:
        wrong = {**where, "project_id": 987654}
        with pytest.raises(CustomGPTError, match="987654"):
            CustomGPTTool.from_agent(**wrong)
        with pytest.raises(CustomGPTError, match="987654"):
            asyncio.run(CustomGPTTool.afrom_agent(**wrong))
