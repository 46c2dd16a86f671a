"""LlamaIndex documents as files of an agent, and back. Pure.

The service knows files, not document ids. So the file's name carries both the id and a digest of the content:
what an agent holds, and whether it is still current, can be read off its list of pages by any process, and no
second store has to be kept in step.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.storage.docstore.types import RefDocInfo

from customgpt_transport.errors import ConfigurationError, CustomGPTError, RequestTimeout
from customgpt_transport.models import Page

__all__ = ["DocumentFile", "Watch", "changes", "files_of", "ids_of", "outdated", "ref_doc_info"]

_PLAIN = re.compile(r"[A-Za-z0-9.-]")
_NAME = re.compile(r"(?P<id>.+)__(?P<digest>[0-9a-f]{16})\.txt")
_LONGEST_ID = 200  # characters as written into the name; file systems end at 255
_LIMITS = {"title": 255, "url": 2000, "description": 500}  # of the vendor's API, page metadata
_WAITING = (None, "queued")


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A document as it is uploaded. `metadata` is what citations of it will show."""

    ref_doc_id: str
    digest: str
    content: bytes
    metadata: Mapping[str, str]

    @property
    def name(self) -> str:
        """The file's name, which says id and digest."""
        return f"{_written(self.ref_doc_id)}__{self.digest}.txt"

    @property
    def upload(self) -> tuple[str, bytes]:
        """What the clients' uploads take."""
        return self.name, self.content


def files_of(nodes: Iterable[BaseNode]) -> list[DocumentFile]:
    """Give one file per document; nodes of one document are joined. A document itself is a node.

    Of documents with the same id the last wins. Raises `ConfigurationError` for a document without text, and
    for an id that is too long for a file name.
    """
    texts: dict[str, list[str]] = {}
    metadata: dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        ref_doc_id = node.ref_doc_id or node.node_id
        if node.ref_doc_id is None:
            texts.pop(ref_doc_id, None)
        texts.setdefault(ref_doc_id, []).append(node.get_content(MetadataMode.NONE))
        metadata[ref_doc_id] = node.metadata
    return [_file(key, "\n\n".join(parts), metadata[key]) for key, parts in texts.items()]


def _named(page: Page) -> tuple[str, str]:
    """Give the document's id and digest; for a page that no index uploaded its address, and no digest."""
    match = _NAME.fullmatch(page.filename or "")
    if match is not None:
        return _read(match["id"]), match["digest"]
    return (page.filename if page.is_file else page.url) or page.url or str(page.id), ""


def ids_of(pages: Iterable[Page], ref_doc_ids: Collection[str], *, keep: Collection[str] = ()) -> list[int]:
    """Give the pages of these documents, except those whose file name is in `keep`."""
    return [page.id for page in pages if _named(page)[0] in ref_doc_ids and page.filename not in keep]


def changes(documents: Sequence[BaseNode], pages: Iterable[Page]) -> tuple[list[DocumentFile], list[bool]]:
    """Give the files that `pages` do not hold as they are now, and for each document whether it is one."""
    held = {page.filename for page in pages}
    files = {file.ref_doc_id: file for file in files_of(documents)}
    changed = [files[document.node_id].name not in held for document in documents]
    return [file for file in files.values() if file.name not in held], changed


def outdated(files: Sequence[DocumentFile], pages: Iterable[Page]) -> list[int]:
    """Give the pages that `files` replace."""
    return ids_of(pages, {file.ref_doc_id for file in files}, keep={file.name for file in files})


def ref_doc_info(pages: Iterable[Page]) -> dict[str, RefDocInfo]:
    """Give the agent's documents by id, oldest page first; node ids are page ids, which are citation ids."""
    found: dict[str, RefDocInfo] = {}
    for page in sorted(pages, key=lambda page: page.id):
        ref_doc_id, digest = _named(page)
        info = found.setdefault(ref_doc_id, RefDocInfo())
        info.node_ids.append(str(page.id))
        facts = {
            "url": page.url,
            "filename": page.filename,
            "index_status": page.index_status,
            "digest": digest or None,
        }
        info.metadata = {key: value for key, value in facts.items() if value is not None}
    return found


