"""Watching the documents folder for changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from customgpt_emulator.knowledge.documents import SUFFIXES
from customgpt_emulator.knowledge.folder import Folder

__all__ = ["Watcher"]

logger = logging.getLogger("customgpt_emulator")
QUIET = 1000  # milliseconds without changes after which the folder itself is checked


class Watcher:
    """A thread that calls `changed` when documents are added, changed or removed.

    `changed` is called in that thread, once for changes that come together. What it raises is logged. Raises
    `ImportError`, which says what to install, if watchfiles is missing.
    """

    def __init__(self, folder: Folder, changed: Callable[[], None]) -> None:
        self._watch = _watch_function()
        self._folder = folder
        self._changed = changed
        self._stop = threading.Event()
        self._seen = self._documents()
        self._thread = threading.Thread(target=self._run, name="customgpt-emulator-watch", daemon=True)

    def start(self) -> None:
        """Start to watch. Changes since this object was made count, too."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after a running call of `changed`."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            watched = _identity(self._folder.root)
            if watched is None:  # the folder was removed; it may come back
                self._look()
                self._stop.wait(QUIET / 1000)
                continue
            self._follow(watched)

    def _follow(self, watched: tuple[int, int]) -> None:
        """Watch until told to stop, or until another folder takes the place of this one."""
        changes = self._watch(
            self._folder.root,
            watch_filter=None,
            stop_event=self._stop,
            rust_timeout=QUIET,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        caught_up = False  # documents may have changed before the system started to report
        try:
            for news in changes:
                if news or not caught_up:
                    self._look()
                    caught_up = True
                if _identity(self._folder.root) != watched:
                    return
        except FileNotFoundError:
            return  # removed before it could be watched
        finally:
            changes.close()

    def _look(self) -> None:
        now = self._documents()
        if now == self._seen:
            return
        before, self._seen = self._seen, now
        try:
            self._changed()
        except Exception:
            logger.exception("the changed documents could not be indexed")
        else:
            logger.info("%s", _summary(before, now))

    def _documents(self) -> dict[str, str]:
        stamps = self._folder.stamps()
        return {key: stamp for key, stamp in stamps.items() if PurePosixPath(key).suffix.lower() in SUFFIXES}


def _watch_function() -> Callable[..., Any]:
    try:
        from watchfiles import watch
    except ImportError as error:
        raise ImportError(
            'Watching the documents folder needs watchfiles: pip install "customgpt-adapters[emulator]", '
            "or switch it off (watch=False, --no-watch)."
        ) from error
    return watch


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        stat = root.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _summary(before: dict[str, str], now: dict[str, str]) -> str:
    """Return `Documents: 1 added, 2 changed`; a single document is named."""
    added = sorted(now.keys() - before.keys())
    removed = sorted(before.keys() - now.keys())
    changed = sorted(key for key in now.keys() & before.keys() if now[key] != before[key])
    kinds = {"added": added, "changed": changed, "removed": removed}
    told = [
        f"{len(keys)} {kind}" if len(keys) > 1 else f"{keys[0]} {kind}"
        for kind, keys in kinds.items()
        if keys
    ]
    return "Documents: " + ", ".join(told)
