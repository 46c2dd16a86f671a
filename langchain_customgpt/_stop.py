"""Stop sequences, enforced on the client: the API knows none.

The answer is read to its end all the same, because the citations come with the finish event.
"""

from __future__ import annotations

from collections.abc import Sequence


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first of `stops` begins in `text`; None when none occurs."""
    return min((place for place in map(text.find, stops) if place >= 0), default=None)


def cut(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first of `stops`, without it; all of it when none occurs."""
    return text[: first_stop(text, stops)]


class StopFilter:
    """Let text through until a stop sequence begins, wherever the pieces were cut.

    `feed` gives what may be shown now, often a little less than what came: an end that could be the beginning
    of a stop sequence is held back until the next piece decides. `flush` gives what was held when the answer
    ends.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """The part of what has come that may be shown now; '' after a stop."""
        if self.stopped:
            return ""
        text = self._held + text
        undecided = self._undecided_from(text)
        place = first_stop(text, self._stops)
        if place is not None and place <= undecided:  # else an earlier one may still be on its way
            self.stopped, self._held = True, ""
            return text[:place]
        self._held = text[undecided:]
        return text[:undecided]

    def flush(self) -> str:
        """What was held back and turned out to be wanted, now that the answer has ended."""
        held, self._held = self._held, ""
        shown = cut(held, self._stops)
        self.stopped = self.stopped or len(shown) < len(held)
        return shown

    def _undecided_from(self, text: str) -> int:
        """Where the longest end of `text` begins that could begin a stop sequence; its length if none."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            tail = text[start:]
            if any(stop.startswith(tail) for stop in self._stops):
                return start
        return len(text)
