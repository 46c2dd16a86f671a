"""LlamaIndex documents as files of an agent, and back. Pure.

The service knows files, not document ids. So a file's name carries the id and a digest of the content. From
its list of pages, any process can tell what an agent holds and whether it is current; no second store has to
be kept in sync.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.storage.docstore.types import RefDocInfo

from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Page

__all__ = ["DocumentFile", "files_of", "ids_of", "page_ids", "ref_doc_id_of", "ref_doc_info"]

logger = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z0-9.-]")
_NAME = re.compile(r"(?P<id>.+)__(?P<digest>[0-9a-f]{16})\.txt")
_LONGEST_ID = 200  # characters in the name; file systems allow 255 in all
_LIMITS = {"title": 255, "url": 2000, "description": 500}  # of a page's metadata in the vendor's API


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A document, ready for upload. `metadata` is what citations of it will show."""

    ref_doc_id: str
    digest: str
    content: bytes
    metadata: Mapping[str, str]

    @property
    def name(self) -> str:
        """The file's name, which holds id and digest."""
        return f"{_written(self.ref_doc_id)}__{self.digest}.txt"

    @property
    def upload(self) -> tuple[str, bytes]:
        """The file in the form that the clients upload."""
        return self.name, self.content


def ref_doc_id_of(node: BaseNode) -> str:
    """Return the id of a node's document. A document is a node as well: its own, or its source's."""
    return node.ref_doc_id or node.node_id


def files_of(nodes: Iterable[BaseNode]) -> list[DocumentFile]:
    """Return one file per document, with the texts of its nodes joined. A document itself is a node.

    Of documents with the same id, the last wins. A document without text is skipped with a warning, because
    the service could not index it. Raises `ConfigurationError` for an id that is too long for a file name.
    """
    texts: dict[str, list[str]] = {}
    metadata: dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        ref_doc_id = ref_doc_id_of(node)
        if node.ref_doc_id is None:
            texts.pop(ref_doc_id, None)
        texts.setdefault(ref_doc_id, []).append(node.get_content(MetadataMode.NONE))
        metadata[ref_doc_id] = node.metadata
    joined = {key: "\n\n".join(parts) for key, parts in texts.items()}
    for key in [key for key, text in joined.items() if not text.strip()]:
        logger.warning("Document %r has no text: skipped; what the agent holds of it stays", key)
        del joined[key]
    return [_file(key, text, metadata[key]) for key, text in joined.items()]


def _named(page: Page) -> tuple[str, str]:
    """Return a page's document id and digest; for a page that no index uploaded, its URL or name, and ''."""
    match = _NAME.fullmatch(page.filename or "")
    if match is not None:
        return _read(match["id"]), match["digest"]
    return (page.filename if page.is_file else page.url) or page.url or str(page.id), ""


def ids_of(pages: Iterable[Page], ref_doc_ids: Collection[str]) -> list[int]:
    """Return the ids of the pages of these documents."""
    return [page.id for page in pages if _named(page)[0] in ref_doc_ids]


def page_ids(node_ids: Iterable[str]) -> list[int]:
    """Return page ids for the ids of source nodes. Raises `ConfigurationError` if one names no page."""
    node_ids = list(node_ids)
    strange = [node_id for node_id in node_ids if not re.fullmatch("[0-9]+", str(node_id))]
    if strange:
        raise ConfigurationError(
            f"Not the id of a page: {', '.join(map(repr, strange[:10]))}. Nothing was deleted. The ids of "
            "all pages are in `ref_doc_info`; delete_ref_doc deletes a document."
        )
    return [int(node_id) for node_id in node_ids]


def ref_doc_info(pages: Iterable[Page]) -> dict[str, RefDocInfo]:
    """Return the agent's documents by id, oldest page first. Node ids are page ids, that is, citation ids."""
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


def _file(ref_doc_id: str, text: str, metadata: Mapping[str, Any]) -> DocumentFile:
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
    """Return any text in letters, digits, dots and hyphens, with `_xx` for every other byte."""
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
