"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import requests

from customgpt_transport import _citations, _environment, _naming, _observe
from customgpt_transport._flows import Effect, Flow, Send, Sleep, T, calls
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import Prompt, ask, new_session, prepare, project_of
from customgpt_transport._pacing import Gate, Slot, pacing, too_long
from customgpt_transport._secrets import Secret
from customgpt_transport._sessions import Turn as Place
from customgpt_transport._sessions import sessions
from customgpt_transport._sync.http import Connections
from customgpt_transport._sync.namespaces import Conversations, Messages
from customgpt_transport._sync.namespaces_account import LimitsNamespace, UserNamespace
from customgpt_transport._sync.namespaces_agents import AgentsNamespace
from customgpt_transport._sync.namespaces_documents import PagesNamespace, SourcesNamespace
from customgpt_transport._sync.stream import MessageStream
from customgpt_transport._wire.http import Response
from customgpt_transport._wire.multipart import open_uploads
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import Citation, FileInput, Message
from customgpt_transport.options import ClientOptions, PromptSettings, with_defaults

Opener = Callable[[Send], Response]


@dataclass
class Turn:
    """One prompt's turn in its conversation and its slot in flight; `seen` is as of its beginning."""

    place: Place
    gate: Gate
    slot: Slot
    seen: int

    def end(self, prompt_id: int | None = None) -> None:
        """Let the next prompt go."""
        sessions.note(self.place.key, prompt_id)
        self.gate.release(self.slot)
        sessions.leave(self.place)

    def abandon(self) -> None:
        """As `end`, from the garbage collector, which must not wait for a lock."""
        self.gate.abandon(self.slot)
        sessions.abandon(self.place)


class Client:
    """The CustomGPT.ai API, blocking. One instance serves many threads, and survives fork and pickle.

    Each of `api_key`, `base_url` and `project_id` falls back to the options, then to the environment. Raises
    `ConfigurationError` when something is missing or unfit; does no I/O. A `session` of yours brings its own
    proxies and certificates, is never closed, and does not travel with a pickle.
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
        turn = self._take_turn(prepared, session_id)
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
        `problem` says so; it never raises.
        """
        if project_id is None and isinstance(message, Message):
            project_id = message.project_id
        project = project_of(project_id, self.options)
        ids = _citations.wanted(message)
        found = {i: kept for i in ids if (kept := self._cache.get(project, i)) is not None}
        missing = [i for i in ids if i not in found]
        deadline = self.options.clock() + self.options.citation_timeout
        if len(missing) == 1:
            found[missing[0]] = self._look_up(project, missing[0], deadline)
        elif missing:
            found.update(self._look_up_all(project, missing, deadline))
        return [found[i] for i in ids]

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

    def _take_turn(self, prompt: Prompt, session_id: str) -> Turn:
        """Wait until no other prompt of this process runs in the conversation, and there is a free slot."""
        options = prompt.options
        place = sessions.join((_environment.origin(options.base_url or ""), session_id), blocking=True)
        try:
            try:
                place.granted.result(options.session_wait)
            except WaitedTooLong:
                if place.granted.cancel():
                    raise _naming.session_busy(options.session_wait, session_id) from None
            gate = pacing.gate(options)
            slot = gate.take(options.max_concurrent_prompts)
            try:
                slot.granted.result()
            except BaseException:
                slot.granted.cancel()
                gate.release(slot)
                raise
        except BaseException:
            place.granted.cancel()
            sessions.leave(place)
            raise
        return Turn(place, gate, slot, sessions.seen(place.key))

    def _drive(self, flow: Flow[T], options: ClientOptions, opener: Opener | None = None) -> T:
        """Perform what the flow yields, until it returns. `opener` performs a streamed `Send`."""
        performer = _Performer(self._connections, options, opener)
        step: Callable[[], Effect] = partial(next, flow)
        try:
            while True:
                effect = step()
                try:
                    step = partial(flow.send, performer.perform(effect))
                except CustomGPTError as error:
                    step = partial(flow.throw, error)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what the flow returns is a T
        finally:
            flow.close()

    def _look_up(self, project_id: int, citation_id: int, deadline: float) -> Citation:
        citation = self.run(calls.citation(self.options, project_id, citation_id, deadline))
        self._cache.put(project_id, citation)
        return citation

    def _look_up_all(self, project_id: int, ids: list[int], deadline: float) -> dict[int, Citation]:
        """Look all up on a few threads; those that are not back in time end by their own deadline."""
        pool = ThreadPoolExecutor(min(_citations.AT_ONCE, len(ids)), "customgpt-citations")
        try:
            futures = {i: pool.submit(self._look_up, project_id, i, deadline) for i in ids}
            wait(futures.values(), max(0.0, deadline - self.options.clock()) + 0.1)
            late = f"not back within {self.options.citation_timeout:g} s (citation_timeout)"
            return {
                i: future.result() if future.done() else calls.stub(i, late) for i, future in futures.items()
            }
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Performer:
    """Performs the effects of one flow."""

    def __init__(self, connections: Connections, options: ClientOptions, opener: Opener | None) -> None:
        self._connections = connections
        self._options = options
        self._opener = opener
        self._waited = 0.0  # the moment until which this flow has waited already

    def perform(self, effect: Effect) -> Response | None:
        if isinstance(effect, Sleep):
            if effect.retry is not None:
                _observe.retrying(self._options, effect.retry)
            self._waited = self._options.clock() + effect.seconds
            self._sleep(effect.seconds)
            return None
        options, gate = self._options, pacing.gate(self._options)
        if effect.request.kind == "prompt":
            self._wait_for(gate)
        began_at = options.clock()
        _observe.began(options, effect)
        try:
            if effect.request.stream and self._opener is not None:
                response = self._opener(effect)
            else:
                response = self._connections.exchange(effect, options)
        except CustomGPTError as error:
            _observe.ended(options, effect, began_at, error=error)
            raise
        _observe.ended(options, effect, began_at, status=response.status)
        gate.heard(response, options.clock())
        return response

    def _wait_for(self, gate: Gate) -> None:
        clock = self._options.clock
        while (opens_at := gate.opening(clock(), self._waited)) is not None:
            pause = opens_at - clock()
            if problem := too_long(pause, self._options.retry.patience):
                raise problem
            self._waited = opens_at
            self._sleep(pause)

    def _sleep(self, seconds: float) -> None:
        (self._options.sleep or time.sleep)(max(0.0, seconds))
