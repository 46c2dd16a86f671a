"""From bytes to deltas and the finished message."""

from __future__ import annotations

import json

import pytest

from customgpt_transport import (
    AnswerDelta,
    AnswerFailed,
    AnswerFinished,
    Message,
    ProtocolError,
    StreamInterrupted,
    _answer,
)
from customgpt_transport._answer import Answer, looks_like

FINISH = {"status": "finish", "id": 7, "session_id": "s", "citations": ["12.0", 12, 13], "created_at": None}


def answer() -> Answer:
    return Answer(prompt="Why?", project_id=1, session_id="s", external_id="x", max_event_bytes=None)


def event(payload: object, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    data = payload if isinstance(payload, str) else json.dumps(payload)
    return f"{head}data: {data}\n\n".encode()


def delta(text: str) -> bytes:
    return event({"status": "progress", "message": text}, "progress")


def stored(text: str) -> Message:
    return Message(text, "Why?", 1, "s", prompt_id=7, recovered=True)


def test_deltas_come_as_they_were_sent_and_empty_ones_not_at_all():
    making = answer()
    given = making.feed(
        event({"status": "start", "prompt": "Why?"}) + delta("") + delta(" So") + delta(" it is")
    )
    assert [AnswerDelta(" So"), AnswerDelta(" it is")] == given
    assert " So it is" == making.text


def test_finish_completes_the_message_with_its_citations_each_once():
    making = answer()
    given = making.feed(delta("So") + event(FINISH, "finish"))
    assert AnswerFinished(7, "s", (12, 13)) == given[-1]
    assert ("So", 7, "s", (12, 13), "x") == (
        making.message.answer, making.message.prompt_id, making.message.session_id,
        making.message.citation_ids, making.message.external_id,
    )  # fmt: skip


def test_the_session_that_the_prompt_was_sent_to_stays_whatever_the_finish_event_says(caplog):
    _answer._note_foreign_session.cache_clear()
    for _ in range(2):
        making = answer()
        (finished,) = making.feed(event({**FINISH, "session_id": "someone-elses/../x"}))
        assert "s" == finished.session_id == making.message.session_id
        assert {"session_id": "someone-elses/../x"} == making.message.extra
    assert 1 == len(caplog.records)


def test_an_id_beyond_64_bits_is_no_id():
    making = answer()
    assert [] == making.feed(event({**FINISH, "id": 10**4000}))
    assert isinstance(making.failure, ProtocolError)


def test_nothing_after_finish_counts():
    making = answer()
    given = making.feed(
        delta("So") + event(FINISH) + event(FINISH) + delta(" no") + event({"status": "error"})
    )
    assert [AnswerDelta, AnswerFinished] == [type(one) for one in given]
    assert [] == making.feed(delta("no")) == making.end()
    assert ("So", None) == (making.text, making.failure)


def test_the_message_before_finish_is_an_error_with_the_text_so_far():
    making = answer()
    making.feed(delta("So"))
    with pytest.raises(StreamInterrupted) as caught:
        _ = making.message
    assert ("So", "s", "x") == (
        caught.value.partial_answer,
        caught.value.session_id,
        caught.value.external_id,
    )


def test_the_end_of_the_bytes_proves_nothing():
    making = answer()
    making.feed(delta("So"))
    assert [] == making.end()
    assert isinstance(making.failure, StreamInterrupted)
    assert "So" == making.failure.partial_answer


def test_a_last_finish_without_its_blank_line_counts_and_is_marked():
    making = answer()
    making.feed(delta("So") + event(FINISH).rstrip(b"\n"))
    assert [AnswerFinished(7, "s", (12, 13))] == making.end()
    assert {"unterminated": True} == making.message.extra


@pytest.mark.parametrize("cut", [10, 30])
def test_half_a_finish_does_not_count(cut):
    making = answer()
    making.feed(event(FINISH)[:cut])
    assert [] == making.end()
    assert making.failure is not None


@pytest.mark.parametrize("name", ["start", "thinking", None])
def test_the_status_in_the_data_wins_over_the_name(name):
    making = answer()
    assert [AnswerDelta("So")] == making.feed(event({"status": "progress", "message": "So"}, name))


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": 5}])
def test_without_a_status_the_name_counts(status):
    making = answer()
    assert [AnswerDelta("So")] == making.feed(event({"message": "So", **status}, "progress"))


@pytest.mark.parametrize(
    "odd",
    [
        event({"status": "thinking", "message": "hm"}), event({"message": "hm"}), event("pong", "ping"),
        event("[DONE]"), b": keep-alive\n\n", event({"status": "progress", "message": None}),
        event({"status": "progress"}), b"id: 3\n\n", b"retry: 5\n\n",
    ],
)  # fmt: skip
def test_what_means_nothing_to_us_is_passed_over(odd):
    making = answer()
    given = making.feed(delta("So") + odd + delta("!") + event(FINISH))
    assert ("So!", None) == (making.message.answer, making.failure)
    assert 3 == len(given)


@pytest.mark.parametrize(
    "broken",
    [
        '{"status":"progress","message":"So', "nonsense", "5", "[1]", '{"status":"progress","message":5}',
        '{"status":"progress","message":["x"]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_broken_event_ends_the_answer_after_what_came_before_it(broken):
    making = answer()
    assert [AnswerDelta("So")] == making.feed(delta("So") + event(broken, "progress") + delta("lost"))
    assert isinstance(making.failure, ProtocolError)
    assert "So" == making.failure.partial_answer
    assert len(making.failure.excerpt) <= 200


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"status": "error", "error": "Out of tokens."}, "Out of tokens"),
        ({"status": "error", "message": "Busy"}, "Busy"),
        ({"status": "error", "error": {"message": "Nested"}}, "Nested"),
        ({"status": "error", "data": {"code": 500, "message": "Inner"}}, "Inner"),
        ({"status": "error"}, "no reason given"),
    ],
)
def test_an_error_event_fails_the_answer_in_the_services_words(payload, words):
    making = answer()
    assert [AnswerDelta("So")] == making.feed(delta("So") + event(payload, "error"))
    assert isinstance(making.failure, AnswerFailed)
    assert "So" == making.failure.partial_answer
    assert words in str(making.failure)


