"""What a row may be, and what is said of one that cannot be asked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from customgpt_bulk._reading import read
from customgpt_bulk.models import Row
from customgpt_transport import ConfigurationError


def one(given: Any) -> Row:
    (row,) = read([given], 1)
    return row


class TestFiles:
    TABLE = (
        {"id": "a", "question": "Why?", "expected": "Because."},
        {"id": "b", "question": "How, and\nwhere?", "expected": ""},
    )

    def file(self, folder: Path, suffix: str) -> Path:
        path = folder / f"questions{suffix}"
        if suffix == ".parquet":
            parquet.write_table(pyarrow.Table.from_pylist(list(self.TABLE)), path)
        elif suffix == ".csv":
            lines = ["id,question,expected", "a,Why?,Because.", '"b","How, and\nwhere?",', ""]
            path.write_text("\n".join(lines), encoding="utf-8-sig", newline="")
        else:
            path.write_text("\n".join(map(json.dumps, self.TABLE)) + "\n\n")
        return path

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
    def test_of_every_kind_give_the_same_rows(self, suffix: str, tmp_path: Path):
        found = list(read(str(self.file(tmp_path, suffix)), 7))
        assert [row.id for row in found] == ["a", "b"]
        assert [row.question for row in found] == ["Why?", "How, and\nwhere?"]
        assert [row.extra["expected"] for row in found] == ["Because.", ""]
        assert {row.project_id for row in found} == {7}

    def test_that_are_not_there_are_named(self, tmp_path: Path):
        with pytest.raises(ConfigurationError, match=r"There is no file .*missing\.csv"):
            next(read(tmp_path / "missing.csv", 1))

    def test_of_another_kind_are_refused(self, tmp_path: Path):
        with pytest.raises(ConfigurationError, match=r"\.jsonl, \.csv or \.parquet"):
            next(read(tmp_path / "questions.xlsx", 1))

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("q.jsonl", '{"question": "Why?"}\n{"question": ', "q.jsonl, line 2, is no JSON"),
            ("q.jsonl", '{"question": "Why?"}\n["Why?"]', "q.jsonl, line 2: a row must be an object"),
            ("q.jsonl", '{"question": "Why?"}\n{"q": "Why?"}', "q.jsonl, line 2 has no question"),
            ("q.csv", "question,lang\nWhy?,en\nWhy?,en,more\n", "q.csv, line 3, has another number of cells"),
            ("q.csv", "question,lang\nWhy?\n", "q.csv, line 2, has another number of cells"),
            ("q.csv", "id,answer\n1,yes\n", "q.csv, line 2 has no question"),
            ("q.csv", 'question\n"Why?', "unexpected end of data"),
        ],
    )
    def test_that_are_broken_say_in_which_line(self, name: str, text: str, said: str, tmp_path: Path):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match=said):
            list(read(tmp_path / name, 1))

    def test_in_another_encoding_are_refused(self, tmp_path: Path):
        (tmp_path / "q.csv").write_bytes("question\nWarum nicht für mich?\n".encode("latin-1"))
        with pytest.raises(ConfigurationError, match="UTF-8"):
            list(read(tmp_path / "q.csv", 1))


class TestRows:
    def test_may_be_questions_alone(self):
        assert one("Why?") == Row(None, "Why?", 1, None, {}, {}, "row 1")

    def test_have_other_names_for_id_and_question(self):
        row = one({"custom_id": 12, "prompt": "Why?"})
        assert (row.id, row.question, row.extra) == ("12", "Why?", {})

    def test_pass_through_what_they_do_not_use(self):
        row = one({"id": "a", "question": "Why?", "prompt": "a template", "score": math.nan, "n": 3})
        assert row.extra == {"prompt": "a template", "score": None, "n": 3}

    def test_have_settings_conversation_and_agent(self):
        given = {
            "lang": "de",
            "custom_persona": "A clerk.",
            "custom_context": "Order 5.",
            "labels": ["a", "b"],
        }
        row = one({"question": "Why?", "conversation": 5, "project_id": "12", **given})
        assert (row.conversation, row.project_id, row.settings) == ("5", 12, given)
        assert row.extra == {}

    def test_take_empty_cells_for_nothing(self):
        empty = dict.fromkeys(("id", "conversation", "lang", "labels", "project_id"), "")
        assert one({"question": "Why?", **empty}) == Row(None, "Why?", 1, None, {}, {}, "row 1")

    @pytest.mark.parametrize(
        ("cell", "labels"), [("a, b ,", ["a", "b"]), ('["a", ["b", "c"]]', ["a", ["b", "c"]])]
    )
    def test_read_labels_from_a_cell(self, cell: str, labels: list[object]):
        assert one({"question": "Why?", "labels": cell}).settings == {"labels": labels}

    def test_of_tables_with_gaps_have_whole_numbers(self):
        row = one({"id": 4.0, "question": "Why?", "project_id": 7.0})
        assert (row.id, row.project_id) == ("4", 7)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"question": "  "}, "row 1 has no question"),
            ({"question": 5}, "row 1 has no question"),
            ({"question": "Why?", "id": True}, "row 1: an id must be"),
            ({"question": "Why?", "id": [1]}, "row 1: an id must be"),
            ({"question": "Why?", "lang": 5}, "row 1: lang must be text"),
            ({"question": "Why?", "labels": 5}, "row 1: labels must be"),
            ({"question": "Why?", "labels": "[1]"}, "row 1: labels must be"),
            ({"question": "Why?", "project_id": "seven"}, "row 1: project_id must be"),
            (5, "row 1: a row must be an object"),
        ],
    )
    def test_that_cannot_be_asked_say_why(self, given: object, said: str):
        with pytest.raises(ConfigurationError, match=said):
            one(given)

    def test_without_any_agent_say_so(self):
        with pytest.raises(ConfigurationError, match="set project_id"):
            list(read(["Why?"], None))
