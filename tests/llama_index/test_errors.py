"""Every engine and mode raises typed errors; a failed look-up of a citation raises none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_transport import (
    AnswerFailed,
    AuthenticationFailed,
    ClientOptions,
    CreditsExhausted,
    NotFound,
    RateLimited,
    RetryPolicy,
    ServerError,
    StreamInterrupted,
)
from llama_index_customgpt import CustomGPTChatEngine, CustomGPTQueryEngine, CustomGPTRetriever

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "How do refunds work?"
ONCE = ClientOptions(retry=RetryPolicy(max_retries=0), recovery_patience=0)


async def _query(**where: Any) -> Any:
    return CustomGPTQueryEngine(**where).query(QUESTION)


async def _aquery(**where: Any) -> Any:
    async with CustomGPTQueryEngine(**where) as engine:
        return await engine.aquery(QUESTION)


async def _query_stream(**where: Any) -> Any:
    response = CustomGPTQueryEngine(streaming=True, **where).query(QUESTION)
    assert "".join(response.response_gen)
    return response


async def _aquery_stream(**where: Any) -> Any:
    async with CustomGPTQueryEngine(streaming=True, **where) as engine:
        response = await engine.aquery(QUESTION)
        assert "".join([token async for token in response.async_response_gen()])
        return response


async def _tool(**where: Any) -> Any:
    async with CustomGPTQueryEngine(streaming=True, **where) as engine:
        return (await engine.as_tool().acall(QUESTION)).raw_output


async def _chat(**where: Any) -> Any:
    return CustomGPTChatEngine(**where).chat(QUESTION)


async def _achat(**where: Any) -> Any:
    async with CustomGPTChatEngine(**where) as engine:
        return await engine.achat(QUESTION)


async def _stream_chat(**where: Any) -> Any:
    response = CustomGPTChatEngine(**where).stream_chat(QUESTION)
    assert "".join(response.response_gen)
    return response


async def _astream_chat(**where: Any) -> Any:
    async with CustomGPTChatEngine(**where) as engine:
        response = await engine.astream_chat(QUESTION)
        assert "".join([token async for token in response.async_response_gen()])
        return response


class _Nodes:
    def __init__(self, nodes: Any) -> None:
        self.source_nodes = nodes


async def _retrieve(**where: Any) -> Any:
    return _Nodes(CustomGPTRetriever(**where).retrieve(QUESTION))


async def _aretrieve(**where: Any) -> Any:
    async with CustomGPTRetriever(**where) as retriever:
        return _Nodes(await retriever.aretrieve(QUESTION))


STREAMS = {
    "query stream": _query_stream,
    "aquery stream": _aquery_stream,
    "tool": _tool,
    "stream_chat": _stream_chat,
    "astream_chat": _astream_chat,
}
DOORS = {
    "query": _query,
    "aquery": _aquery,
    "chat": _chat,
    "achat": _achat,
    "retrieve": _retrieve,
    "aretrieve": _aretrieve,
    **STREAMS,
}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Callable[..., Awaitable[Any]]:
    return DOORS[request.param]


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Callable[..., Awaitable[Any]]:
    return STREAMS[request.param]


REFUSALS: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "401": (lambda faults: faults.unauthorized(), AuthenticationFailed),
    "404": (lambda faults: faults.not_found(), NotFound),
    "429 throttled": (lambda faults: faults.rate_limit(retry_after=5), RateLimited),
    "429 credits": (lambda faults: faults.exhaust_credits(), CreditsExhausted),
    "500": (lambda faults: faults.error(500), ServerError),
    "502": (lambda faults: faults.bad_gateway(), ServerError),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusals_are_typed_errors(
    door: Callable[..., Awaitable[Any]], refusal: str, where: dict[str, Any], emulator: Emulator
) -> None:
    order, kind = REFUSALS[refusal]
    order(emulator.faults)
    with pytest.raises(kind):
        await door(client_options=ONCE, **where)
    assert len(emulator.journal.prompts()) == 1


BREAKS: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "cut": (lambda faults: faults.cut_after(events=4), StreamInterrupted),
    "no finish": (lambda faults: faults.end_without_finish(events=4), StreamInterrupted),
    "error event": (lambda faults: faults.error_event(after_events=4), AnswerFailed),
}


@pytest.mark.parametrize("break_", BREAKS)
async def test_a_stream_that_breaks_is_a_typed_error_with_the_partial_answer(
    stream: Callable[..., Awaitable[Any]], break_: str, where: dict[str, Any], emulator: Emulator
) -> None:
    order, kind = BREAKS[break_]
    order(emulator.faults)
    with pytest.raises(kind) as error:
        await stream(client_options=ONCE, **where)
    assert error.value.partial_answer  # type: ignore[attr-defined]  # both kinds have it
    assert len(emulator.journal.prompts()) == 1


async def test_a_broken_chat_stream_keeps_the_partial_answer_in_its_history(
    where: dict[str, Any], emulator: Emulator
) -> None:
    engine = CustomGPTChatEngine(client_options=ONCE, **where)
    emulator.faults.cut_after(events=4)
    response = engine.stream_chat(QUESTION)
    with pytest.raises(StreamInterrupted) as error:
        str(response)
    assert response.exception is error.value
    assert [message.content for message in engine.chat_history] == [QUESTION, error.value.partial_answer]
    engine.close()


async def test_every_later_reader_gets_the_error_too(where: dict[str, Any], emulator: Emulator) -> None:
    emulator.faults.cut_after(events=4)
    response = CustomGPTQueryEngine(streaming=True, client_options=ONCE, **where).query(QUESTION)
    for _ in range(2):
        with pytest.raises(StreamInterrupted):
            str(response)
        with pytest.raises(StreamInterrupted):
            list(response.response_gen)
    assert len(emulator.journal.prompts()) == 1


async def test_a_failed_look_up_still_yields_its_node(
    door: Callable[..., Awaitable[Any]], where: dict[str, Any], emulator: Emulator
) -> None:
    emulator.faults.error(404, on="citations", times=1)
    response = await door(client_options=ONCE, **where)
    assert len(response.source_nodes) >= 2
    (stub,) = [scored for scored in response.source_nodes if "problem" in scored.node.metadata]
    assert stub.node.get_content() == f"Citation {stub.node.node_id}"
    assert "title" not in stub.node.metadata


async def test_each_citation_is_looked_up_once(where: dict[str, Any], emulator: Emulator) -> None:
    engine = CustomGPTQueryEngine(**where)
    engine.query(QUESTION)
    looked_up = len(emulator.journal.entries("citations.get"))
    assert looked_up >= 2
    engine.query(QUESTION)
    assert len(emulator.journal.entries("citations.get")) == looked_up
    engine.close()