def test_what_is_no_event_stream_is_a_protocol_error_that_shows_how_it_began():
    making = answer()
    making.feed(b"Service is being maintained\n")
    making.end()
    assert isinstance(making.failure, ProtocolError)
    assert making.failure.excerpt.startswith("Service is being")


@pytest.mark.parametrize(
    ("shown", "kept", "rest"),
    [
        ("So it", "So it is.", " is."), ("So it ", "So it is.", "is."), ("So ", "So", ""),
        ("So", "So \n", " \n"), ("", "So it is.", "So it is."),
        ("So it is.", "So it is.", ""), ("So  ", "So it", " it"),
    ],
)  # fmt: skip
def test_a_stored_answer_that_continues_gives_the_rest(shown, kept, rest):
    making = answer()
    making.feed(delta(shown))
    given = making.complete(stored(kept))
    assert rest == "".join(one.text for one in given if isinstance(one, AnswerDelta))
    assert (shown + rest, True, True) == (
        making.message.answer,
        making.message.recovered,
        given[-1].recovered,
    )


def test_a_stored_answer_that_differs_is_not_put_behind_what_was_shown():
    making = answer()
    making.feed(delta("So it"))
    with pytest.raises(StreamInterrupted) as caught:
        making.complete(stored("Not at all"))
    assert "So it" == caught.value.partial_answer


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", ""), (b" \r\n", ""), (b'{"id"', "json"), (b"[", "json"), (b"\xef\xbb\xbf{", "json"),
        (b"\n<!doctype", "html"), (b"event: start", "events"), (b": hi", "events"), (b"data:", "events"),
    ],
)  # fmt: skip
def test_the_first_character_tells_what_a_body_is(head, kind):
    assert kind == looks_like(head)


def test_what_came_before_an_event_that_is_too_big_is_given_and_the_end_fails_as_the_event_did():
    making = Answer(prompt="Why?", project_id=1, session_id="s", external_id="x", max_event_bytes=100)
    assert [AnswerDelta("So")] == making.feed(delta("So") + delta("x" * 200))
    assert [] == making.end()
    assert isinstance(making.failure, ProtocolError)
    assert ("s", "x", "So") == (
        making.failure.session_id,
        making.failure.external_id,
        making.failure.partial_answer,
    )
