"""Ctrl-C: it ends a command within a second, wherever the program happens to be."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupts"]

GRACE = 0.7
"""Seconds that a command has to leave in its own way."""

INTERRUPTED = 130


class Interrupts:
    """Ends the process when Ctrl-C has not ended the command soon, or at the second Ctrl-C.

    Python raises `KeyboardInterrupt` between two steps of the main thread, and so not while that waits in C,
    as it does while a name is looked up. A thread that the signals wake needs no such step.
    """

    def __init__(self) -> None:
        self._grace: float | None = GRACE
        self._ended = threading.Event()
        self._ours: socket.socket | None = None

    @contextmanager
    def answered_by_the_command(self) -> Iterator[None]:
        """Meanwhile the command itself says what Ctrl-C does; nothing here ends the process."""
        before, self._grace = self._grace, None
        try:
            yield
        finally:
            self._grace = before

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._ended.clear()
        self._ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._theirs, self._before = theirs, signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(self._ours,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._ours is None:
            return
        self._ended.set()
        signal.set_wakeup_fd(self._before)
        self._theirs.close()  # ends the thread, which closes the other half
        self._ours = None

    def _watch(self, ours: socket.socket) -> None:
        came = 0
        with ours:
            while signals := ours.recv(64):
                if self._grace is None:
                    continue
                came += signals.count(signal.SIGINT)
                if came > 1 or (came and not self._ended.wait(self._grace)):
                    os._exit(INTERRUPTED)


interrupts = Interrupts()
