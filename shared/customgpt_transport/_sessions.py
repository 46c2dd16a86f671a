"""Which prompt has its turn in each conversation of this process, and which prompts are known there.

Two prompts must not run in one conversation at once: the service would interleave them. Everything here is
shared by all clients of the process, threads and event loops alike. No lock is held while anything waits: a
waiter is a `concurrent.futures.Future`, which a thread can wait for and a loop can be woken by.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import OrderedDict
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from customgpt_transport._guard import Guard
from customgpt_transport.errors import ConfigurationError

REMEMBERED = 10_000
"""For how many conversations the greatest prompt id is remembered."""

Key: TypeAlias = tuple[str, str]
"""Origin of the service, session id."""


_local = threading.local()


def _this_thread() -> object:
    """Return an object that stands for this thread. Its number would be reused once it has ended."""
    try:
        return _local.name
    except AttributeError:
        name = _local.name = object()
        return name


class Owner:
    """The thread, and the task if there is one, from which a call was made."""

    __slots__ = ("_task", "_thread")

    def __init__(self) -> None:
        self._thread = _this_thread()
        try:
            task: asyncio.Task[Any] | None = asyncio.current_task()
        except RuntimeError:  # no loop runs here
            task = None
        self._task = None if task is None else weakref.ref(task)

    def would_block(self, other: Owner, *, blocking: bool) -> bool:
        """Whether waiting for `other` could never end, because `other` is what the wait would block."""
        if self._thread is not other._thread:
            return False
        if blocking or self._task is None:
            return True
        return other._task is not None and self._task() is other._task()


@dataclass(eq=False)
class Ticket:
    """A prompt's ticket in the line of its conversation. `granted` is done once it is the first.

    The registry holds it weakly: it ends with the call or the stream that asked for it, however that ends.
    Ctrl-C can land between any two steps, also between getting a turn and being ready to give it back.
    """

    key: Key
    owner: Owner
    granted: Future[None] = field(default_factory=Future)


class Sessions:
    """The registry. One per process, see `sessions`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything; for tests, and in a forked child: another thread may have held the lock."""
        self._guard = Guard()
        self._turns: dict[Key, list[weakref.ref[Ticket]]] = {}  # the first of each has the turn
        self._seen: OrderedDict[Key, int] = OrderedDict()

    def join(self, key: Key, *, blocking: bool) -> Ticket:
        """Join the line. The turn has come when `granted` is done, often at once.

        Raises `ConfigurationError` when the caller itself holds the turn and so could never get it.
        """
        ticket = Ticket(key, Owner())
        with self._guard, self._guard.lock:
            line = [ref for ref in self._turns.get(key, ()) if ref() is not None]
            first = line[0]() if line else None
            if first is not None and ticket.owner.would_block(first.owner, blocking=blocking):
                raise ConfigurationError(
                    "Close the open stream first: this conversation still answers an earlier prompt, and the "
                    "same thread or task cannot both read that answer and wait for it. Read it to the end, "
                    "leave its with block, or use another session_id."
                )
            self._turns[key] = [*line, weakref.ref(ticket, partial(self._abandoned, key))]
            if not line:
                ticket.granted.set_result(None)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """End a turn, or stop waiting for one, and let the next have it. Harmless when repeated."""
        with self._guard:
            self._leave(ticket.key, ticket)

    def _leave(self, key: Key, ticket: Ticket | None = None) -> None:
        with self._guard.lock:
            line = [ref for ref in self._turns.get(key, ()) if ref() not in (None, ticket)]
            self._turns[key] = line
            first = line[0]() if line else None
            if not line:
                del self._turns[key]
        if first is not None:
            grant(first.granted)

    def _abandoned(self, key: Key, _: object) -> None:
        self._guard.soon(partial(self._leave, key))

    def seen(self, key: Key) -> int:
        """Return the greatest prompt id known in the conversation, 0 when none is."""
        with self._guard, self._guard.lock:
            return self._seen.get(key, 0)

    def note(self, key: Key, prompt_id: int | None) -> None:
        """Remember a prompt id of the conversation."""
        if prompt_id is None:
            return
        with self._guard, self._guard.lock:
            self._seen[key] = max(prompt_id, self._seen.pop(key, 0))
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)


def grant(right: Future[None]) -> None:
    """Wake who waits for `right`, outside any lock, since that runs callbacks. Harmless when repeated."""
    with suppress(InvalidStateError):  # granted already, or who waited for it gave up and leaves by itself
        right.set_result(None)


sessions = Sessions()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=sessions.clear)
