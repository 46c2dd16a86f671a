"""What an answer is, whichever way LangChain asks for it."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.exceptions import ModelError
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
)
from langchain_core.output_parsers import StrOutputParser

from customgpt_transport import AnswerFailed, ClientOptions, StreamInterrupted
from langchain_customgpt import ChatCustomGPT
from tests.langchain.ways import MORE_WAYS, WAYS, Way, ainvoke, astream, graph_of, merged, stream

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid, and what about a gift card and the shipping of lamps?"
NO_RECOVERY = ClientOptions(recovery_patience=0)

way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
any_way = pytest.mark.parametrize("way", [*WAYS.values(), *MORE_WAYS.values()], ids=[*WAYS, *MORE_WAYS])


def chunks_of(chat: ChatCustomGPT, **settings: Any) -> list[AIMessageChunk]:
    return list(chat.stream(QUESTION, **settings))


def comparable(message: AIMessage) -> tuple[Any, ...]:
    """Return what two answers to one question share: all but the ids of runs, prompts and conversations."""
    note = message.response_metadata["customgpt"]
    metadata = {**message.response_metadata, "customgpt": note["answer_digest"]}
    return message.content, metadata, message.content_blocks, message.usage_metadata


class Heard(BaseCallbackHandler):
    """Keeps what callbacks hear."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.events: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("start")

    def on_llm_new_token(self, token: str, *args: Any, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        self.events.append("end")

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(f"error:{type(error).__name__}")


def test_invoke_equals_the_sum_of_the_streamed_chunks(chat: ChatCustomGPT) -> None:
    expected = chat.invoke(QUESTION)
    for other in (ainvoke, stream, astream):
        assert comparable(other(chat, QUESTION)) == comparable(expected), other.__name__
    for other in (WAYS["v3"], WAYS["av3"]):  # these give content as blocks, by LangChain's design
        assert other(chat, QUESTION).text == expected.text, other.__name__


async def test_async_calls_use_no_thread_and_never_block_the_loop(
    make_chat: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = make_chat(verify_tip="remote")
    await chat.ainvoke("hello")  # imports and the first look at files are over

    def no_thread(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("".join(traceback.format_stack(limit=12)))

    with blockbuster_ctx("langchain_customgpt"):
        monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", no_thread)
        first = await chat.ainvoke(QUESTION)
        later = [HumanMessage(QUESTION), first, HumanMessage("And gift cards?")]
        assert [chunk async for chunk in chat.astream(later)]


def test_the_last_chunk_says_so_and_no_chunk_has_an_id_of_its_own(chat: ChatCustomGPT) -> None:
    chunks = list(chat._stream([HumanMessage(QUESTION)]))
    assert [chunk.message.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert {chunk.message.id for chunk in chunks} == {None}
    assert len(chunks) > 5


def test_the_id_that_langgraph_streamed_is_the_id_in_its_state(chat: ChatCustomGPT) -> None:
    streamed, final = set(), None
    modes = ["messages", "values"]
    for mode, part in graph_of(chat).stream({"messages": [("human", QUESTION)]}, stream_mode=modes):
        if mode == "messages":
            streamed.add(part[0].id)
        else:
            final = part
    assert final is not None
    assert streamed == {final["messages"][-1].id}
    assert isinstance(final["messages"][-1].response_metadata["customgpt"]["prompt_id"], int)


def test_only_the_last_chunk_has_metadata(chat: ChatCustomGPT) -> None:
    *before, last = chunks_of(chat)
    assert {key for chunk in before for key in chunk.response_metadata} == {"model_provider"}
    assert set(last.response_metadata) == {"model_provider", "model_name", "citations", "customgpt"}
    assert all("index" not in citation for citation in last.response_metadata["citations"])
    assert merged([*before, last]).response_metadata == last.response_metadata


@pytest.mark.parametrize("streaming", [False, True])
def test_callbacks_hear_each_chunk_as_a_token(make_chat: MakeChat, streaming: bool) -> None:
    chat = make_chat(streaming=True) if streaming else make_chat()
    chunks = [chunk.content for chunk in chunks_of(chat)]
    heard = Heard()
    if streaming:
        chat.invoke(QUESTION, {"callbacks": [heard]})
    else:
        assert len(list(chat.stream(QUESTION, {"callbacks": [heard]}))) == len(chunks)
    assert heard.tokens == chunks
    assert heard.events == ["start", "end"]


def test_callbacks_of_v3_events_hear_each_chunk_as_a_token(chat: ChatCustomGPT) -> None:
    chunks, heard = chunks_of(chat), Heard()
    events = chat.stream_events(QUESTION, {"callbacks": [heard]}, version="v3")
    deltas = [event for event in events if event["event"] == "content-block-delta"]
    assert len(heard.tokens) == len(chunks)
    assert len(deltas) == len(chunks) - 1, "the last one brings citations, not text"
    assert heard.events == ["start", "end"]


async def test_async_callbacks_and_v2_events_hear_each_chunk_as_a_token(make_chat: MakeChat) -> None:
    class AsyncHeard(AsyncCallbackHandler):
        tokens = 0

        async def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.tokens += 1

    chat, heard = make_chat(streaming=True), AsyncHeard()
    chunks = [chunk async for chunk in chat.astream(QUESTION)]
    await chat.ainvoke(QUESTION, {"callbacks": [heard]})
    assert heard.tokens == len(chunks)
    v2 = [event async for event in chat.astream_events(QUESTION, version="v2")]
    assert sum(event["event"] == "on_chat_model_stream" for event in v2) == len(chunks)


def test_langgraph_streams_as_many_messages_as_chunks(chat: ChatCustomGPT) -> None:
    parts = list(graph_of(chat).stream({"messages": [("human", QUESTION)]}, stream_mode="messages"))
    assert len(parts) == len(chunks_of(chat))


@pytest.mark.parametrize("output_version", [None, "v1"])
@any_way
def test_citations_are_annotations_of_the_one_text_block(
    way: Way, output_version: str | None, make_chat: MakeChat, emulator: Emulator
) -> None:
    answer = way(make_chat(output_version=output_version), QUESTION)
    (block,) = answer.content_blocks
    assert block["type"] == "text"
    assert block["text"] == answer.text
    raw = answer.response_metadata["citations"]
    assert len(raw) >= 2
    annotations = block.get("annotations", [])
    assert [(a["type"], a["id"], a["url"], a["title"]) for a in annotations] == [
        ("citation", str(citation["id"]), citation["url"], citation["title"]) for citation in raw
    ]
    assert all(citation["url"].startswith(emulator.base_url) and citation["title"] for citation in raw)
    assert all("cited_text" not in a and "start_index" not in a for a in annotations)
    assert json.loads(json.dumps(answer.response_metadata)) == answer.response_metadata


def test_content_is_always_a_string(chat: ChatCustomGPT) -> None:
    assert isinstance(chat.invoke(QUESTION).content, str)
    assert all(isinstance(chunk.content, str) for chunk in chunks_of(chat))
    assert (chat | StrOutputParser()).invoke(QUESTION) == chat.invoke(QUESTION).content


@way
def test_citations_can_be_ids_only_or_off(way: Way, make_chat: MakeChat, emulator: Emulator) -> None:
    answer = way(make_chat(citations="ids"), QUESTION)
    raw = answer.response_metadata["citations"]
    assert raw
    assert all(set(citation) == {"id"} for citation in raw)
    (block,) = answer.content_blocks
    assert len(block["annotations"]) == len(raw)
    answer = way(make_chat(citations="off"), QUESTION)
    assert "citations" not in answer.response_metadata
    (block,) = answer.content_blocks
    assert block["type"] == "text"
    assert block["text"] == answer.text
    assert not block.get("annotations")
    assert not emulator.journal.entries("citations.get")


def test_each_citation_is_looked_up_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    first = chat.invoke(QUESTION)
    looked_up = len(emulator.journal.entries("citations.get"))
    assert looked_up == len(first.response_metadata["citations"])
    chat.invoke(QUESTION)
    assert len(emulator.journal.entries("citations.get")) == looked_up


@way
def test_a_failed_look_up_never_fails_the_answer(way: Way, make_chat: MakeChat, emulator: Emulator) -> None:
    emulator.faults.error(404, on="citations.get", times=None)
    answer = way(make_chat(), QUESTION)
    assert "refund" in str(answer.content).lower()
    assert answer.response_metadata["citations"]
    for citation in answer.response_metadata["citations"]:
        assert (citation["resolved"], citation["url"]) == (False, None)
        assert citation["problem"]
    (block,) = answer.content_blocks
    assert len(block["annotations"]) == len(answer.response_metadata["citations"])


STREAMS = {name: WAYS[name] for name in ("stream", "astream", "v3", "av3")}
streams = pytest.mark.parametrize("way", STREAMS.values(), ids=STREAMS)


@streams
def test_a_stream_without_a_finish_raises_and_keeps_the_partial_answer(
    way: Way, make_chat: MakeChat, emulator: Emulator
) -> None:
    emulator.faults.end_without_finish(events=4)
    with pytest.raises(StreamInterrupted) as caught:
        way(make_chat(client_options=NO_RECOVERY), QUESTION)
    assert isinstance(caught.value, ModelError)
    assert caught.value.partial_answer
    assert merged_text_of(make_chat()).startswith(caught.value.partial_answer)


def merged_text_of(chat: ChatCustomGPT) -> str:
    return str(chat.invoke(QUESTION).content)


@streams
def test_an_error_event_raises_and_keeps_the_partial_answer(
    way: Way, make_chat: MakeChat, emulator: Emulator
) -> None:
    emulator.faults.error_event(after_events=4, message="The model is on strike")
    with pytest.raises(AnswerFailed, match="on strike") as caught:
        way(make_chat(), QUESTION)
    assert isinstance(caught.value, ModelError)
    assert caught.value.partial_answer


@pytest.mark.parametrize("way", [stream, astream], ids=["stream", "astream"])
def test_a_recovered_answer_says_so(way: Way, make_chat: MakeChat, emulator: Emulator) -> None:
    whole = merged_text_of(make_chat())
    emulator.faults.cut_after(events=4, visible_after=1)
    quick = ClientOptions(recovery_patience=5, sleep=lambda seconds: None)
    answer = way(make_chat(client_options=quick), QUESTION)
    assert answer.text == whole
    assert answer.response_metadata["customgpt"]["recovered"] is True
    assert make_chat().invoke(QUESTION).response_metadata["customgpt"]["recovered"] is False
