"""HTML cut into tags and text, as the HTML standard says (section "Tokenization"). Pure.

No tree is made of it: nesting costs nothing, and each character is looked at a bounded number of times,
whatever the page. With parsers that make a tree, and with the standard library's until 2025, the time grows
with the square of the length.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["Token", "tokens"]


class Token(NamedTuple):
    """A tag, or the text between two tags."""

    kind: str
    """`start` or `end` of an element, or `text`."""
    text: str
    """The element's name, or the text."""
    attributes: Mapping[str, str] = {}


_NAME = re.compile(r"[a-zA-Z][^\s/>]*")
_SPACE = re.compile(r"[\s/]*")
_ATTRIBUTE = re.compile(r"=?[^\s/>=]*")
_EQUALS = re.compile(r"\s*=\s*")
_UNQUOTED = re.compile(r"[^\s>]*")
# Elements that hold text and no tags, with what ends them.
_TEXT_ONLY = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}
_PROGRAMS = ("script", "style")
_HUGE_REFERENCE = re.compile(r"&#\d{8,};?")  # beyond all characters, and no number for `int`


def tokens(source: str) -> Iterator[Token]:
    """Yield the tags and texts of a page.

    A comment, a tag or a script that never ends goes on to the end of the page, as in browsers.
    """
    at, never_ended = 0, set[str]()
    while (opening := source.find("<", at)) >= 0:
        if opening > at:
            yield Token("text", _unescaped(source[at:opening]))
        if name := _NAME.match(source, opening + 1):
            tag = name[0].lower()
            attributes, at = _attributes(source, name.end())
            if at < 0:
                return
            yield Token("start", tag, attributes)
            if tag not in _TEXT_ONLY or tag in never_ended:
                continue
            end = _TEXT_ONLY[tag].search(source, at)
            if end is not None:
                inside = source[at : end.start()]
                yield Token("text", inside if tag in _PROGRAMS else _unescaped(inside))
                at = end.start()
            elif tag in _PROGRAMS:
                return
            else:
                never_ended.add(tag)  # so it hides nothing
        elif name := _NAME.match(source, opening + 2) if source.startswith("</", opening) else None:
            at = source.find(">", name.end()) + 1
            if not at:
                return
            yield Token("end", name[0].lower())
        elif source.startswith(("<!", "<?", "</"), opening):
            comment = source.startswith("<!--", opening)
            close = "-->" if comment else ">"
            at = source.find(close, opening + 2) + len(close)
            if at < len(close):
                return
        else:
            yield Token("text", "<")
            at = opening + 1
    if at < len(source):
        yield Token("text", _unescaped(source[at:]))


def _attributes(source: str, at: int) -> tuple[dict[str, str], int]:
    """Return the attributes of a start tag, and where the tag ends; -1 if it never does."""
    found: dict[str, str] = {}
    while True:
        at = _past(_SPACE, source, at)
        if at >= len(source):
            return found, -1
        if source[at] == ">":
            return found, at + 1
        end = _past(_ATTRIBUTE, source, at)
        name, at, value = source[at:end].lower(), end, ""
        if equals := _EQUALS.match(source, at):
            at = equals.end()
            quote = source[at : at + 1]
            if quote in ('"', "'"):
                end = source.find(quote, at + 1)
                if end < 0:
                    return found, -1
                value, at = source[at + 1 : end], end + 1
            else:
                end = _past(_UNQUOTED, source, at)
                value, at = source[at:end], end
        found.setdefault(name, _unescaped(value))


def _past(pattern: re.Pattern[str], source: str, at: int) -> int:
    """Return where a match ends, of a pattern that matches everywhere."""
    match = pattern.match(source, at)
    return at if match is None else match.end()


def _unescaped(text: str) -> str:
    return html.unescape(_HUGE_REFERENCE.sub("\ufffd", text)) if "&" in text else text
