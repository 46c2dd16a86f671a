"""Citations as LlamaIndex nodes: the only module that knows both vocabularies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_index.core.base.llms.types import CitationBlock, TextBlock
from llama_index.core.schema import NodeWithScore, TextNode

from customgpt_transport.models import Citation

__all__ = ["DEFAULT_SCORE", "citation_blocks", "to_node", "to_nodes"]

DEFAULT_SCORE = 1.0
"""The default score of every node. It measures nothing: the API gives no scores.

None would be more honest, but LlamaIndex's default postprocessors drop nodes without a score. A node with the
constant says so in its metadata, `score_is_constant: True`. Pass `score=None` for no score.
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
"""Metadata hidden from models: ids and numbers tell them nothing, and the rest is in the text already."""


def to_node(citation: Citation, *, position: int, score: float | None = DEFAULT_SCORE) -> NodeWithScore:
    """Return a citation as a node. `position` counts from 1, in the order of the service.

    The text is `Citation.summary`: title and description, never a passage, and never empty. The node's id is
    the citation id, so a page is the same node in every answer. The URL of its image is only metadata, since
    LlamaIndex would download the image of an ImageNode.
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
    """Return one node per citation, in the same order."""
    return [to_node(citation, position=n, score=score) for n, citation in enumerate(citations, start=1)]


def citation_blocks(nodes: Iterable[NodeWithScore]) -> list[CitationBlock]:
    """Return the sources of an answer in the form that LlamaIndex keeps in a chat history."""
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
