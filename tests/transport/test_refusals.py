"""Refusals read from whatever body they come in."""

from __future__ import annotations

import json
import pickle
import time
from email.utils import formatdate

import pytest

from customgpt_transport import (
    APIError,
    AuthenticationFailed,
    BadRequest,
    CreditsExhausted,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    ServerError,
)
from customgpt_transport._wire.http import Response
from customgpt_transport._wire.problems import api_error, raise_for_status, read_data, retry_after

EXHAUSTED = "You have exhausted your current query credits. Please contact customer service."


def refusal(status: int, body: bytes | object = b"", **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw, "https://x.test/a")


def envelope(code: int, message: str) -> dict[str, object]:
    return {"status": "error", "url": "https://x", "data": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest), (401, AuthenticationFailed), (403, PermissionDenied), (404, NotFound),
        (422, BadRequest), (405, APIError), (409, APIError), (413, APIError), (418, APIError),
        (429, RateLimited), (500, ServerError), (502, ServerError), (504, ServerError), (524, ServerError),
    ],
)  # fmt: skip
def test_each_status_has_its_error(status, kind):
    error = api_error(refusal(status, envelope(status, "No.")))
    assert kind is type(error)
    assert (status, status, "No.") == (error.status, error.code, error.message)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (envelope(404, "Agent with id 5 not found"), "Agent with id 5 not found"),
        ({"message": "This action is unauthorized."}, "This action is unauthorized."),
        ({"message": "No.", "errors": {"name": ["Too long.", "Bad."]}}, "No. (name: Too long. Bad.)"),
        ({"errors": {"name": "Too long."}}, "name: Too long."),
        ({"error": {"message": "as OpenAI says it"}}, "as OpenAI says it"),
        ({"error": "plain"}, "plain"),
        ({"data": "text"}, "text"),
        (b"just text", "just text"),
        (b"<html><head><title>502 Bad&nbsp;Gateway</title></head><body>x</body></html>", "502 Bad Gateway"),
        (b"<p>nothing</p>", "an HTML page"),
        (b"", ""), ([1, 2], "[1, 2]"), (b"null", "null"), (b"\xff\xfe{", "��{"),
        ({"message": None, "data": {"message": 5}}, "5"),
        (b"[" * 100_000, "["),
    ],
)  # fmt: skip
def test_any_body_gives_words_and_never_an_error_of_its_own(body, words):
    error = api_error(refusal(400, body))
    assert words == error.message[: len(words) or None]
    assert len(str(error)) < 1000
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "CUSTOMGPT_API_KEY"), (403, "indexed"), (404, "Check the id"), (429, "Wait"), (500, "later")],
)
def test_the_message_says_what_to_do_next(status, advice):
    assert advice in str(api_error(refusal(status, envelope(status, "No"))))


def test_credits_are_told_from_throttling_by_the_words():
    spent = api_error(refusal(429, envelope(429, EXHAUSTED), retry_after="5"))
    throttled = api_error(refusal(429, {"message": "Too Many Attempts."}, retry_after="5"))
    assert CreditsExhausted is type(spent)
    assert not spent.resend_safe
    assert RateLimited is type(throttled)
    assert (5.0, True) == (throttled.retry_after, throttled.resend_safe)


def test_an_error_envelope_inside_a_200_is_an_error():
    with pytest.raises(NotFound):
        raise_for_status(refusal(200, envelope(404, "gone")))


def test_a_redirect_names_where_it_points():
    with pytest.raises(ProtocolError, match=r"https://elsewhere\.test/") as caught:
        raise_for_status(refusal(307, b"", location="https://elsewhere.test/"))
    assert 307 == caught.value.status


@pytest.mark.parametrize("body", [b"", b"<html>", b"not json"])
def test_a_success_that_is_no_json_is_a_protocol_error(body):
    with pytest.raises(ProtocolError, match="base_url"):
        read_data(refusal(200, body))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("3", 3.0), (" 3 ", 3.0), ("1.5", None), ("-1", None), ("nan", None), ("inf", None),
        ("1e400", None), ("10000000000", 1e10), ("9" * 5000, float("inf")), ("", None), ("soon", None),
        ("+5", None), ("1_000", None), ("٣", None),
    ],
)  # fmt: skip
def test_retry_after_in_seconds_is_read_strictly(value, seconds):
    assert seconds == retry_after({"retry-after": value})


def test_retry_after_as_a_date_is_measured_against_the_answers_own_clock():
    skewed = time.time() - 5000
    headers = {"retry-after": formatdate(skewed + 30, usegmt=True), "date": formatdate(skewed, usegmt=True)}
    assert 30.0 == retry_after(headers)


@pytest.mark.parametrize(("at", "seconds"), [(1030.0, 30.0), (900.0, 0.0)])
def test_retry_after_without_a_date_header_is_measured_by_the_callers_clock(at, seconds):
    assert seconds == retry_after({"retry-after": formatdate(at, usegmt=True)}, now=1000.0)
