"""Answers that say something odd, or that keep one waiting, as raw clients meet them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import requests

from tests.emulator.conftest import Raw

PROMPT = "How much does the Aurora cost?"


def body(raw: Raw, stream: bool = True, session: str | None = None) -> str:
    return raw.send(PROMPT, session, params={"stream": "true" if stream else "false"}).text


def events(text: str) -> list[dict[str, Any]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [json.loads(block.partition("data: ")[2]) for block in blocks]


def answer_of(text: str) -> str:
    return "".join(event.get("message", "") for event in events(text) if event["status"] == "progress")


def stored(raw: Raw, session: str) -> list[str]:
    listed = raw.call("GET", f"conversations/{session}/messages")
    return [row["openai_response"] for row in listed.json()["data"]["messages"]["data"]]


class TestAnErrorEvent:
    def test_ends_the_stream_properly(self, raw: Raw):
        raw.emulator.faults.error_event(after_events=3, message="The model is overloaded")
        found = events(body(raw))
        assert [event["status"] for event in found] == ["start", "progress", "progress", "error"]
        assert found[-1] == {"status": "error", "error": "The model is overloaded"}

    def test_can_come_first_and_under_another_key(self, raw: Raw):
        raw.emulator.faults.error_event(after_events=0, message="no", key="message")
        assert events(body(raw)) == [{"status": "error", "message": "no"}]

    @pytest.mark.parametrize("stream", [True, False])
    def test_means_that_nothing_was_stored(self, raw: Raw, stream: bool):
        raw.emulator.faults.error_event()
        session = raw.session()
        body(raw, stream, session)
        assert stored(raw, session) == []

    def test_is_an_envelope_under_status_200_where_no_stream_was_asked_for(self, raw: Raw):
        raw.emulator.faults.error_event(message="no")
        answer = raw.send(PROMPT)
        assert answer.status_code == 200
        assert answer.json()["status"] == "error"
        assert answer.json()["data"]["message"] == "no"


class TestBrokenJson:
    def test_in_one_event_leaves_the_others_whole(self, raw: Raw):
        whole = body(raw).split("\n\n")
        raw.emulator.faults.malformed_event(after_events=3)
        broken = body(raw).split("\n\n")
        assert len(broken) == len(whole)
        assert broken[:3] == whole[:3]
        assert broken[4:-2] == whole[4:-2]
        with pytest.raises(json.JSONDecodeError):
            json.loads(broken[3].partition("data: ")[2])

    def test_in_an_answer_that_is_no_stream(self, raw: Raw):
        raw.emulator.faults.malformed_event()
        with pytest.raises(requests.exceptions.JSONDecodeError):
            raw.send(PROMPT).json()


class TestAnotherForm:
    @pytest.mark.parametrize(
        ("verb", "kind", "text"),
        [
            ("html_instead", "text/html; charset=UTF-8", "<!DOCTYPE html>"),
            ("empty_body", None, ""),
        ],
    )
    @pytest.mark.parametrize("stream", [True, False])
    def test_under_status_200(self, raw: Raw, verb: str, kind: str | None, text: str, stream: bool):
        getattr(raw.emulator.faults, verb)(persist=True)
        session = raw.session()
        answer = raw.send(PROMPT, session, params={"stream": stream})
        assert answer.status_code == 200
        assert answer.text.startswith(text)
        if kind:
            assert answer.headers["Content-Type"] == kind
        else:
            assert answer.content == b""
        assert len(stored(raw, session)) == 1

    def test_json_where_a_stream_was_asked_for(self, raw: Raw):
        raw.emulator.faults.json_instead_of_stream()
        session = raw.session()
        assert "openai_response" in raw.send("waits for a stream", session).json()["data"]
        answer = raw.send(PROMPT, session, params={"stream": 1})
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json()["data"]["openai_response"] == stored(raw, session)[0]

    def test_a_null_answer(self, raw: Raw):
        raw.emulator.faults.null_answer(times=2)
        assert raw.send(PROMPT).json()["data"]["openai_response"] is None
        found = events(body(raw))
        assert {event["message"] for event in found if event["status"] == "progress"} == {None}
        assert found[-1]["status"] == "finish"

    @pytest.mark.parametrize("persist", [True, False])
    @pytest.mark.parametrize("verb", ["null_answer", "json_instead_of_stream"])
    def test_stored_or_not(self, raw: Raw, persist: bool, verb: str):
        getattr(raw.emulator.faults, verb)(persist=persist, on="messages.send")
        session = raw.session()
        body(raw, verb != "null_answer", session)
        assert len(stored(raw, session)) == persist

    @pytest.mark.parametrize("stream", [True, False])
    def test_gzip_although_identity_was_asked_for(self, raw: Raw, stream: bool):
        expected = body(raw, stream)
        raw.emulator.faults.gzip()
        headers = {"Accept-Encoding": "identity"}
        answer = raw.send(PROMPT, params={"stream": stream}, headers=headers, stream=True)
        assert answer.headers["Content-Encoding"] == "gzip"
        plain = gzip.decompress(answer.raw.read(decode_content=False)).decode()
        assert len(plain) == len(expected)

    def test_a_gzipped_event_can_be_read_when_it_comes(self, raw: Raw):
        raw.emulator.faults.gzip()
        answer = raw.send(PROMPT, params={"stream": 1}, stream=True)
        chunks = [chunk for chunk in answer.iter_content(None) if chunk]
        assert all(chunk.endswith(b"\n\n") for chunk in chunks)
        assert len(chunks) > 3

    def test_a_wrong_content_type(self, raw: Raw):
        raw.emulator.faults.wrong_content_type(times=2)
        for stream in (True, False):
            answer = raw.send(PROMPT, params={"stream": stream})
            assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
            assert "120 euros" in (answer_of(answer.text) if stream else answer.text)


class TestMoreThanWasExpected:
    def test_a_huge_event_does_not_change_the_answer(self, raw: Raw):
        expected = answer_of(body(raw))
        raw.emulator.faults.huge_event(size=300_000)
        text = body(raw)
        assert answer_of(text) == expected
        assert sorted(len(block) > 300_000 for block in text.split("\n\n")).count(True) == 1

    def test_a_huge_answer_that_is_no_stream(self, raw: Raw):
        raw.emulator.faults.huge_event(size=300_000)
        answer = raw.send(PROMPT)
        assert len(answer.content) > 300_000
        assert "120 euros" in answer.json()["data"]["openai_response"]

    @pytest.mark.parametrize("stream", [True, False])
    def test_unknown_fields(self, raw: Raw, stream: bool):
        raw.emulator.faults.unknown_fields()
        text = body(raw, stream)
        found = events(text) if stream else [json.loads(text), json.loads(text)["data"]]
        assert all(thing["zz_flag"] is True for thing in found)

    def test_unknown_statuses(self, raw: Raw):
        expected = answer_of(body(raw))
        raw.emulator.faults.unknown_statuses()
        text = body(raw)
        assert [event["status"] for event in events(text)][:4] == [
            "thinking",
            "start",
            "thinking",
            "progress",
        ]
        assert answer_of(text) == expected

    def test_a_second_finish(self, raw: Raw):
        raw.emulator.faults.duplicate_finish()
        found = events(body(raw))
        assert found[-1] == found[-2]
        assert found[-1]["status"] == "finish"

    def test_a_finish_without_its_blank_line(self, raw: Raw):
        raw.emulator.faults.finish_without_blank_line()
        text = body(raw)
        assert text.endswith("}\n")
        assert not text.endswith("\n\n")
        assert raw.emulator.journal.prompts()[0].complete


class TestSlowness:
    def test_an_answer_may_come_byte_by_byte(self, raw: Raw):
        expected = body(raw, False)
        raw.emulator.faults.dribble(times=2)
        answer = raw.send(PROMPT, stream=True)
        chunks = list(answer.iter_content(None))
        assert {len(chunk) for chunk in chunks} == {1}
        assert len(chunks) == len(expected)
        assert answer_of(body(raw)).startswith("**Prices**")

    def test_a_pause_before_each_event(self, raw: Raw):
        raw.emulator.faults.slow(30, persist=False)
        session = raw.session()
        raw.send(PROMPT, session, params={"stream": 1}, stream=True).close()
        raw.emulator.journal.wait_for(lambda entry: entry.disconnected and entry.events_sent == 0)
        assert stored(raw, session) == []

    def test_keep_alives_only(self, raw: Raw):
        order = raw.emulator.faults.keep_alives(after_events=1, every=0.001, count=3)
        with raw.send(PROMPT, params={"stream": 1}, stream=True) as answer:
            chunks = answer.iter_content(None)
            got = b""
            while got.count(b": keep-alive") < 3:
                got += next(chunks)
            assert got.count(b"event:") == 1
            order.release()
            rest = b"".join(chunks)
        assert b"keep-alive" not in rest
        assert b"event: finish" in rest

    def test_comments_after_the_finish_leave_the_answer_complete(self, raw: Raw):
        raw.emulator.faults.trickle_after_finish(every=0.001)
        with raw.send(PROMPT, params={"stream": 1}, stream=True) as answer:
            got = b""
            for chunk in answer.iter_content(None):
                got += chunk
                if got.count(b": keep-alive") > 2:
                    break
        assert b"event: finish" in got
        entry = raw.emulator.journal.prompts()[0]
        assert (entry.complete, entry.disconnected) == (True, False)

    def test_the_end_of_the_body_withheld(self, raw: Raw):
        order = raw.emulator.faults.withhold_terminator()
        with raw.send(PROMPT, params={"stream": 1}, stream=True) as answer:
            chunks = answer.iter_content(None)
            got = next(chunks)
            while b"event: finish" not in got:
                got += next(chunks)
            order.release()
            assert list(chunks) == []
