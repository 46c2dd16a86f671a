"""Requirements 8 and 9: errors that both trees know, and prompts that are never billed twice."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware, ToolRetryMiddleware
from langchain_core import exceptions as core
from langchain_core.language_models.chat_models import _generate_response_from_error
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import ToolException
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy as GraphRetry

import customgpt_transport.errors as transport
from customgpt_transport import ClientOptions, RetryPolicy
from langchain_customgpt import ChatCustomGPT, CustomGPTTool, errors
from langchain_customgpt.errors import as_langchain
from tests.langchain.ways import ainvoke, astream, invoke, stream

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

MakeChat = Callable[..., ChatCustomGPT]
ONCE = ClientOptions(retry=RetryPolicy(max_retries=0), recovery_patience=0)
ways = pytest.mark.parametrize("way", [invoke, ainvoke, stream, astream], ids=lambda way: way.__name__)

FAMILY = {
    transport.ConfigurationError: core.ModelInvalidRequestError,
    transport.ConnectionFailed: core.ModelConnectionError,
    transport.CertificateRefused: core.ModelConnectionError,
    transport.ConnectionLost: core.ModelConnectionError,
    transport.StreamInterrupted: core.ModelConnectionError,
    transport.RequestTimeout: core.ModelTimeoutError,
    transport.ProtocolError: core.ModelAPIError,
    transport.APIError: core.ModelAPIError,
    transport.BadRequest: core.ModelInvalidRequestError,
    transport.AuthenticationFailed: core.ModelAuthenticationError,
    transport.PermissionDenied: core.ModelPermissionDeniedError,
    transport.NotFound: core.ModelNotFoundError,
    transport.RateLimited: core.ModelRateLimitError,
    transport.CreditsExhausted: core.ModelRateLimitError,
    transport.ServerError: core.ModelAPIError,
    transport.AnswerFailed: core.ModelAPIError,
}


def test_requirement_08_every_error_of_the_transport_has_its_place_in_langchains_tree() -> None:
    ours = {getattr(transport, name) for name in transport.__all__}
    assert set(FAMILY) == ours - {transport.CustomGPTError, transport.TransportError}


@pytest.mark.parametrize(("kind", "family"), FAMILY.items(), ids=lambda kind: kind.__name__)
def test_requirement_08_an_error_is_ours_and_langchains_and_keeps_everything(
    kind: type[transport.CustomGPTError], family: type[core.ModelError]
) -> None:
    original = kind("What happened, and what to do.")
    original.__cause__ = OSError("reset")
    vars(original).update(partial_answer="so far", external_id="mine", session_id="s")
    converted = as_langchain(original)
    assert isinstance(converted, kind)
    assert isinstance(converted, family)
    assert str(converted) == str(original)
    assert converted.__cause__ is original.__cause__
    assert vars(original).items() <= vars(converted).items()
    assert as_langchain(converted) is converted
    for error in (converted, pickle.loads(pickle.dumps(converted))):
        assert type(error) is type(converted)
        assert (str(error), vars(error)) == (str(original), vars(original))
        assert isinstance(error, core.ModelError)
        assert error.is_retryable == original.resend_safe
        assert error.request_id == "mine"


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (transport.RateLimited("x", status=429), True),
        (transport.CreditsExhausted("x", status=429), False),
        (transport.ConnectionFailed("x"), True),
        (transport.CertificateRefused("x"), False),
        (transport.ConnectionLost("x"), False),
        (transport.StreamInterrupted("x"), False),
        (transport.RequestTimeout("x", sent=False), True),
        (transport.RequestTimeout("x", sent=True), False),
        (transport.ServerError("x", status=500), False),
        (transport.ServerError("x", status=503, retry_after=1.0), True),
        (transport.APIError("x", status=408), True),
        (transport.ProtocolError("x"), False),
        (transport.AnswerFailed("x", status=200), False),
    ],
)
def test_requirement_08_retryable_is_what_cannot_be_billed_twice(
    error: transport.CustomGPTError, retryable: bool
) -> None:
    converted = as_langchain(error)
    assert isinstance(converted, core.ModelError)
    assert converted.is_retryable is retryable
    if not retryable:  # LangGraph's retry policy leaves these alone
        assert isinstance(converted, (RuntimeError, ValueError))


def test_an_error_class_that_we_do_not_know_yet_is_converted_by_its_parents() -> None:
    class Gone(transport.NotFound):
        """A newer transport's."""

    assert isinstance(as_langchain(Gone("x", status=410)), errors.NotFound)
    unrelated = transport.CustomGPTError("x")
    assert as_langchain(unrelated) is unrelated


@ways
def test_requirement_08_langchains_tracer_can_read_the_refusal(
    way: Any, make_chat: MakeChat, emulator: Emulator
) -> None:
    emulator.faults.rate_limit(retry_after=7, on="conversations.create")
    with pytest.raises(core.ModelRateLimitError) as caught:
        way(make_chat(client_options=ONCE), "hello")
    assert isinstance(caught.value, transport.RateLimited)
    (generation,) = _generate_response_from_error(caught.value)
    metadata = generation.message.response_metadata
    assert metadata["status_code"] == 429
    assert metadata["headers"] == {"Retry-After": "7"}
    assert metadata["body"]["message"]
    assert metadata["request_id"] == caught.value.external_id
    assert emulator.api_key not in repr((metadata, vars(caught.value), str(caught.value)))


def test_requirement_08_an_error_without_an_answer_has_no_response(make_chat: MakeChat) -> None:
    error = as_langchain(transport.ConnectionLost("x", external_id="mine"))
    assert isinstance(error, errors.ConnectionLost)
    assert error.response is None
    (generation,) = _generate_response_from_error(error)
    assert generation.message.response_metadata == {"request_id": "mine"}


@ways
def test_a_traceback_shows_one_error_and_its_cause(way: Any, make_chat: MakeChat, emulator: Emulator) -> None:
    emulator.faults.unauthorized(on="conversations.create")
    with pytest.raises(core.ModelAuthenticationError) as caught:
        way(make_chat(client_options=ONCE), "hello")
    assert caught.value.__suppress_context__
    assert not isinstance(caught.value.__cause__, transport.CustomGPTError)


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
def test_requirement_09_a_prompt_that_may_have_arrived_is_sent_once(
    way: Any, lose: Callable[[Emulator], Any], make_chat: MakeChat, emulator: Emulator
) -> None:
    lose(emulator)
    options = ClientOptions(recovery_patience=0, sleep=lambda seconds: None)
    with pytest.raises(transport.CustomGPTError):
        way(make_chat(client_options=options), "hello")
    assert len(emulator.journal.prompts()) == 1


@losses
def test_requirement_09_langchains_retry_middleware_does_not_repeat_it_either(
    lose: Callable[[Emulator], Any], make_chat: MakeChat, emulator: Emulator
) -> None:
    lose(emulator)
    retry = ModelRetryMiddleware(max_retries=3, initial_delay=0, on_failure="error")
    agent = create_agent(make_chat(client_options=ONCE), middleware=[retry])
    with pytest.raises(core.ModelError):
        agent.invoke({"messages": [("human", "hello")]})
    assert len(emulator.journal.prompts()) == 1


@losses
def test_requirement_09_langgraphs_retry_policy_does_not_repeat_it_either(
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
def test_requirement_09_langchains_tool_retry_middleware_does_not_repeat_it_either(
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


def test_what_was_refused_is_repeated_by_the_middleware_and_answered(
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
