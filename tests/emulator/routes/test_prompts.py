"""Prompts in every form the vendor's clients send, feedback, OpenAI's form, and the switches."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from tests.emulator.conftest import Raw
from tests.emulator.routes.test_shapes_and_refusals import events


def data(answer: requests.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["json", "data", "files"])
    def test_a_prompt_comes_as_json_form_or_multipart(self, raw: Raw, encoding: str):
        fields = {"prompt": "Aurora", "external_id": "é", "lang": "en"}
        body = {name: (None, value) for name, value in fields.items()} if encoding == "files" else fields
        sent = data(raw.call("POST", f"conversations/{raw.session()}/messages", **{encoding: body}))
        assert (sent["user_query"], sent["metadata"]["external_id"]) == ("Aurora", "é")

    def test_what_is_attached_is_quoted_and_not_cited(self, raw: Raw):
        path = f"conversations/{raw.session()}/messages"
        files = {"file": ("notes.txt", b"Quokkas sleep at noon.")}
        sent = data(raw.call("POST", path, data={"prompt": "When do quokkas sleep?"}, files=files))
        assert (sent["openai_response"], sent["citations"]) == ("Quokkas sleep at noon.", None)

    def test_a_custom_context_is_quoted_and_not_cited(self, raw: Raw):
        body = {"prompt": "When do quokkas sleep?", "custom_context": "Quokkas sleep at noon."}
        sent = data(raw.call("POST", f"conversations/{raw.session()}/messages", json=body))
        assert (sent["openai_response"], sent["citations"]) == ("Quokkas sleep at noon.", None)

    def test_a_kind_of_file_that_cannot_be_attached_is_refused(self, raw: Raw):
        path = f"conversations/{raw.session()}/messages"
        answer = raw.call("POST", path, data={"prompt": "x"}, files={"file": ("a.exe", b"MZ")})
        assert answer.status_code == 422
        assert "file" in answer.json()["errors"]

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"{", "application/json"),
            (b"[1]", "application/json"),
            (b"x", "multipart/form-data"),
            (b"--b\r\nx", "multipart/form-data; boundary=b"),
            (b"\xff\xfe", "application/x-www-form-urlencoded"),
        ],
    )
    def test_a_broken_body_is_one_without_a_prompt(self, raw: Raw, body: bytes, kind: str):
        path = f"conversations/{raw.session()}/messages"
        assert raw.call("POST", path, data=body, headers={"Content-Type": kind}).status_code == 422

    def test_an_external_id_has_at_most_128_characters(self, raw: Raw):
        assert raw.send("x", params={"external_id": "x" * 129}).status_code == 422


class TestFeedback:
    def test_is_given_and_taken_back(self, raw: Raw):
        session = raw.session()
        path = f"conversations/{session}/messages/{data(raw.send('Aurora', session))['id']}"
        liked = data(raw.call("PUT", f"{path}/feedback", json={"reaction": "liked"}))
        assert liked["response_feedback"]["reaction"] == "liked"
        assert data(raw.call("GET", path))["response_feedback"]["reaction"] == "liked"
        cleared = data(raw.call("PUT", f"{path}/feedback", json={"reaction": None}))
        assert cleared["response_feedback"] is None

    def test_of_another_kind_is_refused(self, raw: Raw):
        session = raw.session()
        path = f"conversations/{session}/messages/{data(raw.send('Aurora', session))['id']}/feedback"
        assert raw.call("PUT", path, json={"reaction": "loved"}).status_code == 422
        assert raw.call("PUT", path, json={}).status_code == 422

    def test_for_an_unknown_message(self, raw: Raw):
        answer = raw.call(
            "PUT", f"conversations/{raw.session()}/messages/5/feedback", json={"reaction": "liked"}
        )
        assert answer.status_code == 404
        assert answer.json()["data"]["message"] == "Conversation message with id 5 not found"


class TestOpenAI:
    def ask(self, raw: Raw, **body: Any) -> requests.Response:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Aurora price?"}]
        return raw.call("POST", "chat/completions", json={"messages": messages, **body})

    def test_the_answer_has_the_documented_keys(self, raw: Raw):
        body = self.ask(raw, model="anything").json()
        assert set(body) == {"id", "object", "created", "model", "usage", "choices"}
        assert body["id"].isdigit()
        assert body["choices"][0]["finish_reason"] == "stop"
        assert "120 euros" in body["choices"][0]["message"]["content"]

    def test_the_stream_ends_with_stop_and_done(self, raw: Raw):
        lines = self.ask(raw, stream=True).text.removesuffix("\n\n").split("\n\n")
        assert lines[-1] == "data: [DONE]"
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-2:] == [None, "stop"]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        assert text == self.ask(raw).json()["choices"][0]["message"]["content"]

    def test_it_has_a_conversation_of_its_own(self, raw: Raw):
        self.ask(raw, external_id="mine")
        (conversation,) = data(raw.call("GET", "conversations"))["data"]
        assert conversation["name"] == "OpenAI-Aurora price?"
        path = f"conversations/{conversation['session_id']}/messages"
        (row,) = data(raw.call("GET", path))["messages"]["data"]
        assert (row["metadata"]["request_source"], row["metadata"]["external_id"]) == ("api-openai", "mine")

    @pytest.mark.parametrize("name", ["audio", "temperature", "tools", "max_tokens"])
    def test_other_arguments_are_refused(self, raw: Raw, name: str):
        answer = self.ask(raw, **{name: 1})
        assert answer.status_code == 501
        text = f"{name} is not yet supported. Please remove them from your request and try again."
        assert answer.json()["data"]["message"] == text

    @pytest.mark.parametrize(
        "messages",
        [None, [], "x", [1], [{"role": "robot", "content": "x"}], [{"role": "system", "content": "x"}]],
    )
    def test_messages_must_be_as_documented(self, raw: Raw, messages: Any):
        assert self.ask(raw, messages=messages).status_code == 422

    def test_its_status_is_a_switch(self, raw: Raw):
        raw.emulator.switches.completions_status = 201
        assert self.ask(raw).status_code == 201


class TestSwitches:
    UNKNOWN = "0a6b9b3c-0000-4000-8000-000000000000"

    def test_an_unknown_uuid_may_begin_a_conversation(self, raw: Raw):
        raw.emulator.switches.unknown_session = "create"
        prompt = "How much is the Aurora lamp, please?"
        assert raw.send(prompt, self.UNKNOWN).status_code == 200
        (conversation,) = data(raw.call("GET", "conversations"))["data"]
        assert (conversation["session_id"], conversation["name"]) == (self.UNKNOWN, prompt[:31])
        assert raw.send(prompt, "not-a-uuid").status_code == 404

    def test_a_refused_prompt_begins_no_conversation(self, raw: Raw):
        raw.emulator.switches.unknown_session = "create"
        assert raw.send("", self.UNKNOWN).status_code == 422
        assert data(raw.call("GET", "conversations"))["total"] == 0

    def test_another_agents_conversation_is_not_taken_over(self, raw: Raw):
        raw.emulator.switches.unknown_session = "create"
        body = {"project_name": "b", "sitemap_path": "https://b.example/sitemap.xml"}
        other = data(raw.call("POST", "/projects", json=body), 201)["id"]
        url = f"/projects/{other}/conversations/{raw.session()}/messages"
        assert raw.call("POST", url, json={"prompt": "x"}).status_code == 404

    def test_a_repeated_prompt_may_be_replayed(self, raw: Raw):
        raw.emulator.switches.same_prompt_cache = True
        session = raw.session()
        first = data(raw.send("Hello!", session))
        replayed = events(raw.send("Hello!", session, params={"stream": 1}).text)
        assert [row["message"] for _, row in replayed[1:-1]] == [
            "Hello! ",
            "How ",
            "can ",
            "I ",
            "assist ",
            "you ",
            "today?",
        ]
        assert (replayed[-1][1]["id"], replayed[-1][1]["created_at"]) == (first["id"], first["created_at"])
        fresh = data(raw.send("Hello!", session, headers={"Cache-Control": "no-cache"}))
        assert fresh["id"] > first["id"]
        assert data(raw.send("Hello!"))["id"] > fresh["id"]  # another conversation

    def test_repeated_prompts_are_answered_anew_by_default(self, raw: Raw):
        session = raw.session()
        assert data(raw.send("Hello!", session))["id"] < data(raw.send("Hello!", session))["id"]

    def test_a_name_may_be_required(self, raw: Raw):
        assert raw.call("POST", "conversations", json={}).status_code == 201
        raw.emulator.switches.strict_name = True
        assert raw.call("POST", "conversations", json={}).status_code == 422
        assert raw.call("POST", "conversations", json={"name": "x" * 256}).status_code == 422

    @pytest.mark.parametrize(
        ("filter_", "found"),
        [
            ("exact", {"Ticket 12": ["Ticket 12"], "ticket": [], "nothing": []}),
            ("contains", {"Ticket 12": ["Ticket 12"], "ticket": ["Ticket 12"], "nothing": []}),
            ("ignored", {name: ["Other", "Ticket 12"] for name in ("Ticket 12", "ticket", "nothing")}),
        ],
    )
    def test_conversations_are_filtered_by_name_in_three_ways(self, raw: Raw, filter_: Any, found: Any):
        raw.session("Ticket 12")
        raw.session("Other")
        raw.emulator.switches.name_filter = filter_
        for name, names in found.items():
            rows = data(raw.call("GET", "conversations", params={"name": name}))["data"]
            assert [row["name"] for row in rows] == names

    def test_external_ids_may_not_come_back(self, raw: Raw):
        session = raw.session()
        raw.emulator.switches.external_id_echo = False
        sent = data(raw.send("Aurora", session, params={"external_id": "mine"}))
        (listed,) = data(raw.call("GET", f"conversations/{session}/messages"))["messages"]["data"]
        assert [sent["metadata"]["external_id"], listed["metadata"]["external_id"]] == [None, None]

    @pytest.mark.parametrize("kind", ["int", "float_string", "null"])
    def test_citations_come_in_three_forms(self, raw: Raw, kind: Any):
        raw.emulator.switches.citation_type = kind
        session = raw.session()
        sent = data(raw.send("Aurora", session))["citations"]
        finish = events(raw.send("Aurora", session, params={"stream": 1}).text)[-1][1]["citations"]
        expected = {"int": [int], "float_string": [str], "null": None}[kind]
        assert sent == finish
        assert sent is None if expected is None else [type(item) for item in sent] == expected
        if kind == "float_string":
            assert sent[0].endswith(".0")

    def test_marks_may_be_in_every_answer(self, raw: Raw):
        raw.emulator.switches.inline_marks = True
        assert ":cit[1/1]" in data(raw.send("Aurora"))["openai_response"]

    def test_dates_may_be_of_2023(self, handbook: Path):
        from customgpt_emulator import Switches

        with (
            Emulator(handbook, seed=1, switches=Switches(old_dates=True)) as emulator,
            requests.Session() as http,
        ):
            http.headers["Authorization"] = f"Bearer {emulator.api_key}"
            raw = Raw(emulator, http)
            assert data(raw.send("Aurora"))["created_at"] == "1 Jan 2025 12:00:02"
            page = data(raw.call("GET", "pages"))["pages"]["data"][0]
        assert (page["created_at"], page["updated_at"]) == (
            "2025-01-01T00:00:00.000000Z",
            "2025-01-01 00:00:00",
        )

    def test_unicode_is_escaped_unless_asked_otherwise(self, raw: Raw):
        assert b"Na\\u00efve" in raw.send("Naïve owners", params={"stream": 1}).content
        raw.emulator.switches.escape_unicode = False
        assert "Naïve".encode() in raw.send("Naïve owners", params={"stream": 1}).content


class TestSameBytes:
    def talk(self, folder: Path, port: int) -> list[bytes]:
        with Emulator(folder, seed=7, port=port, api_key="k") as emulator, requests.Session() as http:
            http.headers["Authorization"] = "Bearer k"
            raw = Raw(emulator, http)
            session = raw.session()
            answers = [
                raw.send("How much is the Aurora?", session),
                raw.send("And the Comet?", session, params={"stream": 1}),
                raw.call("GET", f"conversations/{session}/messages"),
                raw.call("GET", "pages"),
                raw.call("POST", "", json={"is_shared": True}),
                raw.call("POST", "sources", files={"file": ("a.txt", b"alpha")}),
            ]
            return [
                str(emulator.base_url).encode(),
                session.encode(),
                *(answer.content for answer in answers),
            ]

    def test_with_a_seed_the_same_requests_get_the_same_bytes(self, handbook: Path):
        first = self.talk(handbook, 0)
        port = int(first[0].rpartition(b":")[2])
        assert self.talk(handbook, port) == first

    def test_without_a_seed_answers_and_event_boundaries_are_the_same(self, handbook: Path, tmp_path: Path):
        # The same files, written in another order at another time: nothing may depend on that.
        twin = tmp_path / "twin"
        for file in sorted(handbook.rglob("*.*"), reverse=True):
            copy = twin / file.relative_to(handbook)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
        told = []
        for folder in (handbook, twin):
            with Emulator(folder) as emulator, requests.Session() as http:
                http.headers["Authorization"] = f"Bearer {emulator.api_key}"
                stream = Raw(emulator, http).send("gift card purchases and prices", params={"stream": 1})
                told.append([row.get("message", row.get("citations")) for _, row in events(stream.text)])
        assert told[0] == told[1]


class TestLeaving:
    @pytest.fixture
    def handbook(self, handbook: Path) -> Path:
        # More than the buffers on the way hold: the server cannot be done before the client goes.
        items = "\n".join(f"- saga {number} " + "on" * 10_000 for number in range(60))
        (handbook / "saga.md").write_text(f"# Saga\n\n{items}\n")
        return handbook

    def leave(self, raw: Raw) -> str:
        """Begin to read a long answer and hang up; gives the session once the server has noticed."""
        session = raw.session()
        answer = raw.send("saga", session, params={"stream": 1}, stream=True)
        assert next(answer.iter_content(16)) == b"event: start\ndat"
        answer.close()
        (entry,) = raw.emulator.journal.prompts()
        deadline = time.monotonic() + 30
        while not entry.disconnected:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return session

    def stored(self, raw: Raw, session: str) -> list[Any]:
        rows: list[Any] = data(raw.call("GET", f"conversations/{session}/messages"))["messages"]["data"]
        return rows

    def test_the_answer_is_stored_all_the_same(self, raw: Raw):
        (row,) = self.stored(raw, self.leave(raw))
        assert row["openai_response"].endswith("onon")

    def test_or_thrown_away(self, raw: Raw):
        raw.emulator.switches.on_disconnect = "abort"
        assert self.stored(raw, self.leave(raw)) == []


def test_labels_are_refused_and_not_ignored(raw: Raw):
    """An answer from all documents would let a test of what a tenant may see pass for the wrong reason."""
    session = raw.session()
    body = {"prompt": "Aurora", "labels": ["tenant-a"]}
    answer = raw.call("POST", f"conversations/{session}/messages", json=body)
    assert answer.status_code == 501
    assert 'labels="ignore"' in answer.json()["data"]["message"]
    raw.emulator.switches.labels = "ignore"
    assert raw.call("POST", f"conversations/{session}/messages", json=body).status_code == 200


def test_an_unknown_session_is_refused_naming_the_switch(raw: Raw):
    answer = raw.send("Aurora", "7d4b1b8e-5a4e-4f0e-9d2e-0f9f6a0f1a11")
    assert answer.status_code == 404
    assert 'unknown_session="create"' in answer.json()["data"]["message"]
