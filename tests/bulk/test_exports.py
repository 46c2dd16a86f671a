"""Answers as records and as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet

from customgpt_bulk import export, records, run
from customgpt_bulk._exporting import OWN
from customgpt_transport import ClientOptions, ConfigurationError

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

GIVEN = [
    {"id": "a", "question": "How do refunds work?", "answer": "gold", "n": 1, "x": 0.5, "ok": True},
    {"id": "b", "question": "Is it refused?", "answer": "gold", "n": 2, "x": 1, "tags": ["p", "q"]},
    {"id": "c", "question": "What do gift cards cost?", "lang": "en", "n": None, "labels": ["l"]},
]


@pytest.fixture
def finished(emulator: Emulator, options: ClientOptions, ledger: Path) -> Path:
    """A ledger with two answers and a refusal."""
    emulator.switches.labels = "ignore"
    run(GIVEN[:1], ledger, options=options)
    emulator.faults.unprocessable()
    run(GIVEN[1:2], ledger, options=options)
    run(GIVEN, ledger, options=options)
    return ledger


def test_records_are_in_input_order_with_their_citations(finished: Path):
    first, second = records(finished)
    assert [first["id"], second["id"]] == ["a", "c"]
    assert list(first)[: len(OWN)] == list(OWN)
    assert first["answer"] == next(records(finished))["answer"] != "gold"
    assert first["input_answer"] == "gold"
    assert (first["n"], first["x"], first["ok"]) == (1, 0.5, True)
    assert all(page["title"] and isinstance(page["id"], int) for page in first["citations"])
    assert first["citations"]
    assert first["sent_at"] < first["answered_at"]
    assert (second["lang"], second["labels"], first["error"]) == ("en", ["l"], None)


def test_failures_are_there_on_request(finished: Path):
    (failed,) = records(finished, states=["refused"])
    assert (failed["id"], failed["answer"], failed["answered_at"], failed["billed"]) == (
        "b",
        None,
        None,
        "no",
    )
    assert "prompt field is required" in failed["error"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_kind_of_file_holds_the_same(suffix: str, finished: Path, tmp_path: Path):
    path = tmp_path / f"answers{suffix}"
    states = ("answered", "refused")
    assert export(finished, path, states=states) == 3
    expected = list(records(finished, states=states))
    if suffix == ".jsonl":
        assert [json.loads(line) for line in path.read_text().splitlines()] == expected
        return
    columns = [*OWN, "input_answer", "n", "x", "ok", "tags"]
    found: list[dict[str, Any]]
    if suffix == ".csv":
        with path.open(newline="") as lines:
            table = csv.DictReader(lines)
            found = list(table)
            assert table.fieldnames == columns
        assert [json.loads(row["citations"]) for row in found] == [row["citations"] for row in expected]
        assert [row["n"] for row in found] == ["1", "2", ""]
    else:
        table = parquet.read_table(path)
        found = table.to_pylist()
        assert table.column_names == columns
        assert [row["citations"] for row in found] == [row["citations"] for row in expected]
        assert [row["n"] for row in found] == [1, 2, None]
        assert [row["x"] for row in found] == [0.5, 1.0, None]
        assert [row["ok"] for row in found] == [True, None, None]
        assert [row["tags"] for row in found] == [None, '["p", "q"]', None]
    assert [row["answer"] or None for row in found] == [row["answer"] for row in expected]


def test_a_file_of_another_kind_is_refused(finished: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"\.jsonl, \.csv or \.parquet"):
        export(finished, tmp_path / "answers.xlsx")


def test_states_that_there_are_not_are_named(finished: Path, tmp_path: Path):
    for wrong in ("answered", ["failed"]):
        with pytest.raises(ConfigurationError, match="new, sending, answered, refused, unresolved"):
            export(finished, tmp_path / "answers.csv", states=wrong)


def test_an_export_that_fails_leaves_the_old_file_and_no_other(
    finished: Path, tmp_path: Path, monkeypatch: Any
):
    path = tmp_path / "answers.jsonl"
    path.write_text("the old one")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("customgpt_bulk._exporting.json.dumps", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(finished, path)
    monkeypatch.undo()
    assert path.read_text() == "the old one"
    assert [p for p in before if "run.sqlite" not in p.name] == [
        p for p in sorted(tmp_path.iterdir()) if "run.sqlite" not in p.name
    ]
