"""The API's answers as plain typed records: frozen, comparable, picklable.

Fields that every client needs are attributes; whatever else the service sent is kept in `extra`, untouched.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

__all__ = [
    "Agent",
    "AgentSettings",
    "AgentStats",
    "AnswerDelta",
    "AnswerFinished",
    "Citation",
    "Conversation",
    "FileInput",
    "Message",
    "MessageEvent",
    "Page",
    "PageMetadata",
    "Source",
    "Sources",
    "UsageLimits",
    "User",
]


FileInput: TypeAlias = str | os.PathLike[str] | tuple[str, bytes]
"""A file to upload: the path of one on disk, or a name with the bytes themselves."""


def _extra() -> Any:
    return field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One prompt with its whole answer.

    `citation_ids` are in the order the API listed them, without repeats; empty when the answer used no page.
    `prompt_id` names the message on the server (None only where the service left it out).
    `recovered` tells that the answer was read back from the conversation after the connection had failed;
    `retries` counts the attempts before the one that succeeded.
    """

    answer: str
    prompt: str
    project_id: int
    session_id: str
    prompt_id: int | None = None
    citation_ids: tuple[int, ...] = ()
    created_at: datetime | None = None
    external_id: str | None = None
    reaction: str | None = None
    recovered: bool = False
    retries: int = 0
    extra: Mapping[str, Any] = _extra()


@dataclass(slots=True)
class AnswerDelta:
    """The next piece of the answer's text; white space counts. Not frozen: one is made per token."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerFinished:
    """The answer is complete. Fields as in `Message`; `stream.message` is now the whole message."""

    prompt_id: int | None
    session_id: str
    citation_ids: tuple[int, ...] = ()
    created_at: datetime | None = None
    recovered: bool = False


MessageEvent: TypeAlias = AnswerDelta | AnswerFinished


@dataclass(frozen=True, slots=True)
class Citation:
    """A page that an answer rests on.

    The API gives no passage text and no score: `description` is the page's own summary, never the passage.
    `resolved` is False for a stub, when the look-up failed or took too long; `problem` then says why.
    """

    id: int
    title: str | None = None
    url: str | None = None
    description: str | None = None
    image_url: str | None = None
    resolved: bool = True
    problem: str | None = None
    extra: Mapping[str, Any] = _extra()

    @property
    def summary(self) -> str:
        """The page in words: title and description, else the URL, else "Citation ID". Never empty."""
        words = "\n\n".join(filter(None, (self.title, self.description)))
        return words or self.url or f"Citation {self.id}"

    @property
    def source(self) -> str:
        """Where the page is: its URL, else its title, else "Citation ID". Never empty."""
        return self.url or self.title or f"Citation {self.id}"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation of an agent. Every call takes its `session_id`, never the numeric `id`."""

    session_id: str
    id: int | None = None
    name: str | None = None
    project_id: int | None = None
    created_by: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent (the API's paths say project). `is_chat_active` is True once something is indexed."""

    id: int
    name: str
    is_chat_active: bool = False
    type: str | None = None
    is_shared: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class AgentStats:
    """Counts of an agent; None for a count that the service did not send."""

    pages_found: int | None = None
    pages_crawled: int | None = None
    pages_indexed: int | None = None
    crawl_credits_used: int | None = None
    query_credits_used: int | None = None
    total_queries: int | None = None
    total_words_indexed: int | None = None
    total_storage_credits_used: int | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The settings of an agent that change what a chat client sees; all others are in `extra`."""

    default_prompt: str | None = None
    example_questions: tuple[str, ...] = ()
    response_source: str | None = None
    chatbot_model: str | None = None
    agent_capability: str | None = None
    persona_instructions: str | None = None
    enable_citations: int | None = None
    no_answer_message: str | None = None
    chatbot_msg_lang: str | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class Page:
    """A document of an agent; citation ids are page ids.

    `crawl_status` and `index_status` are ok, queued, failed, n/a or limited.
    """

    id: int
    url: str | None = None
    project_id: int | None = None
    crawl_status: str | None = None
    index_status: str | None = None
    is_file: bool = False
    filename: str | None = None
    filesize: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class PageMetadata:
    """What citations of a page show. `page_id` is the page; the service's own row id is in `extra`."""

    page_id: int
    title: str | None = None
    url: str | None = None
    description: str | None = None
    image_url: str | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class Source:
    """Where an agent's pages come from: a sitemap, or the uploads. A source id is not a page id."""

    id: int
    type: str | None = None
    sitemap_path: str | None = None
    pages: tuple[Page, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class Sources:
    """All sources of an agent: its sitemaps, and the one source that all uploaded files belong to."""

    sitemaps: tuple[Source, ...] = ()
    uploads: Source | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class UsageLimits:
    """The account's limits and usage; None for a count that the service did not send."""

    max_projects: int | None = None
    current_projects: int | None = None
    max_storage_credits: int | None = None
    current_storage_credits: int | None = None
    max_queries: int | None = None
    current_queries: int | None = None
    extra: Mapping[str, Any] = _extra()


@dataclass(frozen=True, slots=True)
class User:
    """The user behind the key."""

    id: int
    name: str | None = None
    email: str | None = None
    current_team_id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()
