"""One prompt and its answer: with its sources as nodes, whole or token by token, sync or async."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from customgpt_transport.adapting import Clients
from customgpt_transport.models import AnswerDelta, Citation, Message
from customgpt_transport.options import PromptSettings
from llama_index_customgpt._tracing import StreamSpan
from llama_index_customgpt.nodes import to_nodes

if TYPE_CHECKING:
    from customgpt_transport import AsyncMessageStream, MessageStream

__all__ = [
    "Asker",
    "AsyncLine",
    "CitedAnswer",
    "CustomGPTQueryBundle",
    "Line",
    "Query",
    "StreamListener",
    "query_of",
]


@dataclass
class CustomGPTQueryBundle(QueryBundle):
    """A question with settings or a conversation of its own: `engine.query(CustomGPTQueryBundle(...))`.

    Where a field of `settings` is None, the engine's applies. `session_id` asks in that conversation,
    whatever the engine does by default.
    """

    settings: PromptSettings | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What is sent. `asked` is what the user wrote, which `prompt` may wrap in a transcript."""

    prompt: str
    asked: str
    session_id: str | None = None
    settings: PromptSettings | None = None
    files: tuple[Any, ...] = ()


def query_of(bundle: QueryBundle, settings: PromptSettings | None, session_id: str | None = None) -> Query:
    """Return what to ask. `settings` and `session_id` are the engine's, which the bundle may override."""
    if isinstance(bundle, CustomGPTQueryBundle):
        settings = _merged(settings, bundle.settings)
        session_id = bundle.session_id or session_id
    files = (bundle.image_path,) if bundle.image_path else ()
    return Query(bundle.query_str, bundle.query_str, session_id, settings, files)


def _merged(general: PromptSettings | None, special: PromptSettings | None) -> PromptSettings | None:
    if general is None or special is None:
        return special or general
    return replace(general, **{key: value for key, value in vars(special).items() if value is not None})


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """What came back: the message and its sources, in the order of the service."""

    message: Message
    nodes: list[NodeWithScore]

    def ids(self) -> dict[str, Any]:
        """Return where the answer is kept: agent, conversation, prompt, and the external id that was sent."""
        names = ("project_id", "session_id", "prompt_id", "external_id")
        return {name: value for name in names if (value := getattr(self.message, name)) is not None}

    def metadata(self) -> dict[str, Any]:
        """Return the ids, and LlamaIndex's own `{node_id: metadata}` for the sources. Never empty."""
        return {**self.ids(), **{scored.node.node_id: scored.node.metadata for scored in self.nodes}}


class StreamListener:
    """Hears how a stream goes, reports it to `span`, and fills its response with what comes late.

    Exactly one of `finished`, `failed` and `left` ends it. The response is held weakly: it holds the stream,
    and dropping it must hang up at once. Its list and dict are held as they were, so that they fill up even
    for a caller who kept only them.
    """

    wants_tokens = False
    """Whether `token` is called. An event per token costs more than the token."""

    def __init__(self, span: StreamSpan) -> None:
        self.span = span

    def writes_to(self, response: Any) -> None:
        """Fill this response. Call it before the stream is read."""
        self._response = weakref.ref(response)
        self.nodes: list[NodeWithScore] = response.source_nodes
        self.metadata: dict[str, Any] = response.metadata

    @property
    def response(self) -> Any:
        """The response; None once it has been dropped."""
        return self._response()

    def fill(self, answer: CitedAnswer) -> None:
        """Write the sources and the metadata of the complete answer."""
        response = self.response
        if response is not None and response.source_nodes is not self.nodes:  # somebody put another there
            response.source_nodes.extend(answer.nodes)
        self.nodes.extend(answer.nodes)
        self.write(answer.metadata())

    def write(self, entries: dict[str, Any]) -> None:
        """Add to the response's metadata."""
        response = self.response
        if response is not None and response.metadata is not self.metadata:  # somebody put another there
            response.metadata = {**(response.metadata or {}), **entries}
        self.metadata.update(entries)

    def asked(self) -> None:
        """The request is about to be sent."""

    def opened(self, session_id: str) -> None:
        """The service has accepted the prompt in this conversation."""
        self.write({"session_id": session_id})

    def token(self, text: str) -> None:
        """A piece of the answer."""
        self.span.delta(text)

    def finished(self, answer: CitedAnswer) -> None:
        """The answer is complete, with its sources."""

    def failed(self, error: Exception, partial_answer: str) -> None:
        """The answer ended with `error`."""

    def left(self, partial_answer: str) -> None:
        """The reader left early; the line has been hung up."""

    def ended_early(
        self, error: BaseException, stream: MessageStream | AsyncMessageStream | None, line: Line | AsyncLine
    ) -> None:
        """Tell `failed` or `left`: what is no Exception comes from the reader, not from the service."""
        partial_answer = "" if stream is None else stream.partial_answer
        if line.hung_up or not isinstance(error, Exception):
            self.left(partial_answer)
        else:
            self.failed(error, partial_answer)


