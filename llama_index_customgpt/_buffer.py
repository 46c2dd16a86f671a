"""What the readers of one answer share: the text so far, and how it ended."""

from __future__ import annotations

from typing import Any

from customgpt_transport.errors import StreamInterrupted

__all__ = ["Buffer"]


class Buffer:
    """What has been read so far and how it ended. `ended` is True once nothing more will come.

    `hung_up` is set where somebody hung up before the end: the error of those who were reading.
    """

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.ended = False
        self.error: BaseException | None = None
        self.hung_up: StreamInterrupted | None = None
        self._readers: set[object] = set()  # a set and no number: adding and discarding need no lock
        self._stopping = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    def _broken_off(self, how: BaseException) -> None:
        self.ended = True
        if isinstance(how, Exception):
            self.error = how
        else:  # a cancelled task or Ctrl-C belongs to the reader that met it, not to those who come later
            self.error = self._interrupted(
                f"The reading of this answer was broken off ({type(how).__name__})"
            )

    def _cut(self) -> None:
        self.hung_up = self._interrupted("This answer was hung up before its end")
        self.ended = True

    def _left(self) -> StreamInterrupted:
        return self._interrupted(
            "The next message was sent before this answer had been read to its end, which broke it off"
        )

    def _interrupted(self, what: str) -> StreamInterrupted:
        return StreamInterrupted(f"{what}; what had come is in .partial_answer.", partial_answer=self.text)

    def _end(self) -> None:
        if self.error is not None:
            raise self.error

    def _tell(self, began_open: bool) -> None:
        """Do not let a reader take a cut answer for the whole."""
        if began_open and self.hung_up is not None:
            raise self.hung_up

    def _state(self) -> tuple[Any, ...]:
        if not self.ended:
            raise TypeError("This answer is still coming; read it to its end before you copy or pickle it.")
        return type(self), self.pieces, self.error, self.hung_up
