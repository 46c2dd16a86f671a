"""`AnswerRows`: the batches of an engine, which may repeat them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pyarrow
import pytest

from customgpt_bulk import AnswerRows
from customgpt_transport import AuthenticationFailed, ClientOptions, ConfigurationError
from tests.bulk.asked import questions
from tests.bulk.conftest import impatient

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


def batch(count: int) -> dict[str, list[Any]]:
    rows = questions(count)
    return {name: [row[name] for row in rows] for name in ("id", "question")}


def test_a_batch_that_is_repeated_elsewhere_bills_nothing_twice(emulator: Emulator, options: ClientOptions):
    rows = AnswerRows(options, run="eval")
    copy = pickle.loads(pickle.dumps(rows))
    first = rows(batch(12))
    assert first["state"] == ["answered"] * 12
    assert all(first["answer"])
    again = copy(batch(12))
    assert [again[name] for name in ("answer", "prompt_id", "session_id")] == [
        first[name] for name in ("answer", "prompt_id", "session_id")
    ]
    assert len(emulator.journal.prompts(accepted=True)) == 12


def test_another_run_asks_anew(emulator: Emulator, options: ClientOptions):
    for name in ("one", "two"):
        AnswerRows(options, run=name)(batch(2))
    assert len(emulator.journal.prompts(accepted=True)) == 4


def test_a_table_comes_back_as_a_table(options: ClientOptions):
    found = AnswerRows(options, run="eval")(pyarrow.table(batch(3)))
    assert found.column_names == [
        *("id", "question", "answer", "citations", "session_id", "prompt_id", "state", "error"),
    ]
    assert found.schema.field("citations").type == pyarrow.list_(pyarrow.int64())


def test_what_concerns_one_row_is_in_its_error(emulator: Emulator, options: ClientOptions):
    emulator.faults.unprocessable()
    emulator.faults.drop_before_answer(persist=False)
    rows = AnswerRows(options, run="eval", concurrency=1)
    found = rows(batch(3))
    assert found["state"] == ["refused", "unresolved", "answered"]
    assert [error is None for error in found["error"]] == [False, False, True]
    assert rows(batch(3))["state"] == ["answered", "unresolved", "answered"]
    again = AnswerRows(options, run="eval", resend_unresolved=True)(batch(3))
    assert again["state"] == ["answered"] * 3
    assert len(emulator.journal.prompts(accepted=True)) == 3


@pytest.mark.parametrize("wrong", [{"conversation": ["a", "b"]}, {"question": None}, {"id": None}])
def test_a_batch_that_cannot_be_asked_is_refused(
    emulator: Emulator, options: ClientOptions, wrong: dict[str, Any]
):
    given = {name: values for name, values in {**batch(2), **wrong}.items() if values is not None}
    with pytest.raises(ConfigurationError):
        AnswerRows(options, run="eval")(given)
    assert len(emulator.journal) == 0


def test_a_key_that_is_refused_ends_the_batch(options: ClientOptions):
    with pytest.raises(AuthenticationFailed):
        AnswerRows(impatient(options, api_key="wrong"), run="eval")(batch(2))
