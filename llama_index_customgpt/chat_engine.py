"""CustomGPTChatEngine: a conversation with an agent, kept on the server and mirrored locally."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks.base import CallbackManager, EventContext
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine
from llama_index.core.instrumentation.events.chat_engine import (
    StreamChatEndEvent,
    StreamChatErrorEvent,
    StreamChatStartEvent,
)
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from customgpt_transport.adapting import with_persona
from customgpt_transport.histories import system_text
from customgpt_transport.options import PromptSettings
from llama_index_customgpt._asking import Asker, AsyncLine, CitedAnswer, Line, Query, StreamListener
from llama_index_customgpt._clients import UsesClients
from llama_index_customgpt._conversation import Conversation, HistoryEntry, OpenStream
from llama_index_customgpt._history import opening_prompt, read_turns
from llama_index_customgpt._tracing import StreamSpan, anyone_listens
from llama_index_customgpt.nodes import DEFAULT_SCORE
from llama_index_customgpt.responses import (
    CustomGPTAsyncStreamingChatResponse,
    CustomGPTStreamingChatResponse,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from customgpt_transport.adapting import Connection

__all__ = ["CustomGPTChatEngine"]


class CustomGPTChatEngine(UsesClients, BaseChatEngine):
    """Chat with a CustomGPT.ai agent. The server keeps the conversation; `chat_history` mirrors it.

    Each message costs one prompt. In all four methods, `chat_history=None` continues the conversation and
    `[]` starts a new one. A list of messages also starts a new one, and replays them once as a transcript
    before the message, because the API takes no history. System messages join `settings.custom_persona`, and
    the two replace the agent's own persona.

    `session_id` names the conversation as soon as the service has accepted the first prompt; for a stream
    that is before its first token. Given to the constructor, it resumes that conversation, and
    `chat_history=` then only fills the mirror. `reset()` starts a new conversation with the next message.
    Engines never share a conversation. Several users may share an engine if each call passes its own
    `chat_history`.

    Answers have `source_nodes` and `metadata` as in `CustomGPTQueryEngine`, streamed ones once their text is
    complete. Messages in the history carry their sources as CitationBlocks. A stream is hung up when its
    reader leaves it early, or when the same task or thread sends the next message; the text so far goes into
    the history.

    `connection` takes the keywords that `CustomGPTQueryEngine` lists. Raises the transport's typed errors;
    `stream_chat` and `astream_chat` raise refusals at once.
    """

    def __init__(
        self,
        project_id: int | str | None = None,
        *,
        session_id: str | None = None,
        chat_history: Sequence[ChatMessage] | None = None,
        settings: PromptSettings | None = None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
        score: float | None = DEFAULT_SCORE,
        callback_manager: CallbackManager | None = None,
        **connection: Unpack[Connection],
    ) -> None:
        self._connect(project_id, connection)
        self.callback_manager = callback_manager or CallbackManager([])
        self._asker = Asker(self._clients, score=score, node_postprocessors=node_postprocessors)
        self.settings = settings
        self._conversation = Conversation(session_id, chat_history or ())

    @property
    def session_id(self) -> str | None:
        """The name of the conversation, to resume it later; None until a prompt has been accepted."""
        return self._conversation.session_id

    @property
    def chat_history(self) -> list[ChatMessage]:
        """A copy of the messages so far, oldest first."""
        return self._conversation.history

    def reset(self) -> None:
        """Start a new conversation with the next message."""
        self._conversation = Conversation()

    def chat(self, message: str, chat_history: list[ChatMessage] | None = None) -> AgentChatResponse:
        """Return the whole answer to `message`."""
        conversation = self._conversation_for(chat_history)
        with self._traced(message) as event, conversation.begun(self._clients.options.session_wait):
            query = self._query(conversation, message)
            said = self._asker.send(query)
            entry = conversation.accepted(message, said)
            response = _whole(entry, self._asker.with_sources(query, said))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    async def achat(self, message: str, chat_history: list[ChatMessage] | None = None) -> AgentChatResponse:
        """`chat` without blocking the event loop."""
        conversation = self._conversation_for(chat_history)
        with self._traced(message) as event:
            async with conversation.abegun(self._clients.options.session_wait):
                query = self._query(conversation, message)
                said = await self._asker.asend(query)
                entry = conversation.accepted(message, said)
                response = _whole(entry, await self._asker.awith_sources(query, said))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    def stream_chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> CustomGPTStreamingChatResponse:
        """Send `message` and return the answer as a stream, to be read from `response_gen`."""
        conversation = self._conversation_for(chat_history)
        with self._traced(message) as event, conversation.begun(self._clients.options.session_wait):
            query = self._query(conversation, message)
            listener, line = _ChatListener(StreamSpan(self, message), conversation, message), Line()
            tokens = self._asker.tokens(query, listener, line)
            response = CustomGPTStreamingChatResponse(
                tokens, line, metadata={"project_id": self._clients.agent}
            )
            listener.writes_to(response)
            response._pump.open()
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    async def astream_chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> CustomGPTAsyncStreamingChatResponse:
        """Send `message` and return the answer as a stream, to be read from `async_response_gen()`."""
        conversation = self._conversation_for(chat_history)
        with self._traced(message) as event:
            async with conversation.abegun(self._clients.options.session_wait):
                query = self._query(conversation, message)
                listener, line = _ChatListener(StreamSpan(self, message), conversation, message), AsyncLine()
                tokens = self._asker.atokens(query, listener, line)
                response = CustomGPTAsyncStreamingChatResponse(
                    tokens, line, metadata={"project_id": self._clients.agent}
                )
                listener.writes_to(response)
                await response._pump.open()
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    def _conversation_for(self, chat_history: Sequence[ChatMessage] | None) -> Conversation:
        if chat_history is not None:
            self._conversation = Conversation(history=chat_history)
        return self._conversation

    def _query(self, conversation: Conversation, message: str) -> Query:
        history = conversation.history
        return Query(
            prompt=opening_prompt(history, message) if conversation.session_id is None else message,
            asked=message,
            session_id=conversation.session_id,
            settings=with_persona(self.settings, system_text(read_turns(history))),
        )

    @contextmanager
    def _traced(self, message: str) -> Iterator[EventContext]:
        with (
            self.callback_manager.as_trace("chat"),
            self.callback_manager.event(
                CBEventType.AGENT_STEP, payload={EventPayload.MESSAGES: [message]}
            ) as event,
        ):
            yield event


def _whole(entry: HistoryEntry, answer: CitedAnswer) -> AgentChatResponse:
    entry.answered(answer.message.answer, answer.nodes, answer.ids())
    return AgentChatResponse(
        response=answer.message.answer, source_nodes=answer.nodes, metadata=answer.metadata()
    )


class _ChatListener(StreamListener):
    """Fills the response, and the history as well."""

    def __init__(self, span: StreamSpan, conversation: Conversation, message: str) -> None:
        super().__init__(span)
        self.wants_tokens = anyone_listens()
        self._conversation = conversation
        self._message = message
        self._entry: HistoryEntry | None = None
        self._stream: OpenStream | None = None

    def asked(self) -> None:
        self.span.enter(StreamChatStartEvent())

    def opened(self, session_id: str) -> None:
        super().opened(session_id)
        self._entry = self._conversation.entry(self._message)
        response = self.response
        if response is not None:
            self._stream = self._conversation.streams(response._pump)
        self._conversation.opened(session_id)

    def finished(self, answer: CitedAnswer) -> None:
        self.fill(answer)
        whole = _whole(self._entry or self._conversation.entry(self._message), answer)
        self._say(whole.response)
        self.span.exit(whole, StreamChatEndEvent())

    def failed(self, error: Exception, partial_answer: str) -> None:
        self._keep(partial_answer)
        response = self.response
        if response is not None:
            response.exception = error
        self.span.drop(error, StreamChatErrorEvent(exception=error))

    def left(self, partial_answer: str) -> None:
        self._keep(partial_answer)
        self.span.exit(AgentChatResponse(response=partial_answer), StreamChatEndEvent())

    def _keep(self, partial_answer: str) -> None:
        if partial_answer and self._entry is not None:
            self._entry.answered(partial_answer, [], self.metadata)
        self._say(partial_answer)

    def _say(self, text: str) -> None:
        response = self.response
        if response is not None:
            response.response = text
            response.is_done = True
        if self._stream is not None:
            self._stream.done()
