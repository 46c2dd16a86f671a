"""Answers that are stored but not visible yet."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from customgpt_emulator.state.store import Store

__all__ = ["Withheld", "waiting_time"]


@dataclass
class _Hidden:
    row: dict[str, Any]
    session_id: str
    polls: int
    until: float


class Withheld:
    """Keeps messages out of the store until they may be seen. It belongs to the emulator's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._messages: list[_Hidden] = []

    def hide(self, row: sqlite3.Row, visible_after: int | str, now: float) -> None:
        """Take a message out of the store; `visible_after` is as in `waiting_time`, `now` the real time."""
        polls, seconds = waiting_time(visible_after)
        if not polls and not seconds:
            return
        # Not the one in the path: a completion has a conversation of its own.
        conversation = self._store.one(
            "SELECT session_id FROM conversations WHERE id = ?", row["conversation_id"]
        )
        session_id = "" if conversation is None else conversation["session_id"]
        self._store.db.execute("DELETE FROM messages WHERE id = ?", (row["id"],))
        self._messages.append(_Hidden(dict(row), session_id, polls, now + seconds))

    def reveal(self, now: float, *, polled: str | None = None) -> None:
        """Put back what may be seen by now. `polled` is the conversation whose messages are asked for."""
        left = []
        for message in self._messages:
            if message.polls or now < message.until:
                left.append(message)
                if polled == message.session_id:
                    message.polls = max(0, message.polls - 1)
            else:
                self._put_back(message)
        self._messages = left

    def reveal_all(self) -> None:
        """Put back everything, so that a state file keeps it."""
        for message in self._messages:
            self._put_back(message)
        self.forget()

    def forget(self) -> None:
        """Drop all of them. The store was emptied."""
        self._messages.clear()

    def _put_back(self, message: _Hidden) -> None:
        with contextlib.suppress(sqlite3.IntegrityError):  # its conversation was deleted
            self._store.insert("messages", message.row)


def waiting_time(visible_after: int | str | None) -> tuple[int, float]:
    """Return (polls, seconds): `2` is two polls, `"1.5s"` seconds. Raises `ValueError` for anything else."""
    if visible_after is None:
        return 0, 0.0
    if isinstance(visible_after, int) and not isinstance(visible_after, bool) and visible_after >= 0:
        return visible_after, 0.0
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?s", str(visible_after))
    if match is None:
        raise ValueError(
            f"visible_after must be a count of polls, such as 2, or seconds, such as '1.5s', "
            f"not {visible_after!r}."
        )
    return 0, float(match[1])
