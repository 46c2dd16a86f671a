"""The verdict on clients that behave badly on purpose, and on clients that behave well."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from customgpt_emulator.journal.entries import Entry
from customgpt_emulator.journal.verdict import judge
from tests.emulator.conftest import Raw


def send(raw: Raw, prompt: str, session: str, **options: Any) -> None:
    """Send, whatever comes of it."""
    with contextlib.suppress(requests.RequestException):
        _ = raw.send(prompt, session, **options).content


def told(raw: Raw, *, remarks: bool = False, **how: Any) -> list[tuple[str, list[str]]]:
    """The findings, or the remarks: the rule, and what the requests were."""
    verdict = raw.emulator.verdict(**how)
    names = {e.number: e.prompt or e.endpoint or e.path for e in raw.emulator.journal}
    found = verdict.remarks if remarks else verdict.findings
    return [(finding.rule, [names[number] for number in finding.requests]) for finding in found]


def entry(number: int, **values: Any) -> Entry:
    """A request as the journal keeps it, a second after the one before, answered in 0.1 s."""
    defaults = {
        "endpoint": "messages.send",
        "fields": {"prompt": "x"},
        "status": 200,
        "complete": True,
        "arrived": float(number),
        "answered": number + 0.1,
    }
    return Entry(number, 0, "POST", "/conversations/s/messages", {}, {}, **{**defaults, **values})


class TestAGoodClient:
    def test_is_told_so(self, raw: Raw):
        session = raw.session()
        raw.send("Aurora", session)
        raw.send("Comet", session, params={"stream": 1})
        raw.emulator.assert_well_behaved()
        assert str(raw.emulator.verdict()) == "The client did nothing wrong that a server can see."

    def test_may_ask_the_same_again(self, raw: Raw):
        session = raw.session()
        for _ in range(3):
            raw.send("Aurora", session, params={"external_id": "crm-1"})
        assert told(raw) == []

    def test_may_leave_a_stream_and_ask_again(self, raw: Raw):
        raw.emulator.pacing.change(tokens_per_second=0.01)
        session = raw.session()
        with raw.send("Aurora", session, params={"stream": 1}, stream=True) as answer:
            next(answer.iter_content(None))
        raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
        raw.emulator.pacing.change(tokens_per_second=None)
        raw.send("Aurora", session)
        assert told(raw) == []

    def test_may_look_for_a_lost_answer_and_go_on(self, raw: Raw):
        raw.emulator.faults.cut_after()
        session = raw.session()
        send(raw, "Aurora", session, params={"stream": 1})
        raw.call("GET", f"conversations/{session}/messages")
        raw.send("Comet", session)
        assert told(raw) == []

    def test_may_retry_what_was_refused_for_now(self, raw: Raw):
        raw.emulator.faults.rate_limit(retry_after=0)
        raw.emulator.faults.error(503, retry_after=0)
        raw.emulator.faults.error(408)
        session = raw.session()
        for _ in range(4):
            send(raw, "Aurora", session)
        assert told(raw) == []

    def test_may_retry_what_reads_only(self, raw: Raw):
        raw.emulator.faults.error(500, on="conversations")
        raw.emulator.faults.reset_before_answer(on="conversations")
        for _ in range(3):
            with contextlib.suppress(requests.ConnectionError):
                raw.call("GET", "conversations")
        assert told(raw) == []

    def test_may_look_whether_something_is_there_by_now(self, raw: Raw):
        for _ in range(3):
            raw.call("GET", "/projects/7")
        assert told(raw) == []

    def test_may_keep_a_pool(self, raw: Raw):
        order = raw.emulator.faults.stall(times=2)
        session = raw.session()
        answers = [raw.send("Aurora", session, params={"stream": 1}, stream=True) for _ in range(2)]
        order.release()
        for answer in answers:
            assert answer.content
        assert raw.emulator.open_connections == 2
        assert told(raw) == []


class TestWhatIsNoRetry:
    """The same prompt again, because something has changed or somebody else asks it."""

    def test_with_the_right_key(self, raw: Raw):
        session = raw.session()
        send(raw, "Aurora", session, headers={"Authorization": "Bearer wrong"})
        send(raw, "Aurora", session)
        assert told(raw) == []

    def test_to_the_right_agent(self, raw: Raw):
        session = raw.session()
        raw.call("POST", f"/projects/7/conversations/{session}/messages", json={"prompt": "Aurora"})
        send(raw, "Aurora", session)
        assert told(raw) == []

    def test_in_a_new_conversation(self, raw: Raw):
        session = raw.session()
        raw.call("DELETE", f"conversations/{session}")
        send(raw, "Aurora", session)
        send(raw, "Aurora", raw.session())
        assert told(raw) == []

    def test_once_the_agent_has_pages(self, raw: Raw):
        made = raw.call("POST", "/projects", json={"project_name": "new"}).json()["data"]["id"]
        session = raw.call("POST", f"/projects/{made}/conversations").json()["data"]["session_id"]
        path = f"/projects/{made}/conversations/{session}/messages"
        assert raw.call("POST", path, json={"prompt": "Aurora"}).status_code == 403
        raw.call("POST", f"/projects/{made}/sources", files={"file": ("a.md", b"Aurora")})
        assert raw.call("POST", path, json={"prompt": "Aurora"}).status_code == 200
        assert told(raw) == []

    def test_with_new_credits(self, raw: Raw):
        raw.emulator.quotas.change(credits=0)
        session = raw.session()
        send(raw, "Aurora", session)
        raw.emulator.quotas.change(credits=10)
        send(raw, "Aurora", session)
        assert told(raw) == []

    def test_by_another_user(self, raw: Raw):
        raw.emulator.faults.cut_after()
        for name in ("one", "two"):
            send(raw, "Aurora", raw.session(), params={"stream": 1, "external_id": name})
        assert told(raw) == []


class TestRetryAfter:
    def test_counts_although_a_blank_was_added(self):
        first = entry(1, status=429, retry_after="30")
        assert judge([first, entry(2, fields={"prompt": "x "})]).rules == ["retry_after_ignored"]

    def test_that_is_ignored(self, raw: Raw):
        raw.emulator.faults.rate_limit(retry_after=30)
        session = raw.session()
        send(raw, "Aurora", session)
        send(raw, "Aurora", session)
        assert told(raw) == [("retry_after_ignored", ["Aurora", "Aurora"])]

    @pytest.mark.parametrize(
        ("retry_after", "status", "ignored"),
        [
            ("1", 429, True),
            ("0.9", 429, False),
            ("0.92", 429, False),  # as near as clocks can tell
            ("5", 503, True),
            ("5", 500, False),
            ("nan", 429, False),
            ("-3", 429, False),
            ("soon", 429, False),
            ("Thu, 01 Jan 1970 00:00:09 GMT", 429, True),
            ("Thu, 01 Jan 1970 00:00:02 GMT", 429, False),
        ],
    )
    def test_is_seconds_or_a_date(self, retry_after: str, status: int, ignored: bool):
        first = entry(1, status=status, retry_after=retry_after)
        found = judge([first, entry(2)]).rules
        assert ("retry_after_ignored" in found) == ignored

    def test_of_the_quota_counts_too(self, raw: Raw):
        raw.emulator.quotas.change(requests_per_minute=1)
        for _ in range(3):
            raw.call("GET", "/projects")
        assert [rule for rule, _ in told(raw)] == ["retry_after_ignored"]


class TestRetries:
    @pytest.mark.parametrize("verb", ["unauthorized", "not_found", "unprocessable", "exhaust_credits"])
    def test_of_what_is_final(self, raw: Raw, verb: str):
        getattr(raw.emulator.faults, verb)()
        session = raw.session()
        send(raw, "Aurora", session)
        send(raw, "Aurora", session)
        assert told(raw) == [("retried_final", ["Aurora", "Aurora"])]

    def test_after_an_error_event(self, raw: Raw):
        raw.emulator.faults.error_event()
        session = raw.session()
        for _ in range(2):
            send(raw, "Aurora", session, params={"stream": 1})
        assert told(raw) == [("retried_final", ["Aurora", "Aurora"])]

    def test_with_credits_of_the_quota_used_up(self, raw: Raw):
        raw.emulator.quotas.change(credits=0)
        session = raw.session()
        for _ in range(2):
            send(raw, "Aurora", session)
        assert [rule for rule, _ in told(raw)] == ["retried_final"]


class TestAPromptSentTwice:
    @pytest.mark.parametrize(
        ("verb", "arguments"),
        [
            ("cut_after", {}),
            ("reset_after", {}),
            ("end_without_finish", {}),
            ("reset_before_answer", {"persist": False}),
            ("drop_before_answer", {}),
            ("error", {"status": 500}),
            ("error", {"status": 503}),
            ("bad_gateway", {}),
            ("empty_body", {}),
            ("html_instead", {}),
            ("null_answer", {}),
            ("json_instead_of_stream", {}),
            ("wrong_content_type", {}),
        ],
    )
    @pytest.mark.parametrize("same_session", [True, False])
    def test_although_it_may_have_been_answered(
        self, raw: Raw, verb: str, arguments: dict[str, Any], same_session: bool
    ):
        getattr(raw.emulator.faults, verb)(**arguments)
        session = raw.session()
        send(raw, "Aurora", session, params={"stream": 1})
        send(raw, "Aurora", session if same_session else raw.session(), params={"stream": 1})
        assert told(raw) == [("prompt_sent_twice", ["Aurora", "Aurora"])]

    def test_after_a_silence(self, raw: Raw):
        raw.emulator.faults.stall()
        session = raw.session()
        raw.send("Aurora", session, params={"stream": 1}, stream=True).close()
        raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
        send(raw, "Aurora", session)
        assert told(raw) == [("prompt_sent_twice", ["Aurora", "Aurora"])]

    def test_under_the_same_external_id_although_a_whole_answer_came(self, raw: Raw):
        raw.emulator.faults.gzip()
        session = raw.session()
        for _ in range(2):
            send(raw, "Aurora", session, params={"stream": 1, "external_id": "one"})
        assert told(raw) == [("prompt_sent_twice", ["Aurora", "Aurora"])]

    def test_is_not_what_two_users_do_at_once(self):
        lost = entry(1, complete=False, status=None, answered=3.0)
        assert judge([lost, entry(2)]).rules == []

    def test_is_compared_within_its_conversation_first(self):
        ours = entry(1, status=429, retry_after="10")
        theirs = entry(2, fields={"prompt": "x"})
        theirs.path = "/conversations/other/messages"
        assert (1, 3) in [finding.requests for finding in judge([ours, theirs, entry(3)])]

    def test_after_a_good_answer_is_remarked(self, raw: Raw):
        session = raw.session()
        for _ in range(2):
            send(raw, "Aurora", session)
        assert told(raw) == []
        assert told(raw, remarks=True) == [("answered_prompt_repeated", ["Aurora", "Aurora"])]


def test_what_makes_something_new_is_not_to_be_sent_twice(raw: Raw):
    raw.emulator.faults.error(500, persist=True, on="sources")
    for _ in range(2):
        raw.call("POST", "sources", json={"sitemap_path": "https://shop.example/sitemap.xml"})
    assert told(raw) == [("created_twice", ["sources.create", "sources.create"])]


class TestATruncatedAnswer:
    @pytest.mark.parametrize("verb", ["cut_after", "end_without_finish"])
    def test_that_the_conversation_goes_on_from(self, raw: Raw, verb: str):
        getattr(raw.emulator.faults, verb)()
        session = raw.session()
        send(raw, "Aurora", session, params={"stream": 1})
        send(raw, "Comet", session)
        assert told(raw, remarks=True) == [("truncated_answer_accepted", ["Aurora", "Comet"])]
        raw.emulator.assert_well_behaved()  # the user may have been told, and asked something else

    def test_is_told_once(self, raw: Raw):
        raw.emulator.faults.cut_after()
        session = raw.session()
        for prompt in ("Aurora", "Comet", "refunds"):
            send(raw, prompt, session, params={"stream": 1})
        assert len(told(raw, remarks=True)) == 1

    def test_of_another_conversation_does_not_matter(self, raw: Raw):
        raw.emulator.faults.cut_after()
        send(raw, "Aurora", raw.session(), params={"stream": 1})
        send(raw, "Comet", raw.session())
        assert told(raw) == told(raw, remarks=True) == []


class TestConnections:
    def test_that_are_leaked(self, server: Emulator):
        headers = {"Authorization": f"Bearer {server.api_key}"}
        sessions = [requests.Session() for _ in range(3)]
        for session in sessions:
            session.get(f"{server.base_url}/api/v1/projects", headers=headers, timeout=20)
        (remark,) = server.verdict().remarks  # three clients may have one each
        assert (remark.rule, remark.requests) == ("connection_leaked", (1, 2, 3))
        server.assert_well_behaved()
        assert server.verdict(clients_closed=True).rules == ["connection_leaked"]
        for session in sessions:
            session.close()
        assert server.verdict(clients_closed=True).remarks == []

    def test_that_are_left_when_the_client_is_closed(self, raw: Raw):
        raw.call("GET", "/projects")
        assert told(raw) == []
        assert told(raw, clients_closed=True) == [("connection_leaked", ["agents.list"])]
        raw.http.close()
        assert told(raw, clients_closed=True) == []


class TestTheKey:
    def test_in_the_wrong_place(self, raw: Raw):
        raw.call("GET", "/projects", params={"key": raw.emulator.api_key})
        (finding,) = raw.emulator.verdict()
        assert (finding.rule, finding.text) == ("key_misplaced", "sent the key in: query")

    @pytest.mark.parametrize("keyed", [True, False])
    def test_sent_to_the_target_of_a_redirect(self, raw: Raw, keyed: bool):
        raw.emulator.faults.redirect(on="conversations")
        answer = raw.call("GET", "conversations", allow_redirects=False)
        headers = {} if keyed else {"Authorization": ""}
        raw.http.get(answer.headers["Location"], headers=headers, timeout=20)
        assert [rule for rule, _ in told(raw)] == (["key_sent_elsewhere"] if keyed else [])

    def test_is_not_followed_by_requests_and_the_prompt_is(self, raw: Raw):
        raw.emulator.faults.redirect(status=307)
        raw.send("Aurora")
        assert [rule for rule, _ in told(raw)] == ["prompt_sent_elsewhere"]

    def test_may_follow_a_redirect_within_the_host(self, raw: Raw):
        raw.emulator.faults.redirect("/api/v1/projects", on="conversations")
        raw.call("GET", "conversations")
        assert told(raw) == []


class TestTheReport:
    def test_names_the_requests(self, raw: Raw):
        raw.emulator.faults.cut_after()
        session = raw.session()
        for _ in range(2):
            send(raw, "Aurora", session, params={"stream": 1})
        with pytest.raises(AssertionError) as raised:
            raw.emulator.assert_well_behaved()
        lines = str(raised.value).split("\n")
        assert lines[0] == "The client did 1 thing wrong:"
        assert lines[1].startswith("  prompt_sent_twice: sent a prompt again whose answer was lost")
        assert lines[2].startswith("    #2 POST /api/v1/projects/")
        assert lines[2].endswith("'Aurora': 200, 3 events, incomplete, fault cut_after")
        assert lines[3].startswith("    #3 POST")

    def test_says_what_is_not_known(self):
        assert "5 older requests are no longer in the journal" in str(judge([], dropped=5))

    def test_can_be_json(self):
        found = judge([entry(1, leaks=("query",))]).as_dict()
        assert found == {
            "well_behaved": False,
            "findings": [{"rule": "key_misplaced", "text": "sent the key in: query", "requests": [1]}],
            "remarks": [],
            "dropped": 0,
        }

    def test_does_not_take_long_over_a_full_journal(self):
        entries = [entry(number, status=429, retry_after="0") for number in range(10_000)]
        began = time.process_time()
        judge(entries)
        assert time.process_time() - began < 10  # a quadratic one would need minutes

    def test_is_empty_after_a_reset(self, raw: Raw):
        raw.call("GET", "/projects", params={"key": raw.emulator.api_key})
        raw.emulator.reset()
        assert len(raw.emulator.verdict()) == 0
