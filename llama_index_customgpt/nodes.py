"""Citations as nodes. The only place that knows both vocabularies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_index.core.base.llms.types import CitationBlock, TextBlock
from llama_index.core.schema import NodeWithScore, TextNode

from customgpt_transport.models import Citation

__all__ = ["DEFAULT_SCORE", "citation_blocks", "to_node", "to_nodes"]

DEFAULT_SCORE = 1.0
"""The score of every node unless told otherwise: a constant that measures nothing; the API gives no score.

A score of None would be truer, yet LlamaIndex's default postprocessors drop nodes that have none. Where the
constant is used, the node's metadata says `score_is_constant: True`; pass `score=None` for no score.
"""

_NOT_FOR_MODELS = [
    "citation_id",
    "position",
    "score_is_constant",
    "problem",
    "source",
    "image",
    "description",
]
"""Metadata that no model reads: ids and numbers mean nothing to it, the rest stands in the text already."""


def to_node(citation: Citation, *, position: int, score: float | None = DEFAULT_SCORE) -> NodeWithScore:
    """Give the node of one citation; `position` counts from 1, in the order of the service.

    The text is title and description (the page's own summary: the API gives no passage), else the address,
    else the citation's number: never empty. The id is the citation id, so the same page is the same node in
    every answer. The image address is metadata only; LlamaIndex would download an ImageNode's.
    """
    metadata: dict[str, Any] = {
        "url": citation.url,
        "source": citation.source,
        "title": citation.title,
        "description": citation.description,
        "image": citation.image_url,
        "citation_id": citation.id,
        "position": position,
        "score_is_constant": True if score is not None else None,
        "problem": citation.problem,
    }
    metadata = {key: value for key, value in metadata.items() if value is not None}
    hidden = [key for key in _NOT_FOR_MODELS if key in metadata]
    node = TextNode(
        id_=str(citation.id),
        text=citation.summary,
        metadata=metadata,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=list(hidden),
    )
    return NodeWithScore(node=node, score=score)


def to_nodes(citations: Iterable[Citation], *, score: float | None = DEFAULT_SCORE) -> list[NodeWithScore]:
    """Give one node per citation, in the order of the service."""
    return [to_node(citation, position=n, score=score) for n, citation in enumerate(citations, start=1)]


def citation_blocks(nodes: Iterable[NodeWithScore]) -> list[CitationBlock]:
    """Give the sources of an answer as LlamaIndex keeps them in a chat history."""
    return [
        CitationBlock(
            cited_content=TextBlock(text=scored.node.get_content()),
            source=str(scored.node.metadata.get("url", "")),
            title=str(scored.node.metadata.get("title", "")),
            additional_location_info={
                key: scored.node.metadata[key]
                for key in ("citation_id", "position")
                if isinstance(scored.node.metadata.get(key), int)
            },
        )
        for scored in nodes
    ]
