"""One upstream, one buffer, many readers: what makes a stream readable in any order, any number of times.

A pump pulls the next piece from its source only when a reader has read everything that is already there. The
source is a generator of text; an empty piece says that the stream is open and is not handed on. Whatever ends
the source early (an error, a hang-up, a cancelled reader) is remembered, and every later reader meets it too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import Any

from customgpt_transport.errors import StreamInterrupted

__all__ = ["AsyncPump", "AsyncReader", "Pump", "Reader"]


class _Buffer:
    """What has been read so far and how it ended. `ended` is True once nothing more will come."""

    def __init__(self, *, hang_up_on_leave: bool) -> None:
        self.pieces: list[str] = []
        self.ended = False
        self.error: BaseException | None = None
        self._hang_up_on_leave = hang_up_on_leave

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    def _broken_off(self, how: BaseException) -> None:
        self.ended = True
        if isinstance(how, Exception):
            self.error = how
        else:  # a cancelled task or Ctrl-C belongs to the reader that met it, not to those who come later
            self.error = StreamInterrupted(
                f"The reading of this answer was broken off ({type(how).__name__}); ask again for the rest.",
                partial_answer=self.text,
            )

    def _left(self) -> StreamInterrupted:
        return StreamInterrupted(
            "The next message was sent before this answer had been read to its end, which broke it off.",
            partial_answer=self.text,
        )

    def _end(self) -> None:
        if self.error is not None:
            raise self.error


class Pump(_Buffer):
    """The sync pump: safe to read from several threads at once."""

    def __init__(self, source: Generator[str, None, None], *, hang_up_on_leave: bool = False) -> None:
        super().__init__(hang_up_on_leave=hang_up_on_leave)
        self._source: Generator[str, None, None] | None = source
        self._lock = threading.RLock()
        self._pulling = False

    def open(self) -> None:
        """Send the request now instead of at the first read. Raises what the service answered."""
        self._pull()

    def piece(self, position: int) -> str | None:
        """Give piece number `position`, from 0; None when the answer ends before it."""
        while position >= len(self.pieces):
            with self._lock:
                if position < len(self.pieces):
                    break
                if self.ended:
                    self._end()
                    return None
                self._pull()
        return self.pieces[position]

    def _pull(self) -> None:
        with self._lock:
            if self._source is None:
                return
            if self._pulling:  # a tracer that reads the answer from inside the event that ends it
                raise RuntimeError("This answer is being read already, further up in this thread.")
            self._pulling = True
            try:
                piece = next(self._source)
            except StopIteration:
                self._source, self.ended = None, True
            except BaseException as error:
                self._source = None
                self._broken_off(error)
                raise
            else:
                if piece:
                    self.pieces.append(piece)
            finally:
                self._pulling = False

    def replay(self) -> Generator[str, None, None]:
        """Read everything from the beginning."""
        position = 0
        try:
            while (piece := self.piece(position)) is not None:
                yield piece
                position += 1
        finally:
            if self._hang_up_on_leave:
                self.close()

    def drain(self) -> str:
        """Read to the end and give the whole text."""
        position = len(self.pieces)
        while self.piece(position) is not None:
            position = len(self.pieces)
        return self.text

    def close(self) -> None:
        """Hang up; what has been read stays readable. Waits while another thread is inside a read."""
        with self._lock:
            source, self._source = self._source, None
            self.ended = True
            if source is not None:
                source.close()

    def leave(self) -> None:
        """Hang up; whoever still reads hears that the answer was broken off."""
        if not self.ended:
            self.close()
            self.error = self._left()

    def __reduce__(self) -> tuple[Any, ...]:
        return _finished, (type(self), self.pieces, self.ended, self.error)


class AsyncPump(_Buffer):
    """The async pump: safe to read from several tasks of one event loop, the loop of the first read."""

    def __init__(self, source: AsyncGenerator[str, None], *, hang_up_on_leave: bool = False) -> None:
        super().__init__(hang_up_on_leave=hang_up_on_leave)
        self._source: AsyncGenerator[str, None] | None = source
        self._lock = asyncio.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Send the request now instead of at the first read. Raises what the service answered."""
        await self._pull()

    async def piece(self, position: int) -> str | None:
        """Give piece number `position`, from 0; None when the answer ends before it."""
        while position >= len(self.pieces):
            if self.ended:
                self._end()
                return None
            if self._lock.locked():
                async with self._lock:  # another task is reading: take what it brings
                    continue
            await self._pull()
        return self.pieces[position]

    async def _pull(self) -> None:
        loop = asyncio.get_running_loop()
        if self.loop is not loop:
            if self.loop is not None:
                raise RuntimeError(
                    "This answer is being read on another event loop; read it to its end there first."
                )
            self.loop = loop
        async with self._lock:
            if self._source is None:
                return
            try:
                piece = await self._source.__anext__()
            except StopAsyncIteration:
                self._source, self.ended = None, True
            except BaseException as error:
                self._source = None
                self._broken_off(error)
                raise
            else:
                if piece:
                    self.pieces.append(piece)

    async def replay(self) -> AsyncGenerator[str, None]:
        """Read everything from the beginning."""
        position = 0
        try:
            while (piece := await self.piece(position)) is not None:
                yield piece
                position += 1
        finally:
            if self._hang_up_on_leave:
                await self.aclose()

    async def drain(self) -> str:
        """Read to the end and give the whole text."""
        position = len(self.pieces)
        while await self.piece(position) is not None:
            position = len(self.pieces)
        return self.text

    async def aclose(self) -> None:
        """Hang up; what has been read stays readable. Waits while another task is inside a read."""
        async with self._lock:
            source, self._source = self._source, None
            self.ended = True
            if source is not None:
                await source.aclose()

    async def leave(self) -> None:
        """Hang up; whoever still reads hears that the answer was broken off."""
        if not self.ended:
            await self.aclose()
            self.error = self._left()

    def __reduce__(self) -> tuple[Any, ...]:
        return _finished, (type(self), self.pieces, self.ended, self.error)


