"""Ctrl-C: the first waits for what is under way, the second does not; the ledger is right after either."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_bulk import run, status
from customgpt_transport import ClientOptions
from tests.bulk.asked import questions
from tests.bulk.conftest import impatient

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

PROGRAM = """
import sys
from customgpt_bulk import run
from customgpt_transport import ClientOptions
from tests.bulk.asked import questions
ledger, base_url, api_key, project_id = sys.argv[1:]
print(run(questions(40), ledger, options=ClientOptions(api_key, base_url, int(project_id)), concurrency=4))
"""


@pytest.fixture
def started(emulator: Emulator, ledger: Path) -> Any:
    """A process that runs 40 questions, four of which are answered when `release` is called."""
    emulator.faults.slow_first_byte(times=4)
    where = [str(ledger), emulator.base_url, emulator.api_key, str(emulator.project_id)]
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            emulator.journal.wait_for(lambda _: len(emulator.journal.prompts(accepted=True)) == 4, 30)
            yield process
        finally:
            process.kill()


def test_the_first_sends_nothing_more_and_waits_for_what_is_under_way(
    emulator: Emulator, started: subprocess.Popen[str], ledger: Path
):
    started.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(0.3)
    emulator.faults.release()
    out, problems = started.communicate(timeout=30)
    assert (started.returncode, problems) == (0, "")
    assert "4 answered" in out
    assert "interrupted" in out
    assert len(emulator.journal.prompts()) == 4
    found = status(ledger)
    assert (found.answered, found.new, found.sending) == (4, 36, 0)


def test_the_second_leaves_at_once_and_nothing_is_sent_twice_later(
    emulator: Emulator,
    started: subprocess.Popen[str],
    ledger: Path,
    options: ClientOptions,
    rows: Callable[[], list[dict[str, Any]]],
):
    while started.poll() is None:  # two signals at the same moment are one
        started.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            started.wait(0.1)
    assert started.returncode == -signal.SIGINT
    assert [row["state"] for row in rows()[:4]] == ["sending"] * 4
    summary = run(questions(40), ledger, options=impatient(options, recovery_patience=5))
    assert (summary.complete, summary.recovered) == (True, 4)
    assert len(emulator.journal.prompts(accepted=True)) == 40
