"""Errors form one tree, travel by pickle with all that they know, and say whether to send again."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customgpt_transport import APIError, CustomGPTError, RateLimited, RetryPolicy, ServerError, errors
from customgpt_transport._wire.problems import retry_after

CLASSES = [getattr(errors, name) for name in errors.__all__]
SAFE = {"ConnectionFailed", "RateLimited"}


def filled(kind: type[CustomGPTError]) -> CustomGPTError:
    """Return an error with a value other than the default in each field."""
    values = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        default = parameter.default
        values[name] = (
            not default if isinstance(default, bool) else 503 if "str" not in str(parameter) else name
        )
    return kind("What happened. What to do.", **values)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_a_pickled_or_copied_error_keeps_all_that_it_knows(kind, travel):
    error = filled(kind)
    error.__cause__ = ValueError("inner")
    arrived = travel(error)
    assert type(error) is type(arrived)
    assert (str(error), error.args, vars(error)) == (str(arrived), arrived.args, vars(arrived))
    assert error.resend_safe == arrived.resend_safe


@pytest.mark.parametrize("kind", CLASSES)
def test_only_what_never_arrived_or_was_turned_away_unread_is_safe_to_send_again(kind):
    assert (kind.__name__ in SAFE) == kind("words").resend_safe


@pytest.mark.parametrize(
    ("status", "asked_to_wait", "safe"),
    [
        (408, None, True),
        (425, None, True),
        (503, 3.0, True),
        (503, None, False),
        (500, 3.0, False),
        (409, 3.0, False),
    ],
)
def test_a_refusal_is_safe_to_send_again_by_its_status(status, asked_to_wait, safe):
    assert safe == APIError("words", status=status, retry_after=asked_to_wait).resend_safe
    assert safe == ServerError("words", status=status, retry_after=asked_to_wait).resend_safe


@settings(deadline=None)  # the machine may be busy
@given(
    attempt=st.integers(1, 10_000),
    base=st.floats(0, 1e6),
    cap=st.floats(0, 1e6),
    drawn=st.floats(0, 1),
    retries=st.integers(0, 10_000),
)
def test_every_pause_before_a_retry_is_within_its_bounds(attempt, base, cap, drawn, retries):
    policy = RetryPolicy(retries, base, cap, random=lambda: drawn)
    pause = policy.delay(attempt, "prompt", RateLimited("429", status=429))
    assert (pause is None) == (attempt > retries)
    assert pause is None or 0 <= pause <= cap
    assert pause is None or pause <= base * 2.0 ** min(attempt - 1, 60)


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=30) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["9" * 5000]))
def test_any_retry_after_is_seconds_or_none_and_no_pause_exceeds_the_patience(value):
    seconds = retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0
    pause = RetryPolicy().delay(1, "prompt", RateLimited("429", status=429, retry_after=seconds))
    assert pause is None or 0 <= pause <= 60
