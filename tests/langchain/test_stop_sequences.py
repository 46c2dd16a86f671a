"""Stop sequences on the client: where the answer was cut into pieces must not matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_customgpt._stop import StopFilter, cut


def fed(pieces: list[str], stops: list[str]) -> str:
    stream = StopFilter(stops)
    return "".join([*map(stream.feed, pieces), stream.flush()])


def test_text_before_the_first_stop_is_kept() -> None:
    assert cut("one two three", ["three", "two"]) == "one "
    assert cut("one", ["two"]) == "one"
    assert cut("one", []) == "one"


@pytest.mark.parametrize("place", range(len("Hello, you there") + 1))
def test_a_stop_cut_anywhere_is_found(place: int) -> None:
    text = "Hello, you there"
    assert fed([text[:place], text[place:]], ["you"]) == "Hello, "


def test_text_that_cannot_begin_a_stop_is_shown_at_once() -> None:
    stream = StopFilter(["Observation:"])
    assert stream.feed("The answer is ") == "The answer is "
    assert stream.feed("Obs") == ""
    assert stream.feed("cure") == "Obscure"
    assert not stream.stopped


def test_a_beginning_of_a_stop_at_the_very_end_is_shown() -> None:
    assert fed(["The Obs"], ["Observation:"]) == "The Obs"


def test_nothing_comes_after_a_stop() -> None:
    stream = StopFilter(["."])
    assert stream.feed("One. Two") == "One"
    assert stream.feed(". Three") == ""
    assert stream.flush() == ""
    assert stream.stopped


@given(
    st.lists(st.text("abc", max_size=4), max_size=8),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_pieces_give_what_the_whole_gives(pieces: list[str], stops: list[str]) -> None:
    assert fed(pieces, stops) == cut("".join(pieces), stops)
