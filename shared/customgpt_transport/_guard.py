"""A lock that the garbage collector may meet.

A stream that is dropped unread gives its turn back when it is collected, and collection can happen in the
middle of anything, on a thread that holds the very lock that this needs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Guard:
    """A lock for `with`. What `soon` is given runs at once if the lock is free, else when it becomes so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._later: deque[Callable[[], object]] = deque()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._sweep()

    def soon(self, work: Callable[[], object]) -> None:
        """Have `work` run, which may take the lock itself. Never waits for a holder of the lock.

        Whoever holds it looks here after letting go, so nothing that is added meanwhile is forgotten.
        """
        self._later.append(work)
        self._sweep()

    def _sweep(self) -> None:
        while self._later and self._lock.acquire(blocking=False):
            self._lock.release()
            try:
                work = self._later.popleft()
            except IndexError:  # another thread took it
                return
            work()
