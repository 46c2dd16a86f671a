"""HTML as Markdown, by the standard library's parser: headings, lists, tables and code survive."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["HtmlPage", "html_to_document"]

_SILENT = frozenset({"script", "style", "template", "noscript", "nav", "svg", "head", "button", "select"})
_IN_HEAD = frozenset({"base", "link", "meta", "title", "script", "style", "noscript", "template"})
_BLOCK_NAMES = (
    "p div section article main header footer aside blockquote ul ol li dl dt dd table tr pre figure form "
    "figcaption h1 h2 h3 h4 h5 h6 hr body address details summary"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}


@dataclass
class HtmlPage:
    """The text of a page as Markdown, and what its head says."""

    title: str | None = None
    description: str | None = None
    url: str | None = None
    image: str | None = None
    text: str = ""


def html_to_document(source: str) -> HtmlPage:
    """Read a page. Broken markup is read as far as it goes; nothing is raised."""
    parser = _parsed(source, _SILENT)
    if parser.silenced:  # what is never ended would silence all the rest
        parser = _parsed(source, _SILENT - set(parser.silenced))
    page = parser.page
    page.text = re.sub(r"\n{3,}", "\n\n", "".join(parser.out)).strip()
    if page.title is None and parser.first_heading:
        page.title = parser.first_heading
    return page


def _parsed(source: str, silent: frozenset[str]) -> _Parser:
    parser = _Parser(silent)
    parser.feed(source)
    parser.close()
    parser.end_block()
    return parser


@dataclass
class _Row:
    cells: list[str] = field(default_factory=list)
    heads: bool = False


class _Parser(HTMLParser):
    def __init__(self, silent: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.silenced: list[str] = []
        """The elements without a text of use that are open, outermost first."""
        self._silent = silent
        self.page = HtmlPage()
        self.out: list[str] = []
        self.first_heading = ""
        self._inline: list[str] = []
        self._in_title = False
        self._pre = 0
        self._prefix = ""
        self._row: _Row | None = None
        self._rows_seen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag not in _IN_HEAD:
            self._end_head()
        if tag == "meta":
            self._meta(named)
        elif tag == "link" and named.get("rel", "").lower() == "canonical":
            self.page.url = named.get("href") or self.page.url
        elif tag == "title" and not self.page.title:
            self._in_title = True
            self.page.title = ""
        elif tag == "body":
            self.silenced.clear()
        elif tag in self._silent:
            self.silenced.append(tag)
        elif tag == "br":
            self._inline.append("\n" if self._pre else " ")
        elif tag in ("td", "th"):
            if self._row is not None:
                self._row.heads = self._row.heads or tag == "th"
            self._inline = []
        elif tag in _BLOCKS:
            self.end_block()
            if tag in _HEADINGS:
                self._prefix = _HEADINGS[tag]
            elif tag == "li":
                self._prefix = "- "
            elif tag == "pre":
                self._pre += 1
            elif tag == "table":
                self._rows_seen = 0
            elif tag == "tr":
                self._row = _Row()

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in self._silent:
            if tag in self.silenced:  # and whatever was left open within
                del self.silenced[len(self.silenced) - 1 - self.silenced[::-1].index(tag) :]
        elif tag in ("td", "th"):
            if self._row is not None:
                self._row.cells.append(self._take_inline().replace("|", "\\|"))
        elif tag == "tr" and self._row is not None:
            self._end_row(self._row)
        elif tag == "pre" and self._pre:
            code = "".join(self._inline).strip("\n")
            self._inline = []
            self._pre -= 1
            self.out.append(f"\n\n```\n{code}\n```\n\n" if code.strip() else "")
        elif tag in ("ul", "ol", "table"):
            self.end_block()
            self.out.append("\n")
        elif tag in _BLOCKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.page.title = re.sub(r"\s+", " ", (self.page.title or "") + data).strip()
            return
        if data.strip() and self.silenced[-1:] == ["head"]:
            self._end_head()
        if not self.silenced:
            self._inline.append(data)

    def _end_head(self) -> None:
        """The end of a head need not be written: the first thing ends it that a head cannot hold."""
        if self.silenced[-1:] == ["head"]:
            self.silenced.pop()

    def end_block(self) -> None:
        if self._pre or self._row is not None:
            return
        text = self._take_inline()
        prefix, self._prefix = self._prefix, ("" if text else self._prefix)
        if not text:
            return
        if prefix.startswith("#") and not self.first_heading:
            self.first_heading = text
        self.out.append(f"{prefix}{text}\n" if prefix == "- " else f"\n{prefix}{text}\n\n")

    def _take_inline(self) -> str:
        text = re.sub(r"\s+", " ", "".join(self._inline)).strip()
        self._inline = []
        return text

    def _end_row(self, row: _Row) -> None:
        self._row = None
        self._inline = []
        if not row.cells:
            return
        if self._rows_seen == 0:
            self.out.append("\n")
        self.out.append("| " + " | ".join(row.cells) + " |\n")
        if self._rows_seen == 0:  # Markdown tables need a head: the first row is taken for it
            self.out.append("|" + " --- |" * len(row.cells) + "\n")
        self._rows_seen += 1

    def _meta(self, named: dict[str, str]) -> None:
        name = (named.get("name") or named.get("property") or "").lower()
        content = named.get("content") or None
        if name in ("description", "og:description"):
            self.page.description = self.page.description or content
        elif name == "og:image":
            self.page.image = content
        elif name == "og:url":
            self.page.url = self.page.url or content
