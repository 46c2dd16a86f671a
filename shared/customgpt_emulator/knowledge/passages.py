"""Cutting Markdown into passages: paragraphs, lists, tables and code blocks that an answer can quote.

The work is linear in the text's length, whatever the text: a line is looked at once, no pattern can scan the
same stretch twice, and what is repeated with each passage (headings, a table's head) is short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

__all__ = [
    "SEPARATOR",
    "Passage",
    "first_heading",
    "first_paragraph",
    "plain",
    "sentences",
    "shortened",
    "split_passages",
]

SEPARATOR = " > "  # between the headings above a passage
LONG = 1200  # characters; a longer paragraph is cut between sentences
ROWS = 60  # a longer list, table or code block is cut, head and fences repeated
LARGE = 2_000_000  # characters; so is one whose rows are this long together
LONG_HEADING = 255  # characters, as many as the API takes for a title
BEGINNING = 20_000  # characters in which a document says what it is


@dataclass(frozen=True)
class Passage:
    """One block that can be quoted, and the headings above it, as `Refunds > Gift cards`."""

    heading: str
    text: str


_ITEM = re.compile(r"\s{0,6}(?:[-*+]|\d{1,3}[.)])\s+\S")


def split_passages(text: str) -> list[Passage]:
    """Return the passages of Markdown or plain text, in order."""
    passages: list[Passage] = []
    path: list[tuple[int, str]] = []
    intro = ""  # a paragraph that ends in a colon belongs to the list that follows
    for kind, block in _blocks(text):
        if kind == "heading":
            level, title = len(block) - len(block.lstrip("#")), plain(block.lstrip("# "))
            path = [(depth, name) for depth, name in path if depth < level]
            path.append((level, shortened(title, LONG_HEADING)))
            continue
        heading = SEPARATOR.join(name for _, name in path[-2:])
        if kind == "paragraph":
            if intro:
                passages.append(Passage(heading, intro))
                intro = ""
            if block.endswith(":") and len(block) <= 300:
                intro = block
            else:
                passages.extend(Passage(heading, part) for part in _cut_paragraph(block))
            continue
        for part in _cut_rows(kind, block):
            passages.append(Passage(heading, f"{intro}\n\n{part}" if intro else part))
            intro = ""
    if intro:
        passages.append(Passage(SEPARATOR.join(name for _, name in path[-2:]), intro))
    return passages


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, block). The kinds are heading, paragraph, list, table and code."""
    lines = text.split("\n")
    here: list[str] = []
    kind = ""

    def flush() -> Iterator[tuple[str, str]]:
        nonlocal here, kind
        if here:
            joined = " ".join(line.strip() for line in here) if kind == "paragraph" else "\n".join(here)
            if joined.strip():
                yield kind, joined.strip("\n") if kind != "paragraph" else joined.strip()
        here, kind = [], ""

    index = 0
    while index < len(lines):
        line = lines[index].rstrip()
        index += 1
        stripped = line.lstrip()
        if stripped.startswith(("```", "~~~")):
            yield from flush()
            fence, code = stripped[:3], [line]
            while index < len(lines):
                code.append(lines[index].rstrip())
                index += 1
                if code[-1].lstrip().startswith(fence):
                    break
            else:
                code.append(fence)  # a fence that was never closed
            yield "code", "\n".join(code)
        elif not stripped:
            if (
                kind == "list"
                and index < len(lines)
                and lines[index].startswith("  ")
                and lines[index].strip()
            ):
                continue  # a blank line inside an item
            if kind == "list" and index < len(lines) and _ITEM.match(lines[index]):
                continue  # a loose list
            yield from flush()
        elif stripped[0] == "#" and (heading := _heading(stripped)) is not None:
            yield from flush()
            if heading:
                yield "heading", heading
        elif kind == "paragraph" and len(here) == 1 and _is_underline(stripped):
            title, here, kind = here[0], [], ""
            yield "heading", ("# " if stripped[0] == "=" else "## ") + title.strip()
        elif stripped[0] in "-*_" and kind != "table" and _is_rule(stripped):
            yield from flush()
        else:
            found = "table" if stripped.startswith("|") else "list" if _ITEM.match(line) else ""
            if kind == "list" and not found:
                found = "list"  # an item's continuation
            if (found or "paragraph") != kind:
                yield from flush()
                kind = found or "paragraph"
            here.append(stripped.lstrip("> ") if kind == "paragraph" else line)
    yield from flush()


