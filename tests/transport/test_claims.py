"""A prompt of a conversation is continued once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from customgpt_transport.claims import ClaimRegistry, SessionKey

KEY = SessionKey("service", 1, "session")


@pytest.fixture
def claims() -> ClaimRegistry:
    return ClaimRegistry(sessions=3)


def test_the_first_claim_wins(claims: ClaimRegistry) -> None:
    claims.advance(KEY, 5)
    assert claims.claim(KEY, 5) == "granted"
    assert claims.claim(KEY, 5) == "refused"


def test_what_this_process_never_saw_is_unknown_and_claimed_once(claims: ClaimRegistry) -> None:
    assert claims.claim(KEY, 5) == "unknown"
    assert claims.claim(KEY, 5) == "refused"


def test_an_older_prompt_may_not_be_continued_and_a_newer_one_is_unknown(claims: ClaimRegistry) -> None:
    claims.advance(KEY, 6)
    assert claims.claim(KEY, 5) == "refused"
    assert claims.claim(KEY, 6) == "granted"
    assert claims.claim(KEY, 7) == "unknown", (
        "read back from the server after something else had continued it"
    )


def test_a_released_claim_can_be_had_again(claims: ClaimRegistry) -> None:
    claims.advance(KEY, 5)
    for _ in range(2):
        assert claims.claim(KEY, 5) == "granted"
        claims.release(KEY, 5)


def test_a_released_claim_on_the_unknown_leaves_it_unknown(claims: ClaimRegistry) -> None:
    for _ in range(2):
        assert claims.claim(KEY, 5) == "unknown"
        claims.release(KEY, 5)


def test_a_release_does_not_undo_what_came_later(claims: ClaimRegistry) -> None:
    claims.claim(KEY, 5)
    claims.advance(KEY, 6)
    claims.release(KEY, 5)
    assert claims.claim(KEY, 5) == "refused"


def test_a_prompt_sent_to_a_pinned_conversation_takes_its_end(claims: ClaimRegistry) -> None:
    claims.advance(KEY, 5)
    claims.take(KEY)
    assert claims.claim(KEY, 5) == "refused"


def test_a_prompt_on_its_way_to_an_unknown_conversation_takes_its_end(claims: ClaimRegistry) -> None:
    claims.take(KEY)
    assert claims.claim(KEY, 5) == "refused"
    claims.advance(KEY, 6)
    assert claims.claim(KEY, 5) == "refused"
    assert claims.claim(KEY, 6) == "granted"


def test_a_pinned_prompt_that_never_arrived_leaves_the_conversation_unknown(claims: ClaimRegistry) -> None:
    claims.take(KEY)
    claims.release(KEY, None)
    assert claims.claim(KEY, 5) == "unknown"


def test_conversations_do_not_hinder_each_other(claims: ClaimRegistry) -> None:
    claims.advance(KEY, 5)
    claims.claim(KEY, 5)
    for other in (SessionKey("service", 2, "session"), SessionKey("other", 1, "session")):
        assert claims.claim(other, 5) == "unknown"


def test_the_registry_is_bounded(claims: ClaimRegistry) -> None:
    for number in range(10):
        claims.claim(SessionKey("service", 1, str(number)), 1)
    assert len(claims) == 3


def test_clear_forgets(claims: ClaimRegistry) -> None:
    claims.claim(KEY, 5)
    claims.clear()
    assert claims.claim(KEY, 5) == "unknown"


def test_of_many_threads_one_wins(claims: ClaimRegistry) -> None:
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda _: claims.claim(KEY, 5), range(64)))
    assert sorted(verdicts) == ["refused"] * 63 + ["unknown"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.. may lead to deadlocks.*:DeprecationWarning")
def test_a_fork_while_the_lock_is_held_does_not_hang_the_child(claims: ClaimRegistry) -> None:
    with claims._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if claims.claim(KEY, 5) == "unknown" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
