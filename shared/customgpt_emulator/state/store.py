"""The database: SQLite in memory, or in a file that outlives the emulator."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Store"]

SCHEMA_VERSION = 1  # raise it with every change of the schema
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, type TEXT NOT NULL,
    settings TEXT NOT NULL DEFAULT '{}',
    is_shared INTEGER NOT NULL DEFAULT 0, slug TEXT NOT NULL, are_licenses_allowed INTEGER NOT NULL DEFAULT 0,
    queries INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL, updated_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE,
    type TEXT NOT NULL, settings TEXT NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS sources_of_agent ON sources (project_id);
CREATE TABLE IF NOT EXISTS pages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE,
    source_id INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
    key TEXT NOT NULL, url TEXT, is_file INTEGER NOT NULL, is_file_kept INTEGER NOT NULL, filename TEXT,
    filesize INTEGER NOT NULL, digest TEXT NOT NULL, stamp TEXT, data BLOB, words INTEGER NOT NULL,
    failure TEXT, ready_at REAL NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS pages_of_agent ON pages (project_id);
CREATE INDEX IF NOT EXISTS pages_of_source ON pages (source_id);
CREATE TABLE IF NOT EXISTS metadata (
    id INTEGER PRIMARY KEY AUTOINCREMENT, page_id INTEGER NOT NULL UNIQUE REFERENCES pages ON DELETE CASCADE,
    title TEXT, url TEXT, description TEXT, image TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE,
    session_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS conversations_of_agent ON conversations (project_id);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
    prompt TEXT NOT NULL, answer TEXT NOT NULL, citations TEXT NOT NULL, external_id TEXT NOT NULL,
    user_ip TEXT, user_agent TEXT, request_source TEXT NOT NULL,
    reaction TEXT, feedback_at REAL, feedback_updated_at REAL,
    created_at REAL NOT NULL, updated_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS messages_of_conversation ON messages (conversation_id);
"""

# Each kind of id has a range of its own: a client that mixes them up finds nothing, not something else.
_FIRST_IDS = {
    "agents": 1001,
    "sources": 1601,
    "pages": 12001,
    "metadata": 301,
    "conversations": 40001,
    "messages": 700001,
}
_TABLES = ("messages", "conversations", "metadata", "pages", "sources", "agents", "facts")


