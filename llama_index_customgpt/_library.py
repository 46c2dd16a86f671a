"""The documents of one agent: listed, added, replaced, deleted. Both colours; nothing is decided here."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Iterable, Sequence

from llama_index.core.utils import get_tqdm_iterable

from customgpt_transport.models import Page
from llama_index_customgpt._clients import Clients
from llama_index_customgpt._documents import DocumentFile, Watch, outdated

__all__ = ["Library"]

_PER_REQUEST = 100
"""Pages listed per request."""


class Library:
    """What an index does with the service. `patience` and `poll_every` are seconds."""

    def __init__(self, clients: Clients, *, show_progress: bool, patience: float, poll_every: float) -> None:
        self._clients = clients
        self._show_progress = show_progress
        self._patience = patience
        self._poll_every = poll_every

    def found(self, name: str, files: Sequence[DocumentFile]) -> None:
        """Make an agent of `files`, which the library is of from now on; wait until it can answer."""
        agent = self._clients.sync.agents.create(name, files=[file.upload for file in files])
        self._clients.project_id = agent.id
        self._wait(files)

    async def afound(self, name: str, files: Sequence[DocumentFile]) -> None:
        """`found`, awaited."""
        client = await self._clients.on_this_loop()
        agent = await client.agents.create(name, files=[file.upload for file in files])
        self._clients.project_id = agent.id
        await self._await(files)

    def add(self, files: Sequence[DocumentFile]) -> None:
        """Upload `files` and wait until they are indexed."""
        if files:
            self._upload(files)
            self._wait(files)

    async def aadd(self, files: Sequence[DocumentFile]) -> None:
        """`add`, awaited."""
        if files:
            await self._aupload(files)
            await self._await(files)

    def pages(self) -> list[Page]:
        """Give all pages of the agent, newest first."""
        listed = self._clients.sync.pages.list(project_id=self._clients.agent, limit=_PER_REQUEST)
        return list(listed)

    async def apages(self) -> list[Page]:
        """`pages`, awaited."""
        client = await self._clients.on_this_loop()
        listed = client.pages.list(project_id=self._clients.agent, limit=_PER_REQUEST)
        return [page async for page in listed]

    def _upload(self, files: Sequence[DocumentFile]) -> None:
        for file in get_tqdm_iterable(files, self._show_progress, "Uploading documents"):
            self._clients.sync.sources.add(project_id=self._clients.agent, file=file.upload)

    async def _aupload(self, files: Sequence[DocumentFile]) -> None:
        client = await self._clients.on_this_loop()
        for file in get_tqdm_iterable(files, self._show_progress, "Uploading documents"):
            await client.sources.add(project_id=self._clients.agent, file=file.upload)

    def _wait(self, files: Sequence[DocumentFile]) -> None:
        """Wait until `files` are indexed, and have their citations show what their documents say."""
        watch = Watch(files, patience=self._patience)
        bar = _Bar(watch.total, self._show_progress)
        client, agent = self._clients.sync, self._clients.agent
        while True:
            watch.look()
            for page in client.pages.list(project_id=agent, limit=_PER_REQUEST):
                if watch.see(page):
                    break
            bar.to(watch.settled)
            if watch.is_done():
                break
            (client.options.sleep or time.sleep)(watch.spend(self._poll_every))
        for page_id, metadata in watch.metadata():
            client.pages.update_metadata(page_id, project_id=agent, **metadata)

    async def _await(self, files: Sequence[DocumentFile]) -> None:
        watch = Watch(files, patience=self._patience)
        bar = _Bar(watch.total, self._show_progress)
        client, agent = await self._clients.on_this_loop(), self._clients.agent
        while True:
            watch.look()
            async for page in client.pages.list(project_id=agent, limit=_PER_REQUEST):
                if watch.see(page):
                    break
            bar.to(watch.settled)
            if watch.is_done():
                break
            pause = (client.options.sleep or asyncio.sleep)(watch.spend(self._poll_every))
            if inspect.isawaitable(pause):
                await pause
        for page_id, metadata in watch.metadata():
            await client.pages.update_metadata(page_id, project_id=agent, **metadata)

    def replace(self, files: Sequence[DocumentFile], before: Sequence[Page]) -> None:
        """Add those of `files` that are not among the pages `before`, then delete what they replace."""
        new = [file for file in files if file.name not in {page.filename for page in before}]
        self.add(new)
        self.delete(outdated(files, before))

    async def areplace(self, files: Sequence[DocumentFile], before: Sequence[Page]) -> None:
        """`replace`, awaited."""
        new = [file for file in files if file.name not in {page.filename for page in before}]
        await self.aadd(new)
        await self.adelete(outdated(files, before))

    def delete(self, page_ids: Iterable[int]) -> None:
        """Delete pages, one after the other."""
        for page_id in page_ids:
            self._clients.sync.pages.delete(page_id, project_id=self._clients.agent)

    async def adelete(self, page_ids: Iterable[int]) -> None:
        """`delete`, awaited."""
        client = await self._clients.on_this_loop()
        for page_id in page_ids:
            await client.pages.delete(page_id, project_id=self._clients.agent)


class _Bar:
    """A progress bar that is told how far things are."""

    def __init__(self, total: int, shown: bool) -> None:
        self._steps = iter(get_tqdm_iterable(range(total), shown, "Indexing documents"))
        self._at = -1

    def to(self, settled: int) -> None:
        """Move to `settled` of all; the last step closes the bar."""
        while self._at < settled:
            self._at += 1
            next(self._steps, None)
