"""What may be spent, in prompts, credits and requests a minute."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from customgpt_bulk import Summary, run
from customgpt_bulk._budget import Credits
from customgpt_bulk._pace import Pace
from customgpt_transport import ClientOptions, RetryPolicy, UsageLimits
from tests.bulk.asked import questions

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


def accepted(emulator: Emulator) -> int:
    return len(emulator.journal.prompts(accepted=True))


class TestPrompts:
    def test_are_never_one_more_than_allowed(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        summary = run(questions(300), ledger, options=options, concurrency=20, max_prompts=50)
        assert accepted(emulator) == 50
        assert (summary.answered, summary.new, summary.prompts) == (50, 250, 50)
        assert summary.stopped == "max_prompts"

    def test_count_over_all_starts(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        for limit, sent in ((10, 10), (10, 10), (25, 25), (None, 40)):
            run(questions(40), ledger, options=options, max_prompts=limit)
            assert accepted(emulator) == sent

    def test_that_were_turned_away_do_not_count(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        emulator.faults.rate_limit(retry_after=0, times=12)
        emulator.faults.unprocessable(times=2)
        summary = run(questions(30), ledger, options=options, concurrency=10, max_prompts=20)
        assert (accepted(emulator), summary.answered, summary.refused) == (20, 20, 2)

    def test_that_may_have_been_billed_count(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        emulator.faults.bad_gateway(times=3)
        summary = run(questions(30), ledger, options=options, max_prompts=10)
        assert (summary.answered, summary.unresolved, summary.prompts) == (7, 3, 10)


class TestCredits:
    def test_are_not_exceeded_over_all_starts(self, emulator: Emulator, options: ClientOptions, ledger: Path):
        for limit, sent in ((25, 25), (25, 25), (30, 30)):
            summary = run(questions(60), ledger, options=options, concurrency=8, max_credits=limit)
            assert (accepted(emulator), summary.stopped, summary.credits) == (sent, "max_credits", sent)

    def test_go_by_what_a_prompt_was_seen_to_cost(
        self, emulator: Emulator, options: ClientOptions, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """Ten prompts show the price, three credits each; 45 credits are 15 prompts."""
        read = Credits.read

        def three_times(self: Credits, usage: UsageLimits, settled: int) -> None:
            read(self, replace(usage, current_queries=3 * (usage.current_queries or 0)), settled)

        monkeypatch.setattr(Credits, "read", three_times)
        summary = run(questions(60), ledger, options=options, concurrency=8, max_credits=45)
        assert (accepted(emulator), summary.credits) == (15, 45)

    def test_are_not_asked_for_when_nothing_is_left_to_send(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        run(questions(3), ledger, options=options, max_credits=10)
        asked = len(emulator.journal.entries("limits.get"))
        assert 0 < asked < 4
        run(questions(3), ledger, options=options, max_credits=10)
        assert len(emulator.journal.entries("limits.get")) == asked


class TestPace:
    def test_is_even_over_the_minute(self):
        async def moments() -> list[float]:
            now = [0.0]
            pace = Pace(120, lambda: now[0], asyncio.Event())
            pace._stop.set()  # nothing is waited for
            found = []
            for _ in range(4):
                await pace.wait()
                found.append(pace._next)
            return found

        assert asyncio.run(moments()) == [0.5, 1.0, 1.5, 2.0]

    def test_holds_a_run_to_its_share_of_requests(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        run(questions(5), ledger, options=options, rpm=1200, citations=False)
        came = [entry.arrived for entry in emulator.journal.entries()]
        assert len(came) == 10
        assert came[-1] - came[0] >= 9 * 0.05 * 0.9  # 10 requests, 50 ms apart

    def test_of_a_service_that_names_a_time_is_kept_by_all(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        """A pause beyond the patience of a single prompt holds the run, and does not end it."""
        emulator.faults.rate_limit(retry_after=1)
        hasty = replace(options, retry=RetryPolicy(patience=0.1))
        summary: Summary = run(questions(8), ledger, options=hasty, concurrency=4)
        assert (summary.complete, summary.stopped) == (True, None)
        (refused,) = emulator.journal.entries(status=429)
        later = [e for e in emulator.journal.prompts() if e.number > refused.number + 3]
        assert all(entry.arrived - refused.arrived > 0.9 for entry in later)
