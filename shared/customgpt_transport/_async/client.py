"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from customgpt_transport import _citations
from customgpt_transport._async.http import Connections, SessionFactory
from customgpt_transport._async.namespaces import Conversations, Messages
from customgpt_transport._async.namespaces_account import AsyncLimitsNamespace, AsyncUserNamespace
from customgpt_transport._async.namespaces_agents import AsyncAgentsNamespace
from customgpt_transport._async.namespaces_documents import AsyncPagesNamespace, AsyncSourcesNamespace
from customgpt_transport._async.performing import Opener, drive, take_turn
from customgpt_transport._async.stream import AsyncMessageStream
from customgpt_transport._flows import Flow, T, calls
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import Prompt, ask, new_session, prepare, project_of
from customgpt_transport._secrets import Secret
from customgpt_transport._wire.multipart import Upload, open_uploads
from customgpt_transport.models import Citation, FileInput, Message
from customgpt_transport.options import ClientOptions, PromptSettings, with_defaults


class AsyncClient:
    """The CustomGPT.ai API, asynchronous. One instance serves many event loops, and survives fork and pickle.

    As `Client`, awaited; nothing blocks the loop. Each running loop gets an aiohttp session of its own, which
    is closed when `asyncio.run` ends the loop, or by `aclose`. A `session_factory` of yours is called once
    for each loop; what it makes is never closed, and brings its own proxies and certificates.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        project_id: int | str | None = None,
        options: ClientOptions | None = None,
        session_factory: SessionFactory | None = None,
    ) -> None:
        api_key = Secret(api_key or "")  # at once, because tracebacks can show locals
        self.options = with_defaults(options, api_key=api_key, base_url=base_url, project_id=project_id)
        self._connections = Connections(session_factory)
        self._cache = _citations.CitationCache(self.options.clock)

    def __repr__(self) -> str:
        return f"AsyncClient({getattr(self, 'options', 'not made')!r})"  # a traceback may show one half made

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), options=self.options), ()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close this loop's idle connections. The client can go on being used: it then opens new ones."""
        await self._connections.aclose()

    @property
    def conversations(self) -> Conversations:
        """Create, list, rename and delete conversations."""
        return Conversations(self)

    @property
    def messages(self) -> Messages:
        """List, get and rate messages."""
        return Messages(self)

    @property
    def agents(self) -> AsyncAgentsNamespace:
        """Create, list, change, copy, delete and wait for agents."""
        return AsyncAgentsNamespace(self)

    @property
    def sources(self) -> AsyncSourcesNamespace:
        """Add, list, change, sync and delete an agent's sources."""
        return AsyncSourcesNamespace(self)

    @property
    def pages(self) -> AsyncPagesNamespace:
        """List, delete and reindex an agent's pages; their metadata and stored files."""
        return AsyncPagesNamespace(self)

    @property
    def limits(self) -> AsyncLimitsNamespace:
        """What the account may use."""
        return AsyncLimitsNamespace(self)

    @property
    def user(self) -> AsyncUserNamespace:
        """Whose key this is."""
        return AsyncUserNamespace(self)

    async def ask(
        self,
        prompt: str,
        *,
        session_id: str | None = None,
        project_id: int | None = None,
        settings: PromptSettings | None = None,
        files: Sequence[FileInput] = (),
        options: ClientOptions | None = None,
    ) -> Message:
        """Give the whole answer to `prompt`, in a new conversation or in the one of `session_id`.

        Raises `ConfigurationError`, a kind of `APIError`, a kind of `TransportError`, or `ProtocolError`. An
        answer that was lost on the way is looked for first; the prompt is never sent twice unless the first
        one provably never arrived.
        """
        uploads = await asyncio.to_thread(open_uploads, files) if files else ()
        prepared = self._prepare(prompt, session_id, project_id, settings, uploads, options)
        if session_id is None:
            session_id = await self._drive(new_session(prepared), prepared.options)
        turn = await take_turn(prepared, session_id)
        prompt_id = None
        try:
            message = await self._drive(ask(prepared, session_id, turn.seen), prepared.options)
            prompt_id = message.prompt_id
            return message
        finally:
            turn.end(prompt_id)

    def stream(
        self,
        prompt: str,
        *,
        session_id: str | None = None,
        project_id: int | None = None,
        settings: PromptSettings | None = None,
        files: Sequence[FileInput] = (),
        options: ClientOptions | None = None,
    ) -> AsyncMessageStream:
        """Give the answer as a stream, for `async with`; entering sends the prompt. As `ask`."""
        prepared = self._prepare(prompt, session_id, project_id, settings, (), options)
        return AsyncMessageStream(self, prepared, session_id, files)

    async def citations(
        self, message: Message | Iterable[int], *, project_id: int | None = None
    ) -> list[Citation]:
        """Give the pages behind a message's citations, in order; looked up together, kept for an hour.

        A look-up that fails, or is not back within `citation_timeout` for all together, gives a stub whose
        `problem` says so; it never raises.
        """
        if project_id is None and isinstance(message, Message):
            project_id = message.project_id
        project = project_of(project_id, self.options)
        ids = _citations.wanted(message)
        found = {i: kept for i in ids if (kept := self._cache.get(project, i)) is not None}
        missing = [i for i in ids if i not in found]
        deadline = self.options.clock() + self.options.citation_timeout
        at_once = asyncio.Semaphore(_citations.AT_ONCE)

        async def look_up(citation_id: int) -> None:
            async with at_once:
                flow = calls.citation(self.options, project, citation_id, deadline)
                citation = found[citation_id] = await self.run(flow)
                self._cache.put(project, citation)

        tasks = [asyncio.ensure_future(look_up(i)) for i in missing]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=self.options.citation_timeout + 0.1)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        late = f"not back within {self.options.citation_timeout:g} s (citation_timeout)"
        return [found.get(i) or calls.stub(i, late) for i in ids]

    async def find_message(
        self, session_id: str, external_id: str, *, project_id: int | None = None
    ) -> Message | None:
        """Give the answered message that carries `external_id`; None when the service stored none (yet)."""
        project = project_of(project_id, self.options)
        return await self.run(calls.find_message(self.options, project, session_id, external_id))

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its result. For this package's own namespaces."""
        return await self._drive(flow, self.options)

    async def walk(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Give the rows of a list, fetching page after page. For this package's own namespaces."""
        while pages.more:
            for row in await self.run(pages.next()):
                yield row

    def _prepare(
        self,
        prompt: str,
        session_id: str | None,
        project_id: object,
        settings: PromptSettings | None,
        uploads: Sequence[Upload],
        options: ClientOptions | None,
    ) -> Prompt:
        options = self.options if options is None else with_defaults(options, fallback=self.options)
        return prepare(
            prompt,
            options,
            project_id=project_id,
            session_id=session_id,
            settings=settings,
            uploads=uploads,
        )

    async def _drive(self, flow: Flow[T], options: ClientOptions, opener: Opener | None = None) -> T:
        return await drive(flow, self._connections, options, opener)