def _finished(
    kind: type[Pump] | type[AsyncPump], pieces: list[str], ended: bool, error: BaseException | None
) -> Pump | AsyncPump:
    if not ended:
        raise TypeError("This answer is still coming; read it to its end before you copy or pickle it.")
    pump = kind.__new__(kind)
    _Buffer.__init__(pump, hang_up_on_leave=False)
    pump.pieces, pump.ended, pump.error = list(pieces), True, error
    pump._source = None
    if isinstance(pump, AsyncPump):
        pump._lock, pump.loop = asyncio.Lock(), None
    else:
        pump._lock, pump._pulling = threading.RLock(), False
    return pump


class Reader(Generator[str, Any, None]):
    """A pump with the face of a generator, as frameworks expect of `response_gen`.

    `next()` moves this reader's own place, and a `for` loop goes on from there while the answer is coming. A
    loop over a reader that nobody has moved, or of an answer that is complete, reads all of it from the
    beginning, so any number of loops see the whole. `close()` hangs up.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._position = 0

    def __iter__(self) -> Generator[str, Any, None]:
        return self if self._position > 0 and not self._pump.ended else self._pump.replay()

    def __next__(self) -> str:
        piece = self._pump.piece(self._position)
        if piece is None:
            raise StopIteration
        self._position += 1
        return piece

    def send(self, value: Any, /) -> str:
        """Read on; like any generator that is not interested in what it is sent."""
        return next(self)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> str:
        """Hang up and raise what was thrown in."""
        self._pump.close()
        return super().throw(typ, val, tb)

    def close(self) -> None:
        """Hang up; what has been read stays readable."""
        self._pump.close()


class AsyncReader(AsyncGenerator[str, Any]):
    """`Reader` for an async pump."""

    def __init__(self, pump: AsyncPump) -> None:
        self._pump = pump
        self._position = 0

    def __aiter__(self) -> AsyncIterator[str]:
        return self if self._position > 0 and not self._pump.ended else self._pump.replay()

    async def __anext__(self) -> str:
        piece = await self._pump.piece(self._position)
        if piece is None:
            raise StopAsyncIteration
        self._position += 1
        return piece

    async def asend(self, value: Any, /) -> str:
        """Read on; like any generator that is not interested in what it is sent."""
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None, /) -> str:
        """Hang up and raise what was thrown in."""
        await self._pump.aclose()
        return await super().athrow(typ, val, tb)

    async def aclose(self) -> None:
        """Hang up; what has been read stays readable."""
        await self._pump.aclose()
