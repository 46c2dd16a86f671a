"""Pumps with the face of generators, as frameworks expect of `response_gen`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from llama_index_customgpt._replay import AsyncPump, Pump

__all__ = ["AsyncReader", "Reader"]


class _Place:
    """Where a reader stands. `at_end`: all of it, or the error that ended it, has gone through the reader."""

    def __init__(self) -> None:
        self.at_end = False
        self._position = 0
        self._began_open = False
        self._closed = False

    def _goes_on(self, pump: Pump | AsyncPump) -> bool:
        return self._position > 0 and not pump.ended

    def _begin(self, pump: Pump | AsyncPump) -> None:
        if self._position == 0:
            self._began_open = not pump.ended

    def _end(self, pump: Pump | AsyncPump) -> None:
        self.at_end = True
        if self._began_open and not self._closed and pump.hung_up is not None:
            raise pump.hung_up


class Reader(_Place, Generator[str, Any, None]):
    """A sync pump as a generator.

    `next()` moves this reader's own place, and a `for` loop goes on from there while the answer is coming. A
    loop over a reader that nobody has moved, or of an answer that is complete, reads all of it from the
    beginning, so any number of loops see the whole. `close()` hangs up.
    """

    def __init__(self, pump: Pump) -> None:
        super().__init__()
        self._pump = pump

    def __iter__(self) -> Generator[str, Any, None]:
        goes_on = self._goes_on(self._pump)
        try:
            with closing(self._pump.replay(self._position if goes_on else 0)) as pieces:
                for piece in pieces:
                    if goes_on:
                        self._position += 1
                    yield piece
        except Exception:
            self.at_end = True
            raise
        self.at_end = True

    def __next__(self) -> str:
        self._begin(self._pump)
        try:
            piece = self._pump.piece(self._position)
        except Exception:
            self.at_end = True
            raise
        if piece is None:
            self._end(self._pump)
            raise StopIteration
        self._position += 1
        return piece

    def send(self, value: Any, /) -> str:
        """Read on; like any generator that is not interested in what it is sent."""
        return next(self)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> str:
        """Hang up and raise what was thrown in."""
        self.close()
        return super().throw(typ, val, tb)

    def close(self) -> None:
        """Hang up; what has been read stays readable."""
        self._closed = True
        self._pump.close()


class AsyncReader(_Place, AsyncGenerator[str, Any]):
    """`Reader` for an async pump."""

    def __init__(self, pump: AsyncPump) -> None:
        super().__init__()
        self._pump = pump

    async def __aiter__(self) -> AsyncGenerator[str, Any]:
        goes_on = self._goes_on(self._pump)
        try:
            async with aclosing(self._pump.replay(self._position if goes_on else 0)) as pieces:
                async for piece in pieces:
                    if goes_on:
                        self._position += 1
                    yield piece
        except Exception:
            self.at_end = True
            raise
        self.at_end = True

    async def __anext__(self) -> str:
        self._begin(self._pump)
        try:
            piece = await self._pump.piece(self._position)
        except Exception:
            self.at_end = True
            raise
        if piece is None:
            self._end(self._pump)
            raise StopAsyncIteration
        self._position += 1
        return piece

    async def asend(self, value: Any, /) -> str:
        """Read on; like any generator that is not interested in what it is sent."""
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None, /) -> str:
        """Hang up and raise what was thrown in."""
        await self.aclose()
        return await super().athrow(typ, val, tb)

    async def aclose(self) -> None:
        """Hang up; what has been read stays readable."""
        self._closed = True
        await self._pump.aclose()
