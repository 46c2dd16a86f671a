"""The ways in which LangChain asks a chat model. Each returns the whole answer as one message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langchain_customgpt import ChatCustomGPT

Way = Callable[[ChatCustomGPT, Any], AIMessage]


def merged(chunks: Iterable[Any]) -> AIMessageChunk:
    """Return the sum of the chunks."""
    return cast("AIMessageChunk", reduce(add, chunks))


def invoke(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    return chat.invoke(prompt)


def ainvoke(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    return asyncio.run(chat.ainvoke(prompt))


def stream(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    return merged(chat.stream(prompt))


def astream(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    async def collect() -> AIMessage:
        return merged([chunk async for chunk in chat.astream(prompt)])

    return asyncio.run(collect())


def v3(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    return cast("AIMessage", chat.stream_events(prompt, version="v3").output)


def av3(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    async def collect() -> AIMessage:
        return cast("AIMessage", await (await chat.astream_events(prompt, version="v3")).output)

    return asyncio.run(collect())


def events_v2(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    async def collect() -> AIMessage:
        events = [event async for event in chat.astream_events(prompt, version="v2")]
        return merged(event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream")

    return asyncio.run(collect())


def graph_of(chat: ChatCustomGPT, **compile_with: Any) -> Any:
    """Return the smallest LangGraph chat: one node that asks the model with all messages."""

    def answer(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        return {"messages": [chat.invoke(state["messages"], config)]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(**compile_with)


def graph_messages(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    parts = graph_of(chat).stream({"messages": [("human", prompt)]}, stream_mode="messages")
    return merged(message for message, _ in parts)


def graph_state(chat: ChatCustomGPT, prompt: Any) -> AIMessage:
    return cast("AIMessage", graph_of(chat).invoke({"messages": [("human", prompt)]})["messages"][-1])


WAYS: dict[str, Way] = {way.__name__: way for way in (invoke, ainvoke, stream, astream, v3, av3)}
MORE_WAYS: dict[str, Way] = {way.__name__: way for way in (events_v2, graph_messages, graph_state)}
