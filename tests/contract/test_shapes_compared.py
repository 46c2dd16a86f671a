"""What the comparison of shapes sees, so that a green comparison means something."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.shapes_compared import Shape

DATE = "2023-06-25T17:00:31.000000Z"


@pytest.mark.parametrize(
    ("sample", "answer", "place"),
    [
        ({"a": 1}, {}, "/a is missing"),
        ({}, {"a": 1}, "/a is not in the capture"),
        ({"a": 1}, {"a": "1"}, "/a is digits and not int"),
        ({"a": 1}, {"a": True}, "/a is bool and not int"),
        ({"a": {"b": [1]}}, {"a": {"b": [2, "x"]}}, "/a/b/1 is text and not int"),
        ([1], [], " is empty"),
        ({"a": None}, {"a": 1}, "/a is 1 and not null"),
        (DATE, "2023-06-25 17:00:31", " is date without zone and not date"),
        (DATE, "2023-06-25T17:00:31Z", " is text and not date"),
        ("16331.0", "16331", " is digits and not id as float"),
        ("https://a.example/", "/a", " is text and not address"),
        ({"is_shared": 0}, {"is_shared": "no"}, "/is_shared is text and not int"),
        ([{"a": 1}], {"a": 1}, " is dict and not list"),
    ],
)
def test_a_difference_is_seen_with_its_place(sample: Any, answer: Any, place: str):
    (difference,) = Shape(sample).differences(answer)
    assert difference.startswith(place)


@pytest.mark.parametrize(
    ("sample", "answer"),
    [
        ({"a": 1, "b": [DATE]}, {"b": ["2024-01-01T00:00:00.000000Z", DATE], "a": 2}),
        ({"is_chat_active": 1}, {"is_chat_active": True}),
        ({"is_chat_active": None}, {"is_chat_active": False}),
        ([], [1]),
        ("", "anything"),
    ],
)
def test_other_values_of_the_same_shape_are_no_difference(sample: Any, answer: Any):
    assert [] == Shape(sample).differences(answer)


def test_what_may_differ_is_named():
    shape = Shape({"a": 1, "b": None, "c": DATE}, more={"d"}, gone={"a"}, filled={"b"}, loose={"/c"})
    assert [] == shape.differences({"b": 1, "c": "2023-06-25 17:00:31", "d": 1})
