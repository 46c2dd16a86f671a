"""The difference between what an agent holds and what it should hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from llama_index.core.schema import BaseNode

from customgpt_transport.errors import CustomGPTError, RequestTimeout
from customgpt_transport.models import Page
from llama_index_customgpt._documents import DocumentFile, ids_of, ref_doc_id_of

__all__ = ["Reconciliation"]

_WAITING = (None, "queued")


class Reconciliation:
    """The way from the pages `before`, newest first, to an agent that holds `files`, each indexed.

    A file is held when a page of its name is indexed, since names carry a digest of the content. A queued
    one is waited for; a failed one is `missing`. So after any failure, starting again completes the work and
    repeats none of it. `uploaded` files are waited for although no page shows them yet.
    """

    def __init__(
        self, files: Iterable[DocumentFile], before: Sequence[Page], *, uploaded: Iterable[DocumentFile] = ()
    ) -> None:
        self._files = {file.name: file for file in files}
        self._before = before
        self._pages: dict[str, Page] = {}
        self._labelled: set[int] = set()
        self.failed: list[int] = []
        for page in before:
            if page.filename not in self._files:
                continue
            if _is_settled(page) and page.index_status != "ok":
                self.failed.append(page.id)
            elif not self._is_ok(page.filename) and (
                page.index_status == "ok" or page.filename not in self._pages
            ):
                self._pages[page.filename] = page
        self.held = {file.ref_doc_id for file in self._files.values() if self._is_ok(file.name)}
        there = {*self._pages, *(file.name for file in uploaded)}
        self.missing = [file for file in self._files.values() if file.name not in there]

    @property
    def total(self) -> int:
        """The number of files."""
        return len(self._files)

    @property
    def settled(self) -> int:
        """The number of files that are indexed, or have failed."""
        return sum(_is_settled(page) for page in self._pages.values())

    def look(self) -> None:
        """Prepare for a new listing of the pages."""
        self._pages = {name: page for name, page in self._pages.items() if page.index_status == "ok"}

    def see(self, page: Page) -> bool:
        """Record a page, newest first. Return True once every file has a page: the listing may stop."""
        if page.filename in self._files and page.id not in self.failed:
            self._pages.setdefault(page.filename, page)
        return len(self._pages) == len(self._files)

    def unlabelled(self) -> Iterator[tuple[int, Mapping[str, str], bool]]:
        """Yield each newly indexed page once: its id, what citations of it should show, whether it was held.

        A page that was held before shows it already, unless something failed.
        """
        for name, page in self._pages.items():
            if page.index_status == "ok" and page.id not in self._labelled:
                self._labelled.add(page.id)
                file = self._files[name]
                yield page.id, file.metadata, file.ref_doc_id in self.held

    def outdated(self) -> list[int]:
        """Return the earlier pages of the documents that are now indexed."""
        done = {file.ref_doc_id for file in self._files.values() if self._is_ok(file.name)}
        current = {page.id for page in self._pages.values()}
        return [
            page for page in ids_of(self._before, done) if page not in current and page not in self.failed
        ]

    def check(self, patience: float) -> None:
        """Raise `CustomGPTError` if files have failed, `RequestTimeout` (clock "index") if some are queued.

        `patience` is the number of seconds waited.
        """
        failed = [
            self._files[name].ref_doc_id
            for name, page in self._pages.items()
            if _is_settled(page) and page.index_status != "ok"
        ]
        if failed:
            raise CustomGPTError(
                f"{len(failed)} of {self.total} documents could not be indexed: {', '.join(failed[:10])}. "
                "Check that they hold text, then try again: what is indexed is not uploaded twice."
            )
        if self.settled < self.total:
            raise RequestTimeout(
                f"{self.settled} of {self.total} documents were indexed within {patience:g} s. The "
                "service continues: call again to wait for the rest, or raise index_timeout.",
                clock="index",
            )

    def changed(self, documents: Iterable[BaseNode]) -> list[bool]:
        """Return for each document whether it was new or changed; False for one without text."""
        new = {file.ref_doc_id for file in self._files.values()} - self.held
        return [ref_doc_id_of(document) in new for document in documents]

    def _is_ok(self, name: str) -> bool:
        page = self._pages.get(name)
        return page is not None and page.index_status == "ok"


def _is_settled(page: Page) -> bool:
    return page.index_status not in _WAITING or page.crawl_status == "failed"
