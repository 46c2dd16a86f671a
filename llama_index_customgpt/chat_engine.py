"""CustomGPTChatEngine: a conversation with an agent, kept on the server and mirrored here."""

from __future__ import annotations

import weakref
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
from llama_index_customgpt._asking import Answer, Asker, AsyncLine, Line, Question
from llama_index_customgpt._clients import UsesClients
from llama_index_customgpt._conversation import Conversation, OpenStream, Turn
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
        """Send `message` and give the whole answer."""
        with self._traced(message) as event:
            conversation = self._conversation_for(chat_history)
            conversation.begin(self._clients.options.session_wait)
            try:
                question = self._question(conversation, message)
                said = self._asker.send(question)
                turn = conversation.turn(message)
                conversation.opened(said.session_id)
            finally:
                conversation.ended()
            turn.answered(said.answer, [], Answer(said, []).ids())  # whatever becomes of its sources
            response = _whole(turn, self._asker.with_sources(question, said))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    async def achat(self, message: str, chat_history: list[ChatMessage] | None = None) -> AgentChatResponse:
        """`chat` without blocking the event loop."""
        with self._traced(message) as event:
            conversation = self._conversation_for(chat_history)
            await conversation.abegin(self._clients.options.session_wait)
            try:
                question = self._question(conversation, message)
                said = await self._asker.asend(question)
                turn = conversation.turn(message)
                conversation.opened(said.session_id)
            finally:
                conversation.ended()
            turn.answered(said.answer, [], Answer(said, []).ids())  # whatever becomes of its sources
            response = _whole(turn, await self._asker.awith_sources(question, said))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    def stream_chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> CustomGPTStreamingChatResponse:
        """Send `message` and give the answer as it comes, from `response_gen`."""
        with self._traced(message) as event:
            conversation = self._conversation_for(chat_history)
            conversation.begin(self._clients.options.session_wait)
            try:
                question = self._question(conversation, message)
                listener = _ChatListener(StreamSpan(self, message), conversation, message)
                line = Line()
                response = CustomGPTStreamingChatResponse(
                    self._asker.tokens(question, listener, line),
                    line,
                    metadata={"project_id": self._clients.agent},
                )
                listener.writes_to(response)
                response._pump.open()
            finally:
                conversation.ended()
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    async def astream_chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> CustomGPTAsyncStreamingChatResponse:
        """Send `message` and give the answer as it comes, from `async_response_gen()`."""
        with self._traced(message) as event:
            conversation = self._conversation_for(chat_history)
            await conversation.abegin(self._clients.options.session_wait)
            try:
                question = self._question(conversation, message)
                listener = _ChatListener(StreamSpan(self, message), conversation, message)
                line = AsyncLine()
                response = CustomGPTAsyncStreamingChatResponse(
                    self._asker.atokens(question, listener, line),
                    line,
                    metadata={"project_id": self._clients.agent},
                )
                listener.writes_to(response)
                await response._pump.open()
            finally:
                conversation.ended()
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    def _conversation_for(self, chat_history: Sequence[ChatMessage] | None) -> Conversation:
        if chat_history is not None:
            self._conversation = Conversation(history=chat_history)
        return self._conversation

    def _question(self, conversation: Conversation, message: str) -> Question:
        history = conversation.history
        return Question(
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


def _whole(turn: Turn, answer: Answer) -> AgentChatResponse:
    turn.answered(answer.message.answer, answer.nodes, answer.ids())
    return AgentChatResponse(
        response=answer.message.answer, source_nodes=answer.nodes, metadata=answer.metadata()
    )


class _ChatListener:
    """Writes what comes late into the response and the history, and reports the stream to its span.

    The response is held weakly: it holds the stream, and dropping it must hang up at once.
    """

    def __init__(self, span: StreamSpan, conversation: Conversation, message: str) -> None:
        self.wants_tokens = anyone_listens()
        self._span = span
        self._conversation = conversation
        self._message = message
        self._turn: Turn | None = None
        self._stream: OpenStream | None = None

    def writes_to(
        self, response: CustomGPTStreamingChatResponse | CustomGPTAsyncStreamingChatResponse
    ) -> None:
        self._response = weakref.ref(response)
        self._nodes, self._metadata = response.source_nodes, response.metadata

    def asked(self) -> None:
        self._span.enter(StreamChatStartEvent())

    def opened(self, session_id: str) -> None:
        self._metadata["session_id"] = session_id
        self._turn = self._conversation.turn(self._message)
        response = self._response()
        if response is not None:
            self._stream = self._conversation.streams(response._pump)
        self._conversation.opened(session_id)

    def token(self, text: str) -> None:
        self._span.delta(text)

    def finished(self, answer: Answer) -> None:
        response = self._response()
        if response is not None and response.source_nodes is not self._nodes:  # somebody put another there
            response.source_nodes.extend(answer.nodes)
        self._nodes.extend(answer.nodes)
        self._metadata.update(answer.metadata())
        whole = _whole(self._turn or self._conversation.turn(self._message), answer)
        self._say(whole.response)
        self._span.exit(whole, StreamChatEndEvent())

    def failed(self, error: Exception, partial_answer: str) -> None:
        self._keep(partial_answer)
        response = self._response()
        if response is not None:
            response.exception = error
        self._span.drop(error, StreamChatErrorEvent(exception=error))

    def left(self, partial_answer: str) -> None:
        self._keep(partial_answer)
        self._span.exit(AgentChatResponse(response=partial_answer), StreamChatEndEvent())

    def _keep(self, partial_answer: str) -> None:
        if partial_answer and self._turn is not None:
            self._turn.answered(partial_answer, [], self._metadata)
        self._say(partial_answer)

    def _say(self, text: str) -> None:
        response = self._response()
        if response is not None:
            response.response = text
            response.is_done = True
        if self._stream is not None:
            self._stream.done()
