"""The ledger of a run: one SQLite file that knows of every row what was sent and what came back."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

from customgpt_bulk._reading import digest, plain
from customgpt_bulk.models import Row, State, Summary
from customgpt_transport import Citation, ConfigurationError, CustomGPTError, Message

Statement: TypeAlias = tuple[str, Sequence[Any]]
Billed: TypeAlias = Literal["yes", "no", "unknown"]
LedgerPath: TypeAlias = str | os.PathLike[str]

APPLICATION = 0x43475042  # `PRAGMA application_id`: this is a ledger
VERSION = 1
BUSY = 30.0  # seconds to wait for a reader's lock

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
    number INTEGER PRIMARY KEY,
    reading INTEGER NOT NULL,        -- at which start it was last read,
    position INTEGER NOT NULL,       -- and where it stood
    id TEXT NOT NULL UNIQUE,
    asked TEXT NOT NULL,             -- digest of what is sent for it
    question TEXT NOT NULL,
    project_id INTEGER NOT NULL,
    conversation TEXT,
    settings TEXT NOT NULL,
    extra TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',
    session_id TEXT,
    external_id TEXT,                -- while new: a prompt that went unresolved and may be sent again
    answer TEXT,
    citation_ids TEXT,
    prompt_id INTEGER,
    recovered INTEGER NOT NULL DEFAULT 0,
    billed TEXT,
    error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    spent INTEGER NOT NULL DEFAULT 0,  -- prompts that were billed or may have been
    sent_at REAL,
    done_at REAL,
    deleted INTEGER NOT NULL DEFAULT 0  -- its conversation was deleted by `cleanup`
);
CREATE INDEX in_input_order ON rows (reading, position);
CREATE INDEX by_state ON rows (state, reading, position);
CREATE INDEX by_conversation ON rows (project_id, conversation, reading, position)
    WHERE conversation IS NOT NULL;
CREATE TABLE pages (
    project_id INTEGER NOT NULL, id INTEGER NOT NULL,
    title TEXT, url TEXT, description TEXT, image_url TEXT, problem TEXT,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;
"""


