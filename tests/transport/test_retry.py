"""Which failure of which request is tried again, and when."""

from __future__ import annotations

import pickle

import pytest

from customgpt_transport import (
    APIError,
    BadRequest,
    CertificateRefused,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    CreditsExhausted,
    NotFound,
    ProtocolError,
    RateLimited,
    RequestTimeout,
    RetryPolicy,
    ServerError,
    StreamInterrupted,
)

POLICY = RetryPolicy(random=lambda: 1.0)
ALL, SAFE, NONE = ("repeatable", "prompt", "create"), ("repeatable",), ()

TABLE = [
    (ConnectionFailed("refused"), ALL),
    (RequestTimeout("no connection", clock="connect", sent=False), ALL),
    (RateLimited("429", status=429), ALL),
    (RateLimited("429", status=429, retry_after=3.0), ALL),
    (APIError("408", status=408), ALL),
    (APIError("425", status=425), ALL),
    (ServerError("503", status=503, retry_after=3.0), ALL),
    (CreditsExhausted("429", status=429, retry_after=3.0), NONE),
    *((ServerError(str(n), status=n), SAFE) for n in (500, 502, 503, 504, 520, 524)),
    (ServerError("501", status=501), NONE),
    (ConnectionLost("dropped"), SAFE),
    (RequestTimeout("no answer", clock="first_byte", sent=True), SAFE),
    (StreamInterrupted("cut"), NONE),
    (ProtocolError("HTML"), NONE),
    (CertificateRefused("expired"), NONE),
    (BadRequest("422", status=422), NONE),
    (NotFound("404", status=404), NONE),
    (APIError("409", status=409), NONE),
    (ConfigurationError("no key"), NONE),
]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(("error", "tried_again"), TABLE, ids=[f"{type(e).__name__} {e}" for e, _ in TABLE])
def test_which_failure_of_which_request_is_tried_again(error, tried_again, kind):
    assert (kind in tried_again) == (POLICY.delay(1, kind, error) is not None)


def test_retry_after_is_obeyed_to_the_second():
    assert 7.0 == POLICY.delay(1, "prompt", RateLimited("429", status=429, retry_after=7.0))


@pytest.mark.parametrize("seconds", [60.5, float("inf")])
def test_a_retry_after_beyond_the_patience_is_not_waited_for(seconds):
    assert POLICY.delay(1, "prompt", RateLimited("429", status=429, retry_after=seconds)) is None


def test_the_pauses_double_up_to_their_cap():
    error = ConnectionFailed("refused")
    policy = RetryPolicy(max_retries=9, random=lambda: 1.0)
    assert [0.5, 1, 2, 4, 8, 8] == [policy.delay(n, "prompt", error) for n in range(1, 7)]


def test_the_jitter_covers_the_whole_pause():
    assert RetryPolicy(random=lambda: 0.0).delay(2, "prompt", ConnectionFailed("refused")) == 0.0
    assert RetryPolicy(random=lambda: 0.5).delay(2, "prompt", ConnectionFailed("refused")) == 0.5


def test_no_retry_after_max_retries():
    error = ConnectionFailed("refused")
    assert POLICY.delay(2, "prompt", error) is not None
    assert POLICY.delay(3, "prompt", error) is None
    assert RetryPolicy(max_retries=0).delay(1, "prompt", error) is None


def test_a_policy_pickles():
    assert RetryPolicy() == pickle.loads(pickle.dumps(RetryPolicy()))
