from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_transport import ClientOptions
from tests.bulk.asked import patient

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


@pytest.fixture
def options(emulator: Emulator) -> ClientOptions:
    """Options for the emulator that wait for nothing: a lost answer is there at once, or never."""
    return patient(emulator.base_url, emulator.api_key, emulator.project_id, 0.2)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The path of a ledger that is not there yet."""
    return tmp_path / "run.sqlite"


@pytest.fixture
def rows(ledger: Path) -> Callable[[], list[dict[str, Any]]]:
    """What the ledger holds, in the order of the input."""

    def read() -> list[dict[str, Any]]:
        db = sqlite3.connect(ledger)
        try:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM rows ORDER BY reading, position")]
        finally:
            db.close()

    return read


def impatient(options: ClientOptions, **more: Any) -> ClientOptions:
    """The same options, with some changed."""
    return replace(options, **more)
