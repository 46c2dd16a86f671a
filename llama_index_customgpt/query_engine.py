"""CustomGPTQueryEngine: one question, one answer, with its sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import QueryBundle

from customgpt_transport.options import PromptSettings
from llama_index_customgpt._asking import (
    Asker,
    AsyncLine,
    CitedAnswer,
    CustomGPTQueryBundle,
    Line,
    Query,
    StreamListener,
    query_of,
)
from llama_index_customgpt._clients import UsesClients
from llama_index_customgpt._tracing import StreamSpan
from llama_index_customgpt.nodes import DEFAULT_SCORE
from llama_index_customgpt.responses import (
    CustomGPTAsyncStreamingResponse,
    CustomGPTResponse,
    CustomGPTStreamingResponse,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from customgpt_transport.adapting import Connection
    from llama_index_customgpt.tool import CustomGPTQueryEngineTool

__all__ = ["CustomGPTQueryBundle", "CustomGPTQueryEngine"]


class CustomGPTQueryEngine(UsesClients, BaseQueryEngine):
    """Asks a CustomGPT.ai agent; the pages it cites are the source nodes.

    `api_key`, `base_url` and `project_id` fall back to CUSTOMGPT_API_KEY, CUSTOMGPT_BASE_URL and
    CUSTOMGPT_PROJECT_ID. Each query is a new conversation; with `session_id` all are asked in that one, one
    at a time. `streaming=True` answers with a `CustomGPTStreamingResponse` (async: its async twin), which
    sends the prompt when it is first read. `settings` are the agent's prompt settings for every query;
    `CustomGPTQueryBundle` sets them for one. `score` is what every node gets: the API gives none (see
    `llama_index_customgpt.nodes`). `node_postprocessors` see the cited pages before you do.

    `response.metadata` has `session_id`, `prompt_id`, `project_id`, `external_id` and, under each node's id,
    its metadata. A query costs one prompt. Needs no LLM. Does no I/O when made; pickles; one instance serves
    many threads and event loops at once.

    The keywords of `connection` are those of `customgpt_transport.adapting.Connection`: api_key, base_url,
    timeout, max_retries, client_options, client, async_client.

    Raises the transport's typed errors (`customgpt_transport.errors`), `ConfigurationError` when made.
    """

    def __init__(
        self,
        project_id: int | str | None = None,
        *,
        streaming: bool = False,
        session_id: str | None = None,
        settings: PromptSettings | None = None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
        score: float | None = DEFAULT_SCORE,
        callback_manager: CallbackManager | None = None,
        **connection: Unpack[Connection],
    ) -> None:
        self._connect(project_id, connection)
        super().__init__(callback_manager)
        self._asker = Asker(self._clients, score=score, node_postprocessors=node_postprocessors)
        self.streaming = streaming
        self.session_id = session_id
        self.settings = settings

    def as_tool(
        self,
        name: str | None = None,
        description: str | None = None,
        *,
        return_direct: bool = False,
    ) -> CustomGPTQueryEngineTool:
        """Give the engine as a tool for agents; `acall` never blocks the event loop, streaming or not."""
        from llama_index_customgpt.tool import CustomGPTQueryEngineTool

        return CustomGPTQueryEngineTool.from_defaults(
            self, name=name, description=description, return_direct=return_direct
        )

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        query = query_of(query_bundle, self.settings, self.session_id)
        with self.callback_manager.event(
            CBEventType.QUERY, payload={EventPayload.QUERY_STR: query_bundle.query_str}
        ) as event:
            response: RESPONSE_TYPE
            if self.streaming:
                listener, line = _QueryListener(StreamSpan(self, query.asked), query.asked), Line()
                tokens = self._asker.tokens(query, listener, line)
                response = CustomGPTStreamingResponse(tokens, line, metadata=self._known(query))
                listener.writes_to(response)
            else:
                response = _whole(self._asker.ask(query))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        query = query_of(query_bundle, self.settings, self.session_id)
        with self.callback_manager.event(
            CBEventType.QUERY, payload={EventPayload.QUERY_STR: query_bundle.query_str}
        ) as event:
            response: RESPONSE_TYPE
            if self.streaming:
                listener, line = _QueryListener(StreamSpan(self, query.asked), query.asked), AsyncLine()
                tokens = self._asker.atokens(query, listener, line)
                response = CustomGPTAsyncStreamingResponse(tokens, line, metadata=self._known(query))
                listener.writes_to(response)
            else:
                response = _whole(await self._asker.aask(query))
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response

    def _known(self, query: Query) -> dict[str, Any]:
        known: dict[str, Any] = {"project_id": self._clients.agent}
        if query.session_id is not None:
            known["session_id"] = query.session_id
        return known


class _QueryListener(StreamListener):
    def __init__(self, span: StreamSpan, asked: str) -> None:
        super().__init__(span)
        self._asked = asked

    def asked(self) -> None:
        self.span.enter(SynthesizeStartEvent(query=self._asked))

    def finished(self, answer: CitedAnswer) -> None:
        self.fill(answer)
        self._exit(_whole(answer))

    def failed(self, error: Exception, partial_answer: str) -> None:
        self.span.drop(error)

    def left(self, partial_answer: str) -> None:
        self._exit(CustomGPTResponse(partial_answer, [], dict(self.metadata)))

    def _exit(self, whole: CustomGPTResponse) -> None:
        self.span.exit(whole, SynthesizeEndEvent(query=self._asked, response=whole))


def _whole(answer: CitedAnswer) -> CustomGPTResponse:
    return CustomGPTResponse(answer.message.answer, answer.nodes, answer.metadata())
