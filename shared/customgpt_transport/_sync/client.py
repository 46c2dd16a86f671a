"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import requests

from customgpt_transport._api.calls import Blocking
from customgpt_transport._api.resources import Api
from customgpt_transport._flows import Flow, T
from customgpt_transport._flows.citations import AT_ONCE, CitationCache, Lookup
from customgpt_transport._flows.once import ask_once, prepare_once
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import ask, prepare
from customgpt_transport._keywords import names_keywords
from customgpt_transport._secrets import Secret
from customgpt_transport._sync.http import Connections
from customgpt_transport._sync.performing import drive
from customgpt_transport._sync.stream import MessageStream
from customgpt_transport._sync.together import together
from customgpt_transport.models import Citation, FileInput, Message
from customgpt_transport.options import ClientOptions, PromptSettings, with_defaults


@names_keywords
class Client(Api[Blocking]):
    """The CustomGPT.ai API, blocking. One instance serves many threads, and survives fork and pickle.

    Each of `api_key`, `base_url` and `project_id` falls back to the options, then to the environment. Raises
    `ConfigurationError` when something is missing or unfit; does no I/O. A `session` of yours brings its own
    proxies and certificates, is never closed, and does not travel with a pickle. Do not give it a `Retry`,
    which would send prompts again that may have been answered and billed. With it, the clocks of headers and
    of a chunk's frame begin again with each byte, as they do in requests.
    """

    _colour = Blocking

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
        self._cache = CitationCache(self.options.clock)

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
        """Close the idle connections. The client stays usable: it then opens new ones."""
        self._connections.close()

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
        """Return the whole answer to `prompt`, in a new conversation or in the one of `session_id`.

        Raises `ConfigurationError`, a kind of `APIError`, a kind of `TransportError`, or `ProtocolError`. An
        answer that was lost on the way is looked for first; the prompt is never sent twice unless the first
        one provably never arrived.
        """
        asked = prepare(prompt, self.options, session_id, project_id, settings, files, options)
        flow = ask(asked, session_id, blocking=True)
        return drive(flow, self._connections, asked.options)

    def ask_once(
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
        flow = ask_once(once, blocking=True)
        return drive(flow, self._connections, once.prompt.options)

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
        """Return the answer as a stream, to enter with `with`; entering sends the prompt. As `ask`."""
        asked = prepare(prompt, self.options, session_id, project_id, settings, files, options)
        return MessageStream(self._connections, asked, session_id)

    def citations(self, message: Message | Iterable[int], *, project_id: int | None = None) -> list[Citation]:
        """Return the pages behind a message's citations, in order; looked up together, kept for an hour.

        A look-up that fails, or is not back within `citation_timeout` for all together, becomes a stub whose
        `problem` says so: no failure of the service is raised. Raises `ConfigurationError` when neither the
        message nor the client knows the agent.
        """
        lookup = Lookup(message, project_id, self.options, self._cache)
        if lookup.missing:
            together(
                lambda citation_id: self.run(lookup.one(citation_id)),
                lookup.missing,
                at_once=AT_ONCE,
                seconds=lookup.patience,
            )
        return lookup.result()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its result. For what is composed with `customgpt_transport.flows`."""
        return drive(flow, self._connections, self.options)

    def walk(self, pages: Pages[T]) -> Iterator[T]:
        """Iterate over the rows of a list, fetching page after page. For `customgpt_transport.flows`."""
        while pages.more:
            yield from self.run(pages.next())
