"""HTML to Markdown. Headings, lists, tables and code are kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from customgpt_emulator.knowledge.tags import Token, tokens

__all__ = ["HtmlPage", "html_to_document"]

_SILENT = frozenset({"script", "style", "template", "noscript", "nav", "svg", "button", "select"})
_BLOCK_NAMES = (
    "p div section article main header footer aside blockquote ul ol li dl dt dd table tr pre figure form "
    "figcaption h1 h2 h3 h4 h5 h6 hr body address details summary"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_BLANK_LINES = re.compile(r"\n{3,}")
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}


@dataclass
class HtmlPage:
    """The text of an HTML page as Markdown, and the data in its head."""

    title: str | None = None
    description: str | None = None
    url: str | None = None
    image: str | None = None
    text: str = ""


def html_to_document(source: str) -> HtmlPage:
    """Return what a page says. Broken markup is read as far as possible; nothing is raised."""
    found = list(tokens(source))
    writer = _Writer(_SILENT - _unended(found))
    for token in found:
        writer.take(token)
    return writer.finish()


def _unended(found: Sequence[Token]) -> set[str]:
    """Return the silent elements that never end: they would hide everything after them."""
    opened = Counter[str]()
    for token in found:
        if token.text in _SILENT and token.kind == "start":
            opened[token.text] += 1
        elif token.text in _SILENT and token.kind == "end" and opened[token.text]:
            opened[token.text] -= 1
    return {name for name, count in opened.items() if count}


class _Writer:
    """Writes the tokens of a page as Markdown."""

    def __init__(self, silent: frozenset[str]) -> None:
        self._silent = silent
        self._page = HtmlPage()
        self._out: list[str] = []
        self._heading = ""
        """The first one."""
        self._inline: list[str] = []
        self._silenced = 0
        """How many silent elements are open."""
        self._in_title = False
        self._pre = 0
        self._prefix = ""
        self._in_table = False
        self._rows = 0
        self._cells: list[str] | None = None
        """Those of the row that is open."""
        self._in_cell = False

    def take(self, token: Token) -> None:
        """Write one token."""
        if token.kind == "text":
            self._text(token.text)
        elif token.text in self._silent:
            self._silenced = max(0, self._silenced + (1 if token.kind == "start" else -1))
        elif self._silenced:
            return
        elif token.kind == "start":
            self._start(token.text, token.attributes)
        else:
            self._end(token.text)

    def finish(self) -> HtmlPage:
        """The whole page."""
        self._end_row()
        self._end_pre()
        self._end_block()
        self._page.text = _BLANK_LINES.sub("\n\n", "".join(self._out)).strip()
        self._page.title = self._page.title or self._heading or None
        return self._page

    def _text(self, text: str) -> None:
        if self._silenced:
            return
        if self._in_title:
            self._page.title, self._in_title = " ".join(text.split()), False
        else:
            self._inline.append(text)

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "meta":
            self._meta(attributes)
        elif tag == "link" and attributes.get("rel", "").lower() == "canonical":
            self._page.url = attributes.get("href") or self._page.url
        elif tag == "title":
            self._in_title = not self._page.title
        elif tag == "br":
            self._inline.append("\n" if self._pre else " ")
        elif tag in ("td", "th") and self._in_table:
            if self._cells is None:
                self._start_row()
            self._end_cell()
            self._in_cell = True
        elif tag == "tr":
            self._start_row()
        elif tag in _BLOCKS:
            self._end_block()
            if tag in _HEADINGS:
                self._prefix = _HEADINGS[tag]
            elif tag == "li":
                self._prefix = "- "
            elif tag == "pre":
                self._pre += 1
            elif tag == "table":
                self._in_table, self._rows = True, 0

    def _end(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in ("td", "th"):
            if self._cells is not None:
                self._end_cell()
        elif tag == "tr":
            self._end_row()
        elif tag == "pre":
            self._end_pre()
        elif tag in ("ul", "ol", "table"):
            if tag == "table":
                self._end_row()
                self._in_table = False
            self._end_block()
            self._out.append("\n")
        elif tag in _BLOCKS:
            self._end_block()

    def _end_block(self) -> None:
        if self._pre or self._cells is not None:
            return
        text = self._take_inline()
        if not text:
            return
        prefix, self._prefix = self._prefix, ""
        if prefix.startswith("#") and not self._heading:
            self._heading = text
        self._out.append(f"{prefix}{text}\n" if prefix == "- " else f"\n{prefix}{text}\n\n")

    def _end_pre(self) -> None:
        if not self._pre:
            return
        code = "".join(self._inline).strip("\n")
        self._inline.clear()
        self._pre -= 1
        self._out.append(f"\n\n```\n{code}\n```\n\n" if code.strip() else "")

    def _start_row(self) -> None:
        self._end_row()
        self._end_block()
        self._cells = []

    def _end_cell(self) -> None:
        text = self._take_inline()  # between cells there is nothing to be read
        if self._in_cell and self._cells is not None:
            self._cells.append(text.replace("|", "\\|"))
        self._in_cell = False

    def _end_row(self) -> None:
        if self._cells is None:
            return
        self._end_cell()
        cells, self._cells = self._cells, None
        if not cells:
            return
        if self._rows == 0:
            self._out.append("\n")
        self._out.append("| " + " | ".join(cells) + " |\n")
        if self._rows == 0:  # Markdown tables need a head: the first row becomes it
            self._out.append("|" + " --- |" * len(cells) + "\n")
        self._rows += 1

    def _take_inline(self) -> str:
        text = " ".join("".join(self._inline).split())
        self._inline.clear()
        return text

    def _meta(self, attributes: Mapping[str, str]) -> None:
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        content = attributes.get("content") or None
        if name in ("description", "og:description"):
            self._page.description = self._page.description or content
        elif name == "og:image":
            self._page.image = content
        elif name == "og:url":
            self._page.url = self._page.url or content
