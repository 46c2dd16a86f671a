"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import requests

from customgpt_transport import _citations
from customgpt_transport._flows import Flow, T, calls
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import Prompt, ask, new_session, prepare, project_of
from customgpt_transport._secrets import Secret
from customgpt_transport._sync.http import Connections
from customgpt_transport._sync.namespaces import Conversations, Messages
from customgpt_transport._sync.namespaces_account import LimitsNamespace, UserNamespace
from customgpt_transport._sync.namespaces_agents import AgentsNamespace
from customgpt_transport._sync.namespaces_documents import PagesNamespace, SourcesNamespace
from customgpt_transport._sync.performing import Opener, drive, take_turn
from customgpt_transport._sync.stream import MessageStream
from customgpt_transport._sync.together import together
from customgpt_transport._wire.multipart import open_uploads
from customgpt_transport.models import Citation, FileInput, Message
from customgpt_transport.options import ClientOptions, PromptSettings, with_defaults


class Client:
    """The CustomGPT.ai API, blocking. One instance serves many threads, and survives fork and pickle.

    Each of `api_key`, `base_url` and `project_id` falls back to the options, then to the environment. Raises
    `ConfigurationError` when something is missing or unfit; does no I/O. A `session` of yours brings its own
    proxies and certificates, is never closed, and does not travel with a pickle. Do not give it a `Retry`,
    which would send prompts again that may have been answered and billed. With it, the clocks of headers and
    of a chunk's frame begin again with each byte, as they do in requests.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        project_id: int | str | None = None,
        options: ClientOptions | None = None,
        session: requests.Session | None = None,
    ) -> None:
        api_key = Secret(api_key or "")  # at once, because tracebacks can show locals
        self.options = with_defaults(options, api_key=api_key, base_url=base_url, project_id=project_id)
        self._connections = Connections(session)
        self._cache = _citations.CitationCache(self.options.clock)

    def __repr__(self) -> str:
        return f"Client({getattr(self, 'options', 'not made')!r})"  # a traceback may show one half made

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), options=self.options), ()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections. The client can go on being used: it then opens new ones."""
        self._connections.close()

    @property
    def conversations(self) -> Conversations:
        """Create, list, rename and delete conversations."""
        return Conversations(self)

    @property
    def messages(self) -> Messages:
        """List, get and rate messages."""
        return Messages(self)

    @property
    def agents(self) -> AgentsNamespace:
        """Create, list, change, copy, delete and wait for agents."""
        return AgentsNamespace(self)

    @property
    def sources(self) -> SourcesNamespace:
        """Add, list, change, sync and delete an agent's sources."""
        return SourcesNamespace(self)

    @property
    def pages(self) -> PagesNamespace:
        """List, delete and reindex an agent's pages; their metadata and stored files."""
        return PagesNamespace(self)

    @property
    def limits(self) -> LimitsNamespace:
        """What the account may use."""
        return LimitsNamespace(self)

    @property
    def user(self) -> UserNamespace:
        """Whose key this is."""
        return UserNamespace(self)

    def ask(
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
        prepared = self._prepare(prompt, session_id, project_id, settings, files, options)
        if session_id is None:
            session_id = self._drive(new_session(prepared), prepared.options)
        turn = take_turn(prepared, session_id)
        prompt_id = None
        try:
            message = self._drive(ask(prepared, session_id, turn.seen), prepared.options)
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
    ) -> MessageStream:
        """Give the answer as a stream, to be entered with `with`; entering sends the prompt. As `ask`."""
        prepared = self._prepare(prompt, session_id, project_id, settings, files, options)
        return MessageStream(self, prepared, session_id)

    def citations(self, message: Message | Iterable[int], *, project_id: int | None = None) -> list[Citation]:
        """Give the pages behind a message's citations, in order; looked up together, kept for an hour.

        A look-up that fails, or is not back within `citation_timeout` for all together, gives a stub whose
        `problem` says so; nothing that happens on the way is raised. `ConfigurationError` when neither the
        message nor the client knows the agent.
        """
        if project_id is None and isinstance(message, Message):
            project_id = message.project_id
        project = project_of(project_id, self.options)
        ids = _citations.wanted(message)
        found = {i: kept for i in ids if (kept := self._cache.get(project, i)) is not None}
        missing = [i for i in ids if i not in found]
        deadline = self.options.clock() + self.options.citation_timeout
        late = f"not back within {self.options.citation_timeout:g} s (citation_timeout)"

        def look_up(citation_id: int) -> Citation:
            citation = self.run(calls.citation(self.options, project, citation_id, deadline))
            if not citation.resolved and self.options.clock() >= deadline:
                return calls.stub(citation_id, late)  # whichever clock it was that ran out for its sake
            self._cache.put(project, citation)
            return citation

        if missing:
            seconds = max(0.0, deadline - self.options.clock()) + 0.1
            found.update(together(look_up, missing, at_once=_citations.AT_ONCE, seconds=seconds))
        return [found.get(i) or calls.stub(i, late) for i in ids]

    def find_message(
        self, session_id: str, external_id: str, *, project_id: int | None = None
    ) -> Message | None:
        """Give the answered message that carries `external_id`; None when the service stored none (yet)."""
        project = project_of(project_id, self.options)
        return self.run(calls.find_message(self.options, project, session_id, external_id))

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its result. For this package's own namespaces."""
        return self._drive(flow, self.options)

    def walk(self, pages: Pages[T]) -> Iterator[T]:
        """Give the rows of a list, fetching page after page. For this package's own namespaces."""
        while pages.more:
            yield from self.run(pages.next())

    def _prepare(
        self,
        prompt: str,
        session_id: str | None,
        project_id: object,
        settings: PromptSettings | None,
        files: Sequence[FileInput],
        options: ClientOptions | None,
    ) -> Prompt:
        options = self.options if options is None else with_defaults(options, fallback=self.options)
        return prepare(
            prompt,
            options,
            project_id=project_id,
            session_id=session_id,
            settings=settings,
            uploads=open_uploads(files) if files else (),
        )

    def _drive(self, flow: Flow[T], options: ClientOptions, opener: Opener | None = None) -> T:
        return drive(flow, self._connections, options, opener)
