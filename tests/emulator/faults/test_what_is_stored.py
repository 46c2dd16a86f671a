"""What faults leave behind: what was stored, what it cost, whom the next request meets, and OpenAI's form."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.emulator.conftest import Raw

PROMPT = "How much does the Aurora cost?"


def ask(raw: Raw, session: str, stream: bool) -> bytes:
    """What comes of an answer, whatever becomes of it."""
    got = b""
    try:
        with raw.send(PROMPT, session, params={"stream": int(stream)}, stream=True) as answer:
            for chunk in answer.iter_content(None):
                got += chunk
    except requests.RequestException:
        pass
    return got


def stored(raw: Raw, session: str) -> list[str]:
    listed = raw.call("GET", f"conversations/{session}/messages")
    return [row["user_query"] for row in listed.json()["data"]["messages"]["data"]]


def usage(raw: Raw) -> tuple[int, int, int | None]:
    """(queries of the user, queries of the agent, credits left)."""
    limits = raw.call("GET", "/limits/usage").json()["data"]
    stats = raw.call("GET", "stats").json()["data"]
    return limits["current_queries"], stats["total_queries"], raw.emulator.quotas.credits


class TestAnAnswerOfNoUse:
    CASES = (
        ("malformed_event", False),
        ("malformed_event", True),
        ("null_answer", False),
        ("null_answer", True),
        ("json_instead_of_stream", True),
    )

    @pytest.mark.parametrize(("verb", "stream"), CASES)
    @pytest.mark.parametrize("persist", [None, True, False])
    @pytest.mark.parametrize("on_disconnect", ["persist", "abort"])
    def test_is_stored_unless_told_otherwise(
        self, raw: Raw, verb: str, stream: bool, persist: bool | None, on_disconnect: Any
    ):
        raw.emulator.switches.on_disconnect = on_disconnect
        getattr(raw.emulator.faults, verb)(persist=persist)
        session = raw.session()
        ask(raw, session, stream)
        assert stored(raw, session) == ([] if persist is False else [PROMPT])

    @pytest.mark.parametrize(("verb", "stream"), CASES)
    def test_shows_late_when_told_so(self, raw: Raw, verb: str, stream: bool):
        getattr(raw.emulator.faults, verb)(visible_after=1)
        session = raw.session()
        ask(raw, session, stream)
        assert [stored(raw, session) for _ in range(2)] == [[], [PROMPT]]


class TestAnAnswerThatWasNotStored:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("verb", "arguments"),
        [
            ("cut_after", {"events": 3}),
            ("cut_after", {"events": 100_000}),
            ("reset_after", {}),
            ("end_without_finish", {"events": 100_000}),
            ("error_event", {}),
            ("malformed_event", {}),
            ("null_answer", {}),
            ("drop_before_answer", {}),
        ],
    )
    def test_costs_nothing_and_does_not_count(
        self, raw: Raw, verb: str, arguments: dict[str, Any], stream: bool
    ):
        raw.emulator.quotas.change(credits=5)
        getattr(raw.emulator.faults, verb)(**arguments, persist=False)
        session = raw.session()
        ask(raw, session, stream)
        assert stored(raw, session) == []
        assert usage(raw) == (0, 0, 5)
        ask(raw, session, stream)
        assert usage(raw) == (1, 1, 4)


class TestARefusedRequest:
    @pytest.mark.parametrize("verb", ["cut_after", "null_answer", "wrong_content_type", "slow"])
    def test_leaves_the_fault_to_the_next_one(self, raw: Raw, verb: str):
        order = getattr(raw.emulator.faults, verb)()
        later = raw.emulator.faults.error(503)
        unknown = "6f0b2b9e-94f1-4d63-8f0e-6ad7c1f0a001"
        assert raw.send(PROMPT, unknown).status_code == 404
        assert (order.played, later.played) == (0, 0)
        assert raw.emulator.journal.prompts()[-1].fault is None
        session = raw.session()
        ask(raw, session, False)
        assert (order.played, later.played) == (1, 0)
        assert raw.send(PROMPT, session).status_code == 503

    def test_does_not_bring_back_what_was_taken_back(self, raw: Raw):
        raw.emulator.faults.cut_after()
        raw.emulator.faults.clear()
        assert raw.send(PROMPT, "6f0b2b9e-94f1-4d63-8f0e-6ad7c1f0a001").status_code == 404
        assert raw.send(PROMPT).status_code == 200

    def test_has_met_a_fault_that_acts_first(self, raw: Raw):
        order = raw.emulator.faults.delay(0)
        assert raw.send(PROMPT, "6f0b2b9e-94f1-4d63-8f0e-6ad7c1f0a001").status_code == 404
        assert order.played == 1


class TestOpenAisForm:
    """chat/completions: the faults that speak the vendor's own form leave it alone."""

    NATIVE = (
        "error_event",
        "null_answer",
        "json_instead_of_stream",
        "unknown_statuses",
        "duplicate_finish",
        "finish_without_blank_line",
    )

    def complete(self, raw: Raw, stream: bool = True) -> bytes:
        body = {"messages": [{"role": "user", "content": PROMPT}], "stream": stream}
        got = b""
        try:
            with raw.call("POST", "chat/completions", json=body, stream=True) as answer:
                for chunk in answer.iter_content(None):
                    got += chunk
        except requests.exceptions.ChunkedEncodingError:
            pass
        return got

    @pytest.mark.parametrize("verb", NATIVE)
    def test_is_not_met(self, raw: Raw, verb: str):
        order = getattr(raw.emulator.faults, verb)()
        text = self.complete(raw)
        *events, done, rest = text.split(b"\n\n")
        assert (done, rest) == (b"data: [DONE]", b"")
        assert all(json.loads(event.removeprefix(b"data: "))["choices"] for event in events)
        assert order.played == 0
        ask(raw, raw.session(), stream=True)
        assert order.played == 1

    @pytest.mark.parametrize("verb", NATIVE)
    def test_cannot_be_asked_for(self, raw: Raw, verb: str):
        with pytest.raises(ValueError, match=f"^{verb}: .*cannot be played on completions.create"):
            getattr(raw.emulator.faults, verb)(on="completions")

    def test_is_cut_inside_a_character_of_its_own_event(self, raw: Raw):
        raw.emulator.faults.cut_inside_character(events=2)
        last = self.complete(raw).split(b"\n\n")[-1]
        assert last.startswith(b'data: {"object":"chat.completion.chunk"')
        assert last.endswith(b"caf\xc3")

    def test_shows_what_was_stored_late(self, raw: Raw):
        raw.emulator.faults.cut_after(on="completions", visible_after=1)
        self.complete(raw)
        (conversation,) = raw.call("GET", "conversations").json()["data"]["data"]
        assert [stored(raw, conversation["session_id"]) for _ in range(2)] == [[], [PROMPT]]


def test_a_port_is_not_closed_over_http_without_an_end(raw: Raw):
    url = f"{raw.emulator.base_url}/_emulator/faults/refuse"
    for body in ({}, {"seconds": None}):
        answer = raw.http.post(url, json=body, timeout=20)
        assert answer.status_code == 422
        assert "seconds is needed" in answer.json()["data"]["message"]
    assert raw.call("GET", "conversations").status_code == 200
