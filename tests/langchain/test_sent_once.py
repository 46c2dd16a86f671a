"""A prompt that may have arrived is never sent again, neither by us nor by LangChain's retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware, ToolRetryMiddleware
from langchain_core import exceptions as core
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import ToolException
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy as GraphRetry

import customgpt_transport.errors as transport
from customgpt_transport import ClientOptions, RetryPolicy
from langchain_customgpt import ChatCustomGPT, CustomGPTTool
from tests.langchain.ways import ainvoke, astream, invoke, stream

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
ONCE = ClientOptions(retry=RetryPolicy(max_retries=0), recovery_patience=0)
ways = pytest.mark.parametrize("way", [invoke, ainvoke, stream, astream], ids=lambda way: way.__name__)

LOSSES: dict[str, Callable[[Emulator], Any]] = {
    "cut": lambda emulator: emulator.faults.cut_after(events=3, times=None),
    "dropped": lambda emulator: emulator.faults.drop_before_answer(times=None),
    "without a finish": lambda emulator: emulator.faults.end_without_finish(times=None),
    "500": lambda emulator: emulator.faults.error(500, times=None),
    "502": lambda emulator: emulator.faults.bad_gateway(times=None),
    "an error event": lambda emulator: emulator.faults.error_event(times=None),
    "nonsense": lambda emulator: emulator.faults.html_instead(times=None),
    "no credits": lambda emulator: emulator.faults.exhaust_credits(times=None),
}
losses = pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)


@losses
@ways
def test_a_prompt_that_may_have_arrived_is_sent_once(
    way: Any, lose: Callable[[Emulator], Any], make_chat: MakeChat, emulator: Emulator
) -> None:
    lose(emulator)
    options = ClientOptions(recovery_patience=0, sleep=lambda seconds: None)
    with pytest.raises(transport.CustomGPTError):
        way(make_chat(client_options=options), "hello")
    assert len(emulator.journal.prompts()) == 1


@losses
def test_langchains_model_retry_middleware_does_not_repeat_it(
    lose: Callable[[Emulator], Any], make_chat: MakeChat, emulator: Emulator
) -> None:
    lose(emulator)
    retry = ModelRetryMiddleware(max_retries=3, initial_delay=0, on_failure="error")
    agent = create_agent(make_chat(client_options=ONCE), middleware=[retry])
    with pytest.raises(core.ModelError):
        agent.invoke({"messages": [("human", "hello")]})
    assert len(emulator.journal.prompts()) == 1


@losses
def test_langgraphs_retry_policy_does_not_repeat_it(
    lose: Callable[[Emulator], Any], make_chat: MakeChat, emulator: Emulator
) -> None:
    lose(emulator)
    chat = make_chat(client_options=ONCE)
    graph = StateGraph(MessagesState)
    graph.add_node(
        "answer",
        lambda state: {"messages": [chat.invoke(state["messages"])]},
        retry_policy=GraphRetry(max_attempts=3, initial_interval=0.0),
    )
    graph.add_edge(START, "answer")
    with pytest.raises(core.ModelError):
        graph.compile().invoke({"messages": [("human", "hello")]})
    assert len(emulator.journal.prompts()) == 1


@losses
def test_langchains_tool_retry_middleware_does_not_repeat_it(
    lose: Callable[[Emulator], Any], where: dict[str, Any], emulator: Emulator
) -> None:
    lose(emulator)
    tool = CustomGPTTool(**where, client_options=ONCE)
    call = {"name": tool.name, "args": {"query": "hello"}, "id": "1", "type": "tool_call"}

    class Calls(GenericFakeChatModel):
        def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
            return self

    model = Calls(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("done")]))
    retry = ToolRetryMiddleware(max_retries=3, initial_delay=0, on_failure="error")
    agent = create_agent(model, tools=[tool], middleware=[retry])
    with pytest.raises(ToolException):
        agent.invoke({"messages": [("human", "hello")]})
    assert len(emulator.journal.prompts()) == 1


def test_a_refused_prompt_is_repeated_by_the_middleware_and_answered(
    make_chat: MakeChat, emulator: Emulator
) -> None:
    emulator.faults.rate_limit(times=2)
    retry = ModelRetryMiddleware(max_retries=3, initial_delay=0, on_failure="error")
    agent = create_agent(make_chat(client_options=ONCE), middleware=[retry])
    assert agent.invoke({"messages": [("human", "hello")]})["messages"][-1].content
    assert len(emulator.journal.prompts()) == 3


def test_a_refused_continuation_gives_its_claim_back(make_chat: MakeChat, emulator: Emulator) -> None:
    chat = make_chat(client_options=ONCE)
    messages: list[Any] = [("human", "hello")]
    messages += [chat.invoke(messages), ("human", "And refunds?")]
    for refusal in (
        emulator.faults.rate_limit,
        emulator.faults.exhaust_credits,
        emulator.faults.unprocessable,
    ):
        refusal()
        with pytest.raises(core.ModelError):
            chat.invoke(messages)
    assert chat.invoke(messages).response_metadata["customgpt"]["mode"] == "continue"


def test_a_continuation_that_may_have_arrived_keeps_its_claim(
    make_chat: MakeChat, emulator: Emulator
) -> None:
    chat = make_chat(client_options=ONCE)
    messages: list[Any] = [("human", "hello")]
    messages += [chat.invoke(messages), ("human", "And refunds?")]
    emulator.faults.cut_after(events=3)
    with pytest.raises(transport.StreamInterrupted):
        list(chat.stream(messages))
    assert chat.invoke(messages).response_metadata["customgpt"]["mode"] == "fork"