class Ledger:
    """An open ledger. Its methods block; one thread at a time may use it.

    With `create` a missing file is made, readable by its owner alone. `readonly` reads beside a run.
    Raises `ConfigurationError` for a file that is not there, or is something else.
    """

    def __init__(self, path: LedgerPath, *, create: bool = False, readonly: bool = False) -> None:
        self.path = Path(path)
        fresh = not self.path.exists()
        if fresh and not create:
            raise ConfigurationError(f"There is no ledger {self.path}.")
        if fresh:
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._db = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            self._db.row_factory = sqlite3.Row
            self._begin(readonly)
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise ConfigurationError(f"{self.path} is no ledger, or not readable: {error}.") from error
            raise

    def _begin(self, readonly: bool) -> None:
        (kind,), (version,) = self.one("PRAGMA application_id"), self.one("PRAGMA user_version")
        if not kind and not self.one("SELECT COUNT(*) FROM sqlite_master")[0] and not readonly:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION};"
                f" PRAGMA user_version = {VERSION}; COMMIT;"
            )
        elif kind != APPLICATION or version != VERSION:
            raise ConfigurationError(
                f"{self.path} is no ledger of this version of customgpt_bulk. Name another file."
            )
        if readonly:
            self._db.execute("PRAGMA query_only = ON")
            self._db.execute("BEGIN")  # all that is read is of one moment
        else:
            self._db.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def one(self, sql: str, *values: Any) -> Any:
        """Return the first row of a query, None when there is none."""
        return self._db.execute(sql, values).fetchone()

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        return self._db.execute(sql, values).fetchall()

    def each(self, sql: str, *values: Any) -> Iterator[sqlite3.Row]:
        """Yield the rows of a query, without holding them all."""
        yield from self._db.execute(sql, values)

    def commit(self, statements: Iterable[Statement]) -> None:
        """Carry out all of these or none, and return when they are on the disk."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def fact(self, name: str) -> Any:
        """Return what `fact` has put under a name, None when nothing."""
        found = self.one("SELECT value FROM facts WHERE name = ?", name)
        return None if found is None else json.loads(found[0])

    def load(self, rows: Iterable[Row], service: str) -> None:
        """Take in the rows of this start: all of them, or none where one of them is unfit.

        Known ones are recognised by their ids. Raises `ConfigurationError` for an id that is used twice or
        was asked something else, and for a ledger of another service.
        """
        known = self.fact("service")
        if known not in (None, service):
            raise ConfigurationError(
                f"{self.path} is of a run at {known}, not {service}. Use another ledger."
            )
        reading = self.reading + 1
        facts = [fact("service", service), fact("reading", reading)]
        self.commit(chain(facts, self._loading(rows, reading)))

    def _loading(self, rows: Iterable[Row], reading: int) -> Iterator[Statement]:
        repeated: dict[str, Iterator[int]] = {}
        for position, row in enumerate(rows, 1):
            asked = digest(row.question, row.project_id, row.conversation, row.settings)
            made = f"row-{digest(asked, row.extra)}"
            name = row.id or made
            while (known := self.one("SELECT reading, asked FROM rows WHERE id = ?", name)) is not None:
                if known["reading"] < reading:
                    break
                if row.id is not None:
                    raise ConfigurationError(
                        f"{row.place}: id {row.id!r} is used twice. Each row needs its own."
                    )
                name = f"{made}-{next(repeated.setdefault(made, count(2)))}"  # the same row, once more
            extra = json.dumps(row.extra, default=plain)
            if known is None:
                yield (
                    "INSERT INTO rows (reading, position, id, asked, extra, question, project_id,"
                    " conversation, settings) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(reading, position, name, asked, extra),
                        *(row.question, row.project_id, row.conversation),
                        json.dumps(row.settings),
                    ),
                )
            elif known["asked"] != asked:
                raise ConfigurationError(
                    f"{row.place}: id {name!r} was asked something else in {self.path}: another question, "
                    "agent, conversation or setting. Give it another id, or use another ledger."
                )
            else:
                yield (
                    "UPDATE rows SET reading = ?, position = ?, extra = ? WHERE id = ?",
                    (reading, position, extra, name),
                )

    @property
    def reading(self) -> int:
        """How often questions were read."""
        return self.fact("reading") or 0

    def summary(self) -> Summary:
        """Return where the rows stand."""
        counts: dict[str, int] = dict(
            self._db.execute("SELECT state, COUNT(*) FROM rows GROUP BY state").fetchall()
        )
        prompts, recovered = self.one("SELECT TOTAL(spent), TOTAL(recovered) FROM rows")
        return Summary(
            rows=sum(counts.values()),
            new=counts.get("new", 0),
            sending=counts.get("sending", 0),
            answered=counts.get("answered", 0),
            refused=counts.get("refused", 0),
            unresolved=counts.get("unresolved", 0),
            prompts=int(prompts),
            recovered=int(recovered),
        )

    def new_rows(self, reading: int, after: tuple[int], most: int) -> list[sqlite3.Row]:
        """Return the next rows to be asked that belong to no conversation."""
        return self.all(
            "SELECT * FROM rows WHERE state = 'new' AND conversation IS NULL AND reading >= ? AND number > ?"
            " ORDER BY number LIMIT ?",
            *(reading, *after, most),
        )

    def new_conversations(self, reading: int, after: tuple[int, str], most: int) -> list[sqlite3.Row]:
        """Return the next agents and conversations in which a row is to be asked."""
        return self.all(
            "SELECT DISTINCT project_id, conversation FROM rows WHERE state = 'new' AND reading >= ?"
            " AND conversation IS NOT NULL AND (project_id, conversation) > (?, ?)"
            " ORDER BY project_id, conversation LIMIT ?",
            *(reading, *after, most),
        )

    def next_of(self, project_id: int, conversation: str, reading: int) -> sqlite3.Row | None:
        """Return the conversation's first row without an end."""
        found: sqlite3.Row | None = self.one(
            "SELECT * FROM rows WHERE project_id = ? AND conversation = ?"
            " AND state NOT IN ('answered', 'refused') AND (state != 'new' OR reading >= ?)"
            " ORDER BY reading, position LIMIT 1",
            *(project_id, conversation, reading),
        )
        return found

    def session_of(self, project_id: int, conversation: str) -> str | None:
        """Return the session in which a conversation is held, None before its first row."""
        found = self.one(
            "SELECT session_id FROM rows WHERE project_id = ? AND conversation = ? AND session_id IS NOT NULL"
            " AND NOT deleted ORDER BY number DESC LIMIT 1",
            *(project_id, conversation),
        )
        return None if found is None else str(found[0])

    def rows_in(self, states: Collection[str]) -> Iterator[sqlite3.Row]:
        """Yield the rows in these states, in input order."""
        return self.each(
            "SELECT * FROM rows WHERE state IN (SELECT value FROM json_each(?)) ORDER BY reading, position",
            json.dumps(list(states)),
        )

    def extra_columns(self, states: Collection[str]) -> list[sqlite3.Row]:
        """Return the columns that rows in these states passed through, and the JSON types of each."""
        return self.all(
            "SELECT e.key, GROUP_CONCAT(DISTINCT e.type) FROM rows r, json_each(r.extra) e"
            " WHERE r.state IN (SELECT value FROM json_each(?))"
            " GROUP BY e.key ORDER BY MIN(r.number), MIN(e.id)",
            json.dumps(list(states)),
        )

    def unknown_pages(self) -> list[tuple[int, list[int]]]:
        """Return, by agent, the pages that answers cite and nobody looked up."""
        found: dict[int, list[int]] = {}
        for project_id, number in self.each(
            "SELECT DISTINCT r.project_id, c.value FROM rows r, json_each(r.citation_ids) c"
            " WHERE r.citation_ids IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM pages p WHERE p.project_id = r.project_id AND p.id = c.value)"
        ):
            found.setdefault(project_id, []).append(number)
        return list(found.items())

    def finished_sessions(self) -> list[sqlite3.Row]:
        """Return the agents and sessions that no row needs any more, and that still exist."""
        return self.all(
            "SELECT project_id, session_id FROM rows WHERE session_id IS NOT NULL AND NOT deleted"
            " GROUP BY project_id, session_id HAVING MIN(state IN ('answered', 'refused'))"
        )

    def reset(self, states: Iterable[str]) -> int:
        """Make rows `new` again, and return how many.

        What may have been sent keeps its conversation and external id, so that it is looked for once more.
        """
        before = self._db.total_changes
        self.commit(
            (
                """
                UPDATE rows SET state = 'new', error = NULL,
                    external_id = CASE WHEN state = 'unresolved' THEN external_id END,
                    session_id = CASE WHEN NOT deleted AND (state = 'unresolved' OR conversation IS NOT NULL)
                        THEN session_id END
                WHERE state = ?
                """,
                (state,),
            )
            for state in states
        )
        return self._db.total_changes - before


