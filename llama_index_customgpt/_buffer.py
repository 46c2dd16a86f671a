"""The state that the readers of one answer share: its text so far, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from customgpt_transport.errors import StreamInterrupted

__all__ = ["Buffer"]


class Buffer:
    """What has been read so far, and how it ended. `ended` is True once nothing more will come.

    `error` is raised to every later reader. `hung_up` is set when somebody hung up before the end; it is
    raised to those who were reading then.
    """

    def __init__(self, *, hang_up_on_leave: bool = False) -> None:
        self.pieces: list[str] = []
        self.ended = False
        self.error: BaseException | None = None
        self.hung_up: StreamInterrupted | None = None
        self._hang_up_on_leave = hang_up_on_leave
        self._readers: set[object] = set()  # a set, not a number: adding and discarding need no lock
        self._stopping = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    @property
    def _deserted(self) -> bool:
        return self._hang_up_on_leave and not self._readers

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Register a reader, and raise `hung_up` to it where the answer was cut while it read."""
        me, began_open = object(), not self.ended
        self._readers.add(me)
        try:
            yield
        finally:
            self._readers.discard(me)
        if began_open and self.hung_up is not None:
            raise self.hung_up

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def _is_cut(self, how: BaseException) -> bool:
        """Record how the source ended. Return True when somebody had hung up, so that it is no error."""
        if self._stopping and isinstance(how, Exception):
            self._cut()
            return True
        self._broken_off(how)
        return False

    def _broken_off(self, how: BaseException) -> None:
        self.ended = True
        if isinstance(how, Exception):
            self.error = how
        else:  # cancellation or Ctrl-C belongs to the reader it interrupted, not to later ones
            self.error = self._interrupted(
                f"The reading of this answer was interrupted ({type(how).__name__})"
            )

    def _cut(self) -> None:
        self.hung_up = self._interrupted("This answer was hung up before its end")
        self.ended = True

    def _left(self) -> StreamInterrupted:
        return self._interrupted("The next message was sent before this answer had been read to its end")

    def _interrupted(self, what: str) -> StreamInterrupted:
        return StreamInterrupted(f"{what}; the text so far is in .partial_answer.", partial_answer=self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.ended:
            raise TypeError("This answer is still coming: read it to its end before you copy or pickle it.")
        return _finished, (type(self), self.pieces, self.error, self.hung_up)


def _finished(
    kind: type[Buffer],
    pieces: list[str],
    error: BaseException | None,
    hung_up: StreamInterrupted | None,
) -> Buffer:
    buffer = kind()
    buffer.pieces, buffer.ended, buffer.error, buffer.hung_up = list(pieces), True, error, hung_up
    return buffer
