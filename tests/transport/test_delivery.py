"""Carrying a plan out: one continuation of a conversation, a fork where it must be, a note of the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from customgpt_transport import ConfigurationError, ConnectionFailed, ConnectionLost, NotFound
from customgpt_transport.claims import CLAIMS
from customgpt_transport.delivery import Delivery
from customgpt_transport.histories import make_plan
from customgpt_transport.models import Message
from customgpt_transport.transcript import HistoryTurn


@pytest.fixture(autouse=True)
def _nothing_claimed() -> Iterator[None]:
    CLAIMS.clear()
    yield
    CLAIMS.clear()


def human(text: str) -> HistoryTurn:
    return HistoryTurn("User", text, "human")


def begin(turns: list[HistoryTurn], *, session_id: str | None = None, **how: Any) -> Delivery:
    plan = make_plan(turns, service="here", project_id=1, session_id=session_id)
    return Delivery(plan, service="here", request={"project_id": 1, "files": ()}, **how)


def answered(turns: list[HistoryTurn], **how: Any) -> list[HistoryTurn]:
    """The turns with one more answer, in the conversation that the delivery chose."""
    delivery = begin(turns, **how)
    with delivery:
        session_id = delivery.request["session_id"] or "session"
        prompt_id = 1 + sum(turn.role == "ai" for turn in turns)
        delivery.finish(Message(f"answer {prompt_id}", delivery.prompt, 1, session_id, prompt_id))
    assert delivery.done
    return [*turns, HistoryTurn("Assistant", delivery.message.answer, "ai", delivery.note())]


@pytest.fixture
def history() -> list[HistoryTurn]:
    """One turn answered, and the next question."""
    return [*answered([human("one")]), human("two")]


def test_a_history_that_stands_where_the_server_does_sends_only_the_new_text(history: Any) -> None:
    delivery = begin(history)
    assert delivery.prompt == "two"
    assert delivery.request == {"project_id": 1, "files": (), "session_id": "session"}
    assert delivery.session_to_verify is None


def test_of_two_continuations_the_second_forks(history: Any) -> None:
    begin(history)
    second = begin(history)
    assert second.request["session_id"] is None
    assert "answer 1" in second.prompt


def test_what_this_process_never_saw_is_verified_and_forks_if_it_has_moved_on(history: Any) -> None:
    CLAIMS.clear()
    delivery = begin(history)
    assert delivery.session_to_verify == "session"
    delivery.newest_is(Message("answer 2", "other", 1, "session", 2))
    assert delivery.session_to_verify is None
    assert delivery.request["session_id"] is None


def test_what_still_stands_is_continued(history: Any) -> None:
    CLAIMS.clear()
    delivery = begin(history)
    delivery.newest_is(Message("answer 1", "one", 1, "session", 1))
    assert delivery.request["session_id"] == "session"


@pytest.mark.parametrize(("verify_tip", "asked"), [("remote", "session"), ("never", None)])
def test_when_to_verify_is_the_callers_choice(history: Any, verify_tip: Any, asked: str | None) -> None:
    if verify_tip == "never":
        CLAIMS.clear()
    assert begin(history, verify_tip=verify_tip).session_to_verify == asked


def test_a_conversation_that_is_gone_is_forked_and_tried_once_more(history: Any) -> None:
    delivery = begin(history)
    with delivery:
        raise NotFound("gone", status=404)
    assert not delivery.done
    assert delivery.request["session_id"] is None
    with pytest.raises(NotFound), delivery:
        raise NotFound("no such agent", status=404)


def test_what_never_arrived_leaves_the_conversation_free(history: Any) -> None:
    with pytest.raises(ConnectionFailed), begin(history):
        raise ConnectionFailed("refused")
    assert begin(history).request["session_id"] == "session"


def test_what_may_have_arrived_keeps_the_claim(history: Any) -> None:
    with pytest.raises(ConnectionLost), begin(history):
        raise ConnectionLost("dropped")
    assert begin(history).request["session_id"] is None


def test_a_pinned_prompt_takes_the_end_of_its_conversation(history: Any) -> None:
    begin(history, session_id="session")
    assert begin(history).request["session_id"] is None


def test_a_mismatch_raises_where_the_caller_wants_it_to(history: Any) -> None:
    begin(history)
    with pytest.raises(ConfigurationError, match="cannot be continued"):
        begin(history, on_mismatch="error")


def test_the_note_of_an_answer_to_be_cached_names_no_place() -> None:
    note = answered([human("one")], keep_place=False)[-1].note
    assert note is not None
    assert set(note) == {"v", "service", "project_id", "mode", "recovered"}
