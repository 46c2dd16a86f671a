"""Stop sequences. They are enforced on the client, because the API has none.

The answer is still read to its end, since the citations come with the finish event.
"""

from __future__ import annotations

from collections.abc import Sequence


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Return where the first of `stops` begins in `text`; None when none occurs."""
    return min((place for place in map(text.find, stops) if place >= 0), default=None)


def cut(text: str, stops: Sequence[str]) -> str:
    """Return `text` up to, and without, the first of `stops`; all of it when none occurs."""
    return text[: first_stop(text, stops)]


class StopFilter:
    """Pass text on until a stop sequence begins, wherever the text was cut into pieces.

    `feed` holds back the end of a piece that could be the beginning of a stop sequence, until the next piece
    decides. `flush` returns what was held back, at the end of the answer.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Return what may be shown of the text so far and was not yet; '' after a stop."""
        if self.stopped:
            return ""
        text = self._held + text
        undecided = self._undecided_from(text)
        place = first_stop(text, self._stops)
        if place is not None and place <= undecided:  # else a stop that begins earlier may still complete
            self.stopped, self._held = True, ""
            return text[:place]
        self._held = text[undecided:]
        return text[:undecided]

    def flush(self) -> str:
        """Return what was held back and is no stop sequence, now that the answer has ended."""
        held, self._held = self._held, ""
        shown = cut(held, self._stops)
        self.stopped = self.stopped or len(shown) < len(held)
        return shown

    def _undecided_from(self, text: str) -> int:
        """Return where the longest end of `text` starts that could begin a stop sequence, else its length."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            tail = text[start:]
            if any(stop.startswith(tail) for stop in self._stops):
                return start
        return len(text)
