"""Faults as raw clients meet them: what comes over the socket, what was stored, what the journal says."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest
import requests

from customgpt_emulator import Emulator
from tests.emulator.conftest import Raw, Time

PROMPT = "How much does the Aurora cost?"


def read(answer: requests.Response) -> tuple[bytes, Exception | None]:
    """What came of a body, and what broke it off."""
    got = b""
    try:
        for chunk in answer.iter_content(None):
            got += chunk
    except requests.RequestException as error:
        return got, error
    return got, None


def stream(raw: Raw, session: str, **options: Any) -> tuple[bytes, Exception | None]:
    with raw.send(PROMPT, session, params={"stream": "true"}, stream=True, **options) as answer:
        assert answer.status_code == 200
        return read(answer)


def stored(raw: Raw, session: str) -> list[str]:
    listed = raw.call("GET", f"conversations/{session}/messages")
    return [row["user_query"] for row in listed.json()["data"]["messages"]["data"]]


class TestABrokenStream:
    @pytest.mark.parametrize("verb", ["cut_after", "reset_after"])
    def test_gives_so_many_events_and_an_error(self, raw: Raw, verb: str):
        getattr(raw.emulator.faults, verb)(events=3)
        got, error = stream(raw, raw.session())
        assert got.count(b"\n\n") == 3
        assert got.startswith(b"event: start\n")
        assert error is not None
        entry = raw.emulator.journal.prompts()[0]
        assert (entry.fault, entry.events_sent, entry.complete) == (verb, 3, False)
        assert (entry.cut, entry.disconnected) == (True, False)

    def test_is_reset_or_closed_as_the_verb_says(self, raw: Raw):
        raw.emulator.faults.reset_after(events=2)
        raw.emulator.faults.cut_after(events=2)
        _, reset = stream(raw, raw.session())
        assert "reset" in str(reset).lower()
        _, closed = stream(raw, raw.session())
        assert "reset" not in str(closed).lower()

    def test_can_end_properly_without_its_finish(self, raw: Raw):
        raw.emulator.faults.end_without_finish(events=4)
        got, error = stream(raw, raw.session())
        assert (got.count(b"\n\n"), error) == (4, None)
        assert b"finish" not in got

    def test_breaks_off_before_the_finish_at_the_latest(self, raw: Raw):
        raw.emulator.faults.end_without_finish(events=10_000)
        got, _ = stream(raw, raw.session())
        assert b"event: progress" in got
        assert b"finish" not in got

    def test_that_ends_properly_leaves_the_connection_usable(self, raw: Raw):
        raw.emulator.faults.end_without_finish()
        session = raw.session()
        stream(raw, session)
        raw.send(PROMPT, session)
        assert len({entry.connection for entry in raw.emulator.journal}) == 1

    def test_can_end_inside_a_character(self, raw: Raw):
        raw.emulator.faults.cut_inside_character(events=2)
        got, error = stream(raw, raw.session())
        assert got.endswith(b"\xc3")
        assert error is not None

    @pytest.mark.parametrize("verb", ["cut_after", "reset_after", "end_without_finish"])
    @pytest.mark.parametrize("persist", [True, False])
    def test_was_stored_or_not(self, raw: Raw, verb: str, persist: bool):
        getattr(raw.emulator.faults, verb)(persist=persist)
        session = raw.session()
        stream(raw, session)
        assert stored(raw, session) == ([PROMPT] if persist else [])

    def test_is_stored_as_the_switch_has_it(self, raw: Raw):
        raw.emulator.switches.on_disconnect = "abort"
        raw.emulator.faults.cut_after()
        session = raw.session()
        stream(raw, session)
        assert stored(raw, session) == []

    def test_can_be_found_after_some_polls(self, raw: Raw):
        raw.emulator.faults.cut_after(persist=True, visible_after=2)
        session, other = raw.session(), raw.session()
        stream(raw, session)
        stored(raw, other)
        assert [stored(raw, session) for _ in range(3)] == [[], [], [PROMPT]]

    @pytest.mark.parametrize("seed", [None, 1])
    def test_can_be_found_after_some_seconds(self, handbook: Any, real_time: Time, seed: int | None):
        with Emulator(documents=handbook, seed=seed) as emulator, requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {emulator.api_key}"
            raw = Raw(emulator, http)
            emulator.faults.cut_after(persist=True, visible_after="3s")
            session = raw.session()
            stream(raw, session)
            seen = []
            for _ in range(4):
                seen.append(stored(raw, session))
                real_time.now += 1
            assert seen == [[], [], [], [PROMPT]]

    def test_over_aiohttp_too(self, server: Emulator):
        async def ask() -> bytes:
            headers = {"Authorization": f"Bearer {server.api_key}"}
            url = f"{server.base_url}/api/v1/projects/{server.project_id}/conversations"
            got = b""
            async with aiohttp.ClientSession(headers=headers) as http:
                async with http.post(url, json={"name": "a"}) as made:
                    session = (await made.json())["data"]["session_id"]
                with pytest.raises(aiohttp.ClientPayloadError):
                    async with http.post(
                        f"{url}/{session}/messages?stream=1", json={"prompt": "x"}
                    ) as answer:
                        async for chunk in answer.content.iter_any():
                            got += chunk
            return got

        server.faults.cut_after(events=3)
        assert asyncio.run(ask()).count(b"\n\n") == 3


class TestAnAnswerThatIsNoStream:
    @pytest.mark.parametrize("verb", ["cut_after", "reset_after"])
    @pytest.mark.parametrize("persist", [True, False])
    def test_breaks_off_in_the_middle_of_its_json(self, raw: Raw, verb: str, persist: bool):
        getattr(raw.emulator.faults, verb)(persist=persist)
        session = raw.session()
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            raw.send(PROMPT, session)
        assert stored(raw, session) == ([PROMPT] if persist else [])

    def test_can_end_properly_with_half_of_its_json(self, raw: Raw):
        raw.emulator.faults.end_without_finish()
        answer = raw.send(PROMPT)
        assert answer.text.startswith('{"data":{')
        with pytest.raises(requests.exceptions.JSONDecodeError):
            answer.json()

    def test_can_be_any_endpoints(self, raw: Raw):
        raw.emulator.faults.cut_after(on="citations", events=1)
        (citation,) = raw.send(PROMPT).json()["data"]["citations"]
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            raw.call("GET", f"citations/{citation}")
        assert raw.call("GET", f"citations/{citation}").status_code == 200


class TestNoAnswer:
    @pytest.mark.parametrize("verb", ["reset_before_answer", "drop_before_answer"])
    @pytest.mark.parametrize("persist", [True, False])
    @pytest.mark.parametrize("stream", ["true", "false"])
    def test_comes_although_the_prompt_was_received(self, raw: Raw, verb: str, persist: bool, stream: str):
        getattr(raw.emulator.faults, verb)(persist=persist)
        session = raw.session()
        with pytest.raises(requests.ConnectionError):
            raw.send(PROMPT, session, params={"stream": stream})
        assert [entry.prompt for entry in raw.emulator.journal.prompts()] == [PROMPT]
        assert stored(raw, session) == ([PROMPT] if persist else [])

    def test_and_the_stored_one_shows_late(self, raw: Raw):
        raw.emulator.faults.reset_before_answer(persist=True, visible_after=1)
        session = raw.session()
        with pytest.raises(requests.ConnectionError):
            raw.send(PROMPT, session)
        assert [stored(raw, session) for _ in range(2)] == [[], [PROMPT]]

    @pytest.mark.parametrize("persist", [True, False])
    def test_of_another_endpoint(self, raw: Raw, persist: bool):
        raw.emulator.faults.reset_before_answer(on="conversations.create", persist=persist)
        with pytest.raises(requests.ConnectionError):
            raw.session()
        assert raw.call("GET", "conversations").json()["data"]["total"] == persist


class TestSilence:
    def test_lasts_until_the_client_leaves(self, raw: Raw):
        raw.emulator.faults.stall(after_events=3, persist=False)
        session = raw.session()
        with raw.send(PROMPT, session, params={"stream": 1}, stream=True) as answer:
            got, chunks = b"", answer.iter_content(None)
            while got.count(b"\n\n") < 3:
                got += next(chunks)
            chunks.close()
        entry = raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
        assert (entry.prompt, entry.events_sent, entry.complete) == (PROMPT, 3, False)
        assert stored(raw, session) == []

    def test_is_kept_when_the_switch_says_so(self, raw: Raw):
        raw.emulator.faults.stall(after_events=0)
        session = raw.session()
        raw.send(PROMPT, session, params={"stream": 1}, stream=True).close()
        raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
        assert stored(raw, session) == [PROMPT]

    def test_ends_when_it_is_released(self, raw: Raw):
        order = raw.emulator.faults.stall(after_events=2)
        session = raw.session()
        with raw.send(PROMPT, session, params={"stream": 1}, stream=True) as answer:
            chunks = answer.iter_content(None)
            got = next(chunks)
            order.release()
            got += b"".join(chunks)
        assert b"event: finish" in got
        assert raw.emulator.journal.prompts()[0].complete

    def test_before_the_first_byte_makes_a_client_give_up(self, raw: Raw):
        raw.emulator.faults.slow_first_byte(persist=True)
        session = raw.session()
        with pytest.raises(requests.ReadTimeout):
            raw.http.post(
                f"{raw.project}/conversations/{session}/messages", json={"prompt": PROMPT}, timeout=0.05
            )
        assert raw.emulator.journal.wait_for(lambda entry: entry.disconnected).events_sent == 0
        assert stored(raw, session) == [PROMPT]

    def test_does_not_keep_the_emulator_from_closing(self, handbook: Any):
        with Emulator(documents=handbook) as emulator, requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {emulator.api_key}"
            raw = Raw(emulator, http)
            emulator.faults.stall()
            answer = raw.send(PROMPT, params={"stream": 1}, stream=True)
            emulator.close()
            assert read(answer)[1] is not None

    def test_of_a_delayed_request_that_nobody_waits_for_stores_nothing(self, raw: Raw):
        raw.emulator.faults.delay(30)
        session = raw.session()
        with pytest.raises(requests.ReadTimeout):
            raw.http.post(
                f"{raw.project}/conversations/{session}/messages", json={"prompt": PROMPT}, timeout=0.05
            )
        raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
        assert stored(raw, session) == []

    def test_behind_a_bad_chunk_size(self, raw: Raw):
        raw.emulator.faults.bad_chunk_size(after_events=2)
        path = f"/api/v1/projects/{raw.emulator.project_id}/conversations/{raw.session()}/messages?stream=1"
        address = raw.emulator.base_url.removeprefix("http://").split(":")
        body = json.dumps({"prompt": PROMPT})
        with socket.create_connection((address[0], int(address[1]))) as client:
            client.sendall(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {raw.emulator.api_key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            got = b""
            while not got.endswith(b"zz\r\ndata: nothing\r\n\r\n"):
                got += client.recv(65536)
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)


class TestRefusals:
    def test_an_error_has_the_documented_envelope(self, raw: Raw):
        raw.emulator.faults.error(503, retry_after=2)
        answer = raw.send(PROMPT)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert answer.json()["status"] == "error"
        assert answer.json()["data"]["code"] == 503

    def test_an_error_can_say_anything(self, raw: Raw):
        raw.emulator.faults.error(418, {"odd": 1})
        raw.emulator.faults.error(500, b"\xff\xfe", content_type="text/plain")
        assert raw.send(PROMPT).json() == {"odd": 1}
        answer = raw.send(PROMPT)
        assert (answer.content, answer.headers["Content-Type"]) == (b"\xff\xfe", "text/plain")

    @pytest.mark.parametrize(
        ("given", "sent"),
        [(None, None), (3, "3"), (0.5, "0.5"), ("Wed, 21 Oct 2026 07:28:00 GMT",) * 2, ("nan", "nan")],
    )
    def test_a_throttle_has_the_frameworks_form(self, raw: Raw, given: Any, sent: str | None):
        raw.emulator.faults.rate_limit(retry_after=given)
        answer = raw.send(PROMPT, params={"stream": 1})
        assert (answer.status_code, answer.headers.get("Retry-After")) == (429, sent)
        assert answer.json() == {"message": "Too Many Attempts."}
        assert answer.headers["X-RateLimit-Remaining"] == "0"

    def test_used_up_credits_have_the_documented_words(self, raw: Raw):
        raw.emulator.faults.exhaust_credits()
        answer = raw.send(PROMPT)
        assert answer.status_code == 429
        assert "exhausted your current query credits" in answer.json()["data"]["message"]

    @pytest.mark.parametrize(
        ("verb", "status"),
        [("unauthorized", 401), ("not_found", 404), ("unprocessable", 422), ("bad_gateway", 502)],
    )
    def test_have_their_status(self, raw: Raw, verb: str, status: int):
        getattr(raw.emulator.faults, verb)()
        assert raw.send(PROMPT).status_code == status

    def test_a_gateway_speaks_html(self, raw: Raw):
        raw.emulator.faults.bad_gateway()
        answer = raw.send(PROMPT)
        assert answer.headers["Content-Type"] == "text/html"
        assert "<title>502 Bad Gateway</title>" in answer.text

    @pytest.mark.parametrize("persist", [True, False])
    @pytest.mark.parametrize("stream", ["true", "false"])
    def test_can_hide_that_the_prompt_was_answered(self, raw: Raw, persist: bool, stream: str):
        raw.emulator.faults.error(504, persist=persist)
        session = raw.session()
        assert raw.send(PROMPT, session, params={"stream": stream}).status_code == 504
        assert stored(raw, session) == ([PROMPT] if persist else [])

    def test_a_redirect_leads_to_another_name_of_the_same_host(self, raw: Raw):
        raw.emulator.faults.redirect(status=307)
        session = raw.session()
        answer = raw.send(PROMPT, session, allow_redirects=False)
        assert answer.status_code == 307
        assert answer.headers["Location"] == (
            f"{raw.project}/conversations/{session}/messages".replace("127.0.0.1", "localhost")
        )

    def test_a_redirect_leads_where_one_wants(self, raw: Raw):
        raw.emulator.faults.redirect("https://elsewhere.example/")
        answer = raw.send(PROMPT, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, "https://elsewhere.example/")


class TestOrders:
    def test_are_served_in_the_order_in_which_they_were_given(self, raw: Raw):
        raw.emulator.faults.error(500, times=2)
        raw.emulator.faults.error(502)
        session = raw.session()
        assert [raw.send(PROMPT, session).status_code for _ in range(4)] == [500, 500, 502, 200]

    def test_without_times_last_until_they_are_cleared(self, raw: Raw):
        order = raw.emulator.faults.error(500, times=None)
        session = raw.session()
        assert {raw.send(PROMPT, session).status_code for _ in range(5)} == {500}
        assert order.played == 5
        raw.emulator.faults.clear()
        assert raw.send(PROMPT, session).status_code == 200

    def test_can_be_taken_back(self, raw: Raw):
        order = raw.emulator.faults.error(500)
        order.cancel()
        assert raw.emulator.faults.pending == []
        assert raw.send(PROMPT).status_code == 200

    def test_are_for_prompts_unless_told_otherwise(self, raw: Raw):
        raw.emulator.faults.error(500)
        assert raw.call("GET", "conversations").status_code == 200
        assert raw.send(PROMPT).status_code == 500

    @pytest.mark.parametrize(
        ("on", "path", "status"),
        [
            ("conversations", "conversations", 500),
            ("conversations.list", "conversations", 500),
            ("*.list", "conversations", 500),
            (None, "nowhere", 500),
            ("citations", "conversations", 200),
        ],
    )
    def test_are_for_the_endpoints_that_they_name(self, raw: Raw, on: str | None, path: str, status: int):
        raw.emulator.faults.error(500, on=on)
        assert raw.call("GET", path).status_code == status

    def test_by_chance_are_the_same_with_the_same_seed(self, handbook: Any):
        def statuses(seed: int) -> list[int]:
            with Emulator(documents=handbook, seed=seed) as emulator, requests.Session() as http:
                http.headers["Authorization"] = f"Bearer {emulator.api_key}"
                raw = Raw(emulator, http)
                emulator.faults.error(500, on="conversations", times=None, chance=0.5)
                return [raw.call("GET", "conversations").status_code for _ in range(20)]

        assert statuses(7) == statuses(7)
        assert statuses(7) != statuses(8)
        assert set(statuses(7)) == {200, 500}

    def test_by_chance_begin_again_after_a_reset(self, handbook: Any):
        with Emulator(documents=handbook, seed=7) as emulator, requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {emulator.api_key}"
            raw, runs = Raw(emulator, http), []
            for _ in range(2):
                emulator.faults.error(500, on="conversations", times=None, chance=0.5)
                runs.append([raw.call("GET", "conversations").status_code for _ in range(20)])
                emulator.reset()
            assert runs[0] == runs[1]

    @pytest.mark.parametrize(
        ("verb", "arguments", "words"),
        [
            ("cut_after", {"events": -1}, "cut_after: events must be a whole number, 0 or more, not -1"),
            ("cut_after", {"events": 1.5}, "whole number"),
            ("stall", {"after_events": "3"}, "whole number"),
            ("error", {"status": 99}, "status must be a whole number from 200 to 599, not 99"),
            ("error", {"times": 0}, "times must be 1 or more, or None"),
            (
                "error",
                {"on": "nonsense"},
                "there is no endpoint 'nonsense'. The endpoints are: .*messages.send",
            ),
            ("error", {"chance": 2}, "chance must be a probability above 0 and at most 1"),
            (
                "cut_after",
                {"visible_after": "soon"},
                "a count of polls, such as 2, or seconds, such as '1.5s'",
            ),
            ("delay", {"seconds": -1}, "seconds must be a number of seconds, 0 or more"),
            ("redirect", {"status": 200}, "status must be 301, 302, 303, 307 or 308"),
        ],
    )
    def test_that_make_no_sense_are_refused(
        self, server: Emulator, verb: str, arguments: dict[str, Any], words: str
    ):
        with pytest.raises(ValueError, match=words):
            getattr(server.faults, verb)(**arguments)
        assert server.faults.pending == []

    def test_with_words_that_do_not_exist_are_refused(self, server: Emulator):
        with pytest.raises(TypeError, match="cut_after takes no 'time'"):
            server.faults.cut_after(time=3)
        with pytest.raises(TypeError, match="gzip takes no 'persist'"):
            server.faults.gzip(persist=True)

    def test_are_gone_after_a_reset(self, raw: Raw):
        raw.emulator.faults.error(500, times=None)
        raw.emulator.reset()
        assert raw.send(PROMPT).status_code == 200
