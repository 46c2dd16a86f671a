"""CustomGPTRetriever: the pages that an agent cites for a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from customgpt_transport.options import PromptSettings
from llama_index_customgpt._asking import Asker, CitedAnswer, query_of
from llama_index_customgpt._clients import UsesClients
from llama_index_customgpt.nodes import DEFAULT_SCORE

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from customgpt_transport.adapting import Connection

__all__ = ["CustomGPTRetriever"]


class CustomGPTRetriever(UsesClients, BaseRetriever):
    """Retrieve the pages that a CustomGPT.ai agent cites for a question, at most `similarity_top_k` of them.

    The API has no search: each retrieval asks the agent in a new conversation, and costs one prompt. With
    `include_answer=True` the first node is the agent's answer, so that you need not pay for a second prompt.
    Its id is `answer-PROMPT_ID`; its metadata has `kind: "answer"`, `session_id` and `prompt_id`. The other
    arguments are those of `CustomGPTQueryEngine`; `llama_index_customgpt.nodes` describes the nodes.
    """

    def __init__(
        self,
        project_id: int | str | None = None,
        *,
        similarity_top_k: int | None = None,
        include_answer: bool = False,
        settings: PromptSettings | None = None,
        node_postprocessors: Sequence[BaseNodePostprocessor] = (),
        score: float | None = DEFAULT_SCORE,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
        **connection: Unpack[Connection],
    ) -> None:
        self._connect(project_id, connection)
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self._asker = Asker(self._clients, score=score, node_postprocessors=node_postprocessors)
        self.similarity_top_k = similarity_top_k
        self.include_answer = include_answer
        self.settings = settings

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes(self._asker.ask(query_of(query_bundle, self.settings)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes(await self._asker.aask(query_of(query_bundle, self.settings)))

    def _nodes(self, answer: CitedAnswer) -> list[NodeWithScore]:
        pages = answer.nodes[: self.similarity_top_k]
        return [self._answer_node(answer), *pages] if self.include_answer else pages

    def _answer_node(self, answer: CitedAnswer) -> NodeWithScore:
        message = answer.message
        metadata = {"kind": "answer", "session_id": message.session_id, "prompt_id": message.prompt_id}
        metadata = {key: value for key, value in metadata.items() if value is not None}
        node = TextNode(
            id_=f"answer-{message.prompt_id or message.session_id}",
            text=message.answer,
            metadata=metadata,
            excluded_llm_metadata_keys=list(metadata),
            excluded_embed_metadata_keys=list(metadata),
        )
        return NodeWithScore(node=node, score=self._asker.score)
