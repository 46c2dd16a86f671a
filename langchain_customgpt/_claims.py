"""Which prompts of which conversations this process has seen continued.

A conversation on the server is a line, not a tree: whatever is sent lands at its end. Two histories that
share a beginning (a regenerated answer, a batch on one prefix, time travel) must not both continue it. The
first claim wins; whoever comes second starts a new conversation. The registry lives in one process: several
worker processes on one conversation set `verify_tip="remote"`.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

SESSIONS = 10_000


@dataclass(frozen=True)
class SessionKey:
    """One conversation, wherever it lives."""

    service: str
    project_id: int
    session_id: str


@dataclass(frozen=True)
class Tip:
    """The newest prompt known of a conversation; `taken` once something has been sent after it."""

    prompt_id: int
    taken: bool


class ClaimRegistry:
    """The newest prompt of each conversation and whether it has been continued; bounded, oldest use out.

    Prompt ids grow within a conversation, so a higher one is newer. Safe from many threads, and after a fork.
    """

    def __init__(self, sessions: int = SESSIONS) -> None:
        self._sessions = sessions
        self._tips: OrderedDict[SessionKey, Tip] = OrderedDict()
        self._renew_lock()
        if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
            os.register_at_fork(after_in_child=self._renew_lock)

    def claim(self, key: SessionKey, prompt_id: int) -> bool:
        """Whether the caller may continue after `prompt_id`; True at most once for each prompt."""
        with self._lock:
            tip = self._tips.get(key)
            if tip is not None and (prompt_id < tip.prompt_id or (prompt_id == tip.prompt_id and tip.taken)):
                return False
            self._put(key, Tip(prompt_id, taken=True))
            return True

    def take(self, key: SessionKey) -> None:
        """Note that something is being sent to the conversation, whatever its newest prompt is."""
        with self._lock:
            tip = self._tips.get(key)
            if tip is not None:
                self._put(key, replace(tip, taken=True))

    def release(self, key: SessionKey, prompt_id: int) -> None:
        """Give a claim back: what was to follow `prompt_id` provably never reached the conversation."""
        with self._lock:
            if self._tips.get(key) == Tip(prompt_id, taken=True):
                self._put(key, Tip(prompt_id, taken=False))

    def advance(self, key: SessionKey, prompt_id: int) -> None:
        """Note that `prompt_id` was answered: the conversation now continues from there."""
        with self._lock:
            tip = self._tips.get(key)
            if tip is None or prompt_id > tip.prompt_id:
                self._put(key, Tip(prompt_id, taken=False))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._tips.clear()

    def __len__(self) -> int:
        return len(self._tips)

    def _put(self, key: SessionKey, tip: Tip) -> None:
        self._tips[key] = tip
        self._tips.move_to_end(key)
        while len(self._tips) > self._sessions:
            self._tips.popitem(last=False)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


CLAIMS = ClaimRegistry()
