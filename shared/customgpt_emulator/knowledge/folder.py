"""The documents folder: its files, what has changed, and what could not be read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from customgpt_emulator.knowledge.documents import SUFFIXES, Unreadable, read_document
from customgpt_emulator.knowledge.library import Library, NewPage
from customgpt_emulator.state.store import Store

__all__ = ["BATCH", "Folder", "Skipped", "sync"]

T = TypeVar("T")
BATCH = 200  # documents per transaction, while nobody is served


@dataclass(frozen=True)
class Skipped:
    """A file that was not indexed."""

    path: str
    reason: str


@dataclass(frozen=True)
class Folder:
    """A folder of documents, which is only read.

    Links to folders are never followed, and links to files outside only with `follow_links`.
    """

    root: Path
    follow_links: bool = False

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
                if file.is_symlink() and not (self.follow_links or file.resolve().is_relative_to(self.root)):
                    continue
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
    batch: int = BATCH,
) -> Generator[None, None, list[Skipped]]:
    """Bring the agent's pages up to date with the folder and return the skipped files, in order.

    It yields after each transaction, which is about `batch` documents at most. The page of a changed document
    keeps its id, since earlier answers cite it: it is removed and added in one transaction, so that a kill
    cannot come in between. `progress` is called with (done, total) after each document.
    """
    rows = store.all("SELECT id, key, stamp FROM pages WHERE source_id = ? AND stamp IS NOT NULL", source_id)
    ids = {row["key"]: row["id"] for row in rows}
    stale, fresh = folder.changes({row["key"]: row["stamp"] for row in rows})
    for gone in _batches([key for key in stale if key not in fresh], batch):
        with store.transaction():
            for key in gone:
                library.remove_page(project_id, ids[key])
        yield
    skipped: list[Skipped] = []
    done = 0
    for some in _batches(list(fresh.items()), batch):
        with store.transaction():
            for key, stamp in some:
                page = folder.read(key, stamp)
                if key in ids:
                    library.remove_page(project_id, ids[key])
                if isinstance(page, Skipped):
                    skipped.append(page)
                else:
                    library.add_page(project_id, source_id, page, now, page_id=ids.get(key))
                done += 1
                if progress is not None:
                    progress(done, len(fresh))
        yield
    return skipped


def _batches(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
