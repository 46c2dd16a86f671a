"""The controls over HTTP, as a test in another language would use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from customgpt_emulator.control import is_loopback
from tests.emulator.conftest import Raw


def control(raw: Raw, method: str, path: str = "", **options: Any) -> requests.Response:
    return raw.http.request(method, f"{raw.emulator.base_url}/_emulator{path}", timeout=20, **options)


def data(answer: requests.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


class TestWhoMayUseThem:
    @pytest.mark.parametrize("path", ["", "/journal", "/faults", "/verdict"])
    def test_needs_the_key(self, server: Emulator, path: str):
        url = f"{server.base_url}/_emulator{path}"
        assert requests.get(url, timeout=20).status_code == 401
        assert requests.get(url, headers={"Authorization": "Bearer x"}, timeout=20).status_code == 401

    @pytest.mark.parametrize(
        ("host", "told", "status"),
        [
            ("127.0.0.1", None, 200),
            ("127.0.0.1", False, 403),
            ("0.0.0.0", None, 403),
            ("0.0.0.0", True, 200),
        ],
    )
    def test_needs_a_switch_of_its_own_where_others_may_come(
        self, handbook: Path, host: str, told: bool | None, status: int
    ):
        with Emulator(documents=handbook, host=host, control=told) as emulator:
            port = emulator.base_url.rpartition(":")[2]
            headers = {"Authorization": f"Bearer {emulator.api_key}"}
            answer = requests.get(f"http://127.0.0.1:{port}/_emulator", headers=headers, timeout=20)
            assert answer.status_code == status
            assert status == 200 or "Open them with control=True or --control" in answer.text

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("localhost", True),
            ("127.0.0.2", True),
            ("::1", True),
            ("0.0.0.0", False),
            ("::", False),
            ("192.168.0.1", False),
            ("localhost.example", False),
            ("", False),
        ],
    )
    def test_knows_what_loopback_is(self, host: str, expected: bool):
        assert is_loopback(host) == expected

    def test_leaves_no_trace(self, raw: Raw):
        raw.emulator.quotas.change(requests_per_minute=1)
        raw.emulator.faults.error(500, on=None)
        for _ in range(3):
            assert control(raw, "GET").status_code == 200
        assert len(raw.emulator.journal) == 0
        assert len(raw.emulator.faults.pending) == 1


class TestFaults:
    def test_are_ordered_by_their_verb(self, raw: Raw):
        order = data(
            control(raw, "POST", "/faults/error", json={"status": 503, "retry_after": 2, "times": 2}), 201
        )
        assert order == {"verb": "error", "times": 2, "played": 0, "chance": None}
        assert raw.send("Aurora").headers["Retry-After"] == "2"
        assert data(control(raw, "GET", "/faults")) == [{**order, "played": 1}]

    def test_are_ordered_without_arguments_too(self, raw: Raw):
        data(control(raw, "POST", "/faults/exhaust_credits"), 201)
        assert raw.send("Aurora").status_code == 429

    def test_are_taken_back(self, raw: Raw):
        control(raw, "POST", "/faults/error", json={"times": None})
        assert data(control(raw, "DELETE", "/faults")) == []
        assert raw.send("Aurora").status_code == 200

    def test_silences_are_ended(self, raw: Raw):
        control(raw, "POST", "/faults/stall", json={"after_events": 2})
        with raw.send("Aurora", params={"stream": 1}, stream=True) as answer:
            data(
                requests.post(
                    f"{raw.emulator.base_url}/_emulator/release", headers=raw.http.headers, timeout=20
                )
            )
            assert b"finish" in answer.content

    def test_the_port_refuses_and_comes_back(self, raw: Raw):
        data(control(raw, "POST", "/faults/refuse", json={"seconds": 0.05}), 201)
        with pytest.raises(requests.ConnectionError):
            requests.get(raw.emulator.base_url, timeout=20)
        while True:  # the test's time limit ends this if it does not come back
            try:
                assert control(raw, "GET").status_code == 200
                break
            except requests.ConnectionError:
                continue

    @pytest.mark.parametrize(
        ("path", "body", "words"),
        [
            ("/faults/explode", "{}", "there is no fault 'explode'"),
            ("/faults/reset", "{}", "there is no fault 'reset'"),
            ("/faults/cut_after", '{"events": -1}', "whole number"),
            ("/faults/cut_after", '{"event": 1}', "takes no 'event'"),
            ("/faults/cut_after", "[]", "the body must be a JSON object"),
            ("/faults/cut_after", "{", "the body must be a JSON object"),
            ("/faults/error", '{"body":' + '{"a":' * 900 + "1" + "}" * 901, "the body must be a JSON object"),
        ],
    )
    def test_that_make_no_sense_are_refused_with_a_sentence(self, raw: Raw, path: str, body: str, words: str):
        answer = control(raw, "POST", path, data=body)
        assert answer.status_code == 422
        assert words in answer.json()["data"]["message"]


class TestTheRest:
    def test_the_overview_names_the_verbs_and_what_is_in_force(self, raw: Raw):
        overview = data(control(raw, "GET"))
        assert overview["faults"]["cut_after"]["events"] == "int"
        assert overview["quotas"]["credits"] is None
        assert overview["open_connections"] == 1

    def test_the_journal_is_searched(self, raw: Raw):
        raw.send("one")
        raw.send("two", params={"key": raw.emulator.api_key})
        told = data(control(raw, "GET", "/journal", params={"endpoint": "messages.send", "limit": 1}))
        assert [entry["prompt"] for entry in told["requests"]] == ["two"]
        assert (told["found"], told["kept"], told["dropped"]) == (2, 4, 0)
        assert raw.emulator.api_key not in control(raw, "GET", "/journal").text
        assert data(control(raw, "GET", "/journal?status=201"))["found"] == 2
        assert control(raw, "GET", "/journal?limit=many").status_code == 422
        assert control(raw, "GET", "/journal?colour=red").status_code == 422

    def test_the_verdict_is_told(self, raw: Raw):
        assert data(control(raw, "GET", "/verdict"))["well_behaved"]
        raw.call("GET", "/projects", params={"key": raw.emulator.api_key})
        told = data(control(raw, "GET", "/verdict"))
        assert not told["well_behaved"]
        assert told["findings"][0]["rule"] == "key_misplaced"
        assert "GET /api/v1/projects" in told["report"]

    @pytest.mark.parametrize(
        ("path", "values"),
        [("/quotas", {"credits": 0}), ("/pacing", {"tokens_per_second": 5000, "jitter": 0.5})],
    )
    def test_quotas_and_pacing_are_changed(self, raw: Raw, path: str, values: dict[str, Any]):
        before = data(control(raw, "GET", path))
        assert data(control(raw, "PUT", path, json=values)) == {**before, **values}
        assert data(control(raw, "GET", path)) == {**before, **values}
        wrong = control(raw, "PUT", path, json={next(iter(values)): -1})
        assert wrong.status_code == 422

    def test_a_reset_goes_back_to_the_beginning(self, raw: Raw):
        control(raw, "POST", "/faults/error", json={"times": None})
        control(raw, "PUT", "/quotas", json={"credits": 0})
        raw.session()
        assert data(control(raw, "POST", "/reset")) == {"reset": True}
        assert len(raw.emulator.journal) == 0
        assert raw.send("Aurora").status_code == 200
