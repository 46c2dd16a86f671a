"""The documents of one agent: listed, added, replaced, deleted.

Each method returns a flow of the transport, written once for both clients; `Library.run` and `Library.arun`
run it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from llama_index.core.schema import BaseNode
from llama_index.core.utils import get_tqdm_iterable

from customgpt_transport.adapting import Clients
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.flows import ApiFlows, Flow, Pages, Sleep
from customgpt_transport.models import Page
from llama_index_customgpt._documents import DocumentFile, files_of, ids_of
from llama_index_customgpt._reconciling import Reconciliation

__all__ = ["Library"]

logger = logging.getLogger(__name__)

_PER_REQUEST = 100
"""Pages listed per request."""


T = TypeVar("T")


class Library:
    """What an index does with the service. `patience` and `poll_every` are seconds."""

    def __init__(self, clients: Clients, *, show_progress: bool, patience: float, poll_every: float) -> None:
        self._clients = clients
        self._api = ApiFlows(clients.options)
        self._show_progress = show_progress
        self._patience = patience
        self._poll_every = poll_every

    def found(self, name: str, files: Sequence[DocumentFile]) -> Flow[None]:
        """Create an agent from `files`, the library's from now on, and wait until all are indexed."""
        # With one file, not all: the agent's id must be known before anything else can fail.
        agent = yield from self._api.agents.create(name, files=[files[0].upload])
        self._clients.project_id = agent.id
        logger.info("Agent %s was created for %d documents", agent.id, len(files))
        try:
            yield from self._settle(Reconciliation(files, [], uploaded=files[:1]))
        except CustomGPTError as error:
            # It exists, and counts: without its id nobody could go on with it, or delete it.
            sentence, *rest = error.args
            advice = f"The agent was made: go on with from_documents(documents, project_id={agent.id})."
            error.args = (f"{sentence} {advice}", *rest)
            raise

    def add(self, files: Sequence[DocumentFile]) -> Flow[None]:
        """Upload those of `files` that are not held, and wait until all are indexed."""
        if files:
            before = yield from self.pages()
            yield from self._settle(Reconciliation(files, before))

    def replace(self, documents: Sequence[BaseNode]) -> Flow[list[bool]]:
        """`add` documents, delete the pages they replace, return for each whether it is new or changed."""
        files = files_of(documents)
        before = (yield from self.pages()) if files else []
        reconciliation = Reconciliation(files, before)
        yield from self._settle(reconciliation, replaces=True)
        return reconciliation.changed(documents)

    def pages(self) -> Flow[list[Page]]:
        """Return all pages of the agent, newest first."""
        rows, listed = self._rows(), list[Page]()
        while rows.more:
            listed += yield from rows.next()
        return listed

    def delete(self, page_ids: Iterable[int]) -> Flow[None]:
        """Delete pages, one after the other."""
        agent = self._clients.agent
        for page_id in page_ids:
            yield from self._api.pages.delete(page_id, project_id=agent)

    def delete_document(self, ref_doc_id: str) -> Flow[None]:
        """Delete the pages of a document. Log a warning when there are none."""
        pages = ids_of((yield from self.pages()), [ref_doc_id])
        if not pages:
            agent = self._clients.agent
            logger.warning("Document %r is not in agent %s: nothing deleted", ref_doc_id, agent)
        yield from self.delete(pages)

    def _settle(self, reconciliation: Reconciliation, *, replaces: bool = False) -> Flow[None]:
        """Do all that can be done, and only then raise for documents that failed or are not there yet."""
        yield from self.delete(reconciliation.failed)
        yield from self._upload(reconciliation.missing)
        yield from self._wait(reconciliation)
        if replaces:
            yield from self.delete(reconciliation.outdated())
        reconciliation.check(self._patience)

    def _upload(self, files: Sequence[DocumentFile]) -> Flow[None]:
        agent = self._clients.agent
        with self._progress(len(files), "Uploading documents") as move_to:
            for n, file in enumerate(files, start=1):
                yield from self._api.sources.add(project_id=agent, file=file.upload)
                move_to(n)

    def _wait(self, reconciliation: Reconciliation) -> Flow[None]:
        """Wait until all is settled or patience ends; set what citations of the documents show."""
        clock = self._clients.options.clock
        end = clock() + self._patience
        with self._progress(reconciliation.total, "Indexing documents") as move_to:
            while True:
                if reconciliation.settled < reconciliation.total:
                    yield from self._look(reconciliation)
                yield from self._label(reconciliation)
                move_to(reconciliation.settled)
                left = end - clock()
                if reconciliation.settled == reconciliation.total or left <= 0:
                    return
                yield Sleep(min(self._poll_every, left))

    def _look(self, reconciliation: Reconciliation) -> Flow[None]:
        """List the pages until every file was seen."""
        reconciliation.look()
        rows = self._rows()
        while rows.more:
            for page in (yield from rows.next()):
                if reconciliation.see(page):
                    return

    def _rows(self) -> Pages[Page]:
        return self._api.pages.list(project_id=self._clients.agent, limit=_PER_REQUEST)

    def _label(self, reconciliation: Reconciliation) -> Flow[None]:
        agent = self._clients.agent
        for page_id, shall, was_held in reconciliation.unlabelled():
            if was_held:
                shown = yield from self._api.pages.metadata(page_id, project_id=agent)
                if all(getattr(shown, name) == text for name, text in shall.items()):
                    continue
            yield from self._api.pages.update_metadata(page_id, project_id=agent, **shall)

    @contextmanager
    def _progress(self, total: int, what: str) -> Iterator[Callable[[int], None]]:
        """Show a progress bar, closed whatever happens; yield a callback that sets it to `settled`."""
        steps = iter(get_tqdm_iterable(range(total), self._show_progress and total > 0, what))
        at = -1

        def move_to(settled: int) -> None:
            nonlocal at
            while at < settled:
                at += 1
                next(steps, None)

        try:
            yield move_to
        finally:
            getattr(steps, "close", lambda: None)()  # what is shown is a generator, else it is a plain range

    def run(self, flow: Flow[T]) -> T:
        """Run a flow with the blocking client."""
        return self._clients.sync.run(flow)

    async def arun(self, flow: Flow[T]) -> T:
        """Run a flow with the asynchronous client, without blocking the event loop."""
        client = await self._clients.on_this_loop()
        return await client.run(flow)