class Store:
    """Reads and writes rows. It belongs to the emulator's thread.

    A file is in WAL mode, so what was committed survives a kill at any moment. It is locked while open.
    Raises `OSError`, which says why, for a file that cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        try:
            self.db = sqlite3.connect(
                ":memory:" if path is None else path,
                isolation_level=None,
                check_same_thread=False,
                timeout=0.5,
            )
        except sqlite3.Error as error:
            raise OSError(f"The state file {path} cannot be opened: {error}.") from error
        try:
            self.db.row_factory = sqlite3.Row
            if path is not None:
                self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self.db.execute("PRAGMA journal_mode = WAL")
                self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute("PRAGMA foreign_keys = ON")
            self._prepare(path)
        except sqlite3.Error as error:
            self.db.close()
            busy = "locked" in str(error)
            why = "another emulator uses it" if busy else f"it is not the state file of an emulator ({error})"
            raise OSError(f"The state file {path} cannot be used: {why}.") from error
        except OSError:
            self.db.close()
            raise

    def _prepare(self, path: Path | None) -> None:
        version = self.count("PRAGMA user_version")
        if version not in (0, SCHEMA_VERSION):
            raise OSError(
                f"The state file {path} is of another version of the emulator. Delete it or name another."
            )
        self.db.executescript(_SCHEMA)
        self.db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._set_sequences()

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction. Inside of another transaction it is part of that one."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def clear(self) -> None:
        """Delete everything. Ids start again."""
        with self.transaction():
            for (number,) in self.db.execute("SELECT id FROM agents").fetchall():
                self.db.execute(f"DROP TABLE IF EXISTS passages_{number:d}")
            for table in _TABLES:
                self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
            self.db.execute("DELETE FROM sqlite_sequence")
            self._set_sequences()

    def _set_sequences(self) -> None:
        for table, first in _FIRST_IDS.items():
            self.db.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT ?, ? "
                "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
                (table, first - 1, table),
            )

    # What the queries below have in common.

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row, or None."""
        row: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return row

    def row(self, table: str, column: str, value: int) -> sqlite3.Row:
        """Return a row that must exist. Raises `LookupError` if it does not."""
        row = self.one(f"SELECT * FROM {table} WHERE {column} = ?", value)  # noqa: S608 - names of ours
        if row is None:
            raise LookupError(f"no row of {table} with {column} {value}")
        return row

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows."""
        return self.db.execute(sql, values).fetchall()

    def count(self, sql: str, *values: Any) -> int:
        """Return the first column of the first row."""
        return int(self.db.execute(sql, values).fetchone()[0])

    def insert(self, table: str, values: Mapping[str, Any]) -> int:
        """Add a row and return its id."""
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        cursor = self.db.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names of ours
            tuple(values.values()),
        )
        return int(cursor.lastrowid or 0)

    def next_id(self, table: str) -> int:
        """Return the id of the next row."""
        return self.count("SELECT seq FROM sqlite_sequence WHERE name = ?", table) + 1

    def latest(self) -> float:
        """Return the newest date in the database; 0 if it is empty."""
        dated = ("agents", "sources", "pages", "metadata", "conversations", "messages")
        return max(
            float(self.db.execute(f"SELECT COALESCE(MAX(updated_at), 0) FROM {table}").fetchone()[0])  # noqa: S608 - a name of ours
            for table in dated
        )

    def update(self, table: str, number: int, values: Mapping[str, Any]) -> None:
        """Change a row."""
        names = ", ".join(f"{name} = ?" for name in values)
        self.db.execute(f"UPDATE {table} SET {names} WHERE id = ?", (*values.values(), number))  # noqa: S608 - names of ours

    def fact(self, name: str) -> str | None:
        """Return a value that the emulator has stored about itself, or None."""
        row = self.one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def set_fact(self, name: str, value: str) -> None:
        """Store a value about the emulator itself."""
        self.db.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

    def listed(
        self,
        table: str,
        where: str,
        values: Sequence[Any],
        *,
        page: int,
        per_page: int,
        order: str,
        by: str = "id",
    ) -> tuple[list[sqlite3.Row], int]:
        """Return one page of a list, and the number of all rows. Only `values` may come from a client."""
        total = self.count(f"SELECT COUNT(*) FROM {table} WHERE {where}", *values)  # noqa: S608 - names of ours
        # A page number beyond SQLite's integers is beyond the list, too.
        skip = min((page - 1) * per_page, 2**62)
        rows = self.all(
            f"SELECT * FROM {table} WHERE {where} ORDER BY {by} {order}, id {order} LIMIT ? OFFSET ?",  # noqa: S608 - names of ours
            *values,
            per_page,
            skip,
        )
        return rows, total

    # Agents

    def agent(self, project_id: int) -> sqlite3.Row | None:
        """Return the agent, or None."""
        if abs(project_id) >= 2**63:
            return None
        return self.one("SELECT * FROM agents WHERE id = ?", project_id)

    def add_agent(self, name: str, slug: str, now: float, *, kind: str = "SITEMAP") -> int:
        """Add an agent with an empty index and a source for uploads, and return its id."""
        with self.transaction():
            number = self.insert(
                "agents",
                {"name": name, "type": kind, "slug": slug, "created_at": now, "updated_at": now},
            )
            self.db.execute(
                f"CREATE VIRTUAL TABLE passages_{number:d} USING fts5 "
                "(text, heading, title, tokenize = 'unicode61 remove_diacritics 2')"
            )
            self.add_source(number, "upload", {}, now)
        return number

    def add_source(self, project_id: int, kind: str, settings: Mapping[str, Any], now: float) -> int:
        """Add a source, a `sitemap` or an `upload`, and return its id."""
        values = {"project_id": project_id, "type": kind, "settings": json.dumps(settings)}
        return self.insert("sources", {**values, "created_at": now, "updated_at": now})

    def uploads(self, project_id: int) -> sqlite3.Row | None:
        """Return the agent's first source of uploads; None if it was deleted."""
        return self.one(
            "SELECT * FROM sources WHERE project_id = ? AND type = 'upload' ORDER BY id LIMIT 1", project_id
        )

    def delete_agent(self, project_id: int) -> None:
        """Delete an agent and everything that belongs to it."""
        with self.transaction():
            self.db.execute(f"DROP TABLE IF EXISTS passages_{project_id:d}")
            self.db.execute("DELETE FROM agents WHERE id = ?", (project_id,))

    def settings(self, project_id: int) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        row = self.one("SELECT settings FROM agents WHERE id = ?", project_id)
        stored: dict[str, Any] = json.loads(row["settings"]) if row else {}
        return stored

    # Conversations and messages

    def conversation(self, project_id: int, session_id: str) -> sqlite3.Row | None:
        """Return the conversation; None if it is not this agent's."""
        return self.one(
            "SELECT * FROM conversations WHERE project_id = ? AND session_id = ?", project_id, session_id
        )

    def add_conversation(self, project_id: int, session_id: str, name: str, now: float) -> sqlite3.Row:
        """Add a conversation and return it."""
        values = {"project_id": project_id, "session_id": session_id, "name": name}
        number = self.insert("conversations", {**values, "created_at": now, "updated_at": now})
        return self.row("conversations", "id", number)

    def message(self, conversation_id: int, prompt_id: int) -> sqlite3.Row | None:
        """Return a prompt with its answer, or None."""
        return self.one(
            "SELECT * FROM messages WHERE conversation_id = ? AND id = ?", conversation_id, prompt_id
        )

    def add_message(self, values: Mapping[str, Any], now: float) -> sqlite3.Row:
        """Store an answer, count the query and return the message. It is committed when this returns."""
        with self.transaction():
            number = self.insert("messages", {**values, "created_at": now, "updated_at": now})
            self.db.execute(
                "UPDATE agents SET queries = queries + 1 "
                "WHERE id = (SELECT project_id FROM conversations WHERE id = ?)",
                (values["conversation_id"],),
            )
            self.db.execute(
                "INSERT INTO facts (name, value) VALUES ('queries', '1') "
                "ON CONFLICT (name) DO UPDATE SET value = value + 1"
            )
        return self.row("messages", "id", number)

    def take_back(self, message: sqlite3.Row) -> None:
        """Undo `add_message` and its count of the query. If the message is gone, the count stays."""
        with self.transaction():
            if not self.db.execute("DELETE FROM messages WHERE id = ?", (message["id"],)).rowcount:
                return
            self.db.execute(
                "UPDATE agents SET queries = queries - 1 "
                "WHERE id = (SELECT project_id FROM conversations WHERE id = ?)",
                (message["conversation_id"],),
            )
            self.db.execute("UPDATE facts SET value = value - 1 WHERE name = 'queries'")

    def prompts(self, conversation_id: int, newest: int) -> list[str]:
        """Return the newest prompts of a conversation, newest first."""
        rows = self.all(
            "SELECT prompt FROM messages WHERE conversation_id = ? ORDER BY id DESC LIMIT ?",
            conversation_id,
            newest,
        )
        return [str(row["prompt"]) for row in rows]
