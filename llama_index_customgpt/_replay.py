"""One source, one buffer, many readers: a stream that can be read any number of times, from anywhere.

A pump takes the next piece from its source only when a reader has read all the pieces in the buffer. The
source is a generator of text; an empty piece says that the stream is open, and no reader gets it. What ends
the source early is kept: an error is raised to every later reader as well. After somebody has hung up, what
has been read stays readable, and only those who were reading get an error.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

from customgpt_transport.errors import StreamInterrupted
from llama_index_customgpt._buffer import Buffer

__all__ = ["AsyncPump", "Pump"]


class Pump(Buffer):
    """The sync pump. Several threads may read it at once.

    `hang_up` closes the connection from any thread, which wakes the one that waits for the next piece.
    """

    def __init__(
        self,
        source: Generator[str, None, None] | None = None,
        *,
        hang_up: Callable[[], None] | None = None,
        hang_up_on_leave: bool = False,
    ) -> None:
        super().__init__(hang_up_on_leave=hang_up_on_leave)
        self._source = source
        self._hang_up = hang_up
        self._lock = threading.RLock()
        self._pulling = False

    def open(self) -> None:
        """Send the request now instead of at the first read. Raises the service's refusal."""
        self._pull()

    def piece(self, position: int) -> str | None:
        """Return piece number `position`, from 0, waiting for it; None when the answer ends before it."""
        while position >= len(self.pieces):
            with self._lock:
                if position < len(self.pieces):
                    break
                if self.ended:
                    self._raise_error()
                    return None
                self._pull()
        return self.pieces[position]

    def _pull(self) -> None:
        with self._lock:
            if self._source is None:
                return
            if self._pulling:  # by a tracer, from inside the event that ends the answer
                raise RuntimeError("This answer is already being read, further up the stack of this thread.")
            if self._stopping:  # another thread is hanging up and waits for the lock
                self._close_source()
                return
            self._pulling = True
            try:
                piece = next(self._source)
            except StopIteration:
                self._source, self.ended = None, True
            except BaseException as error:
                self._source = None
                if not self._is_cut(error):
                    raise
            else:
                if piece:
                    self.pieces.append(piece)
            finally:
                self._pulling = False

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._cut()
            source.close()

    def replay(self, start: int = 0) -> Generator[str, None, None]:
        """Yield the pieces from number `start` on, as they come."""
        try:
            with self._reading():
                while (piece := self.piece(start)) is not None:
                    yield piece
                    start += 1
        finally:
            if self._deserted:
                self.close()

    def drain(self) -> str:
        """Return the whole text, reading to the end."""
        with self._reading():
            while self.piece(len(self.pieces)) is not None:
                pass
        return self.text

    def close(self) -> None:
        """Hang up, waking a thread that waits for the next piece. What has been read stays readable."""
        self._stop(None)

    def leave(self) -> None:
        """Hang up. Whoever reads it, now or later, gets an error that says so."""
        self._stop(self._left())

    def _stop(self, error: StreamInterrupted | None) -> None:
        before = self.hung_up
        if not self._lock.acquire(blocking=False):
            self._stopping = True
            if self._hang_up is not None:
                self._hang_up()
            self._lock.acquire()
        try:
            self._close_source()
            if error is not None and self.hung_up is not before:
                self.error = error
        finally:
            self._lock.release()


class AsyncPump(Buffer):
    """The async pump. Several tasks may read it at once, all on the event loop that claims it first."""

    def __init__(
        self,
        source: AsyncGenerator[str, None] | None = None,
        *,
        hang_up: Callable[[], Awaitable[None]] | None = None,
        hang_up_on_leave: bool = False,
    ) -> None:
        super().__init__(hang_up_on_leave=hang_up_on_leave)
        self._source = source
        self._hang_up = hang_up
        self._lock = asyncio.Lock()  # belongs to the loop that has claimed the pump
        self._claiming = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.outside = threading.Lock()  # held by a thread that wants the text without a loop

    def claim(self) -> bool:
        """Make the running loop the one that reads, if there is none yet. Return whether it is."""
        loop = asyncio.get_running_loop()
        with self._claiming:
            if self.loop is None:
                self.loop = loop
        return self.loop is loop

    async def open(self) -> None:
        """Send the request now instead of at the first read. Raises the service's refusal."""
        self._claim_or_raise()
        async with self._lock:
            await self._pull()

    async def piece(self, position: int) -> str | None:
        """Return piece number `position`, from 0, waiting for it; None when the answer ends before it."""
        while position >= len(self.pieces):
            if self.ended:
                self._raise_error()
                return None
            self._claim_or_raise()
            async with self._lock:
                if position >= len(self.pieces):
                    await self._pull()
        return self.pieces[position]

    def _claim_or_raise(self) -> None:
        if self.claim():
            return
        if self.loop is not None and self.loop.is_closed():
            self.abandon()
            self._raise_error()
        raise RuntimeError("This answer is being read on another event loop: read it to its end there first.")

    async def _pull(self) -> None:
        if self._source is None:
            return
        if self._stopping:  # another task is hanging up and waits for the lock
            await self._close_source()
            return
        try:
            piece = await self._source.__anext__()
        except StopAsyncIteration:
            self._source, self.ended = None, True
        except BaseException as error:
            self._source = None
            if not self._is_cut(error):
                raise
        else:
            if piece:
                self.pieces.append(piece)

    async def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._cut()
            await source.aclose()

    async def replay(self, start: int = 0) -> AsyncGenerator[str, None]:
        """Yield the pieces from number `start` on, as they come."""
        try:
            with self._reading():
                while (piece := await self.piece(start)) is not None:
                    yield piece
                    start += 1
        finally:
            if self._deserted:
                await self.aclose()

    async def drain(self) -> str:
        """Return the whole text, reading to the end."""
        with self._reading():
            while await self.piece(len(self.pieces)) is not None:
                pass
        return self.text

    async def aclose(self) -> None:
        """Hang up, waking a task that waits for the next piece. What has been read stays readable."""
        await self._stop(None)

    async def leave(self) -> None:
        """Hang up. Whoever reads it, now or later, gets an error that says so."""
        await self._stop(self._left())

    def abandon(self) -> None:
        """End the answer: the loop that read it runs no more."""
        self._source = self._hang_up = None
        if not self.ended:
            self._broken_off(
                self._interrupted("The event loop that read this answer ended before the answer did")
            )

    async def _stop(self, error: StreamInterrupted | None) -> None:
        if self.ended:
            return
        if not self.claim():
            await self._stop_on_its_loop(error)
            return
        before = self.hung_up
        if self._lock.locked():
            self._stopping = True
            if self._hang_up is not None:
                await self._hang_up()
        async with self._lock:
            await self._close_source()
            if error is not None and self.hung_up is not before:
                self.error = error

    async def _stop_on_its_loop(self, error: StreamInterrupted | None) -> None:
        if self.loop is not None and self.loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._stop(error), self.loop))
        else:
            self.abandon()
