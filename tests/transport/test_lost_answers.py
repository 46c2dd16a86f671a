"""An answer lost on the way is read back where it can be, from the emulator over real sockets."""

from __future__ import annotations

import pytest
import requests

from customgpt_transport import (
    AnswerFinished,
    CustomGPTError,
    PromptSettings,
    StreamInterrupted,
)

PROMPT = "When are refunds paid?"


def looks(service) -> list[str]:
    """Return the requests for the list of messages."""
    return [entry.path for entry in service.journal.entries("messages.list")]


@pytest.fixture
def answer(service, open_door):
    """The service's answer when nothing is lost."""
    text = open_door(service).ask(PROMPT).answer
    service.journal.clear()
    return text


@pytest.mark.parametrize("way", ["ask", "stream"])
@pytest.mark.parametrize("polls", [0, 1, 3])
def test_a_lost_answer_is_looked_for_until_the_service_shows_it(service, open_door, answer, way, polls):
    service.faults.cut_after(events=4, persist=True, visible_after=polls)
    door = open_door(service)
    message = door.ask(PROMPT) if way == "ask" else door.stream(PROMPT).message
    assert (answer, True) == (message.answer, message.recovered)
    assert [0.5, 1.0, 2.0, 4.0][: polls + 1] == door.naps
    assert 1 == len(service.journal.prompts())
    assert polls + 1 == len(looks(service))


def test_a_stream_delivers_the_rest_and_one_finish(service, open_door, answer):
    service.faults.cut_after(events=4, persist=True)
    heard = open_door(service).stream(PROMPT)
    assert answer == heard.text
    finishes = [event for event in heard.events if isinstance(event, AnswerFinished)]
    assert [heard.events[-1]] == finishes
    assert finishes[0].recovered
    assert finishes[0].citation_ids == heard.message.citation_ids != ()
    assert finishes[0].prompt_id == heard.message.prompt_id


def test_a_prompt_after_a_recovered_one_goes_on_in_the_same_conversation(service, open_door):
    door = open_door(service)
    service.faults.cut_after(events=4, persist=True)
    first = door.ask(PROMPT)
    second = door.ask(PROMPT, session_id=first.session_id)
    assert not second.recovered
    assert second.prompt_id > first.prompt_id


def test_the_answer_to_an_earlier_equal_prompt_is_not_taken_for_this_ones(service, open_door):
    door = open_door(service)
    first = door.ask(PROMPT)
    service.faults.cut_after(events=4, persist=False)
    heard = door.stream(PROMPT, session_id=first.session_id)
    assert isinstance(heard.error, StreamInterrupted)
    service.faults.cut_after(events=4, persist=True)
    again = door.stream(PROMPT, session_id=first.session_id)
    assert again.message.recovered
    assert again.message.prompt_id > first.prompt_id


@pytest.mark.parametrize("earlier", [PROMPT, "What else?"])
def test_an_external_id_of_the_callers_that_is_used_twice_finds_the_newer_one(service, open_door, earlier):
    mine = PromptSettings(external_id="mine")
    door = open_door(service)
    first = door.ask(earlier, settings=mine)
    service.faults.cut_after(events=4, persist=True, visible_after=2)
    second = door.ask(PROMPT, session_id=first.session_id, settings=mine)
    assert second.recovered
    assert second.prompt_id > first.prompt_id
    assert 3 == len(looks(service))


def test_another_programs_equal_prompt_in_the_conversation_is_not_taken_for_this_ones(service, open_door):
    """Its id is greater than all that we have seen and its text is ours, but not its external id."""
    door = open_door(service)
    session = door.call("conversations.create", "x").session_id
    theirs = requests.post(
        f"{service.base_url}/api/v1/projects/{service.project_id}/conversations/{session}/messages",
        params={"external_id": "theirs"},
        json={"prompt": PROMPT},
        headers={"Authorization": f"Bearer {service.api_key}"},
        timeout=10,
    ).json()["data"]
    service.faults.cut_after(events=4, persist=False)
    heard = door.stream(PROMPT, session_id=session)
    assert isinstance(heard.error, StreamInterrupted)
    assert theirs["openai_response"].startswith(heard.error.partial_answer)
    assert 6 == len(looks(service))


def test_with_a_patience_of_0_nothing_is_looked_for(service, open_door):
    service.faults.cut_after(events=4, persist=True)
    door = open_door(service, recovery_patience=0)
    heard = door.stream(PROMPT)
    assert isinstance(heard.error, StreamInterrupted)
    assert ([], []) == (looks(service), door.naps)


def test_less_patience_looks_less_often(service, open_door):
    service.faults.cut_after(events=4, persist=False)
    door = open_door(service, recovery_patience=2)
    assert isinstance(door.stream(PROMPT).error, StreamInterrupted)
    assert [0.5, 1.0, 0.5] == door.naps


def test_the_error_says_where_to_look_and_find_message_finds_it_there_later(service, open_door, answer):
    service.faults.cut_after(events=4, persist=True, visible_after=6)
    door = open_door(service)
    error = door.stream(PROMPT).error
    assert answer.startswith(error.partial_answer)
    assert error.partial_answer
    assert not error.resend_safe
    found = door.call("find_message", error.session_id, error.external_id)
    assert (answer, error.external_id) == (found.answer, found.external_id)
    assert door.call("find_message", error.session_id, "another") is None


def test_nobody_looks_after_the_caller_has_left(service, open_door):
    service.faults.stall(after_events=3)
    door = open_door(service)
    door.stream(PROMPT, most=1)
    service.journal.wait_for(lambda entry: entry.disconnected)
    assert ([], []) == (looks(service), door.naps)


def test_a_refused_look_ends_the_looking(service, open_door):
    service.faults.cut_after(events=4, persist=True)
    service.faults.not_found(on="messages.list", times=None)
    assert isinstance(open_door(service).stream(PROMPT).error, StreamInterrupted)
    assert 1 == len(looks(service))


@pytest.mark.parametrize("fault", ["error", "drop_before_answer", "html_instead", "rate_limit"])
def test_a_look_that_fails_is_not_the_last(service, open_door, answer, fault):
    service.faults.cut_after(events=4, persist=True)
    getattr(service.faults, fault)(on="messages.list")
    heard = open_door(service).stream(PROMPT)
    assert answer == heard.text
    assert 2 == len(looks(service))


@pytest.mark.parametrize("fault", ["unauthorized", "exhaust_credits", "unprocessable", "error_event"])
def test_what_the_service_refused_is_not_looked_for(service, open_door, fault):
    getattr(service.faults, fault)()
    door = open_door(service)
    with pytest.raises(CustomGPTError):
        door.ask(PROMPT)
    assert ([], []) == (looks(service), door.naps)


def test_a_refused_connection_is_tried_again_until_the_one_prompt_arrives(service, open_door):
    refusal = []
    service.switches.unknown_session = "create"

    def sleep(seconds: float) -> None:
        door.naps.append(seconds)
        if len(door.naps) == 2:
            refusal[0].end()

    door = open_door(service, new_session="uuid", sleep=sleep)
    refusal.append(service.faults.refuse())
    message = door.ask(PROMPT)
    assert (2, False) == (message.retries, message.recovered)
    assert 1 == len(service.journal.prompts())
    service.switches.unknown_session = "404"