# What happens to a row, each as a statement for `Ledger.commit`.


def fact(name: str, value: Any) -> Statement:
    """Keep a value of the run."""
    return "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))


def sending(number: int, session_id: str, external_id: str, now: float) -> Statement:
    """Its prompt is about to leave, and from now on may have been billed."""
    return (
        "UPDATE rows SET state = 'sending', session_id = ?, external_id = ?, sent_at = ?, done_at = NULL,"
        " error = NULL, billed = 'unknown', deleted = 0, attempts = attempts + 1, spent = spent + 1"
        " WHERE number = ?",
        (session_id, external_id, now, number),
    )


def opened(number: int, session_id: str) -> Statement:
    """Its conversation is there; nothing was sent."""
    return "UPDATE rows SET session_id = ? WHERE number = ?", (session_id, number)


def answered(number: int, message: Message, now: float) -> Statement:
    """Its answer is there."""
    return (
        "UPDATE rows SET state = 'answered', answer = ?, citation_ids = ?, prompt_id = ?, recovered = ?,"
        " billed = 'yes', error = NULL, done_at = ? WHERE number = ?",
        (
            _storable(message.answer),
            json.dumps(message.citation_ids),
            message.prompt_id,
            message.recovered,
            now,
            number,
        ),
    )


def ended(number: int, state: State, error: CustomGPTError, now: float, billed: Billed) -> Statement:
    """It was sent in vain: refused, unresolved, or, as it never arrived, new again."""
    return (
        "UPDATE rows SET state = ?, error = ?, billed = ?, done_at = ?, spent = spent - ?,"
        " external_id = CASE WHEN ? THEN external_id END WHERE number = ?",
        (state, _described(error), billed, now, billed == "no", state != "new", number),
    )


def noted(number: int, state: State, error: CustomGPTError) -> Statement:
    """Its prompt was not sent at all: this is why."""
    return "UPDATE rows SET state = ?, error = ? WHERE number = ?", (state, _described(error), number)


def cleaned(project_id: int, session_id: str) -> Statement:
    """Its conversation was deleted."""
    return "UPDATE rows SET deleted = 1 WHERE project_id = ? AND session_id = ?", (project_id, session_id)


def page(project_id: int, citation: Citation) -> Statement:
    """Keep what is known of a page that answers cite."""
    return (
        "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(project_id, citation.id, _storable(citation.title), _storable(citation.url)),
            *(_storable(citation.description), _storable(citation.image_url), _storable(citation.problem)),
        ),
    )


def _described(error: CustomGPTError) -> str:
    return json.dumps({"type": type(error).__name__, "message": str(error)})


def _storable(text: str | None) -> str | None:
    """Return a text without the halves of characters that JSON can carry and no file can."""
    return text and text.encode("utf-8", "replace").decode()
