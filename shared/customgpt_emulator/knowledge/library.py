"""The pages of agents and their full-text index: one FTS5 table per agent, so that ranks are its own."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass

from customgpt_emulator.knowledge.documents import Document
from customgpt_emulator.knowledge.passages import split_passages
from customgpt_emulator.knowledge.retrieval import Candidate
from customgpt_emulator.knowledge.terms import Terms
from customgpt_emulator.state.store import Store

__all__ = ["Library", "NewPage"]

PER_PAGE = 1_000_000  # passages of a page, at most: the rowid of a passage is page id x this + its position
FOUND = 32  # passages that are ranked


@dataclass(frozen=True)
class NewPage:
    """A page to be added. `key`, a file name or URL, names it among the agent's pages."""

    key: str
    document: Document | None
    """None if it could not be read; `failure` then says why."""
    failure: str | None = None
    url: str | None = None
    """The page's own URL; None for a file, whose URL is its preview."""
    filename: str | None = None
    filesize: int = 0
    digest: str = ""
    stamp: str | None = None
    """What changes when a file of the documents folder does."""
    data: bytes | None = None
    """The file, if it is kept for the preview."""
    kept: bool = True


class Library:
    """Adds and removes pages, and finds passages."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_page(
        self,
        project_id: int,
        source_id: int,
        page: NewPage,
        now: float,
        ready_at: float = 0.0,
        *,
        page_id: int | None = None,
    ) -> int:
        """Add a page, index it, and return its id. It counts as indexed from `ready_at` on (real time).

        `page_id`: the id of the page that this one replaces; by default it gets a new one.
        """
        document = page.document
        with self._store.transaction():
            number = self._store.insert(
                "pages",
                {
                    "id": page_id,
                    "project_id": project_id,
                    "source_id": source_id,
                    "key": page.key,
                    "url": page.url,
                    "is_file": page.filename is not None,
                    "is_file_kept": page.filename is not None and page.kept,
                    "filename": page.filename,
                    "filesize": page.filesize,
                    "digest": page.digest or hashlib.sha256(page.key.encode()).hexdigest(),
                    "stamp": page.stamp,
                    "data": page.data,
                    "words": len(document.text.split()) if document else 0,
                    "failure": page.failure,
                    "ready_at": ready_at,
                    "created_at": now,
                    "updated_at": now,
                },
            )
            self._store.insert(
                "metadata",
                {
                    "page_id": number,
                    "title": document.title if document else page.filename or page.key,
                    "url": (document.url if document else None) or page.url,
                    "description": document.description if document else None,
                    "image": document.image if document else None,
                    "created_at": now,
                    "updated_at": now,
                },
            )
            if document is not None:
                rows = [
                    (number * PER_PAGE + position, passage.text, passage.heading, document.title)
                    for position, passage in enumerate(split_passages(document.text)[:PER_PAGE])
                ]
                self._store.db.executemany(
                    f"INSERT INTO passages_{project_id:d} (rowid, text, heading, title) VALUES (?, ?, ?, ?)",  # noqa: S608 - a number of ours
                    rows,
                )
        return number

    def remove_page(self, project_id: int, page_id: int) -> None:
        """Remove a page and its passages."""
        with self._store.transaction():
            self._store.db.execute(
                f"DELETE FROM passages_{project_id:d} WHERE rowid BETWEEN ? AND ?",  # noqa: S608 - a number of ours
                (page_id * PER_PAGE, (page_id + 1) * PER_PAGE - 1),
            )
            self._store.db.execute("DELETE FROM pages WHERE id = ?", (page_id,))

    def page(self, page_id: int) -> sqlite3.Row | None:
        """Return a page of any agent, or None."""
        return self._store.one("SELECT * FROM pages WHERE id = ?", page_id)

    def metadata(self, page_id: int) -> sqlite3.Row:
        """Return the metadata of a page."""
        return self._store.row("metadata", "page_id", page_id)

    def is_active(self, project_id: int, now: float) -> bool:
        """Return whether the agent has an indexed page. Otherwise it does not answer."""
        row = self._store.one(
            "SELECT 1 FROM pages WHERE project_id = ? AND failure IS NULL AND ready_at <= ? LIMIT 1",
            project_id,
            now,
        )
        return row is not None

    def replicate(self, project_id: int, name: str, slug: str, now: float) -> int:
        """Copy an agent with its settings, sources, pages and index, and return the copy's id."""
        store = self._store
        with store.transaction():
            copy = store.add_agent(name, slug, now)
            store.db.execute(
                "UPDATE agents SET (settings, type) = "
                "(SELECT settings, type FROM agents WHERE id = ?) WHERE id = ?",
                (project_id, copy),
            )
            store.db.execute("DELETE FROM sources WHERE project_id = ?", (copy,))
            for source in store.all("SELECT * FROM sources WHERE project_id = ? ORDER BY id", project_id):
                settings = json.loads(source["settings"])
                source_id = store.add_source(copy, source["type"], settings, now)
                for page in store.all("SELECT * FROM pages WHERE source_id = ? ORDER BY id", source["id"]):
                    self._copy_page(page, copy, source_id, now)
        return copy

    def _copy_page(self, page: sqlite3.Row, project_id: int, source_id: int, now: float) -> None:
        own = {"project_id": project_id, "source_id": source_id, "created_at": now, "updated_at": now}
        values = {name: page[name] for name in page.keys() if name != "id"}  # noqa: SIM118 - a row gives its values
        number = self._store.insert("pages", {**values, **own})
        metadata = self.metadata(page["id"])
        shown = {name: metadata[name] for name in ("title", "url", "description", "image")}
        self._store.insert("metadata", {"page_id": number, **shown, "created_at": now, "updated_at": now})
        self._store.db.execute(
            f"INSERT INTO passages_{project_id:d} (rowid, text, heading, title) "  # noqa: S608 - numbers of ours
            f"SELECT rowid + ?, text, heading, title FROM passages_{page['project_id']:d} "
            "WHERE rowid BETWEEN ? AND ?",
            ((number - page["id"]) * PER_PAGE, page["id"] * PER_PAGE, (page["id"] + 1) * PER_PAGE - 1),
        )

    def search(self, project_id: int, terms: Terms, now: float) -> list[Candidate]:
        """Return the passages with any of the terms, ranked by BM25. Headings and titles weigh more."""
        if not terms:
            return []
        table = f"passages_{project_id:d}"
        rows = self._store.all(
            "SELECT found.*, pages.key, pages.ready_at FROM ("  # noqa: S608 - a number of ours
            f"SELECT rowid AS place, text, heading, title, bm25({table}, 1.0, 2.0, 1.5) AS rank FROM {table} "
            f"WHERE {table} MATCH ? ORDER BY rank, place LIMIT {FOUND}"
            f") AS found JOIN pages ON pages.id = place / {PER_PAGE} ORDER BY rank, place",
            terms.match,
        )
        return [
            Candidate(
                row["place"] // PER_PAGE,
                row["key"],
                row["place"] % PER_PAGE,
                row["title"],
                row["heading"],
                row["text"],
                round(-row["rank"], 6),
            )
            for row in rows
            if row["ready_at"] <= now
        ]
