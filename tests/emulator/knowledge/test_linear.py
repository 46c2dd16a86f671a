"""Twice the text is twice the work, whatever the text: no prompt and no file can freeze the emulator."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from itertools import product

import pytest

from customgpt_emulator.knowledge.documents import Unreadable, read_document
from customgpt_emulator.knowledge.passages import sentences, split_passages
from customgpt_emulator.knowledge.retrieval import greeting, is_follow_up
from customgpt_emulator.knowledge.terms import Terms
from tests.emulator.work import Stepping, Work, counted, modules, patterns

SMALL = 420  # repetitions: enough to be beyond every "long" and "short"
PATTERNS = dict(patterns())
# Tried at one place only, and so they may look back over blanks there.
ANCHORED = ("tags._EQUALS", "retrieval._GREETING", "retrieval._FOLLOW_UP")


def grows(work: Callable[[int], int], size: int = SMALL) -> float:
    """How many times the work it is to do twice as much."""
    return (work(2 * size) + 1) / (work(size) + 1)


def read(name: str, text: str) -> None:
    """All that is done with a document but for the database."""
    try:
        document = read_document(name, text.encode())
    except Unreadable:
        return
    split_passages(document.text)


PROMPTS = {
    "words": lambda n: "word " * n,
    "one word each": lambda n: " ".join(f"word{i}" for i in range(n)),
    "ends of sentences": lambda n: ". " * n + "b c " * n,
    "blanks": lambda n: "a" + " " * n + "b" + "\n" * n + "c",
    "ligatures": lambda n: "\ufdfa" * n,
    "accents": lambda n: "a" + "\u0315\u0316" * n,
    "greetings": lambda n: " " * n + "hello" + "!" * n + "x",
    "follow-ups": lambda n: "and " * n,
    "capitals": lambda n: "NASA. " * n,
}

DOCUMENTS = {
    "initials.txt": lambda n: "A. " * n,
    "abbreviations.txt": lambda n: "e.g. " * n,
    "no end.txt": lambda n: "word " * n,
    "no space.txt": lambda n: "x" * 4 * n,
    "blank heading.md": lambda n: "# a" + " " * n + "x",
    "blank front matter.md": lambda n: "---\na: b" + " " * n + "c\n---\nText.",
    "endless front matter.md": lambda n: "---\n" + "a: b\n" * n,
    "brackets.md": lambda n: "# " + "[" * n,
    "links.md": lambda n: "# " + "[](" * n,
    "nested links.md": lambda n: "# [](" + "(a)" * n,
    "anchors.md": lambda n: "# " + "{#" * n,
    "headings.md": lambda n: "## a\n" * n,
    "long heading.md": lambda n: "# " + "x" * n + "\n\ntext" * n,
    "rules.md": lambda n: "- " * n + "x\n" + "* " * n,
    "items.md": lambda n: "- " + " " * n + "x\n" + "- a\n" * n,
    "fences.md": lambda n: "```\n" * n,
    "long fence.md": lambda n: "```" + "x" * 10 * n + "\nx" * n + "\n```" + "x" * 10 * n,
    "long table head.md": lambda n: "|" + "x" * 10 * n + "|\n|---|\n" + "| y |\n" * n,
    "marks.md": lambda n: "_*`" * n,
    "quotes.md": lambda n: "> " * n + "x",
    "open tags.html": lambda n: "<a " * n,
    "open attributes.html": lambda n: "<a b='" * n,
    "open comments.html": lambda n: "<!--" * n,
    "open declarations.html": lambda n: "<!a" * n,
    "open end tags.html": lambda n: "</a" * n,
    "open titles.html": lambda n: "<title>" * n + "x",
    "open programs.html": lambda n: "<style>x</style " * n,
    "title.html": lambda n: "<title>" + "a<b>" * n + "</title>x",
    "nesting.html": lambda n: "<div>" * n + "x" + "</p>" * n,
    "silence.html": lambda n: "<svg>" * n + "</nav>" * n + "x",
    "attributes.html": lambda n: "<a " + "".join(f"a{i}=1 " for i in range(n)) + ">x",
    "blank attributes.html": lambda n: "<a b" + " " * n + "c>x",
    "references.html": lambda n: "&#" + "1" * n + ";" + "&amp" * n,
    "cells.html": lambda n: "<table>" + "<tr><td>" * n + "<pre>" * n,
    "blank lines.html": lambda n: "<ul></ul>" * n + "x",
}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_reading_a_prompt(prompt: str):
    def work(size: int) -> int:
        text = PROMPTS[prompt](size)
        return counted(lambda: (Terms.of(text, text), is_follow_up(text), greeting(text)))

    assert grows(work) < 2.3


def test_what_is_beyond_a_few_thousand_words_costs_nothing():
    few, many = ("quokka " + "word " * n for n in (10_000, 1_000_000))
    assert counted(lambda: Terms.of(few)) == counted(lambda: Terms.of(many))
    assert Terms.of(few) == Terms.of(many)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_reading_a_document(name: str):
    assert grows(lambda size: counted(lambda: read(name, DOCUMENTS[name](size)))) < 2.3


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_kept_of_a_document(name: str):
    """Headings and heads of tables are said again with each passage: they must be short."""

    def kept(size: int) -> int:
        try:
            document = read_document(name, DOCUMENTS[name](size).encode())
        except Unreadable:
            return 1
        return sum(len(p.text) + len(p.heading) + len(document.title) for p in split_passages(document.text))

    assert grows(kept, 4000) < 2.3


class Text(str):
    """Counts the characters that are copied out of it."""

    copied = 0

    def __getitem__(self, index: object) -> str:
        part = super().__getitem__(index)  # type: ignore[index] # whatever may stand in brackets
        Text.copied += len(part)
        return part


@pytest.mark.parametrize("text", ["A. ", "e.g. ", "x. Y", "! "])
def test_cutting_sentences_copies_each_once(text: str):
    def copied(size: int) -> int:
        Text.copied = 0
        sentences(Text(text * size))
        return Text.copied

    assert grows(copied) < 2.3


@pytest.mark.parametrize("name", PATTERNS)
def test_every_regular_expression(name: str):
    """Whatever short text is repeated, and whatever follows it."""
    for pump, after in product(pumps(PATTERNS[name].pattern), ("", "x")):

        def work(size: int, text: str = pump, tail: str = after) -> int:
            done = Work()
            pattern = Stepping(PATTERNS[name], done)
            if name in ANCHORED:
                pattern.match(text * size + tail)
            else:
                pattern.sub("", text * size + tail)
            return done.steps

        assert grows(work, 12) < 2.5, (pump, after)


def pumps(pattern: str) -> list[str]:
    """Texts of one and two pieces, made of what the pattern talks about."""
    marks = [char for char in dict.fromkeys(pattern) if not char.isalnum() and char not in "\\^$?{}"]
    words = [w for w in ("title", "hello", " there", "e.g", "what about", "it") if w in pattern]
    single = [" ", "a", "1", *marks, *words]
    pairs = ("".join(pair) for pair in product(single, repeat=2))
    return [
        *single,
        *pairs,
        "\n",
        "_",
        "A.",
        "[](",
        "[a](",
        "(a)",
        "</title",
        "&#1",
        "- ",
        ". ",
        "{#",
        "\u3002",
    ]


def test_no_regular_expression_hides_in_a_call():
    """All are made once and have a name, so that the test above sees them."""
    for module in modules():
        calls = [
            node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)
        ]
        used = [
            call.func.attr
            for call in calls
            if isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "re"
        ]
        allowed = {"compile", "escape"}
        assert set(used) <= allowed, module.__name__
