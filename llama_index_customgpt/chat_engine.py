"""CustomGPTChatEngine: a conversation with an agent, kept on the server and mirrored here."""

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
    """Chats with a CustomGPT.ai agent; the server keeps the conversation, `chat_history` mirrors it.

    In all four methods `chat_history` means: None goes on with the conversation, `[]` starts a new one, and a
    list of messages starts a new one in which they are replayed, once, as a transcript before the message
    (the API takes no history); system messages become the persona. `session_id` names the conversation from
    the moment the service has accepted the first prompt, for a stream before its first token; given when
    made, it resumes that conversation (`chat_history=` then only fills the mirror). `reset()` starts a new
    one with the next message. Engines never share a conversation; several users may share an engine as long
    as each call brings its own `chat_history`.

    `chat` and `stream_chat` answer with `source_nodes` and `metadata` (as `CustomGPTQueryEngine`); a streamed
    answer has them when its text is complete. A stream that is left early, or still open when the same task
    or thread sends the next message, is hung up, and what had been said goes into the history. Messages in
    the history carry their sources as CitationBlocks. Each message costs one prompt.

    The keywords of `connection` are as in `CustomGPTQueryEngine`.

    Raises the transport's typed errors; `stream_chat` and `astream_chat` raise refusals at once.
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
        """The conversation, to resume it later; None before the first prompt has been accepted."""
        return self._conversation.session_id

    @property
    def chat_history(self) -> list[ChatMessage]:
        """What has been said, oldest first: a copy."""
        return self._conversation.history

    def reset(self) -> None:
        """Forget the conversation; the next message starts a new one."""
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
    """Also writes the history."""

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
