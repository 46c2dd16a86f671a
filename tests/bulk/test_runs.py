"""A run from its questions to its answers, undisturbed and in pieces."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_bulk import Summary, arun, cleanup, estimate, retry, run, status
from customgpt_transport import AuthenticationFailed, ClientOptions, ConfigurationError
from tests.bulk.asked import questions
from tests.bulk.conftest import impatient

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

Rows = Callable[[], list[dict[str, Any]]]


def accepted(emulator: Emulator) -> list[str | None]:
    return [entry.prompt for entry in emulator.journal.prompts(accepted=True)]


def requests(emulator: Emulator) -> int:
    return len(emulator.journal.entries())


class TestAnUndisturbedRun:
    def test_asks_every_question_once_and_keeps_the_answers(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, rows: Rows
    ):
        given = questions(30)
        summary = run(given, ledger, options=options)
        assert (summary.rows, summary.answered, summary.prompts) == (30, 30, 30)
        assert summary.complete
        assert summary.stopped is None
        assert sorted(accepted(emulator)) == sorted(row["question"] for row in given)
        found = rows()
        assert [row["id"] for row in found] == [row["id"] for row in given]
        assert all(row["answer"] and row["state"] == "answered" and row["billed"] == "yes" for row in found)
        assert all(row["attempts"] == 1 and row["sent_at"] <= row["done_at"] for row in found)
        stored = {e.external_id: e.session_id for e in emulator.journal.prompts()}
        assert {row["external_id"]: row["session_id"] for row in found} == stored

    def test_started_again_sends_nothing(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        first = run(questions(20), ledger, options=options)
        before = requests(emulator)
        for again in (questions(20), None):
            summary = run(again, ledger, options=options)
            assert (summary.answered, summary.prompts) == (first.answered, first.prompts)
        assert requests(emulator) == before

    def test_has_at_most_as_many_prompts_under_way_as_it_may(self, options: ClientOptions, ledger: Path):
        from customgpt_emulator import Emulator

        with Emulator(documents=Path(__file__).parents[1] / "documents", concurrent_prompts=3) as emulator:
            options = impatient(
                options, base_url=emulator.base_url, api_key=emulator.api_key, project_id=emulator.project_id
            )
            assert run(questions(30), ledger, options=options, concurrency=3).complete
            assert emulator.journal.entries(status=429) == []

    def test_names_conversations_after_ledger_and_row(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        run(questions(1), ledger, options=options)
        (made,) = emulator.journal.entries("conversations.create")
        assert made.fields["name"] == "run/q0"

    def test_costs_one_request_a_row_where_sessions_are_uuids(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        emulator.switches.unknown_session = "create"
        options = impatient(options, new_session="uuid")
        assert estimate(questions(8), ledger, options=options).requests == 8
        before = requests(emulator)
        assert run(questions(8), ledger, options=options, citations=False).complete
        assert requests(emulator) - before == 8

    def test_looks_up_each_page_once(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        run(questions(40), ledger, options=options, concurrency=8)
        looked_up = Counter(entry.path for entry in emulator.journal.entries("citations.get"))
        assert set(looked_up.values()) == {1}

    def test_sends_what_a_row_says(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        row = {"question": "Why?", "lang": "de", "custom_persona": "A clerk.", "custom_context": "Order 5."}
        run([row], ledger, options=options)
        (sent,) = emulator.journal.prompts()
        assert sent.query["lang"] == "de"
        assert (sent.fields["custom_persona"], sent.fields["custom_context"]) == ("A clerk.", "Order 5.")

    def test_tells_its_progress(self, options: ClientOptions, ledger: Path):
        heard: list[Summary] = []
        last = run(questions(6), ledger, options=options, on_progress=heard.append)
        assert [summary.answered for summary in heard] == [1, 2, 3, 4, 5, 6]
        assert heard[-1].prompts == last.prompts == 6

    async def test_runs_on_the_callers_loop(self, options: ClientOptions, ledger: Path):
        assert (await arun(questions(5), ledger, options=options)).complete

    def test_keeps_its_ledger_from_other_users(self, options: ClientOptions, ledger: Path):
        modes = set()

        def look(summary: Summary) -> None:
            modes.update(stat.S_IMODE(os.stat(path).st_mode) for path in ledger.parent.glob("run.sqlite*"))

        run(questions(3), ledger, options=options, on_progress=look)
        assert modes == {0o600}


class TestIds:
    def test_are_made_from_the_content(self, options: ClientOptions, ledger: Path, rows: Rows):
        given = [{"question": "Why?", "ticket": 1}, {"question": "Why?", "ticket": 2}]
        run(given, ledger, options=options)
        first = [row["id"] for row in rows()]
        assert len(set(first)) == 2
        run(given[::-1], ledger, options=options)
        assert [row["id"] for row in rows()] == first[::-1]

    def test_of_equal_rows_are_numbered(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, rows: Rows
    ):
        for _ in range(2):
            run(["Why?", "Why?", "Why?"], ledger, options=options)
        ids = [row["id"] for row in rows()]
        assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]
        assert len(accepted(emulator)) == 3

    def test_used_twice_are_refused_before_any_request(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        twice = [{"id": "a", "question": "Why?"}, {"id": "a", "question": "How?"}]
        with pytest.raises(ConfigurationError, match="row 2: id 'a' is used twice"):
            run(twice, ledger, options=options)
        assert requests(emulator) == 0
        assert status(ledger).rows == 0

    @pytest.mark.parametrize("change", [{"question": "How?"}, {"lang": "de"}, {"project_id": 999}])
    def test_asked_something_else_are_refused(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, change: dict[str, Any]
    ):
        run([{"id": "a", "question": "Why?"}], ledger, options=options)
        with pytest.raises(ConfigurationError, match="'a' was asked something else"):
            run([{"id": "a", "question": "Why?"} | change], ledger, options=options)
        assert len(accepted(emulator)) == 1


class TestALaterStart:
    def test_asks_what_is_new_and_leaves_alone_what_it_does_not_bring(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        run(questions(10), ledger, options=options, max_prompts=4)
        sent = accepted(emulator)
        more = [{"id": "more", "question": "Is there more?"}]
        summary = run(more, ledger, options=options)
        assert (summary.rows, summary.answered, summary.new) == (11, 5, 6)
        assert accepted(emulator) == [*sent, "Is there more?"]
        assert run(None, ledger, options=options).complete
        assert len(accepted(emulator)) == 11

    def test_of_another_service_is_refused(self, options: ClientOptions, ledger: Path):
        run(questions(1), ledger, options=options)
        other = impatient(options, base_url="http://127.0.0.1:9")
        with pytest.raises(ConfigurationError, match="is of a run at"):
            run(questions(1), ledger, options=other)

    def test_looks_up_what_was_under_way(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, rows: Rows
    ):
        emulator.pacing.change(time_to_first_token=0.3)
        asyncio.run(_leave_in_the_middle(emulator, options, ledger))
        assert [row["state"] for row in rows()] == ["sending"] * 3 + ["new"] * 2
        emulator.pacing.change(time_to_first_token=0)
        summary = run(questions(5), ledger, options=impatient(options, recovery_patience=5))
        assert summary.complete
        assert summary.recovered == 3
        assert len(accepted(emulator)) == 5

    def test_calls_unresolved_what_it_does_not_find(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, rows: Rows
    ):
        emulator.switches.on_disconnect = "abort"
        emulator.pacing.change(time_to_first_token=0.3)
        asyncio.run(_leave_in_the_middle(emulator, options, ledger))
        emulator.pacing.change(time_to_first_token=0)
        summary = run(questions(5), ledger, options=options)
        assert (summary.answered, summary.unresolved, summary.prompts) == (2, 3, 5)
        assert {row["billed"] for row in rows()} == {"yes", "unknown"}
        before = requests(emulator)
        assert run(questions(5), ledger, options=options).unresolved == 3
        assert requests(emulator) == before
        assert retry(ledger) == 3
        summary = run(questions(5), ledger, options=options)
        assert (summary.answered, summary.prompts) == (5, 8)

    def test_after_retry_finds_an_answer_that_came_late_and_does_not_send_again(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        emulator.faults.drop_before_answer(persist=True, visible_after=1)  # at the second look
        summary = run(questions(1), ledger, options=options)
        assert summary.unresolved == 1
        assert retry(ledger) == 1
        summary = run(questions(1), ledger, options=options)
        assert (summary.answered, summary.recovered, summary.prompts) == (1, 1, 1)
        assert len(accepted(emulator)) == 1

    def test_looks_up_pages_that_an_earlier_one_did_not(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        run(questions(4), ledger, options=options, citations=False)
        assert emulator.journal.entries("citations.get") == []
        run(questions(4), ledger, options=options)
        found = len(emulator.journal.entries("citations.get"))
        assert found > 0
        run(questions(4), ledger, options=options)
        assert len(emulator.journal.entries("citations.get")) == found


async def _leave_in_the_middle(emulator: Emulator, options: ClientOptions, ledger: Path) -> None:
    """Cancel a run while its first three prompts are being answered."""
    task = asyncio.ensure_future(arun(questions(5), ledger, options=options, concurrency=3))
    while len(accepted(emulator)) < 3:
        await asyncio.wait([task], timeout=0.01)
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class TestConversations:
    def test_are_asked_in_order_and_in_one_session(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, rows: Rows
    ):
        given = [
            {"question": f"Question {n} of {name}?", "conversation": name}
            for n in range(4)
            for name in ("a", "b")
        ]
        assert run([*given, "And alone?"], ledger, options=options).complete
        sent = accepted(emulator)
        for name in ("a", "b"):
            assert [p for p in sent if p is not None and p.endswith(f"of {name}?")] == [
                f"Question {n} of {name}?" for n in range(4)
            ]
        assert len({row["session_id"] for row in rows()}) == 3
        assert len(emulator.journal.entries("conversations.create")) == 3

    def test_go_on_in_their_session_at_a_later_start(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, rows: Rows
    ):
        given = [{"question": f"Question {n}?", "conversation": "a"} for n in range(4)]
        run(given, ledger, options=options, max_prompts=2)
        assert run(given, ledger, options=options).complete
        assert len({row["session_id"] for row in rows()}) == 1

    def test_wait_behind_an_unresolved_row_and_not_behind_a_refused_one(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, rows: Rows
    ):
        given = [{"question": f"Question {n}?", "conversation": "a"} for n in range(4)]
        run(given, ledger, options=options, max_prompts=1)
        emulator.faults.unprocessable()
        emulator.faults.bad_gateway()
        summary = run(given, ledger, options=options)
        assert [row["state"] for row in rows()] == ["answered", "refused", "unresolved", "new"]
        assert summary.stopped is None
        retry(ledger)
        run(given, ledger, options=options)
        assert [row["state"] for row in rows()] == ["answered", "refused", "answered", "answered"]
        assert len({row["session_id"] for row in rows()}) == 1


class TestFailures:
    @pytest.mark.parametrize(
        ("fault", "state", "billed", "error"),
        [
            (lambda faults: faults.unprocessable(), "refused", "no", "BadRequest"),
            (lambda faults: faults.error(400), "refused", "no", "BadRequest"),
            (lambda faults: faults.error(403), "refused", "no", "PermissionDenied"),
            (lambda faults: faults.not_found(), "refused", "no", "NotFound"),
            (lambda faults: faults.error(413), "refused", "no", "APIError"),
            (lambda faults: faults.bad_gateway(), "unresolved", "unknown", "ServerError"),
            (
                lambda faults: faults.drop_before_answer(persist=False),
                "unresolved",
                "unknown",
                "ConnectionLost",
            ),
            (lambda faults: faults.html_instead(), "unresolved", "unknown", "ProtocolError"),
        ],
    )
    def test_concern_their_row_alone(
        self,
        emulator: Emulator,
        options: ClientOptions,
        ledger: Path,
        rows: Rows,
        fault: Callable[[Any], object],
        state: str,
        billed: str,
        error: str,
    ):
        fault(emulator.faults)
        summary = run(questions(5), ledger, options=options, concurrency=1)
        assert (summary.answered, summary.stopped) == (4, None)
        row = rows()[0]
        assert (row["state"], row["billed"], json.loads(row["error"])["type"]) == (state, billed, error)
        assert summary.prompts == 5 - (billed == "no")
        assert row["answer"] is None

    def test_that_were_refused_are_sent_again_when_the_user_says_so(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        emulator.faults.error(403)
        run(questions(2), ledger, options=options)
        assert retry(ledger, ("unresolved",)) == 0
        assert retry(ledger, ["refused"]) == 1
        assert run(None, ledger, options=options).complete

    @pytest.mark.parametrize("lost", ["drop_before_answer", "bad_gateway", "reset_before_answer"])
    def test_that_lost_an_answer_are_recovered(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, lost: str
    ):
        getattr(emulator.faults, lost)(persist=True, times=2)
        summary = run(questions(5), ledger, options=impatient(options, recovery_patience=5))
        assert (summary.complete, summary.recovered) == (True, 2)
        assert len(accepted(emulator)) == 5

    def test_of_throttling_bring_a_row_back(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        emulator.faults.rate_limit(retry_after=0, times=8)
        summary = run(questions(4), ledger, options=options, concurrency=2)
        assert (summary.complete, summary.prompts) == (True, 4)
        assert len(accepted(emulator)) == 4

    def test_of_the_key_stop_the_run(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        summary = run(questions(50), ledger, options=impatient(options, api_key="wrong"))
        assert (summary.stopped, summary.new, summary.prompts) == ("key", 50, 0)
        assert isinstance(summary.error, AuthenticationFailed)
        assert requests(emulator) <= 5
        assert run(questions(50), ledger, options=options).complete

    def test_of_credits_stop_the_run(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        emulator.quotas.credits = 7
        summary = run(questions(30), ledger, options=options)
        assert (summary.stopped, summary.answered, summary.new) == ("credits", 7, 23)
        assert summary.prompts == 7
        emulator.quotas.credits = None
        assert run(questions(30), ledger, options=options).complete
        assert len(accepted(emulator)) == 30

    def test_to_reach_the_service_stop_the_run(self, options: ClientOptions, ledger: Path):
        nowhere = impatient(options, base_url="http://127.0.0.1:9")
        summary = run(questions(50), ledger, options=nowhere)
        assert (summary.stopped, summary.new, summary.prompts) == ("service", 50, 0)

    def test_of_every_answer_stop_the_run_before_all_rows_are_lost(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        emulator.faults.bad_gateway(times=None)
        summary = run(questions(50), ledger, options=impatient(options, recovery_patience=0))
        assert summary.stopped == "service"
        assert summary.unresolved < 20

    def test_of_the_caller_end_the_run_with_what_is_under_way_finished(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        def fail(summary: Summary) -> None:
            raise RuntimeError("the caller's own")

        with pytest.raises(RuntimeError, match="the caller's own"):
            run(questions(50), ledger, options=options, on_progress=fail)
        found = status(ledger)
        assert found.sending == 0
        assert found.answered == len(accepted(emulator)) <= 5


class TestAfterwards:
    def test_cleanup_deletes_the_conversations_that_the_run_made(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        given = [
            *questions(3),
            {"question": "One?", "conversation": "a"},
            {"question": "Two?", "conversation": "a"},
        ]
        run(given, ledger, options=options)
        emulator.faults.not_found(on="conversations.delete")  # one is gone already
        assert cleanup(ledger, options=options) == 3
        assert cleanup(ledger, options=options) == 0
        assert len(emulator.journal.entries("conversations.delete")) == 4
        assert status(ledger).complete

    def test_cleanup_keeps_what_may_still_be_looked_for(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        emulator.faults.bad_gateway(times=1)
        run(questions(1), ledger, options=options)
        assert cleanup(ledger, options=options) == 0

    def test_an_estimate_tells_what_a_start_would_send(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        emulator.quotas.credits = 70
        run(questions(10), ledger, options=options, max_prompts=4)
        found = estimate(questions(12), ledger, options=options)
        assert (found.rows, found.answered, found.to_send, found.requests) == (12, 4, 8, 16)
        assert found.credits_left == 66
        assert "8 prompts to send" in str(found)
        run(questions(12), ledger, options=options)
        before = requests(emulator)
        assert estimate(questions(12), ledger, options=options).to_send == 0
        assert requests(emulator) == before


@pytest.mark.parametrize(
    "arguments",
    [{"concurrency": 0}, {"concurrency": 2.5}, {"max_prompts": -1}, {"rpm": 0}, {"max_credits": "many"}],
)
def test_limits_that_make_no_sense_are_refused(
    arguments: dict[str, Any], emulator: Emulator, options: ClientOptions, ledger: Path
):
    with pytest.raises(ConfigurationError):
        run(questions(1), ledger, options=options, **arguments)
    assert not ledger.exists()
