"""The sources of an answer, as plain data in `response_metadata` and as LangChain's `Citation` annotations.

`content` stays a string. A message's `content_blocks` are one text block with the annotations: LangChain
calls the translator registered here for every message whose `model_provider` is ours.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator

from customgpt_transport.models import Citation

PROVIDER = "customgpt"
CITATIONS_KEY = "citations"

CitationMode = Literal["full", "ids", "off"]


def citation_data(citation: Citation) -> dict[str, Any]:
    """Return a citation as JSON-safe data.

    `description` is the page's own summary: the API gives no passage and no score.
    """
    data: dict[str, Any] = {
        "id": citation.id,
        "title": citation.title,
        "url": citation.url,
        "description": citation.description,
        "image_url": citation.image_url,
        "resolved": citation.resolved,
    }
    if citation.problem is not None:
        data["problem"] = citation.problem
    return data


def annotation(data: dict[str, Any]) -> types.Citation:
    """Return the standard annotation. It is about the whole answer: no span, no `cited_text`."""
    made: dict[str, Any] = {"type": "citation", "id": str(data["id"])}
    made.update({key: data[key] for key in ("url", "title") if data.get(key)})
    extras = {
        key: value for key, value in data.items() if key not in ("id", "url", "title") and value is not None
    }
    made["extras"] = {"citation_id": data["id"], **extras}
    return cast("types.Citation", made)


def translate(message: AIMessage) -> list[types.ContentBlock]:
    """Return the content blocks of an answer: one text block with its citations, none when both are empty."""
    if not isinstance(message.content, str):
        raise NotImplementedError(
            "not written by ChatCustomGPT"
        )  # LangChain then reads the parts as it finds them
    annotations = [annotation(data) for data in message.response_metadata.get(CITATIONS_KEY) or ()]
    if not message.content and not annotations:
        return []
    # Cast: langchain-core 1.8 takes `NotRequired` from where Python 3.10's type checkers do not find it.
    block: dict[str, Any] = {"type": "text", "text": message.content}
    if annotations:
        block["annotations"] = annotations
    return [cast("types.TextContentBlock", block)]


def translate_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """`translate` for a chunk of an answer. Only the last chunk has citations."""
    return translate(chunk)


register_translator(PROVIDER, translate, translate_chunk)
