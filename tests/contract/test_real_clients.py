"""What the public clients make of our bytes: each reads a stream in its own way, and all get what they need.

The readers are ours, in the manner of those clients (vendor's SDK, widget, front ends, evaluation scripts).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests
import sseclient

from customgpt_emulator import Emulator
from tests.contract.things import Things

MESSAGES = "/conversations/{session_id}/messages"
QUESTION = {"prompt": "How do refunds work?"}


@pytest.fixture
def things(emulator: Emulator) -> Iterator[Things]:
    with Things(emulator) as made:
        yield made


@pytest.fixture
def stored(things: Things) -> dict[str, Any]:
    """The answer to the question, as the message list has it."""
    return dict(things.call("POST", MESSAGES, json=QUESTION).json()["data"])


def streamed(things: Things, **options: Any) -> requests.Response:
    path = MESSAGES + options.pop("query", "?stream=true")
    answer = things.call("POST", path, stream=True, **{"json": QUESTION, **options})
    assert 200 == answer.status_code
    return answer


class TestTheStreamsReaders:
    def test_an_event_source_library_that_takes_the_data_only(self, things: Things, stored: dict[str, Any]):
        """The SDK, the command line tool and the notebooks: sseclient, up to `finish`."""
        client = sseclient.SSEClient(
            streamed(things, query="?stream=1", headers={"Accept": "text/event-stream"})
        )
        read = [json.loads(event.data) for event in client.events()]
        assert stored["openai_response"] == "".join(each.get("message", "") for each in read)
        assert stored["citations"] == read[-1]["citations"]

    @pytest.mark.parametrize("accept", ["application/json", "*/*", "text/event-stream"])
    def test_lines_that_begin_with_data_and_a_space(
        self, things: Things, stored: dict[str, Any], accept: str
    ):
        """The widget: needs that space, stops at `finish`, and streams although it asks for JSON."""
        text, citations = "", None
        for line in streamed(things, headers={"Accept": accept}).iter_lines(decode_unicode=True):
            if not line.startswith("data: "):
                assert line == "" or line.startswith("event: ")
                continue
            data = json.loads(line[6:])
            if data["status"] == "finish":
                citations = data["citations"]
                break
            text += data.get("message", "")
        assert (stored["openai_response"], stored["citations"]) == (text, citations)

    def test_the_last_event_line_names_the_data(self, things: Things, stored: dict[str, Any]):
        """A front end of 2026: the name, or else the status."""
        name, text, citations = "", "", None
        for line in streamed(things).iter_lines(chunk_size=7, decode_unicode=True):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data = json.loads(line[5:].strip())
                assert name == data["status"]
                text += data.get("message", "") if name == "progress" else ""
                citations = data["citations"] if name == "finish" else None
        assert (stored["openai_response"], stored["citations"]) == (text, citations)

    def test_the_line_that_says_finish_is_the_end_and_the_list_has_the_rest(
        self, things: Things, stored: dict[str, Any]
    ):
        """The starter kit never reads the data of `finish`: the list gives it id and citations at once."""
        text = ""
        answer = streamed(things)
        for line in answer.iter_lines(decode_unicode=True):
            if line == "event: finish":
                break
            if line.startswith("data: "):
                text += json.loads(line[6:]).get("message", "")
        newest = things.call("GET", MESSAGES).json()["data"]["messages"]["data"][0]
        answer.close()
        assert newest["id"] > stored["id"]
        assert (newest["openai_response"], newest["citations"]) == (text, stored["citations"])

    def test_those_who_look_for_openai_chunks_find_none(self, things: Things):
        """Some bots read the native stream as if it were OpenAI's, and get nothing; so it is here."""
        for line in streamed(things).iter_lines(decode_unicode=True):
            assert line != "data: [DONE]"
            if line.startswith("data: "):
                assert not {"choices", "openai_response"} & set(json.loads(line[6:]))

    def test_a_client_that_has_heard_enough_hangs_up(self, emulator: Emulator, things: Things):
        """The voice assistant leaves in mid-answer; the answer is kept all the same, by default."""
        emulator.pacing.tokens_per_second = 200.0
        answer = streamed(things)
        lines = answer.iter_lines(decode_unicode=True)
        assert any('"progress"' in line for line in lines)
        answer.close()
        while not emulator.journal.entries("messages.send")[-1].disconnected:
            time.sleep(0.01)
        while things.call("GET", MESSAGES).json()["data"]["messages"]["total"] < 2:
            time.sleep(0.01)


class TestTheSendersEncodings:
    """JSON, a form, and a form with files; `stream` in the query or in the body."""

    @pytest.mark.parametrize("value", ["1", "true"])
    def test_a_form(self, things: Things, stored: dict[str, Any], value: str):
        """The plugin and the evaluation scripts."""
        text = things.call("POST", MESSAGES, data={**QUESTION, "stream": value}).text
        assert text.startswith('event: start\ndata: {"status":"start","prompt":"How do refunds work?"}\n\n')

    def test_a_body_that_says_stream_with_the_accept_header_of_the_other(self, things: Things):
        """The notebooks: 1 in the body streams; 0 does not, whatever is accepted."""
        on = things.call(
            "POST", MESSAGES, json={**QUESTION, "stream": 1}, headers={"Accept": "application/json"}
        )
        off = things.call(
            "POST", MESSAGES, json={**QUESTION, "stream": 0}, headers={"Accept": "text/event-stream"}
        )
        assert "text/event-stream; charset=UTF-8" == on.headers["Content-Type"]
        assert "application/json" == off.headers["Content-Type"]

    def test_a_form_with_a_file(self, things: Things):
        file = ("note.txt", b"The secret word is gooseberry.")
        sent = things.call(
            "POST", MESSAGES, data={"prompt": "What is the secret word?"}, files={"file": file}
        )
        assert "gooseberry" in sent.json()["data"]["openai_response"]

    def test_a_conversation_without_a_name_or_body(self, things: Things):
        """Three bots send none; the others say that it is needed: a switch."""
        assert 201 == things.call("POST", "/conversations").status_code
        assert 201 == things.call("POST", "/conversations", json={}).status_code

    def test_a_session_of_the_clients_own_for_each_question(self, emulator: Emulator, things: Things):
        """The evaluation scripts: a fresh UUID per question, found again by its `external_id`."""
        emulator.switches.unknown_session = "create"
        session, external = str(uuid4()), "run7_question3"
        path = f"/conversations/{session}/messages"
        sent = things.call("POST", path, params={"external_id": external, "stream": "false"}, data=QUESTION)
        assert external == sent.json()["data"]["metadata"]["external_id"]
        listed = things.call("GET", path, params={"order": "desc"}).json()["data"]
        assert [external] == [row["metadata"]["external_id"] for row in listed["messages"]["data"]]
        assert session == listed["conversation"]["session_id"]

    def test_feedback_is_taken_back_with_null(self, things: Things):
        """The widget."""
        path = MESSAGES + "/{prompt_id}/feedback"
        for reaction in ("liked", "disliked", "neutral"):
            said = things.call("PUT", path, json={"reaction": reaction}).json()["data"]["response_feedback"]
            assert reaction == said["reaction"]
        assert things.call("PUT", path, json={"reaction": None}).json()["data"]["response_feedback"] is None