class Line:
    """The connection of one stream, which another thread than the reader's may hang up."""

    stream: MessageStream | None = None
    hung_up = False

    def hang_up(self) -> None:
        """End the stream, and wake whoever waits for its next piece."""
        self.hung_up = True
        if self.stream is not None:
            self.stream.close()


class AsyncLine:
    """`Line` for async streams, which another task may hang up."""

    stream: AsyncMessageStream | None = None
    hung_up = False

    async def hang_up(self) -> None:
        """End the stream, and wake whoever waits for its next piece."""
        self.hung_up = True
        if self.stream is not None:
            await self.stream.aclose()


class Asker:
    """Asks the agent and turns citations into nodes. Raises the transport's errors as they are."""

    def __init__(
        self,
        clients: Clients,
        *,
        score: float | None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
    ) -> None:
        self.clients = clients
        self.score = score
        self.node_postprocessors = list(node_postprocessors)

    def ask(self, query: Query) -> CitedAnswer:
        """Return the whole answer with its sources."""
        return self.with_sources(query, self.send(query))

    async def aask(self, query: Query) -> CitedAnswer:
        """`ask` without blocking the event loop."""
        return await self.awith_sources(query, await self.asend(query))

    def send(self, query: Query) -> Message:
        """Return the answer without its sources. This is what costs a prompt."""
        return self.clients.sync.ask(query.prompt, **self._request(query))

    async def asend(self, query: Query) -> Message:
        """`send` without blocking the event loop."""
        client = await self.clients.on_this_loop()
        return await client.ask(query.prompt, **self._request(query))

    def tokens(self, query: Query, listener: StreamListener, line: Line) -> Generator[str, None, None]:
        """Yield the answer piece by piece; the first piece is empty and says that the stream is open."""
        stream, tell = None, listener.token if listener.wants_tokens else None
        listener.asked()
        try:
            with self.clients.sync.stream(query.prompt, **self._request(query)) as stream:
                line.stream = stream
                listener.opened(stream.session_id)
                yield ""
                for event in stream:
                    if isinstance(event, AnswerDelta):
                        if tell is not None:
                            tell(event.text)
                        yield event.text
                message = stream.message
            answer = self.with_sources(query, message)
        except BaseException as error:
            listener.ended_early(error, stream, line)
            raise
        listener.finished(answer)

    async def atokens(
        self, query: Query, listener: StreamListener, line: AsyncLine
    ) -> AsyncGenerator[str, None]:
        """`tokens` without blocking the event loop. The connection belongs to the loop that reads."""
        stream, tell = None, listener.token if listener.wants_tokens else None
        listener.asked()
        try:
            client = await self.clients.on_this_loop()
            async with client.stream(query.prompt, **self._request(query)) as stream:
                line.stream = stream
                listener.opened(stream.session_id)
                yield ""
                async for event in stream:
                    if isinstance(event, AnswerDelta):
                        if tell is not None:
                            tell(event.text)
                        yield event.text
                message = stream.message
            answer = await self.awith_sources(query, message)
        except BaseException as error:
            listener.ended_early(error, stream, line)
            raise
        listener.finished(answer)

    def with_sources(self, query: Query, message: Message) -> CitedAnswer:
        """Return the answer with the pages it cites, after the postprocessors have seen them."""
        nodes: list[NodeWithScore] = []
        if message.citation_ids:
            nodes = self._nodes(self.clients.sync.citations(message, project_id=message.project_id))
        for postprocessor in self.node_postprocessors:
            nodes = postprocessor.postprocess_nodes(nodes, query_bundle=QueryBundle(query.asked))
        return CitedAnswer(message, nodes)

    async def awith_sources(self, query: Query, message: Message) -> CitedAnswer:
        """`with_sources` without blocking the event loop."""
        nodes: list[NodeWithScore] = []
        if message.citation_ids:
            client = await self.clients.on_this_loop()
            nodes = self._nodes(await client.citations(message, project_id=message.project_id))
        for postprocessor in self.node_postprocessors:
            nodes = await postprocessor.apostprocess_nodes(nodes, query_bundle=QueryBundle(query.asked))
        return CitedAnswer(message, nodes)

    def _request(self, query: Query) -> dict[str, Any]:
        return {
            "session_id": query.session_id,
            "project_id": self.clients.agent,
            "settings": query.settings,
            "files": query.files,
            "options": self.clients.options_for(),
        }

    def _nodes(self, citations: Sequence[Citation]) -> list[NodeWithScore]:
        return to_nodes(citations, score=self.score)
