"""Chat messages of LlamaIndex as what a CustomGPT.ai conversation can take, and back. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, CitationBlock, MessageRole, TextBlock
from llama_index.core.schema import NodeWithScore

from customgpt_transport.options import PromptSettings
from customgpt_transport.transcript import Turn, with_transcript
from llama_index_customgpt.nodes import citation_blocks

__all__ = ["assistant_message", "opening_prompt", "user_message", "with_persona"]

logger = logging.getLogger(__name__)

_AGENTS = (MessageRole.ASSISTANT, MessageRole.CHATBOT, MessageRole.MODEL)
_SYSTEM = (MessageRole.SYSTEM, MessageRole.DEVELOPER)
_OF_NO_USE = {"image", "audio", "video", "document"}


def opening_prompt(history: Sequence[ChatMessage], message: str) -> str:
    """Give the first prompt of a new conversation: `history` replayed as a transcript, then `message`."""
    return with_transcript(
        [Turn(_speaker(turn), turn.content or "") for turn in _spoken(history)],
        message,
    )


def with_persona(settings: PromptSettings | None, history: Iterable[ChatMessage]) -> PromptSettings | None:
    """Give the settings of a prompt in this conversation: system messages become the persona.

    A persona that the caller has set wins.
    """
    persona = "\n\n".join(turn.content for turn in history if turn.role in _SYSTEM and turn.content)
    if not persona or (settings is not None and settings.custom_persona is not None):
        return settings
    return replace(settings or PromptSettings(), custom_persona=persona)


def user_message(text: str) -> ChatMessage:
    """Give the user's side of a turn."""
    return ChatMessage(role=MessageRole.USER, content=text)


def assistant_message(text: str, nodes: Iterable[NodeWithScore], metadata: dict[str, Any]) -> ChatMessage:
    """Give the agent's side of a turn: the text, one CitationBlock per source, and the ids beside them."""
    blocks: list[TextBlock | CitationBlock] = [TextBlock(text=text), *citation_blocks(nodes)]
    return ChatMessage(
        role=MessageRole.ASSISTANT, content=blocks, additional_kwargs={"customgpt": dict(metadata)}
    )


def _spoken(history: Iterable[ChatMessage]) -> Iterable[ChatMessage]:
    for turn in history:
        if turn.role in _SYSTEM:
            continue
        lost = {block.block_type for block in turn.blocks} & _OF_NO_USE
        if lost:
            logger.warning("A conversation is replayed as text: left out %s", ", ".join(sorted(lost)))
        yield turn


def _speaker(turn: ChatMessage) -> str:
    return "Assistant" if turn.role in _AGENTS else turn.role.value.capitalize()
