"""Requirements 1 to 7, 14 and 15: what an answer is, whichever way LangChain asks for it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
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
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser

from customgpt_transport import AnswerFailed, ClientOptions, StreamInterrupted
from langchain_customgpt import ChatCustomGPT
from tests.langchain.ways import MORE_WAYS, WAYS, Way, ainvoke, astream, graph_of, invoke, merged, stream

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
    """A message without what differs from call to call: ids of runs, prompts and sessions."""
    note = message.response_metadata["customgpt"]
    metadata = {**message.response_metadata, "customgpt": note["answer_digest"]}
    return message.content, metadata, message.content_blocks, message.usage_metadata


class Heard(BaseCallbackHandler):
    """Counts what callbacks hear."""

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


def test_requirement_01_invoke_equals_the_merge_of_stream(chat: ChatCustomGPT) -> None:
    expected = chat.invoke(QUESTION)
    for other in (ainvoke, stream, astream):
        assert comparable(other(chat, QUESTION)) == comparable(expected), other.__name__
    for other in (WAYS["v3"], WAYS["av3"]):  # these give content as blocks, by LangChain's design
        assert other(chat, QUESTION).text == expected.text, other.__name__


async def test_requirement_01_async_paths_use_no_thread_and_never_block(
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


def test_requirement_02_the_last_chunk_says_so_and_no_chunk_has_an_id_of_its_own(chat: ChatCustomGPT) -> None:
    chunks = list(chat._stream([HumanMessage(QUESTION)]))
    assert [chunk.message.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert {chunk.message.id for chunk in chunks} == {None}
    assert len(chunks) > 5


def test_requirement_02_the_id_that_langgraph_streamed_is_the_id_in_its_state(chat: ChatCustomGPT) -> None:
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


def test_requirement_03_every_metadata_key_is_in_the_last_chunk_only(chat: ChatCustomGPT) -> None:
    *before, last = chunks_of(chat)
    assert {key for chunk in before for key in chunk.response_metadata} == {"model_provider"}
    assert set(last.response_metadata) == {"model_provider", "model_name", "citations", "customgpt"}
    assert all("index" not in citation for citation in last.response_metadata["citations"])
    assert merged([*before, last]).response_metadata == last.response_metadata


@pytest.mark.parametrize("streaming", [False, True])
def test_requirement_04_tokens_heard_are_the_chunks(make_chat: MakeChat, streaming: bool) -> None:
    chat = make_chat(streaming=True) if streaming else make_chat()
    chunks = [chunk.content for chunk in chunks_of(chat)]
    heard = Heard()
    if streaming:
        chat.invoke(QUESTION, {"callbacks": [heard]})
    else:
        assert len(list(chat.stream(QUESTION, {"callbacks": [heard]}))) == len(chunks)
    assert heard.tokens == chunks
    assert heard.events == ["start", "end"]


def test_requirement_04_tokens_heard_in_v3_are_the_chunks(chat: ChatCustomGPT) -> None:
    chunks, heard = chunks_of(chat), Heard()
    events = chat.stream_events(QUESTION, {"callbacks": [heard]}, version="v3")
    deltas = [event for event in events if event["event"] == "content-block-delta"]
    assert len(heard.tokens) == len(chunks)
    assert len(deltas) == len(chunks) - 1, "the last one brings citations, not text"
    assert heard.events == ["start", "end"]


async def test_requirement_04_tokens_heard_asynchronously(make_chat: MakeChat) -> None:
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


def test_requirement_04_langgraph_streams_as_many_messages_as_chunks(chat: ChatCustomGPT) -> None:
    parts = list(graph_of(chat).stream({"messages": [("human", QUESTION)]}, stream_mode="messages"))
    assert len(parts) == len(chunks_of(chat))


@pytest.mark.parametrize("output_version", [None, "v1"])
@any_way
def test_requirement_05_citations_on_one_text_block(
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


def test_requirement_05_content_stays_a_string(chat: ChatCustomGPT) -> None:
    assert isinstance(chat.invoke(QUESTION).content, str)
    assert all(isinstance(chunk.content, str) for chunk in chunks_of(chat))
    assert (chat | StrOutputParser()).invoke(QUESTION) == chat.invoke(QUESTION).content


@way
def test_requirement_05_citations_as_ids_and_off(way: Way, make_chat: MakeChat, emulator: Emulator) -> None:
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


def test_requirement_06_citations_are_looked_up_after_the_answer_and_cached(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    first = chat.invoke(QUESTION)
    looked_up = len(emulator.journal.entries("citations.get"))
    assert looked_up == len(first.response_metadata["citations"])
    chat.invoke(QUESTION)
    assert len(emulator.journal.entries("citations.get")) == looked_up


@way
def test_requirement_06_a_failed_look_up_never_fails_the_answer(
    way: Way, make_chat: MakeChat, emulator: Emulator
) -> None:
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
def test_requirement_07_a_stream_without_a_finish_raises_with_what_came(
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
def test_requirement_07_an_error_event_raises_with_what_came(
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


@way
def test_requirement_14_stop_is_enforced_and_citations_survive(way: Way, make_chat: MakeChat) -> None:
    whole = merged_text_of(make_chat())
    stop = whole[20:27]
    answer = way(make_chat(stop=[stop, "never said"]), QUESTION)
    assert answer.text == whole[: whole.index(stop)]
    assert answer.response_metadata["citations"]
    assert way(make_chat(stop=stop), QUESTION).text == answer.text


@way
def test_requirement_14_an_end_that_only_looks_like_a_stop_is_shown(way: Way, make_chat: MakeChat) -> None:
    whole = merged_text_of(make_chat())
    assert way(make_chat(stop=[f"{whole[-3:]}, never said"]), QUESTION).text == whole


def test_requirement_14_stop_of_the_call_goes_before_that_of_the_model(make_chat: MakeChat) -> None:
    whole = merged_text_of(make_chat())
    chat = make_chat(stop=["Refunds", "refund"])
    assert chat.invoke(QUESTION, stop=["never said"]).content == whole
    assert "".join(chunk.text for chunk in chat.stream(QUESTION, stop=[whole[7:12]])) == whole[:7]


def test_requirement_15_system_messages_become_the_persona(
    make_chat: MakeChat, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    messages: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("hello")]
    for _ in range(3):
        make_chat().invoke(messages)
    assert emulator.journal.prompts()[0].fields["custom_persona"] == "Be brief."
    assert emulator.journal.prompts()[0].fields["prompt"] == "hello"
    assert [record.levelno for record in caplog.records if "persona" in record.message] == [logging.WARNING]
    make_chat(custom_persona="You are Ada.").invoke(messages)
    assert emulator.journal.prompts()[-1].fields["custom_persona"] == "You are Ada.\n\nBe brief."


def test_requirement_15_other_system_message_policies(make_chat: MakeChat, emulator: Emulator) -> None:
    messages: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("hello")]
    make_chat(system_message="prepend").invoke(messages)
    make_chat(system_message="ignore").invoke(messages)
    sent = [entry.fields for entry in emulator.journal.prompts()]
    assert sent == [{"prompt": "Be brief.\n\nhello"}, {"prompt": "hello"}]
    with pytest.raises(ValueError, match="system message"):
        make_chat(system_message="error").invoke(messages)


@way
def test_requirement_15_the_model_can_be_chosen_per_call(
    way: Way, make_chat: MakeChat, emulator: Emulator
) -> None:
    assert way(make_chat(model="gpt-4-o"), "hello").response_metadata["model_name"] == "gpt-4-o"
    assert emulator.journal.prompts()[-1].fields["chatbot_model"] == "gpt-4-o"
    answer = make_chat(model="gpt-4-o").invoke("hello", model="claude-3.5-sonnet")
    assert answer.response_metadata["model_name"] == "claude-3.5-sonnet"
    assert emulator.journal.prompts()[-1].fields["chatbot_model"] == "claude-3.5-sonnet"
    assert isinstance(make_chat().invoke("hello").response_metadata["model_name"], str)


def test_requirement_15_every_setting_can_be_given_to_the_model_or_to_the_call(
    make_chat: MakeChat, emulator: Emulator
) -> None:
    settings = {
        "custom_persona": "Ada",
        "custom_context": "It is winter.",
        "response_source": "own_content",
        "agent_capability": "optimal-choice",
    }
    make_chat(**settings, lang="de", external_id="mine").invoke("hello")
    make_chat().invoke("hello", **settings, lang="de", external_id="mine")
    for entry in emulator.journal.prompts():
        assert {**entry.fields, **entry.query} == {
            **settings,
            "prompt": "hello",
            "lang": "de",
            "external_id": "mine",
        }


def test_requirement_15_a_file_may_come_with_a_prompt(
    chat: ChatCustomGPT, emulator: Emulator, tmp_path: Any
) -> None:
    (tmp_path / "note.txt").write_text("Lamps are blue.")
    chat.invoke("What does the note say?", files=[tmp_path / "note.txt"])
    assert "note.txt" in str(emulator.journal.prompts()[-1].fields)


@pytest.mark.parametrize("kind", ["image_url", "image", "audio", "file"])
def test_requirement_15_parts_that_are_not_text_are_refused_by_name(
    chat: ChatCustomGPT, emulator: Emulator, kind: str
) -> None:
    picture = base64.b64encode(b"png").decode()
    part = {
        "image_url": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        "image": {"type": "image", "base64": picture, "mime_type": "image/png"},
        "audio": {"type": "audio", "base64": picture, "mime_type": "audio/wav"},
        "file": {"type": "file", "base64": picture, "mime_type": "application/pdf"},
    }[kind]
    with pytest.raises(ValueError, match=kind):
        chat.invoke([HumanMessage([{"type": "text", "text": "what is this?"}, part])])
    assert not list(emulator.journal)


def test_requirement_15_messages_of_other_models_never_raise(chat: ChatCustomGPT, emulator: Emulator) -> None:
    foreign: list[BaseMessage] = [
        HumanMessage("What is 1 + 2?"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}]),
        ToolMessage("3", tool_call_id="1", name="add"),
        FunctionMessage("3", name="check"),
        AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "It is 3."}]),
        HumanMessage(QUESTION),
    ]
    assert chat.invoke(foreign).content
    assert "It is 3." in emulator.journal.prompts()[-1].fields["prompt"]


@pytest.mark.parametrize("messages", [[], [AIMessage("hi")], [HumanMessage("hi"), AIMessage("yes?")]])
def test_requirement_15_a_list_that_does_not_end_in_a_human_message_raises(
    chat: ChatCustomGPT, emulator: Emulator, messages: list[BaseMessage]
) -> None:
    for ask in (invoke, ainvoke, stream, astream):
        with pytest.raises(ValueError, match="human message"):
            ask(chat, messages)
    assert not list(emulator.journal)
