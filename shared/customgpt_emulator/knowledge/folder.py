"""The documents folder: its files, what has changed, and what could not be read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from customgpt_emulator.knowledge.documents import SUFFIXES, Unreadable, read_document
from customgpt_emulator.knowledge.library import Library, NewPage
from customgpt_emulator.state.store import Store

__all__ = ["Folder", "Skipped", "sync"]

BATCH = 200  # documents per transaction


@dataclass(frozen=True)
class Skipped:
    """A file that was not indexed."""

    path: str
    reason: str


@dataclass(frozen=True)
class Folder:
    """A folder of documents, which is only read. Links to files are followed, links to folders are not."""

    root: Path

    def check(self) -> None:
        """Raise `FileNotFoundError` or `NotADirectoryError` if it is not a folder."""
        if not self.root.exists():
            raise FileNotFoundError(
                f"The documents folder {self.root} does not exist: create it, or name another one."
            )
        if not self.root.is_dir():
            raise NotADirectoryError(f"{self.root} is a file: name the folder that contains the documents.")

    def stamps(self) -> dict[str, str]:
        """Return the visible files, sorted by path, each with a stamp that changes when it does."""
        found = {}
        for path, names, files in os.walk(self.root):
            names[:] = [name for name in names if not name.startswith(".")]
            for name in files:
                if name.startswith("."):
                    continue
                file = Path(path, name)
                try:
                    status = file.stat()
                except OSError:
                    continue  # a broken link, or removed meanwhile
                if not stat.S_ISREG(status.st_mode):
                    continue  # a pipe or socket, which might block for ever
                found[file.relative_to(self.root).as_posix()] = f"{status.st_size}-{status.st_mtime_ns}"
        return dict(sorted(found.items()))

    def read(self, key: str, stamp: str) -> NewPage | Skipped:
        """Return one document, or why it was skipped."""
        name = os.fsencode(key).decode("utf-8", "replace")
        if name != key:
            return Skipped(name, "its name is not UTF-8")
        try:
            if Path(key).suffix.lower() not in SUFFIXES:  # checked before it is read: it may be large
                raise Unreadable(f"{Path(key).suffix or 'a file without a suffix'} is not supported")
            data = (self.root / key).read_bytes()
            document = read_document(key, data)
        except Unreadable as error:
            return Skipped(key, str(error))
        except OSError as error:
            return Skipped(key, error.strerror or str(error))
        digest = hashlib.sha256(data).hexdigest()
        return NewPage(key, document, filename=Path(key).name, filesize=len(data), digest=digest, stamp=stamp)

    def changes(self, known: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        """Return (keys gone or changed, stamps of keys new or changed), compared with `known`."""
        now = self.stamps()
        stale = [key for key, stamp in known.items() if now.get(key) != stamp]
        return stale, {key: stamp for key, stamp in now.items() if known.get(key) != stamp}


def sync(
    folder: Folder,
    store: Store,
    library: Library,
    *,
    project_id: int,
    source_id: int,
    now: float,
    progress: Callable[[int, int], None] | None = None,
) -> list[Skipped]:
    """Bring the agent's pages up to date with the folder and return the skipped files, in order.

    The page of a changed document keeps its id, since earlier answers cite it. `progress` is called with
    (done, total) after each document.
    """
    rows = store.all("SELECT id, key, stamp FROM pages WHERE source_id = ? AND stamp IS NOT NULL", source_id)
    ids = {row["key"]: row["id"] for row in rows}
    stale, fresh = folder.changes({row["key"]: row["stamp"] for row in rows})
    with store.transaction():
        for key in stale:
            library.remove_page(project_id, ids[key])
    skipped: list[Skipped] = []
    done = 0
    for batch in _batches(list(fresh.items())):
        with store.transaction():
            for key, stamp in batch:
                page = folder.read(key, stamp)
                if isinstance(page, Skipped):
                    skipped.append(page)
                else:
                    library.add_page(project_id, source_id, page, now, page_id=ids.get(key))
                done += 1
                if progress is not None:
                    progress(done, len(fresh))
    return skipped


def _batches(items: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
