"""Reading documents: Markdown, plain text, HTML; with the extra `emulator` also PDF and Word."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from customgpt_emulator.knowledge.html import html_to_document
from customgpt_emulator.knowledge.passages import first_heading, first_paragraph, shortened

__all__ = ["SUFFIXES", "Document", "Unreadable", "read_document"]

LONG_TITLE = 255  # characters, as the API has it for titles that are given to a page
LONG_DESCRIPTION = 500  # likewise
UNPACKED_TEXT = 8 * 2**20  # bytes of a Word file's XML, some thousand pages
UNPACKED = 200 * 2**20  # bytes of a Word file, its pictures included
EXCERPT = 200  # characters of a first paragraph that stands in for a description
LONG_ADDRESS = 2000  # characters, as the API has it; a longer one is none


class Unreadable(Exception):
    """A document cannot be indexed; the text says why."""


@dataclass(frozen=True)
class Document:
    """What the index needs of one document. `text` is Markdown, whatever the file was.

    Title, description and addresses are short: every passage carries its title.
    """

    title: str
    text: str
    description: str | None = None
    url: str | None = None
    """The URL that the document names as its own (canonical link, `url:` in the front matter)."""
    image: str | None = None


def read_document(name: str, data: bytes) -> Document:
    """Return the document in the file called `name`.

    Raises `Unreadable` if its kind is not supported, if it is empty, or if it is damaged.
    """
    suffix = PurePosixPath(name).suffix.lower() or _guess(data)
    reader = _READERS.get(suffix)
    if reader is None:
        raise Unreadable(f"{suffix} is not supported")
    document = reader(name, data)
    if not document.text.strip():
        raise Unreadable("it has no text")
    return replace(
        document,
        title=shortened(document.title, LONG_TITLE),
        description=document.description and shortened(document.description, LONG_DESCRIPTION),
        url=document.url if len(document.url or "") <= LONG_ADDRESS else None,
        image=document.image if len(document.image or "") <= LONG_ADDRESS else None,
    )


def _markdown(name: str, data: bytes) -> Document:
    front, text = _front_matter(_decode(data))
    return Document(
        title=front.get("title") or first_heading(text) or _title_from(name),
        text=text,
        description=front.get("description") or _description(text),
        url=front.get("url") or None,
        image=front.get("image") or None,
    )


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """The `name: value` lines between the two `---` at the top, and the text below them."""
    end = text.find("\n---\n", 4) if text.startswith("---\n") else -1
    if end < 0:
        return {}, text
    pairs = (line.partition(":") for line in text[4:end].split("\n"))
    front = {name.lower(): value.strip(" \t").strip("\"'") for name, _, value in pairs if name.isidentifier()}
    return front, text[end + 5 :]


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
    _check_unpacked(data)
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
    title = named or first_heading(text) or _title_from(name)
    return Document(title=title, text=text, description=_description(text))


def _check_unpacked(data: bytes) -> None:
    """Raise `Unreadable` for a Word file that declares to unpack to more than anybody writes.

    Only the declared sizes are checked: a part that inflates beyond its own is not found out here.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = packed.infolist()
    except Exception as error:  # zipfile raises many kinds for damaged files
        raise Unreadable(f"not a readable Word document: {error}") from error
    text = sum(part.file_size for part in parts if part.filename.endswith((".xml", ".rels")))
    if text > UNPACKED_TEXT or sum(part.file_size for part in parts) > UNPACKED:
        raise Unreadable("it unpacks to more than a Word document may")


def _decode(data: bytes) -> str:
    """Return text from UTF-8, from UTF-16 with a byte order mark, or else from Windows-1252, with LF."""
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
    """Return the suffix that a file looks like: the vendor's SDK sends files called `file`."""
    start = data[:512].lstrip()
    if start.startswith(b"%PDF"):
        return ".pdf"
    if start.startswith(b"PK"):
        return ".docx"
    return ".html" if start[:9].lower() in (b"<!doctype", b"<html>") else ".md"


_BETWEEN_WORDS = re.compile(r"[-_\s]+")


def _title_from(name: str) -> str:
    stem = PurePosixPath(name).stem
    return _BETWEEN_WORDS.sub(" ", stem).strip().capitalize() or name


def _description(text: str) -> str | None:
    return shortened(first_paragraph(text), EXCERPT) or None


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
