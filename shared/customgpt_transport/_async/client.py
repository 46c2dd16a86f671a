"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from customgpt_transport._api.calls import Awaited
from customgpt_transport._api.resources import Api
from customgpt_transport._async.http import Connections, SessionFactory
from customgpt_transport._async.performing import drive, take_turn
from customgpt_transport._async.stream import AsyncMessageStream
from customgpt_transport._flows import Flow, T
from customgpt_transport._flows.citations import AT_ONCE, CitationCache, Lookup
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import ask, begin, prepare
from customgpt_transport._keywords import names_keywords
from customgpt_transport._secrets import Secret
from customgpt_transport.models import Citation, FileInput, Message
from customgpt_transport.options import ClientOptions, PromptSettings, with_defaults


@names_keywords
class AsyncClient(Api[Awaited]):
    """The CustomGPT.ai API, asynchronous. One instance serves many event loops, and survives fork and pickle.

    As `Client`, awaited; nothing blocks the loop. Each running loop gets an aiohttp session of its own, which
    is closed when `asyncio.run` ends the loop, or by `aclose`. A `session_factory` of yours is called once
    for each loop; what it makes is never closed, and brings its own proxies and certificates.
    """

    _colour = Awaited

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
        self._cache = CitationCache(self.options.clock)

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
        asked = prepare(prompt, self.options, session_id, project_id, settings, files, options)
        asked, session = await drive(begin(asked, session_id), self._connections, asked.options)
        turn = await take_turn(asked, session)
        prompt_id = None
        try:
            flow = ask(asked, session, turn.seen)
            message = await drive(flow, self._connections, asked.options)
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
        asked = prepare(prompt, self.options, session_id, project_id, settings, files, options)
        return AsyncMessageStream(self._connections, asked, session_id)

    async def citations(
        self, message: Message | Iterable[int], *, project_id: int | None = None
    ) -> list[Citation]:
        """Return the pages behind a message's citations, in order; looked up together, kept for an hour.

        A look-up that fails, or is not back within `citation_timeout` for all together, becomes a stub whose
        `problem` says so: no failure of the service is raised. Raises `ConfigurationError` when neither the
        message nor the client knows the agent.
        """
        lookup = Lookup(message, project_id, self.options, self._cache)
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(citation_id: int) -> None:
            async with at_once:
                await self.run(lookup.one(citation_id))

        tasks = [asyncio.ensure_future(one(i)) for i in lookup.missing]
        if tasks:
            try:
                done, _ = await asyncio.wait(tasks, timeout=lookup.patience)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()
        return lookup.result()

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its result. For what is composed with `customgpt_transport.flows`."""
        return await drive(flow, self._connections, self.options)

    async def walk(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Iterate over the rows of a list, fetching page after page. For `customgpt_transport.flows`."""
        while pages.more:
            for row in await self.run(pages.next()):
                yield row
