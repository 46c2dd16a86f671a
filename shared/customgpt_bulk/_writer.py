"""Writes to the ledger off the event loop, those that come together in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from customgpt_bulk._ledger import Ledger, Statement

T = TypeVar("T")


class Writer:
    """The only thread that touches the ledger while a run goes on."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, "customgpt-ledger")
        self._waiting: list[tuple[Statement, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, statement: Statement, *, withdraw: bool = False) -> None:
        """Return when this is on the disk. Cancelled, it is written all the same, unless `withdraw`."""
        entry = statement, asyncio.get_running_loop().create_future()
        self._waiting.append(entry)
        if self._flushing is None:
            self._flushing = asyncio.ensure_future(self._flush())
        try:
            await entry[1]
        except asyncio.CancelledError:
            if withdraw and entry in self._waiting:
                self._waiting.remove(entry)
            raise

    async def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """Return what a method of the ledger returns."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, query, *arguments)

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                failure: Exception | None = None
                try:
                    await self.read(self._ledger.commit, [statement for statement, _ in batch])
                except Exception as error:
                    failure = error
                for _, done in batch:
                    if not done.done():
                        done.set_result(None) if failure is None else done.set_exception(failure)
        finally:
            self._flushing = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread, and write what still waits."""
        self._thread.shutdown()
        left, self._waiting = self._waiting, []
        if left:
            self._ledger.commit([statement for statement, _ in left])
