"""A run that is killed again and again, by the emulator's own journal of what arrived."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from customgpt_bulk import Summary, records, retry, run, status
from customgpt_emulator import Emulator
from tests.bulk.asked import patient, questions
from tests.conftest import DOCUMENTS

ROWS, KILLS, AT_ONCE, SEED = 300, 20, 8, 11
STARTER = """
import os, sys
from customgpt_bulk import run
from customgpt_transport import AsyncClient  # loads aiohttp once for all
from tests.bulk.asked import patient, questions
rows, at_once, ledger, *where = sys.argv[1:]
for line in sys.stdin:
    child = os.fork()
    if not child:
        run(questions(int(rows)), ledger, options=patient(*where), concurrency=int(at_once))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killed:
    """A run in processes of its own, each killed at a random moment.

    They are forked from one that has imported everything: twenty times a second of imports is too dear.
    """

    def __init__(self, emulator: Emulator, ledger: Path) -> None:
        self.emulator, self.ledger = emulator, ledger
        where = [emulator.base_url, emulator.api_key, str(emulator.project_id)]
        self.options = patient(*where)
        command = [sys.executable, "-W", "error", "-c", STARTER, str(ROWS), str(AT_ONCE), str(ledger), *where]
        self.starter = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.random = random.Random(SEED)

    def accepted(self) -> Counter[str]:
        """How often each prompt was accepted."""
        return Counter(entry.prompt or "" for entry in self.emulator.journal.prompts(accepted=True))

    def start_and_kill(self) -> None:
        """Start, let some requests come (or none: it may not have got so far), and kill."""
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        enough = len(self.emulator.journal) + self.random.randrange(3 * ROWS // KILLS)
        more = self.random.random() * 0.05
        print("start", file=self.starter.stdin, flush=True)
        process = int(self.starter.stdout.readline())
        deadline = time.monotonic() + 60
        while len(self.emulator.journal) < enough and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(more)
        os.kill(process, signal.SIGKILL)
        assert int(self.starter.stdout.readline()) == -signal.SIGKILL

    def close(self) -> None:
        with self.starter:
            assert self.starter.stdin is not None
            self.starter.stdin.close()

    def finish(self) -> Summary:
        return run(questions(ROWS), self.ledger, options=self.options, concurrency=AT_ONCE)

    def rows(self, *states: str) -> list[dict[str, Any]]:
        return list(records(self.ledger, states=states))

    def comparable(self) -> str:
        """What was answered, without ids of conversations and messages, times, and the emulator's address."""
        kept = [{name: row[name] for name in COMPARED} for row in self.rows("answered")]
        return json.dumps(kept, indent=1).replace(self.emulator.base_url, "")


@pytest.fixture
def killed(ledger: Path) -> Iterator[Callable[..., Killed]]:
    with ExitStack() as stack:

        def make(ledger: Path = ledger, **options: Any) -> Killed:
            emulator = stack.enter_context(Emulator(DOCUMENTS, seed=SEED, **options))
            return stack.enter_context(closing(Killed(emulator, ledger)))

        yield make


COMPARED = ("id", "question", "state", "answer", "citations", "project_id", "billed", "error")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("on_disconnect", ["persist", "abort"])
def test_nothing_is_sent_twice_and_nothing_is_lost(
    killed: Callable[..., Killed], on_disconnect: str, tmp_path: Path
):
    it = killed(time_to_first_token=0.06, jitter=0.9)
    it.emulator.switches.on_disconnect = on_disconnect
    for _ in range(KILLS):
        it.start_and_kill()
    assert status(it.ledger).answered < ROWS
    summary = it.finish()
    assert summary.answered + summary.unresolved == ROWS
    accepted = it.accepted()
    assert set(accepted.values()) == {1}
    unresolved = [row["question"] for row in it.rows("unresolved")]
    stored = {e.prompt for e in it.emulator.journal.prompts(accepted=True) if e.complete}
    for question in unresolved:
        assert question not in (accepted if on_disconnect == "persist" else stored)
    assert summary.prompts == ROWS
    assert retry(it.ledger) == len(unresolved)
    assert it.finish().complete
    if on_disconnect == "abort":
        assert it.accepted().total() == ROWS + sum(accepted[question] for question in unresolved)
        return
    assert it.accepted() == Counter({row["question"]: 1 for row in questions(ROWS)})
    undisturbed = killed(ledger=tmp_path / "undisturbed.sqlite")
    assert undisturbed.finish().complete
    assert it.comparable() == undisturbed.comparable()


@pytest.mark.timeout(300)
def test_nothing_is_sent_twice_with_faults_mixed_in(killed: Callable[..., Killed]):
    it = killed(time_to_first_token=0.03, jitter=0.9)
    faults = it.emulator.faults
    for persist in (True, False):
        faults.rate_limit(retry_after=0, times=None, chance=0.03)
        faults.bad_gateway(times=None, chance=0.03, persist=persist)
        faults.reset_before_answer(times=None, chance=0.03, persist=persist)
        faults.drop_before_answer(times=None, chance=0.03, persist=persist)
        faults.end_without_finish(times=None, chance=0.03, persist=persist)
        faults.cut_after(1, times=None, chance=0.03, persist=persist)
    for _ in range(KILLS // 2):
        it.start_and_kill()
    summary = it.finish()
    assert summary.answered + summary.unresolved == ROWS
    assert set(it.accepted().values()) == {1}
    assert summary.answered > summary.unresolved > 0
    played = {entry.fault for entry in it.emulator.journal.prompts()}
    assert played >= {"rate_limit", "bad_gateway", "reset_before_answer", "end_without_finish", "cut_after"}


def test_the_ledger_stays_readable_by_others_and_sound(killed: Callable[..., Killed]):
    it = killed(time_to_first_token=0.06)
    it.start_and_kill()
    db = sqlite3.connect(it.ledger)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    assert os.stat(it.ledger).st_mode & 0o77 == 0