class Watch:
    """Follows uploaded files until all are indexed. Asks nobody and waits for nothing itself."""

    def __init__(self, files: Iterable[DocumentFile], *, patience: float) -> None:
        self._files = {file.name: file for file in files}
        self._left = patience
        self._patience = patience
        self.pages: dict[str, Page] = {}

    def look(self) -> None:
        """Begin to list the pages again."""
        self.pages = {}

    def see(self, page: Page) -> bool:
        """Take note of a page, newest first; True when every file was seen and no more need be listed."""
        if page.filename in self._files:
            self.pages.setdefault(page.filename, page)
        return len(self.pages) == len(self._files)

    @property
    def total(self) -> int:
        """How many files are followed."""
        return len(self._files)

    @property
    def settled(self) -> int:
        """How many are done, indexed or failed."""
        return sum(_is_settled(page) for page in self.pages.values())

    def metadata(self) -> list[tuple[int, dict[str, str]]]:
        """Give what citations shall show, by page id."""
        return [(page.id, dict(self._files[name].metadata)) for name, page in self.pages.items()]

    def is_done(self) -> bool:
        """Whether all are indexed. Raises `CustomGPTError` once all are done and some have failed."""
        if self.settled < self.total:
            return False
        failed = [_named(page)[0] for page in self.pages.values() if page.index_status != "ok"]
        if failed:
            raise CustomGPTError(
                f"{len(failed)} of {self.total} documents could not be indexed: {', '.join(failed[:10])}. "
                "Check that they hold text, then insert them again."
            )
        return True

    def spend(self, seconds: float) -> float:
        """Give how long to wait before the next look, at most `seconds`.

        Raises `RequestTimeout` (clock "index") when the patience is used up.
        """
        if self._left <= 0:
            raise RequestTimeout(
                f"{self.settled} of {self.total} documents were indexed within {self._patience:g} s. The "
                "service goes on by itself; give index_timeout=... to wait longer.",
                clock="index",
            )
        pause = min(seconds, self._left)
        self._left -= pause
        return pause


def _is_settled(page: Page) -> bool:
    return page.index_status not in _WAITING or page.crawl_status == "failed"


def _file(ref_doc_id: str, text: str, metadata: Mapping[str, Any]) -> DocumentFile:
    if not text.strip():
        raise ConfigurationError(f"Document {ref_doc_id!r} has no text: there is nothing to index.")
    if len(_written(ref_doc_id)) > _LONGEST_ID:
        raise ConfigurationError(
            f"The id of document {ref_doc_id[:60]!r}… is too long: it becomes part of a file name. Give the "
            "document a shorter id_."
        )
    shown = _shown(ref_doc_id, metadata)
    digest = hashlib.sha256(repr((text, sorted(shown.items()))).encode()).hexdigest()[:16]
    return DocumentFile(ref_doc_id, digest, text.encode(), shown)


def _shown(ref_doc_id: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    address = str(metadata.get("url") or metadata.get("source") or "")
    shown = {
        "title": str(metadata.get("title") or metadata.get("file_name") or ref_doc_id),
        "url": address if address.startswith(("https://", "http://")) else "",
        "description": str(metadata.get("description") or ""),
    }
    return {key: value[: _LIMITS[key]] for key, value in shown.items() if value}


def _written(ref_doc_id: str) -> str:
    """Write any text with letters, digits, dots, hyphens and `_xx` for each other byte."""
    return "".join(
        character if _PLAIN.fullmatch(character) else "".join(f"_{byte:02x}" for byte in character.encode())
        for character in ref_doc_id
    )


def _read(written: str) -> str:
    try:
        data = re.sub(
            rb"_([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), written.encode("latin-1", "replace")
        )
        return data.decode()
    except UnicodeDecodeError:
        return written
