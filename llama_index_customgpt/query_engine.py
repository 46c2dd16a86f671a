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
    """Ask a CustomGPT.ai agent. The pages that it cites are the source nodes.

    A query costs one prompt and starts a new conversation; with `session_id`, all queries are asked in that
    one, one at a time. With `streaming=True` the response is a `CustomGPTStreamingResponse` (or its async
    twin), which sends the prompt when it is first read. `settings` apply to every query, those of a
    `CustomGPTQueryBundle` to one. `score` is the score of every node, as `llama_index_customgpt.nodes`
    explains. `node_postprocessors` process the cited pages.

    `response.metadata` has `session_id`, `prompt_id`, `project_id`, `external_id`, and each node's metadata
    under the node's id.

    `project_id` falls back to CUSTOMGPT_PROJECT_ID. `connection` takes these keywords, all optional (see
    `customgpt_transport.adapting.Connection`): `api_key` and `base_url`, which fall back to CUSTOMGPT_API_KEY
    and CUSTOMGPT_BASE_URL; `timeout`, in seconds; `max_retries`; `client_options`; `client`; `async_client`.

    Needs no LLM. Constructing it does no I/O. It can be pickled, and one instance serves many threads and
    event loops at once. Raises the transport's typed errors (`customgpt_transport.errors`); the constructor
    raises `ConfigurationError`.
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
        """Return the engine as a tool for agents. `acall` never blocks the event loop, streaming or not."""
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