def _heading(line: str) -> str | None:
    """`## Title` without what may surround it; '' for a heading without a title, None for no heading."""
    level = len(line) - len(line.lstrip("#"))
    if level > 6 or not line[level : level + 1].isspace():
        return None
    title = line[level:].strip().rstrip("#").rstrip()
    return title and f"{'#' * level} {title}"


def _is_underline(line: str) -> bool:
    """Whether the line makes a heading of the one above it."""
    return not line.strip("=") or (len(line) > 1 and not line.strip("-"))


def _is_rule(line: str) -> bool:
    """Whether the line is a thematic break: three or more of one mark, spaces aside."""
    marks = "".join(line.split())
    return len(marks) > 2 and not marks.strip(marks[0])


def _cut_paragraph(block: str) -> Iterator[str]:
    if len(block) <= LONG:
        yield block
        return
    part = ""
    for sentence in sentences(block):
        if part and len(part) + len(sentence) > LONG:
            yield part
            part = ""
        start = 0
        while len(sentence) - start > LONG:  # not a sentence: cut at a space, or anywhere
            end = sentence.rfind(" ", start + LONG // 2, start + LONG)
            end = end if end > 0 else start + LONG
            yield sentence[start:end].strip()
            start = end + (sentence[end] == " ")
        sentence = sentence[start:].strip()
        part = f"{part} {sentence}" if part else sentence
    if part:
        yield part


def _cut_rows(kind: str, block: str) -> Iterator[str]:
    rows = block.split("\n")
    if len(rows) <= ROWS + 2 and len(block) <= LARGE:
        yield block
        return
    head = {"table": rows[:2], "code": rows[:1]}.get(kind, [])
    foot = rows[-1:] if kind == "code" else []
    body = rows[len(head) : len(rows) - len(foot)]
    if sum(map(len, head + foot)) > LONG:  # too much to be said again and again
        head, body, foot = [], rows, []
    part: list[str] = []
    size = 0
    for row in chain.from_iterable(map(_pieces, body)):
        if len(part) == ROWS or size + len(row) > LARGE:
            yield "\n".join(head + part + foot)
            part, size = [], 0
        part.append(row)
        size += len(row)
    yield "\n".join(head + part + foot)


def _pieces(row: str) -> Iterator[str]:
    """A row, or what it is cut into when it is no row that anybody would write."""
    yield row[:LARGE]
    for start in range(LARGE, len(row), LARGE):
        yield row[start : start + LARGE]


_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|approx|no|vs|mr|mrs|ms|dr|st|fig|incl|max|min)|\b[A-Z])\.$", re.I
)
ABBREVIATED = 12  # characters that hold the longest of them and what is before it
_SENTENCE_END = re.compile(r"([.!?\u2026][\"'\u201d\u2019)\]*_]*)\s+(?=[^\sa-z])|[\u3002\uff01\uff1f]")


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph. They end in `.`, `!`, `?` or `…` if no small letter follows."""
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(paragraph):
        end = match.end(1) if match[1] else match.end()
        if _ABBREVIATION.search(paragraph[max(start, end - ABBREVIATED) : end]):
            continue
        found.append(paragraph[start:end].strip())
        start = match.end()
    rest = paragraph[start:].strip()
    return [*found, rest] if rest else found


_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*(?:\([^()]*\)[^()]*)*\)")
_MARKS = re.compile(r"[*`]|(?<!\w)_|_(?!\w)")


def plain(text: str) -> str:
    """Return a heading without Markdown: links, emphasis, code marks and trailing anchors."""
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", text)).rstrip()  # twice: a link may be around a picture
    anchor = text.rfind("{#")
    if anchor >= 0 and text.find("}", anchor) == len(text) - 1:
        text = text[:anchor]
    return _MARKS.sub("", text).strip()


def shortened(text: str, most: int) -> str:
    """The text, or as many of its words as `most` characters hold, with an ellipsis."""
    if len(text) <= most:
        return text
    return text[: most - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def first_heading(text: str) -> str:
    """The first heading of one of the two upper levels as plain text; '' when there is none near the top."""
    for line in text[:BEGINNING].split("\n"):
        if line.startswith(("# ", "## ")) and (title := plain((_heading(line) or "").lstrip("# "))):
            return title
    return ""


def first_paragraph(text: str) -> str:
    """The first paragraph as plain text; '' when there is none near the top."""
    for kind, block in _blocks(text[:BEGINNING]):
        if kind == "paragraph":
            return plain(block)
    return ""
