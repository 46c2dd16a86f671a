"""Which prompts of which conversations this process has seen continued.

A conversation on the server is a line, not a tree: whatever is sent lands at its end. Two histories that
share a beginning (a regenerated answer, a batch on one prefix, time travel) must not both continue it. The
first claim wins, and whoever comes second starts a new conversation. The registry lives in one process and
knows nothing of other processes or of earlier ones. A claim that it cannot judge is "unknown", and the server
must be asked. Processes that take turns on one conversation always ask; that is no lock, because asking and
sending are two requests, and two processes may both be told to go on.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["CLAIMS", "ClaimRegistry", "SessionKey", "Verdict"]

SESSIONS = 10_000

Verdict = Literal["granted", "refused", "unknown"]


@dataclass(frozen=True)
class SessionKey:
    """A conversation of an agent, on one of several possible servers."""

    service: str
    project_id: int
    session_id: str

    @property
    def agent(self) -> tuple[str, int]:
        """Whose conversation it is."""
        return self.service, self.project_id


@dataclass(frozen=True)
class Tip:
    """The newest known prompt of a conversation. `taken` is True once something has been sent after it.

    `prompt_id` is None when something has been sent and nothing else is known. `seen` is whether this process
    has itself seen the prompt at the end of the conversation, rather than learned of it from a history.
    """

    prompt_id: int | None
    taken: bool
    seen: bool = True


class ClaimRegistry:
    """The newest prompt of each conversation, and whether it has been continued.

    The registry keeps the `sessions` that were used last. Prompt ids grow within a conversation, so a higher
    one is newer. Many threads may use it, also after a fork.
    """

    def __init__(self, sessions: int = SESSIONS) -> None:
        self._sessions = sessions
        self._tips: OrderedDict[SessionKey, Tip] = OrderedDict()
        self._renew_lock()
        if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
            os.register_at_fork(after_in_child=self._renew_lock)

    def claim(self, key: SessionKey, prompt_id: int) -> Verdict:
        """Claim the right to continue after `prompt_id`.

        "granted": nothing has been sent after it. "refused": something has been, or is being. "unknown": the
        claim is granted, but this process has never seen `prompt_id` at the end of the conversation, and only
        the server knows whether it is there.
        """
        with self._lock:
            tip = self._tips.get(key)
            if tip is None or (tip.prompt_id is not None and prompt_id > tip.prompt_id):
                self._put(key, Tip(prompt_id, taken=True, seen=False))
                return "unknown"
            if tip.taken or prompt_id != tip.prompt_id:
                return "refused"
            self._put(key, replace(tip, taken=True))
            return "granted"

    def take(self, key: SessionKey) -> None:
        """Record that something is being sent to the conversation, whatever its newest prompt is."""
        with self._lock:
            tip = self._tips.get(key, Tip(None, taken=True))
            self._put(key, replace(tip, taken=True))

    def release(self, key: SessionKey, prompt_id: int | None) -> None:
        """Release a claim, because what was to follow `prompt_id` provably never reached the conversation.

        None gives up a `take` of a conversation of which nothing was known.
        """
        with self._lock:
            tip = self._tips.get(key)
            if tip is None or not tip.taken or tip.prompt_id != prompt_id:
                return
            if tip.seen and prompt_id is not None:
                self._put(key, replace(tip, taken=False))
            else:
                del self._tips[key]

    def advance(self, key: SessionKey, prompt_id: int) -> None:
        """Record that `prompt_id` is now at the end of the conversation."""
        with self._lock:
            tip = self._tips.get(key)
            if tip is None or tip.prompt_id is None or prompt_id > tip.prompt_id:
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
