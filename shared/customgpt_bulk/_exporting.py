"""Answers out of a ledger, as records or into a file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias

from customgpt_bulk._ledger import Ledger, LedgerPath
from customgpt_bulk.models import STATES
from customgpt_transport import ConfigurationError

Record: TypeAlias = dict[str, Any]

OWN = (
    *("id", "question", "conversation", "project_id", "lang", "custom_persona", "custom_context", "labels"),
    *("state", "answer", "citations", "session_id", "prompt_id", "external_id", "recovered", "billed"),
    *("attempts", "error", "sent_at", "answered_at"),
)
"""The columns of a record, before those that were passed through."""

BATCH = 500
_JSON = {"citations", "labels"}
_NUMBERS = {"project_id", "prompt_id", "attempts"}


def records(ledger: LedgerPath, *, states: Collection[str] = ("answered",)) -> Iterator[Record]:
    """Yield the rows in these states, in input order; also while a run goes on.

    A record has the columns of `OWN`: `citations` are objects with id, title, url and description, `error` is
    a sentence, times are ISO 8601 in UTC. Then come the row's own other columns; one that has the name of a
    column above is called `input_` and that name.
    """
    _check(states)
    with Ledger(ledger, readonly=True) as opened:
        yield from _records(opened, states)


def export(
    ledger: LedgerPath, path: str | os.PathLike[str], *, states: Collection[str] = ("answered",)
) -> int:
    """Write the rows in these states to a .jsonl, .csv or .parquet file, and return how many.

    In input order, with the columns that `records` names; in CSV citations and labels are JSON. The file is
    there when it is complete, and not before. Ask for `states=("answered", "refused", "unresolved")` to have
    the failures, too.
    """
    target = Path(path)
    writers = {
        ".jsonl": _write_jsonl,
        ".ndjson": _write_jsonl,
        ".csv": _write_csv,
        ".parquet": _write_parquet,
    }
    write = writers.get(target.suffix.lower())
    if write is None:
        raise ConfigurationError(f"{target}: answers are written to .jsonl, .csv or .parquet files.")
    _check(states)
    with Ledger(ledger, readonly=True) as opened, _beside(target) as part:
        columns = {_own_name(name): set(kinds.split(",")) for name, kinds in opened.extra_columns(states)}
        return write(part, _records(opened, states), columns)


def _check(states: Collection[str]) -> None:
    if isinstance(states, str) or not set(states) <= set(STATES):
        raise ConfigurationError(f"states are some of {', '.join(STATES)}, not {states!r}.")


def _records(ledger: Ledger, states: Collection[str]) -> Iterator[Record]:
    pages: dict[tuple[int, int], Record] = {}
    for page in ledger.each("SELECT * FROM pages"):
        shown = {name: page[name] for name in ("id", "title", "url", "description")}
        pages[page["project_id"], page["id"]] = shown
    for row in ledger.rows_in(states):
        yield _record(row, pages)


def _record(row: Any, pages: dict[tuple[int, int], Record]) -> Record:
    settings, extra = json.loads(row["settings"]), json.loads(row["extra"])
    project_id = row["project_id"]
    cited = json.loads(row["citation_ids"] or "[]")
    unknown = {"title": None, "url": None, "description": None}
    record: Record = {name: settings.get(name) for name in OWN}
    for name in (
        "id",
        "question",
        "conversation",
        "project_id",
        "state",
        "answer",
        "session_id",
        "prompt_id",
    ):
        record[name] = row[name]
    record |= {
        "citations": [pages.get((project_id, number), {"id": number, **unknown}) for number in cited],
        "external_id": row["external_id"],
        "recovered": bool(row["recovered"]),
        "billed": row["billed"],
        "attempts": row["attempts"],
        "error": None if row["error"] is None else json.loads(row["error"])["message"],
        "sent_at": _moment(row["sent_at"]),
        "answered_at": _moment(row["done_at"] if row["state"] == "answered" else None),
    }
    return record | {_own_name(name): value for name, value in extra.items()}


def _own_name(name: str) -> str:
    return f"input_{name}" if name in OWN else name


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a path beside the target, which takes its place at the end and is gone after a failure."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write_jsonl(path: Path, found: Iterator[Record], columns: object) -> int:
    number = 0
    with path.open("w", encoding="utf-8") as out:
        for number, record in enumerate(found, 1):  # noqa: B007 - the last number is the count
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    return number


def _write_csv(path: Path, found: Iterator[Record], columns: dict[str, set[str]]) -> int:
    number = 0
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, [*OWN, *columns], lineterminator="\n")
        table.writeheader()
        for number, record in enumerate(found, 1):  # noqa: B007 - the last number is the count
            table.writerow({name: _cell(value) for name, value in record.items()})
    return number


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _write_parquet(path: Path, found: Iterator[Record], columns: dict[str, set[str]]) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            'Parquet files need an extra: pip install "customgpt-adapters[parquet]".'
        ) from error
    text, page = pyarrow.string(), [("id", pyarrow.int64())]
    page += [(name, pyarrow.string()) for name in ("title", "url", "description")]
    kinds: dict[str, Any] = dict.fromkeys(OWN, text)
    kinds |= dict.fromkeys(_NUMBERS, pyarrow.int64())
    kinds |= {"citations": pyarrow.list_(pyarrow.struct(page)), "recovered": pyarrow.bool_()}
    for name, types in columns.items():
        types = types - {"null"}
        numbers = pyarrow.int64() if types == {"integer"} else pyarrow.float64()
        truths = types and types <= {"true", "false"}
        kinds[name] = (
            pyarrow.bool_() if truths else numbers if types and types <= {"integer", "real"} else text
        )
    schema = pyarrow.schema(kinds.items())

    def fit(name: str, value: Any) -> Any:
        plain = value is None or isinstance(value, str) or kinds[name] != text
        return value if plain else json.dumps(value, ensure_ascii=False)

    number = 0
    with parquet.ParquetWriter(path, schema) as out:
        for batch in _batches(found):
            rows = [{name: fit(name, record.get(name)) for name in kinds} for record in batch]
            out.write_table(pyarrow.Table.from_pylist(rows, schema))
            number += len(batch)
    return number


def _batches(found: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in found:
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
