"""Two runs of the same questions side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from customgpt_bulk import compare, run
from customgpt_transport import ClientOptions

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

REFUNDS, CARDS = "How do refunds work?", "What do gift cards cost?"


def message(answer: str, *citations: int) -> dict[str, object]:
    data = {"id": 9, "openai_response": answer, "citations": list(citations)}
    return {"status": "success", "data": data}


def test_tells_what_changed_and_what_was_lost(emulator: Emulator, options: ClientOptions, tmp_path: Path):
    before, after = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    rows = [{"id": name, "question": f"Question {name}?"} for name in ("same", "new", "gone", "refused")]
    answers = {
        before: [message("A.", 1, 2), message("B.", 1), message("C."), message("D.")],
        after: [message("A.", 1, 2), message("B!", 2), message("I'm sorry, I don't know the answer.")],
    }
    for ledger, said in answers.items():
        for answer in said:
            emulator.faults.error(200, answer)
        if ledger == after:
            emulator.faults.unprocessable()
        more = [{"id": f"only {ledger.stem}", "question": REFUNDS}]
        run([*rows, *more], ledger, options=options, concurrency=1, citations=False)
    found = compare(before, after)
    same, new, gone, refused = found.rows
    assert not same.differs
    assert (new.answer_changed, new.citations_lost, new.citations_won, new.lost) == (True, (1,), (2,), True)
    assert (gone.no_answer, gone.lost) == ((False, True), True)
    assert (refused.states, refused.answer_changed) == (("answered", "refused"), False)
    assert (found.only_a, found.only_b) == (("only a",), ("only b",))
    totals = found.totals
    assert (totals["rows"], totals["changed_answers"], totals["new_refusals"]) == (4, 2, 1)
    assert (totals["citations_lost"], totals["citations_won"], totals["lost"]) == (1, 1, 3)
    assert totals["no_answers"] == [0, 1]
    assert all(seconds > 0 for seconds in totals["median_seconds"])
    assert json.loads(found.to_json())["totals"] == totals
    table = str(found)
    assert "answer, -1, +2" in table
    assert "answered > refused" in table
    assert "Question same?" not in table


def test_of_a_run_with_itself_finds_nothing(emulator: Emulator, options: ClientOptions, ledger: Path):
    run([REFUNDS, CARDS], ledger, options=options)
    found = compare(ledger, ledger)
    assert [row.differs or row.lost for row in found.rows] == [False, False]
