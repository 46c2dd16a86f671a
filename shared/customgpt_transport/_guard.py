"""A lock that the garbage collector may meet.

A stream that is dropped unread gives its turn back when it is collected, and collection can happen in the
middle of anything, on a thread that holds the very lock that this needs.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable


class Guard:
    """A lock, and work to do as soon as it is free: `with guard, guard.lock: ...`.

    The lock itself stands in the `with`, because an exception from a signal (Ctrl-C) can land anywhere in a
    Python function, between taking a lock and saying so too: then nobody would ever let go of it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._later: deque[Callable[[], object]] = deque()

    def __enter__(self) -> None:
        """Do nothing: the work is done on leaving, when the lock is free again."""

    def __exit__(self, *_: object) -> None:
        while self._later and not self.lock.locked():
            work = self._later[0]
            work()
            with contextlib.suppress(ValueError):  # another thread did it, too
                self._later.remove(work)

    def soon(self, work: Callable[[], object]) -> None:
        """Run `work` now if the lock is free, otherwise as soon as it is.

        It takes `lock` itself (without entering the guard again), and is harmless when repeated. Never waits
        for what the own thread holds; whoever holds the lock looks here after letting go, so nothing that is
        added meanwhile is forgotten.
        """
        self._later.append(work)
        self.__exit__()
