"""Questions from a file or from Python, one row at a time, each checked before any is asked."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from customgpt_bulk.models import Row
from customgpt_transport import ConfigurationError
from customgpt_transport.options import project_number

Questions: TypeAlias = str | os.PathLike[str] | Iterable[Mapping[str, Any] | str]
"""The path of a .jsonl, .csv or .parquet file, or rows: mappings with a `question`, or questions alone."""

SETTINGS = ("lang", "custom_persona", "custom_context", "labels")
PARQUET_BATCH = 500


def read(questions: Questions, project_id: int | None) -> Iterator[Row]:
    """Yield the rows in input order. `project_id` is the agent of rows that name none.

    Raises `ConfigurationError` for the first row that cannot be asked; it says which, and what is wrong.
    """
    for place, given in _given(questions):
        yield _row(given, place, project_id)


def digest(*parts: object) -> str:
    """Return a short name for JSON-able values: equal values, equal names."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def plain(value: Any) -> Any:
    """Return a value that JSON has: the Python number in one of NumPy's, the text of anything else."""
    return value.item() if hasattr(value, "item") and not isinstance(value, type) else str(value)


def _given(questions: Questions) -> Iterator[tuple[str, Any]]:
    if not isinstance(questions, (str, os.PathLike)):
        for number, row in enumerate(questions, 1):
            yield f"row {number}", {"question": row} if isinstance(row, str) else row
        return
    path = Path(questions)
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigurationError(f"{path}: questions are read from .jsonl, .csv or .parquet files.")
    if not path.is_file():
        raise ConfigurationError(f"There is no file {path}.")
    try:
        for number, row in reader(path):
            yield f"{path.name}, line {number}" if reader is not _parquet else f"row {number}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: {error}. Save it as UTF-8, and check its quotes.") from error


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    raise ConfigurationError(f"{path.name}, line {number}, is no JSON: {error}.") from error


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines, strict=True)
        for row in table:
            if None in row or None in row.values():
                raise ConfigurationError(
                    f"{path.name}, line {table.line_num}, has another number of cells than the first line."
                )
            yield table.line_num, row


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            'Parquet files need an extra: pip install "customgpt-adapters[parquet]".'
        ) from error
    number = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(PARQUET_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _row(given: object, place: str, project_id: int | None) -> Row:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{place}: a row must be an object with a question, not {given!r:.60}.")
    left = {str(name): None if _is_nan(value) else value for name, value in given.items()}
    identity, question = _take(left, "id", "custom_id"), _take(left, "question", "prompt")
    if isinstance(identity, float) and identity.is_integer():
        identity = int(identity)  # a column of whole numbers with a gap comes as floats
    if isinstance(identity, bool) or not isinstance(identity, (str, int, type(None))):
        raise ConfigurationError(f"{place}: an id must be text or a whole number, not {identity!r:.60}.")
    if not isinstance(question, str) or not question.strip():
        raise ConfigurationError(
            f"{place} has no question. Name the column `question` (or `prompt`) and fill it."
        )
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"{place}: the question holds half a character ({error}).") from error
    conversation, own_project = _take(left, "conversation"), _take(left, "project_id")
    settings = {name: value for name in SETTINGS if (value := _take(left, name)) is not None}
    for name in SETTINGS[:3]:
        if not isinstance(settings.get(name, ""), str):
            raise ConfigurationError(f"{place}: {name} must be text, not {settings[name]!r:.60}.")
    if "labels" in settings:
        settings["labels"] = labels_of(settings["labels"], place)
    if isinstance(own_project, float) and own_project.is_integer():
        own_project = int(own_project)
    project = project_id if own_project is None else project_number(own_project, f"{place}: project_id")
    if project is None:
        raise ConfigurationError(f"{place} names no agent, and neither do the options: set project_id.")
    return Row(
        None if identity is None else str(identity).strip(),
        question,
        project,
        None if conversation is None else str(conversation),
        settings,
        left,
        place,
    )


def _take(row: dict[str, Any], *names: str) -> Any:
    """Remove and return the first of the columns that is filled; a second filled one stays the user's."""
    found = None
    for name in names:
        value = row.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            row.pop(name, None)
        elif found is None:
            found = row.pop(name)
    return found


def _is_nan(value: object) -> bool:
    """Whether this is what tables have in an empty cell."""
    return isinstance(value, float) and math.isnan(value)


def labels_of(value: Any, place: str) -> list[Any]:
    """Return labels from a list, from its JSON, or from text with commas, as a cell has them."""
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [label.strip() for label in value.split(",") if label.strip()]
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, (str, list, tuple)) for one in value):
        raise ConfigurationError(f"{place}: labels must be a list of texts, or of lists of texts.")
    return [one if isinstance(one, str) else list(one) for one in value]
