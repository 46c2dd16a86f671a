"""A lost answer is looked for; only a row that can be the answer to this very prompt counts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from customgpt_transport import ClientOptions, ConnectionLost, Message, PromptSettings, ServerError
from customgpt_transport._flows.prompts import counts, prepare
from tests.transport.scripted import Answer, Call, ScriptedAPI

SEND = "POST /projects/7/conversations/s/messages"
LIST = "GET /projects/7/conversations/s/messages"
LOOKS = [0.5, 1, 2, 4, 8, 14.5]


def row(
    prompt_id: int, answer: str | None, external_id: str | None, query: str = "Why?"
) -> dict[str, object]:
    return {
        "id": prompt_id,
        "user_query": query,
        "openai_response": answer,
        "citations": [3],
        "metadata": {"external_id": external_id},
    }


def listed(*rows: dict[str, object]) -> dict[str, object]:
    return {"messages": {"current_page": 1, "last_page": 1, "data": list(rows)}}


def ask(call: Call, **settings: str) -> Message:
    return call(
        lambda c: c.ask("Why?", session_id="s", settings=PromptSettings(external_id="mine", **settings))
    )


def test_the_stored_answer_is_returned_and_the_prompt_sent_once(api: ScriptedAPI, call: Call):
    api.on(SEND, Answer(drop=True))
    api.data(LIST, listed(), listed(row(9, "", "mine")), listed(row(9, "Because.", "mine")))
    message = ask(call)
    assert ("Because.", True, 9, (3,), "mine") == (
        message.answer, message.recovered, message.prompt_id, message.citation_ids, message.external_id,
    )  # fmt: skip
    assert [SEND, LIST, LIST, LIST] == api.lines()
    assert LOOKS[:3] == call.naps
    assert "desc" == api.seen[1].query["order"]


def test_an_id_of_thousands_of_digits_is_no_id_and_later_answers_are_still_found(
    api: ScriptedAPI, call: Call
):
    endless = row(10**4000, "Because.", "mine")
    api.data(SEND, endless)
    api.on(SEND, Answer(drop=True))
    api.data(LIST, listed(endless, row(9, "Because.", "mine")), listed(row(10, "Again.", "mine")))
    assert (9, True) == ((message := ask(call)).prompt_id, message.recovered)
    assert "Again." == ask(call).answer


def test_what_was_never_stored_ends_in_the_error_with_where_to_look_later(api: ScriptedAPI, call: Call):
    api.on(SEND, Answer(drop=True))
    api.data(LIST, listed(row(9, "Another", "other")))
    with pytest.raises(ConnectionLost) as caught:
        ask(call)
    assert ("s", "mine") == (caught.value.session_id, caught.value.external_id)
    assert LOOKS == call.naps
    assert 1 == api.lines().count(SEND)


def test_a_row_that_was_already_seen_does_not_count(api: ScriptedAPI, call: Call):
    api.data(SEND, row(9, "First.", "mine"))
    assert "First." == ask(call).answer
    api._script[SEND].clear()
    api.on(SEND, Answer(502, b"<html>"))
    api.data(
        LIST, listed(row(9, "First.", "mine")), listed(row(10, "Second.", "mine"), row(9, "First.", "mine"))
    )
    assert "Second." == ask(call).answer


def test_a_failing_look_is_not_the_end_but_a_refused_one_is(api: ScriptedAPI, call: Call):
    api.on(SEND, Answer(500, b""))
    api.on(LIST, Answer(503, b""), Answer(drop=True), Answer(404, b"{}"))
    with pytest.raises(ServerError):
        ask(call)
    assert LOOKS[:3] == call.naps


def test_find_message_looks_through_all_pages(api: ScriptedAPI, call: Call):
    one, two = listed(row(9, "No", "other")), listed(row(8, "Because.", "mine"))
    one["messages"]["last_page"] = 2  # type: ignore[index]
    two["messages"].update(current_page=2, last_page=2)  # type: ignore[attr-defined]
    api.data(LIST, one, two)
    found = call(lambda c: c.find_message("s", "mine"))
    assert 8 == found.prompt_id
    assert ["1", "2"] == [seen.query["page"] for seen in api.seen]


def test_find_message_returns_none_for_a_prompt_that_is_not_answered_yet(api: ScriptedAPI, call: Call):
    api.data(LIST, listed(row(9, None, "mine"), row(8, "x", "other")))
    assert call(lambda c: c.find_message("s", "mine")) is None


def test_a_new_external_id_goes_with_each_prompt(api: ScriptedAPI, call: Call):
    api.data(SEND, row(9, "A", None), row(10, "B", None))
    messages = [call(lambda c: c.ask("Why?", session_id="s")) for _ in range(2)]
    sent = [seen.query["external_id"] for seen in api.seen]
    assert sent == [message.external_id for message in messages]
    assert 2 == len(set(sent))


@pytest.mark.parametrize(
    ("own", "echoed", "query", "it_counts"),
    [
        (True, "ours", "Why?", True), (True, "ours", "Why? ", True), (True, "other", "Why?", False),
        (True, None, "Why?", True), (True, None, "Why? ", False),
        (False, "ours", "Why?", True), (False, "ours", "What?", False), (False, None, "Why?", True),
        (False, "other", "Why?", False),
    ],
)  # fmt: skip
def test_which_row_counts(own, echoed, query, it_counts):
    options = ClientOptions(api_key="k", project_id=7, new_id=lambda: "ours").resolve()
    settings = None if own else PromptSettings(external_id="ours")
    prompt = prepare("Why?", options, project_id=None, session_id=None, settings=settings)
    stored = Message("Because.", query, 7, "s", prompt_id=9, external_id=echoed)
    assert it_counts == counts(stored, prompt, seen=8)
    assert not counts(stored, prompt, seen=9)


def test_where_only_the_text_tells_an_old_row_does_not_count_for_a_session_that_is_not_known():
    options = ClientOptions(api_key="k", project_id=7).resolve()
    prompt = prepare("Why?", options, project_id=None, session_id=None, settings=None)

    def row(**more: Any) -> Message:
        return Message("Because.", "Why?", 7, "s", prompt_id=9, **more)

    now = datetime.now(timezone.utc)
    assert counts(row(created_at=now), prompt, seen=0)
    assert not counts(row(created_at=now - timedelta(hours=1)), prompt, seen=0)
    assert not counts(row(), prompt, seen=0)
    assert counts(row(), prompt, seen=8)
    assert counts(row(external_id=prompt.external_id), prompt, seen=0)


def test_white_space_at_the_end_of_the_stored_answer_does_not_matter(api: ScriptedAPI, call: Call):
    """The vendor's stored answer begins like the streamed one, except for white space at the end."""
    events = [{"status": "progress", "message": "Because "}]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    api.on(SEND, Answer(200, body, {"Content-Type": "text/event-stream"}))
    api.data(LIST, listed(row(9, "Because", "mine")))

    def read(client):
        return client.stream("Why?", session_id="s", settings=PromptSettings(external_id="mine"))

    if call._loop is None:
        with read(call.client) as answer:
            texts = [getattr(event, "text", None) for event in answer]
    else:

        async def whole():
            async with read(call.client) as answer:
                return [getattr(event, "text", None) async for event in answer]

        texts = call._loop.run_until_complete(whole())
    assert ["Because ", None] == texts
