"""What changed between two runs of the same questions; never which answer is right."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

from customgpt_bulk._exporting import records
from customgpt_bulk._ledger import LedgerPath
from customgpt_bulk.models import STATES

NO_ANSWER = ("I'm sorry, I don't know the answer",)
"""What an agent says that knows no answer, unless its setting `no_answer_message` says otherwise."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row in both runs, first `a`, then `b`. Seconds are from sending to the answer."""

    id: str
    question: str
    states: tuple[str, str]
    answer_changed: bool
    citations_lost: tuple[int, ...]
    citations_won: tuple[int, ...]
    no_answer: tuple[bool, bool]
    seconds: tuple[float | None, float | None]

    @property
    def differs(self) -> bool:
        """Whether anything but the time changed."""
        citations = self.citations_lost or self.citations_won
        return bool(self.answer_changed or citations) or len({*self.states}) > 1 or len({*self.no_answer}) > 1

    @property
    def lost(self) -> bool:
        """Whether `b` has less than `a`: an answer, or a page that it cited."""
        before, after = (state == "answered" for state in self.states)
        return bool(self.citations_lost) or (before and not after) or self.no_answer == (False, True)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, row by row in the order of the second. `only_a` and `only_b` are the ids that one lacks."""

    rows: tuple[RowChange, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def totals(self) -> dict[str, Any]:
        """The sums: rows compared, of these changed, lost, refused anew; median times in seconds."""
        rows = self.rows
        return {
            "rows": len(rows),
            "changed_answers": sum(row.answer_changed for row in rows),
            "citations_lost": sum(len(row.citations_lost) for row in rows),
            "citations_won": sum(len(row.citations_won) for row in rows),
            "new_refusals": sum(row.states[1] == "refused" != row.states[0] for row in rows),
            "no_answers": [sum(row.no_answer[side] for row in rows) for side in (0, 1)],
            "median_seconds": [
                median(times)
                if (times := [s for row in rows if (s := row.seconds[side]) is not None])
                else None
                for side in (0, 1)
            ],
            "lost": sum(row.lost for row in rows),
        }

    def to_json(self) -> str:
        """Return sums and rows as JSON."""
        found = {"totals": self.totals, "only_a": self.only_a, "only_b": self.only_b}
        return json.dumps(found | {"rows": [asdict(row) for row in self.rows]}, ensure_ascii=False)

    def __str__(self) -> str:
        lines = [f"{name.replace('_', ' '):16} {value}" for name, value in self.totals.items()]
        for row in self.rows:
            if row.differs:
                signs = ["answer"] * row.answer_changed + [f"-{n}" for n in row.citations_lost]
                signs += [f"+{n}" for n in row.citations_won]
                if row.states[0] != row.states[1]:
                    signs.append(" > ".join(row.states))
                if row.no_answer[0] != row.no_answer[1]:
                    signs.append("knows no answer now" if row.no_answer[1] else "knows an answer now")
                lines.append(f"{row.id:16.16} {', '.join(signs)}  {row.question:.60}")
        return "\n".join(lines)


def compare(
    ledger_a: LedgerPath, ledger_b: LedgerPath, *, no_answer: Collection[str] = NO_ANSWER
) -> Comparison:
    """Return what changed from one run to another of the same questions, matched by their ids.

    Changed answers, citations lost and won, refusals that are new, answers that say that there is none (texts
    of `no_answer`, the agent's `no_answer_message`), times. It does not tell which answer is right.
    """
    before, after = (
        {row["id"]: row for row in records(path, states=STATES)} for path in (ledger_a, ledger_b)
    )
    return Comparison(
        tuple(_change(before[name], row, no_answer) for name, row in after.items() if name in before),
        tuple(name for name in before if name not in after),
        tuple(name for name in after if name not in before),
    )


def _change(a: dict[str, Any], b: dict[str, Any], no_answer: Collection[str]) -> RowChange:
    pages_a, pages_b = ([page["id"] for page in row["citations"]] for row in (a, b))
    both = a["state"] == b["state"] == "answered"
    return RowChange(
        b["id"],
        b["question"],
        (a["state"], b["state"]),
        both and a["answer"].strip() != b["answer"].strip(),
        tuple(page for page in pages_a if both and page not in pages_b),
        tuple(page for page in pages_b if both and page not in pages_a),
        (_says_nothing(a, no_answer), _says_nothing(b, no_answer)),
        (_seconds(a), _seconds(b)),
    )


def _says_nothing(row: dict[str, Any], no_answer: Collection[str]) -> bool:
    answer = (row["answer"] or "").casefold()
    return bool(answer) and any(text.casefold().strip(". ") in answer for text in no_answer)


def _seconds(row: dict[str, Any]) -> float | None:
    if row["answered_at"] is None or row["recovered"]:
        return None  # when a recovered answer was there is not known
    begun, ended = (datetime.fromisoformat(row[name]) for name in ("sent_at", "answered_at"))
    return (ended - begun).total_seconds()
