"""Every error is ours and LangChain's too, and says whether a retry is safe."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core import exceptions as core
from langchain_core.language_models.chat_models import _generate_response_from_error

import customgpt_transport.errors as transport
from customgpt_transport import ClientOptions, RetryPolicy
from langchain_customgpt import ChatCustomGPT, errors
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
    transport.Unresolved: core.ModelConnectionError,
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


def test_every_error_of_the_transport_has_its_place_in_langchains_tree() -> None:
    ours = {getattr(transport, name) for name in transport.__all__}
    assert set(FAMILY) == ours - {transport.CustomGPTError, transport.TransportError}


@pytest.mark.parametrize(("kind", "family"), FAMILY.items(), ids=lambda kind: kind.__name__)
def test_an_error_is_ours_and_langchains_and_keeps_everything(
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
def test_only_what_cannot_be_billed_twice_is_retryable(
    error: transport.CustomGPTError, retryable: bool
) -> None:
    converted = as_langchain(error)
    assert isinstance(converted, core.ModelError)
    assert converted.is_retryable is retryable
    if not retryable:  # LangGraph's retry policy leaves these alone
        assert isinstance(converted, (RuntimeError, ValueError))


def test_an_unknown_error_class_is_converted_as_its_parent() -> None:
    class Gone(transport.NotFound):
        """A newer transport's."""

    assert isinstance(as_langchain(Gone("x", status=410)), errors.NotFound)
    unrelated = transport.CustomGPTError("x")
    assert as_langchain(unrelated) is unrelated


@ways
def test_langchains_tracer_can_read_a_refusal(way: Any, make_chat: MakeChat, emulator: Emulator) -> None:
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


def test_an_error_without_an_answer_has_no_response(make_chat: MakeChat) -> None:
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
