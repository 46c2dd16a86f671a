"""Limits on what a key may ask for, as a client meets them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from tests.emulator.conftest import Raw, Time


@contextmanager
def limited(handbook: Path, **limits: Any) -> Iterator[Raw]:
    with Emulator(documents=handbook, **limits) as emulator, requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {emulator.api_key}"
        yield Raw(emulator, http)


def remaining(answer: requests.Response) -> tuple[str, str]:
    return answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]


class TestRequestsPerMinute:
    def test_fall_with_every_request_whatever_it_asks(self, handbook: Path):
        with limited(handbook, requests_per_minute=3) as raw:
            session = raw.session()
            stream = raw.send("Aurora", session, params={"stream": 1})
            assert remaining(stream) == ("3", "1")
            assert remaining(raw.call("GET", "nowhere")) == ("3", "0")

    def test_that_are_too_many_get_the_frameworks_429(self, handbook: Path):
        time = Time()
        with limited(handbook, requests_per_minute=2) as raw:
            raw.emulator.quotas.clock = time
            raw.call("GET", "/projects")
            time.now += 20.5
            raw.call("GET", "/projects")
            answer = raw.call("GET", "/projects")
            assert answer.status_code == 429
            assert answer.json() == {"message": "Too Many Attempts."}
            assert answer.headers["Retry-After"] == "40"
            assert answer.headers["X-RateLimit-Reset"] == "1800000060"
            assert remaining(answer) == ("2", "0")

    def test_begin_again_after_retry_after_and_not_before(self, handbook: Path):
        time = Time()
        with limited(handbook, requests_per_minute=1) as raw:
            raw.emulator.quotas.clock = time
            raw.call("GET", "/projects")
            time.now += 59
            assert raw.call("GET", "/projects").status_code == 429
            time.now += 1
            assert raw.call("GET", "/projects").status_code == 200

    def test_of_strangers_do_not_count(self, handbook: Path):
        with limited(handbook, requests_per_minute=2) as raw:
            for _ in range(5):
                assert requests.get(raw.emulator.base_url + "/api/v1/projects", timeout=20).status_code == 401
            assert remaining(raw.call("GET", "/projects")) == ("2", "1")

    def test_are_as_captured_without_a_quota(self, raw: Raw):
        assert {remaining(raw.call("GET", "/projects")) for _ in range(3)} == {("60", "59")}

    def test_that_were_refused_do_not_use_up_a_fault(self, handbook: Path):
        with limited(handbook, requests_per_minute=1) as raw:
            order = raw.emulator.faults.error(500, on=None, times=2)
            assert [raw.call("GET", "/projects").status_code for _ in range(2)] == [500, 429]
            assert order.played == 1

    def test_are_counted_in_real_time_with_a_seed_too(self, handbook: Path, real_time: Time):
        with limited(handbook, requests_per_minute=2, seed=1) as raw:
            statuses = [raw.call("GET", "/projects").status_code for _ in range(200)]
            assert statuses == [200] * 2 + [429] * 198
            answer = raw.call("GET", "/projects")
            assert (answer.headers["Retry-After"], answer.headers["X-RateLimit-Reset"]) == (
                "60",
                "1800000060",
            )
            real_time.now += 60
            assert raw.call("GET", "/projects").status_code == 200


class TestCredits:
    def test_run_out_with_the_documented_words(self, handbook: Path):
        with limited(handbook, credits=2) as raw:
            session = raw.session()
            assert raw.send("Aurora", session).status_code == 200
            assert raw.send("Aurora", session, params={"stream": 1}).status_code == 200
            answer = raw.send("Aurora", session)
            assert answer.status_code == 429
            assert "exhausted your current query credits" in answer.json()["data"]["message"]
            assert "Retry-After" not in answer.headers

    def test_do_not_matter_for_other_requests(self, handbook: Path):
        with limited(handbook, credits=0) as raw:
            assert raw.call("GET", "conversations").status_code == 200

    def test_are_not_spent_on_refused_prompts(self, handbook: Path):
        with limited(handbook, credits=1) as raw:
            assert raw.send("").status_code == 422
            assert raw.send("Aurora").status_code == 200

    def test_show_in_the_usage(self, handbook: Path):
        with limited(handbook, credits=5) as raw:
            raw.send("Aurora")
            usage = raw.call("GET", "/limits/usage").json()["data"]
            assert (usage["current_queries"], usage["max_queries"]) == (1, 5)


class TestPromptsAtOnce:
    def test_that_are_too_many_are_throttled(self, handbook: Path):
        with limited(handbook, concurrent_prompts=1) as raw:
            order = raw.emulator.faults.stall(after_events=1)
            session = raw.session()
            with raw.send("Aurora", session, params={"stream": 1}, stream=True) as first:
                second = raw.send("Aurora", session)
                assert (second.status_code, second.headers["Retry-After"]) == (429, "1")
                assert raw.call("GET", "conversations").status_code == 200
                order.release()
                assert b"finish" in first.content
            assert raw.send("Aurora", session).status_code == 200

    def test_make_room_when_a_client_leaves(self, handbook: Path):
        with limited(handbook, concurrent_prompts=1) as raw:
            raw.emulator.faults.stall(after_events=1)
            session = raw.session()
            raw.send("Aurora", session, params={"stream": 1}, stream=True).close()
            raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
            assert raw.send("Aurora", session).status_code == 200


class TestChanging:
    def test_takes_effect_at_once_and_a_reset_takes_it_back(self, raw: Raw):
        raw.emulator.quotas.change(requests_per_minute=1, credits=0)
        assert raw.send("Aurora", raw.session()).status_code == 429
        raw.emulator.reset()
        assert raw.send("Aurora").status_code == 200

    @pytest.mark.parametrize(
        ("limits", "words"),
        [
            ({"requests_per_minute": 0}, "requests_per_minute must be a whole number, 1 or more, or None"),
            ({"credits": -1}, "credits must be a whole number, 0 or more"),
            ({"credits": 1.5}, "not 1.5"),
            ({"concurrent_prompts": True}, "not True"),
            ({"tokens": 1}, "there is no quota 'tokens'; there are requests_per_minute, credits"),
        ],
    )
    def test_to_what_makes_no_sense_is_refused(self, limits: dict[str, Any], words: str, server: Emulator):
        with pytest.raises(ValueError, match=words):
            server.quotas.change(**{"credits": 3, **limits})
        assert server.quotas.as_dict() == dict.fromkeys(
            ("requests_per_minute", "credits", "concurrent_prompts")
        )
