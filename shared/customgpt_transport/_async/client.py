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
from customgpt_transport._async.performing import drive
from customgpt_transport._async.stream import AsyncMessageStream
from customgpt_transport._flows import Flow, T
from customgpt_transport._flows.citations import AT_ONCE, CitationCache, Lookup
from customgpt_transport._flows.once import ask_once, prepare_once
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import ask, prepare
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
        """Close this loop's idle connections. The client stays usable: it then opens new ones."""
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
        """Return the whole answer to `prompt`, in a new conversation or in the one of `session_id`.

        Raises `ConfigurationError`, a kind of `APIError`, a kind of `TransportError`, or `ProtocolError`. An
        answer that was lost on the way is looked for first; the prompt is never sent twice unless the first
        one provably never arrived.
        """
        asked = prepare(prompt, self.options, session_id, project_id, settings, files, options)
        flow = ask(asked, session_id, blocking=False)
        return await drive(flow, self._connections, asked.options)

    async def ask_once(
        self,
        key: str,
        prompt: str,
        *,
        wait: float | None = None,
        resend_unresolved: bool = False,
        exclusive: bool = True,
        project_id: int | None = None,
        settings: PromptSettings | None = None,
        files: Sequence[FileInput] = (),
        options: ClientOptions | None = None,
    ) -> Message:
        """Return the answer to this prompt under this key, sent at most once however often this is called.

        For what may run again: a task that its queue retries, a batch that an engine repeats, a process that
        was killed, here or on another machine. The first call sends the prompt; later ones find its answer
        (`recovered` is then True). Key and prompt decide, other settings do not: a key with another prompt is
        a `ConfigurationError`. Calls of one process under one key share one flight.

        The conversation is named after the key, and making it is the mark that the prompt is about to be
        sent. Where the mark is found without an answer, the answer is waited for, `wait` seconds (by default
        `recovery_patience`); then `Unresolved` is raised: the prompt may have been billed, and is not sent
        again unless `resend_unresolved` says so. Of two callers at once the one whose conversation has the
        lower id sends; `exclusive=False` saves that look, where nothing runs the same key twice at a time.
        A refusal that shows that the prompt was not taken (429, 4xx) takes the mark back.

        What no client can promise: a list of conversations that lags behind lets two callers send; a process
        that died between the mark and the moment the bytes arrived, or a service that stored nothing when the
        line broke, leaves an unresolved key that a person may send again. A conversation that was deleted, or
        that the agent's retention removed, is forgotten. Where the service does not filter conversations by
        name, `ProtocolError` is raised and nothing is sent. Three requests more than `ask`; otherwise as
        `ask`. The external id is made from key and prompt.
        """
        once = prepare_once(
            key,
            prompt,
            self.options,
            wait=wait,
            resend_unresolved=resend_unresolved,
            exclusive=exclusive,
            project_id=project_id,
            settings=settings,
            files=files,
            options=options,
        )
        flow = ask_once(once, blocking=False)
        return await drive(flow, self._connections, once.prompt.options)

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
        """Return the answer as a stream, to enter with `async with`; entering sends the prompt. As `ask`."""
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
