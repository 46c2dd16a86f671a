"""The tool: an agent of CustomGPT.ai that an agent of LangChain can ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.tools import ToolException

from customgpt_transport import Client, CustomGPTError
from langchain_customgpt import CustomGPTTool
from langchain_customgpt.errors import CustomGPTToolError

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "When are refunds paid, and what about a gift card and the shipping of lamps?"


@pytest.fixture
def blockbuster() -> Iterator[BlockBuster]:
    with blockbuster_ctx("langchain_customgpt") as bb:
        yield bb


class CallsTheTool(GenericFakeChatModel):
    """A model that calls its tool once and then ends."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def agent_with(tool: CustomGPTTool, **settings: Any) -> Any:
    call = {"name": tool.name, "args": {"query": QUESTION}, "id": "1", "type": "tool_call"}
    messages = iter([AIMessage("", tool_calls=[call]), AIMessage("That is all.")])
    return create_agent(CallsTheTool(messages=messages, disable_streaming=True), tools=[tool], **settings)


class TestTool:
    def test_the_answer_is_the_content_and_the_sources_are_the_artifact(self, where: dict[str, Any]) -> None:
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

    async def test_ainvoke_does_not_block_the_loop(
        self, where: dict[str, Any], blockbuster: BlockBuster
    ) -> None:
        assert await CustomGPTTool(**where).ainvoke({"query": QUESTION})

    def test_what_goes_wrong_is_a_tool_exception(self, where: dict[str, Any], emulator: Emulator) -> None:
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
    def test_inner_tokens_reach_the_graphs_stream_only_on_request(
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

    async def test_a_langchain_agent_uses_it(self, where: dict[str, Any]) -> None:
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
