"""The documents of one agent: listed, added, replaced, deleted.

Each method is written once, as a generator of steps: what to ask of a client, whichever its colour. Sync and
async differ only in who takes the steps, `Library.run` or `Library.arun`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from llama_index.core.schema import BaseNode
from llama_index.core.utils import get_tqdm_iterable

from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import Page
from llama_index_customgpt._clients import Clients
from llama_index_customgpt._documents import DocumentFile, files_of, ids_of
from llama_index_customgpt._reconciling import Reconciliation

__all__ = ["Library", "Steps"]

logger = logging.getLogger(__name__)

_PER_REQUEST = 100
"""Pages listed per request."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Call a method of the client, such as "pages.delete"; what it gives, or raises, comes back."""

    method: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Look:
    """Show the agent's pages, newest first, to `see`, until it says True."""

    see: Callable[[Page], bool]


@dataclass(frozen=True, slots=True)
class _Pause:
    """Wait."""

    seconds: float


def _ask(method: str, *arguments: Any, **keywords: Any) -> _Ask:
    return _Ask(method, arguments, keywords)


T = TypeVar("T")
Steps = Generator["_Ask | _Look | _Pause", Any, T]


class Library:
    """What an index does with the service. `patience` and `poll_every` are seconds."""

    def __init__(self, clients: Clients, *, show_progress: bool, patience: float, poll_every: float) -> None:
        self._clients = clients
        self._show_progress = show_progress
        self._patience = patience
        self._poll_every = poll_every

    # What there is to do, as steps

    def found(self, name: str, files: Sequence[DocumentFile]) -> Steps[None]:
        """Make an agent of `files`, which the library is of from now on; wait until it can answer."""
        # With one file, not all: the number of the agent must be known before anything else can fail.
        agent = yield _ask("agents.create", name, files=[files[0].upload])
        self._clients.project_id = agent.id
        logger.info("Agent %s was made for %d documents", agent.id, len(files))
        try:
            yield from self._settle(Reconciliation(files, [], uploaded=files[:1]))
        except CustomGPTError as error:
            # It exists, and counts: without its number nobody could go on with it, or delete it.
            sentence, *rest = error.args
            advice = f"The agent was made: go on with from_documents(documents, project_id={agent.id})."
            error.args = (f"{sentence} {advice}", *rest)
            raise

    def add(self, files: Sequence[DocumentFile]) -> Steps[None]:
        """Upload those of `files` that are not held, and wait until all are indexed."""
        if files:
            before = yield from self.pages()
            yield from self._settle(Reconciliation(files, before))

    def replace(self, documents: Sequence[BaseNode]) -> Steps[list[bool]]:
        """`add` documents, then delete the pages they replace; tell of each whether it is new or changed."""
        files = files_of(documents)
        before = (yield from self.pages()) if files else []
        reconciliation = Reconciliation(files, before)
        yield from self._settle(reconciliation, replaces=True)
        return reconciliation.changed(documents)

    def pages(self) -> Steps[list[Page]]:
        """Give all pages of the agent, newest first."""
        listed: list[Page] = []
        yield _Look(lambda page: bool(listed.append(page)))  # type: ignore[func-returns-value]  # never True
        return listed

    def delete(self, page_ids: Iterable[int]) -> Steps[None]:
        """Delete pages, one after the other."""
        agent = self._clients.agent
        for page_id in page_ids:
            yield _ask("pages.delete", page_id, project_id=agent)

    def delete_document(self, ref_doc_id: str) -> Steps[None]:
        """Delete the pages of a document; that there are none is logged."""
        pages = ids_of((yield from self.pages()), [ref_doc_id])
        if not pages:
            agent = self._clients.agent
            logger.warning("Document %r is not in agent %s: nothing deleted", ref_doc_id, agent)
        yield from self.delete(pages)

    def _settle(self, reconciliation: Reconciliation, *, replaces: bool = False) -> Steps[None]:
        """Do all that can be done, and only then raise for the documents that failed or are not there yet."""
        yield from self.delete(reconciliation.failed)
        yield from self._upload(reconciliation.missing)
        yield from self._wait(reconciliation)
        if replaces:
            yield from self.delete(reconciliation.outdated())
        reconciliation.check(self._patience)

    def _upload(self, files: Sequence[DocumentFile]) -> Steps[None]:
        agent = self._clients.agent
        with self._progress(len(files), "Uploading documents") as move_to:
            for n, file in enumerate(files, start=1):
                yield _ask("sources.add", project_id=agent, file=file.upload)
                move_to(n)

    def _wait(self, reconciliation: Reconciliation) -> Steps[None]:
        """Wait until all is settled or patience ends; have citations show what the documents say."""
        clock = self._clients.options.clock
        end = clock() + self._patience
        with self._progress(reconciliation.total, "Indexing documents") as move_to:
            while True:
                if reconciliation.settled < reconciliation.total:
                    reconciliation.look()
                    yield _Look(reconciliation.see)
                yield from self._label(reconciliation)
                move_to(reconciliation.settled)
                left = end - clock()
                if reconciliation.settled == reconciliation.total or left <= 0:
                    return
                yield _Pause(min(self._poll_every, left))

    def _label(self, reconciliation: Reconciliation) -> Steps[None]:
        agent = self._clients.agent
        for page_id, shall, was_held in reconciliation.unlabelled():
            if was_held:
                shown = yield _ask("pages.metadata", page_id, project_id=agent)
                if all(getattr(shown, name) == text for name, text in shall.items()):
                    continue
            yield _ask("pages.update_metadata", page_id, project_id=agent, **shall)

    @contextmanager
    def _progress(self, total: int, what: str) -> Iterator[Callable[[int], None]]:
        """Show a bar, closed whatever happens; gives what moves it to so many of `total`."""
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

    # Who takes them

    def run(self, steps: Steps[T]) -> T:
        """Take the steps with the sync client."""
        client = self._clients.sync
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._take(client, step)
                except BaseException as error:  # noqa: PERF203  # a step is a request: a try costs nothing
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def arun(self, steps: Steps[T]) -> T:
        """Take the steps with the async client, without blocking the event loop."""
        client = await self._clients.on_this_loop()
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._atake(client, step)
                except BaseException as error:  # noqa: PERF203  # as above
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _take(self, client: Any, step: _Ask | _Look | _Pause) -> Any:
        if isinstance(step, _Ask):
            return _call(client, step)
        if isinstance(step, _Pause):
            return (client.options.sleep or time.sleep)(step.seconds)
        return any(map(step.see, client.pages.list(project_id=self._clients.agent, limit=_PER_REQUEST)))

    async def _atake(self, client: Any, step: _Ask | _Look | _Pause) -> Any:
        if isinstance(step, _Look):
            async for page in client.pages.list(project_id=self._clients.agent, limit=_PER_REQUEST):
                if step.see(page):
                    break
            return None
        if isinstance(step, _Ask):
            answer = _call(client, step)
        else:
            answer = (client.options.sleep or asyncio.sleep)(step.seconds)
        return await answer if inspect.isawaitable(answer) else answer


def _call(client: Any, step: _Ask) -> Any:
    return attrgetter(step.method)(client)(*step.arguments, **step.keywords)
