"""Pumps as generators, which is what frameworks expect `response_gen` to be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from llama_index_customgpt._replay import AsyncPump, Pump

__all__ = ["AsyncReplayGenerator", "ReplayGenerator"]


class _Position:
    """How far a generator has read. `at_end` is True once it has yielded all, or raised what ended it."""

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


class ReplayGenerator(_Position, Generator[str, Any, None]):
    """A sync pump as a generator.

    `next()` advances the generator, and a `for` loop continues from there while the answer is coming. A loop
    over a generator that has not been advanced, or whose answer is complete, yields everything from the
    beginning, so any number of loops see the whole answer. `close()` hangs up.
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
        """Return the next piece, ignoring `value`."""
        return next(self)

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> str:
        """Hang up and raise the exception."""
        self.close()
        return super().throw(typ, val, tb)

    def close(self) -> None:
        """Hang up. What has been read stays readable."""
        self._closed = True
        self._pump.close()


class AsyncReplayGenerator(_Position, AsyncGenerator[str, Any]):
    """`ReplayGenerator` for an async pump."""

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
        """Return the next piece, ignoring `value`."""
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None, /) -> str:
        """Hang up and raise the exception."""
        await self.aclose()
        return await super().athrow(typ, val, tb)

    async def aclose(self) -> None:
        """Hang up. What has been read stays readable."""
        self._closed = True
        await self._pump.aclose()
