"""A figure as a ratio within one run: seconds differ between machines, ratios much less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """One line of the report. `limit` is the most that the figure may be; None means not judged."""

    name: str
    value: float
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """True when the figure is within its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        bound = ""
        if self.limit is not None:
            bound = f"  ({'at least' if self.at_least else 'at most'} {self.limit:g})"
        verdict = "" if self.limit is None else "ok  " if self.holds else "MISS"
        return f"{verdict:4} {self.value:8.3f}{bound:18} {self.name}{'  · ' + self.note if self.note else ''}"


def median_of(rounds: int, *measures: Callable[[], float]) -> Sequence[float]:
    """Return each measure's median over `rounds`. Measures take turns, so that drift affects all alike."""
    results = [[measure() for measure in measures] for _ in range(rounds)]
    return [median(column) for column in zip(*results, strict=True)]
