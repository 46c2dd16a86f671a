"""One prompt, answered: with its sources as nodes, whole or token by token, sync or async."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from customgpt_transport.models import AnswerDelta, Citation, Message
from customgpt_transport.options import PromptSettings
from llama_index_customgpt._clients import Clients
from llama_index_customgpt.nodes import to_nodes

if TYPE_CHECKING:
    from customgpt_transport import AsyncMessageStream, MessageStream

__all__ = ["Answer", "Asker", "AsyncLine", "Line", "Listener", "Question"]


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent. `asked` is what the user wrote, which `prompt` may wrap in a transcript."""

    prompt: str
    asked: str
    session_id: str | None = None
    settings: PromptSettings | None = None
    files: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the message and its sources, in the order of the service."""

    message: Message
    nodes: list[NodeWithScore]

    def ids(self) -> dict[str, Any]:
        """Where the answer is kept: agent, conversation, prompt, and the external id that was sent."""
        message = self.message
        ids = {
            "project_id": message.project_id,
            "session_id": message.session_id,
            "prompt_id": message.prompt_id,
            "external_id": message.external_id,
        }
        return {key: value for key, value in ids.items() if value is not None}

    def metadata(self) -> dict[str, Any]:
        """Never empty: the ids of the answer, and LlamaIndex's own `{node_id: metadata}` for the sources."""
        return {**self.ids(), **{scored.node.node_id: scored.node.metadata for scored in self.nodes}}


class Listener(Protocol):
    """Who is told how a stream goes. Exactly one of `finished`, `failed` and `left` ends it."""

    wants_tokens: bool

    def asked(self) -> None:
        """The stream begins: the request is about to be sent."""

    def opened(self, session_id: str) -> None:
        """The service has accepted the prompt in this conversation."""

    def token(self, text: str) -> None:
        """A piece of the answer; only told when `wants_tokens`."""

    def finished(self, answer: Answer) -> None:
        """The answer is complete, with its sources."""

    def failed(self, error: Exception, partial_answer: str) -> None:
        """It ended with `error`."""

    def left(self, partial_answer: str) -> None:
        """The reader left early; the line has been hung up."""


class Line:
    """The connection of one stream, to be hung up from another thread than the one that reads."""

    def __init__(self) -> None:
        self.stream: MessageStream | None = None
        self.hung_up = False

    def hang_up(self) -> None:
        """Wake who waits for the next piece, and end it."""
        self.hung_up = True
        if self.stream is not None:
            self.stream.close()


class AsyncLine:
    """`Line` for async streams: to be hung up from another task."""

    def __init__(self) -> None:
        self.stream: AsyncMessageStream | None = None
        self.hung_up = False

    async def hang_up(self) -> None:
        """Wake who waits for the next piece, and end it."""
        self.hung_up = True
        if self.stream is not None:
            await self.stream.aclose()


class Asker:
    """Asks the agent and turns citations into nodes."""

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

    def ask(self, question: Question) -> Answer:
        """Give the whole answer. Raises the transport's errors as they are."""
        return self.with_sources(question, self.send(question))

    async def aask(self, question: Question) -> Answer:
        """`ask` without blocking the event loop."""
        return await self.awith_sources(question, await self.asend(question))

    def send(self, question: Question) -> Message:
        """Give the answer without its sources. This is what costs a prompt."""
        return self.clients.sync.ask(question.prompt, **self._request(question))

    async def asend(self, question: Question) -> Message:
        """`send` without blocking the event loop."""
        client = await self.clients.on_this_loop()
        return await client.ask(question.prompt, **self._request(question))

    def tokens(self, question: Question, listener: Listener, line: Line) -> Generator[str, None, None]:
        """Give the answer piece by piece; the first piece is empty and says that the stream is open."""
        stream = None
        listener.asked()
        try:
            with self.clients.sync.stream(question.prompt, **self._request(question)) as stream:
                line.stream = stream
                listener.opened(stream.session_id)
                yield ""
                if listener.wants_tokens:
                    for event in stream:
                        if isinstance(event, AnswerDelta):
                            listener.token(event.text)
                            yield event.text
                else:
                    for event in stream:
                        if isinstance(event, AnswerDelta):
                            yield event.text
                message = stream.message
            answer = self.with_sources(question, message)
        except BaseException as error:
            _tell(listener, error, stream.partial_answer if stream is not None else "", left=line.hung_up)
            raise
        listener.finished(answer)

    async def atokens(
        self, question: Question, listener: Listener, line: AsyncLine
    ) -> AsyncGenerator[str, None]:
        """`tokens` without blocking the event loop. The connection belongs to the loop that reads."""
        stream = None
        listener.asked()
        try:
            client = await self.clients.on_this_loop()
            async with client.stream(question.prompt, **self._request(question)) as stream:
                line.stream = stream
                listener.opened(stream.session_id)
                yield ""
                if listener.wants_tokens:
                    async for event in stream:
                        if isinstance(event, AnswerDelta):
                            listener.token(event.text)
                            yield event.text
                else:
                    async for event in stream:
                        if isinstance(event, AnswerDelta):
                            yield event.text
                message = stream.message
            answer = await self.awith_sources(question, message)
        except BaseException as error:
            _tell(listener, error, stream.partial_answer if stream is not None else "", left=line.hung_up)
            raise
        listener.finished(answer)

    def with_sources(self, question: Question, message: Message) -> Answer:
        """Look up what the message cites, and show it to the postprocessors."""
        nodes: list[NodeWithScore] = []
        if message.citation_ids:
            nodes = self._nodes(self.clients.sync.citations(message, project_id=message.project_id))
        for postprocessor in self.node_postprocessors:
            nodes = postprocessor.postprocess_nodes(nodes, query_bundle=QueryBundle(question.asked))
        return Answer(message, nodes)

    async def awith_sources(self, question: Question, message: Message) -> Answer:
        """`with_sources` without blocking the event loop."""
        nodes: list[NodeWithScore] = []
        if message.citation_ids:
            client = await self.clients.on_this_loop()
            nodes = self._nodes(await client.citations(message, project_id=message.project_id))
        for postprocessor in self.node_postprocessors:
            nodes = await postprocessor.apostprocess_nodes(nodes, query_bundle=QueryBundle(question.asked))
        return Answer(message, nodes)

    def _request(self, question: Question) -> dict[str, Any]:
        return {
            "session_id": question.session_id,
            "project_id": self.clients.agent,
            "settings": question.settings,
            "files": question.files,
            "options": self.clients.options_for(),
        }

    def _nodes(self, citations: Sequence[Citation]) -> list[NodeWithScore]:
        return to_nodes(citations, score=self.score)


def _tell(listener: Listener, error: BaseException, partial_answer: str, *, left: bool) -> None:
    """Say how a stream ended early: whatever is no Exception comes from the reader, not the service."""
    if left or not isinstance(error, Exception):
        listener.left(partial_answer)
    else:
        listener.failed(error, partial_answer)
