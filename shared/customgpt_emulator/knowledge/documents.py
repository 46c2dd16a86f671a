"""Reading documents: Markdown, plain text, HTML; with the extra `emulator` also PDF and Word."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from customgpt_emulator.knowledge.html import html_to_document
from customgpt_emulator.knowledge.passages import first_paragraph, plain

__all__ = ["SUFFIXES", "Document", "Unreadable", "read_document"]

DESCRIPTION_LENGTH = 200


class Unreadable(Exception):
    """A document that cannot be indexed; the text says why."""


@dataclass(frozen=True)
class Document:
    """What the index needs to know of one document. `text` is Markdown, whatever the file was."""

    title: str
    text: str
    description: str | None = None
    url: str | None = None
    """Its own address, when the document names one (canonical link, `url:` in the front matter)."""
    image: str | None = None


def read_document(name: str, data: bytes) -> Document:
    """Read the file called `name`.

    Raises `Unreadable` for a kind that is not supported, for an empty document, and for a damaged one.
    """
    suffix = PurePosixPath(name).suffix.lower() or _guess(data)
    reader = _READERS.get(suffix)
    if reader is None:
        raise Unreadable(f"{suffix} is not supported")
    document = reader(name, data)
    if not document.text.strip():
        raise Unreadable("it holds no text")
    return document


def _markdown(name: str, data: bytes) -> Document:
    text = _decode(data)
    front: dict[str, str] = {}
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if match:
        text = text[match.end() :]
        pairs = re.findall(r"^(\w+):[ \t]*(.+?)[ \t]*$", match[1], re.MULTILINE)
        front = {key.lower(): value.strip("\"'") for key, value in pairs}
    heading = re.search(r"^#{1,2} +(.+?)[ #]*$", text, re.MULTILINE)
    return Document(
        title=front.get("title") or (plain(heading[1]) if heading else _title_from(name)),
        text=text,
        description=front.get("description") or _description(text),
        url=front.get("url"),
        image=front.get("image"),
    )


def _text(name: str, data: bytes) -> Document:
    text = _decode(data)
    first, _, rest = text.strip().partition("\n")
    first = first.strip()
    headed = len(first) <= 80 and rest.startswith("\n") and not first.endswith((".", "!", "?", ":"))
    title = first.lstrip("# ") if headed and first.lstrip("# ") else _title_from(name)
    body = rest if headed and rest.strip() else text
    return Document(title=title, text=body, description=_description(body))


def _html(name: str, data: bytes) -> Document:
    page = html_to_document(_decode(data))
    return Document(
        title=page.title or _title_from(name),
        text=page.text,
        description=page.description or _description(page.text),
        url=page.url,
        image=page.image,
    )


def _pdf(name: str, data: bytes) -> Document:
    try:
        import pypdf
    except ImportError:
        raise Unreadable('.pdf needs the extra: pip install "customgpt-adapters[emulator]"') from None
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        text = "\n\n".join(page.extract_text() for page in reader.pages)
        named = reader.metadata.title if reader.metadata else None
    except Exception as error:  # pypdf raises many kinds for damaged files
        raise Unreadable(f"not a readable PDF: {error}") from error
    return Document(title=named or _title_from(name), text=text, description=_description(text))


def _docx(name: str, data: bytes) -> Document:
    try:
        import docx
        from docx.table import Table
    except ImportError:
        raise Unreadable('.docx needs the extra: pip install "customgpt-adapters[emulator]"') from None
    try:
        file = docx.Document(io.BytesIO(data))
        blocks: list[str] = []
        for block in file.iter_inner_content():
            if isinstance(block, Table):
                rows = [" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows]
                rule = "|".join(" --- " for _ in block.columns)
                blocks.append("\n".join(f"| {row} |" for row in rows[:1]) + f"\n|{rule}|\n")
                blocks[-1] += "\n".join(f"| {row} |" for row in rows[1:])
            elif block.style is not None and (block.style.name or "").startswith(("Heading", "Title")):
                blocks.append(f"## {block.text.strip()}")
            elif block.style is not None and (block.style.name or "").startswith("List"):
                blocks.append(f"- {block.text.strip()}")
            else:
                blocks.append(block.text.strip())
        named = file.core_properties.title
    except Exception as error:  # zipfile, lxml and python-docx raise many kinds for damaged files
        raise Unreadable(f"not a readable Word document: {error}") from error
    text = "\n\n".join(block for block in blocks if block)
    heading = re.match(r"## (.+)", text)
    title = named or (heading[1] if heading else _title_from(name))
    return Document(title=title, text=text, description=_description(text))


def _decode(data: bytes) -> str:
    """UTF-8 first, then what a byte order mark says, then Windows' Latin; line ends become LF."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
    if "\0" in text[:4096]:
        raise Unreadable("it is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _guess(data: bytes) -> str:
    """A file without a suffix is what it looks like: the vendor's SDK sends files that are called `file`."""
    start = data[:512].lstrip()
    if start.startswith(b"%PDF"):
        return ".pdf"
    if start.startswith(b"PK"):
        return ".docx"
    return ".html" if start[:9].lower() in (b"<!doctype", b"<html>") else ".md"


def _title_from(name: str) -> str:
    stem = PurePosixPath(name).stem
    return re.sub(r"[-_\s]+", " ", stem).strip().capitalize() or name


def _description(text: str) -> str | None:
    paragraph = first_paragraph(text)
    if len(paragraph) <= DESCRIPTION_LENGTH:
        return paragraph or None
    return paragraph[: DESCRIPTION_LENGTH - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


_READERS: dict[str, Callable[[str, bytes], Document]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _text,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
}
SUFFIXES = frozenset(_READERS)
