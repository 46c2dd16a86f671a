"""Markdown cut into passages: paragraphs, lists, tables and code blocks that an answer can quote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["SEPARATOR", "Passage", "first_paragraph", "plain", "sentences", "split_passages"]

SEPARATOR = " > "  # between the headings above a passage
LONG = 1200  # characters; a longer paragraph is cut between sentences
ROWS = 60  # a longer list, table or code block is cut, head and fences repeated


@dataclass(frozen=True)
class Passage:
    """One quotable block and the headings above it, as `Refunds > Gift cards`."""

    heading: str
    text: str


_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"\s{0,6}(?:[-*+]|\d{1,3}[.)])\s+\S")
_RULE = re.compile(r"\s*([-*_])(?:\s*\1){2,}\s*$")


def split_passages(text: str) -> list[Passage]:
    """Cut Markdown (or plain text, or what was made from HTML) into passages, in order."""
    passages: list[Passage] = []
    path: list[tuple[int, str]] = []
    intro = ""  # a paragraph that ends in a colon belongs to the list that follows
    for kind, block in _blocks(text):
        if kind == "heading":
            level, title = len(block) - len(block.lstrip("#")), plain(block.lstrip("# "))
            path = [(depth, name) for depth, name in path if depth < level]
            path.append((level, title))
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
    """Give (kind, block); kinds: heading, paragraph, list, table, code."""
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
        elif match := _HEADING.match(stripped):
            yield from flush()
            if match[2]:
                yield "heading", f"{match[1]} {match[2]}"
        elif kind == "paragraph" and len(here) == 1 and re.fullmatch(r"(=+|-{2,})", stripped):
            title, here, kind = here[0], [], ""
            yield "heading", ("# " if stripped[0] == "=" else "## ") + title.strip()
        elif _RULE.match(line) and kind != "table":
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


def _cut_paragraph(block: str) -> Iterator[str]:
    if len(block) <= LONG:
        yield block
        return
    part = ""
    for sentence in sentences(block):
        if part and len(part) + len(sentence) > LONG:
            yield part
            part = ""
        while len(sentence) > LONG:  # no sentence at all: cut at a space, or anywhere
            end = sentence.rfind(" ", LONG // 2, LONG)
            end = end if end > 0 else LONG
            yield sentence[:end].strip()
            sentence = sentence[end:].strip()
        part = f"{part} {sentence}" if part else sentence
    if part:
        yield part


def _cut_rows(kind: str, block: str) -> Iterator[str]:
    rows = block.split("\n")
    if len(rows) <= ROWS + 2:
        yield block
        return
    head = {"table": rows[:2], "code": rows[:1]}.get(kind, [])
    foot = rows[-1:] if kind == "code" else []
    body = rows[len(head) : len(rows) - len(foot)]
    for start in range(0, len(body), ROWS):
        yield "\n".join(head + body[start : start + ROWS] + foot)


_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|approx|no|vs|mr|mrs|ms|dr|st|fig|incl|max|min)|\b[A-Z])\.$", re.I
)


def sentences(paragraph: str) -> list[str]:
    """Cut a paragraph after `.`, `!`, `?` or `…` that a space and no small letter follow."""
    found: list[str] = []
    start = 0
    for match in re.finditer(
        r"[.!?\u2026][\"'\u201d\u2019)\]*_]*\s+(?=[^\sa-z])|[\u3002\uff01\uff1f]", paragraph
    ):
        piece = paragraph[start : match.end()].strip()
        if _ABBREVIATION.search(piece):
            continue
        found.append(piece)
        start = match.end()
    rest = paragraph[start:].strip()
    return [*found, rest] if rest else found


def plain(text: str) -> str:
    """A heading without its Markdown: links, emphasis, code marks and trailing anchors."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\s*\{#[^}]*\}\s*$", "", text)
    return re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text).strip()


def first_paragraph(text: str) -> str:
    """The first paragraph as plain text; '' when there is none."""
    for kind, block in _blocks(text[:20_000]):
        if kind == "paragraph":
            return plain(block)
    return ""
