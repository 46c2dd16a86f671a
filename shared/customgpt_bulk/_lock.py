"""One run at a time on a ledger, by a lock of the operating system: it ends with its process, however."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from customgpt_bulk.models import LedgerInUse
from customgpt_transport import ConfigurationError


class Lock:
    """The right to change a ledger, held from `with` to its end. Raises `LedgerInUse` when it is taken.

    The lock is on a file of its own beside the ledger, which stays there: SQLite's own locks on the ledger
    would be lost when another handle of it is closed.
    """

    def __init__(self, ledger: str | os.PathLike[str]) -> None:
        self._ledger = Path(ledger)
        self._handle: int | None = None

    def __enter__(self) -> Lock:
        path = self._ledger.with_name(self._ledger.name + ".lock")
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"There can be no ledger {self._ledger}: {error}.") from error
        try:
            _lock(handle)
        except OSError as error:
            owner = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            by = f"process {owner}" if owner else "another process"
            raise LedgerInUse(
                f"{self._ledger} is in use by {by}: one ledger is one run at a time. Nothing was sent. "
                "Wait for it to end, or use another ledger; status and export can be read meanwhile."
            ) from error
        os.truncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)  # which unlocks it
            self._handle = None


if sys.platform == "win32":
    import msvcrt

    _FAR = 2**30  # the byte that is locked: on Windows a locked one cannot be read, and the first are the pid

    def _lock(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
