"""The file that a run is: whose it is, who may write to it, what is said of others."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from customgpt_bulk import LedgerInUse, Summary, arun, cleanup, estimate, export, records, retry, run, status
from customgpt_transport import ClientOptions, ConfigurationError
from tests.bulk.asked import questions

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

SECOND = """
import sys
from customgpt_bulk import run
from customgpt_transport import ClientOptions, CustomGPTError
ledger, base_url, api_key, project_id = sys.argv[1:]
try:
    run(["Why?"], ledger, options=ClientOptions(api_key, base_url, int(project_id)))
except CustomGPTError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


class TestOneRunAtATime:
    def test_another_process_says_so_and_sends_nothing(
        self, emulator: Emulator, options: ClientOptions, ledger: Path
    ):
        said: list[str] = []

        def second(summary: Summary) -> None:
            if not said:
                where = [str(ledger), emulator.base_url, emulator.api_key, str(emulator.project_id)]
                command = [sys.executable, "-W", "error", "-c", SECOND, *where]
                done = subprocess.run(command, capture_output=True, text=True)
                assert done.returncode == 1
                said.append(done.stderr)

        assert run(questions(3), ledger, options=options, on_progress=second).complete
        assert said[0].startswith("LedgerInUse: ")
        assert "in use by process" in said[0]
        assert "Why?" not in [entry.prompt for entry in emulator.journal.prompts()]
        assert status(ledger).rows == 3

    async def test_another_run_of_the_same_process_is_refused(self, options: ClientOptions, ledger: Path):
        refused = []

        def second(summary: Summary) -> None:
            for other in (
                retry,
                lambda path: cleanup(path, options=options),
                lambda path: estimate(None, path, options=options),
            ):
                with pytest.raises(LedgerInUse):
                    other(ledger)
                refused.append(other)

        assert (await arun(questions(1), ledger, options=options, on_progress=second)).complete
        assert len(refused) == 3

    def test_the_lock_ends_with_the_run(self, options: ClientOptions, ledger: Path):
        with pytest.raises(ConfigurationError):
            run([{"id": "a"}], ledger, options=options)
        assert run(questions(1), ledger, options=options).complete
        assert retry(ledger) == 0

    def test_status_and_export_read_meanwhile(self, options: ClientOptions, ledger: Path, tmp_path: Path):
        counts: list[tuple[int, int, int]] = []

        def look(summary: Summary) -> None:
            written = export(ledger, tmp_path / "answers.jsonl")
            counts.append((status(ledger).answered, written, len(list(records(ledger)))))

        run(questions(3), ledger, options=options, concurrency=1, on_progress=look)
        assert counts == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


class TestOtherFiles:
    @pytest.mark.parametrize("what", ["text", "another database", "a folder that is missing"])
    def test_are_left_alone(self, what: str, emulator: Emulator, options: ClientOptions, ledger: Path):
        if what == "text":
            ledger.write_text("A diary of some length, and no database at all. " * 100)
        elif what == "another database":
            db = sqlite3.connect(ledger)
            db.execute("CREATE TABLE diary (entry)")
            db.close()
        else:
            ledger = ledger.parent / "missing" / "run.sqlite"
        before = ledger.read_bytes() if ledger.exists() else None
        with pytest.raises(ConfigurationError, match=r"run\.sqlite"):
            run(questions(1), ledger, options=options)
        assert before == (ledger.read_bytes() if ledger.exists() else None)
        assert emulator.journal.entries() == []

    def test_that_are_missing_are_not_made_by_looking(self, ledger: Path):
        for look in (status, lambda path: list(records(path)), retry):
            with pytest.raises(ConfigurationError, match="There is no ledger"):
                look(ledger)
        assert not ledger.exists()


def test_an_answer_with_half_a_character_is_kept(emulator: Emulator, options: ClientOptions, ledger: Path):
    """JSON can carry half of a surrogate pair; no file can."""
    half = b'{"status":"success","data":{"id":9,"openai_response":"half: \\ud83d","citations":null}}'
    emulator.faults.error(200, half)
    assert run(questions(1), ledger, options=options).complete
    assert [record["answer"] for record in records(ledger)] == ["half: ?"]
