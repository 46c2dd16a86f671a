"""Stop sequences: where the pieces of an answer were cut does not matter, and citations stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_customgpt import ChatCustomGPT
from langchain_customgpt._stop import StopFilter, cut
from tests.langchain.ways import WAYS, Way


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


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid, and what about a gift card and the shipping of lamps?"
way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def merged_text_of(chat: ChatCustomGPT) -> str:
    return str(chat.invoke(QUESTION).content)


@way
def test_stop_cuts_the_answer_and_keeps_its_citations(way: Way, make_chat: MakeChat) -> None:
    whole = merged_text_of(make_chat())
    stop = whole[20:27]
    answer = way(make_chat(stop=[stop, "never said"]), QUESTION)
    assert answer.text == whole[: whole.index(stop)]
    assert answer.response_metadata["citations"]
    assert way(make_chat(stop=stop), QUESTION).text == answer.text


@way
def test_an_end_that_only_looks_like_a_stop_is_shown(way: Way, make_chat: MakeChat) -> None:
    whole = merged_text_of(make_chat())
    assert way(make_chat(stop=[f"{whole[-3:]}, never said"]), QUESTION).text == whole


def test_the_stop_of_a_call_replaces_the_models(make_chat: MakeChat) -> None:
    whole = merged_text_of(make_chat())
    chat = make_chat(stop=["Refunds", "refund"])
    assert chat.invoke(QUESTION, stop=["never said"]).content == whole
    assert "".join(chunk.text for chunk in chat.stream(QUESTION, stop=[whole[7:12]])) == whole[:7]
