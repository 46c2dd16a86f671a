"""A conversation as a text: Markdown for people, JSON, and OpenAI's JSON lines for evaluation sets. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from customgpt_cli.output import as_data
from customgpt_transport.models import Citation, Message

__all__ = ["FORMATS", "Exchange", "export"]


@dataclass(frozen=True)
class Exchange:
    """A conversation as it is exported."""

    session_id: str
    name: str | None
    messages: Sequence[Message]
    """Oldest first."""
    sources: Mapping[int, Citation]
    """The pages behind the answers, by citation id."""

    def source(self, citation_id: int) -> Citation:
        """Return the page; one of which only the number is known when it could not be looked up."""
        return self.sources.get(citation_id) or Citation(citation_id, resolved=False)


def export(form: str, conversation: Exchange) -> str:
    """Return a conversation in one of `FORMATS`."""
    return FORMATS[form](conversation)


def as_json(conversation: Exchange) -> str:
    """Return one line of JSON."""
    rows = []
    for message in conversation.messages:
        fields: dict[str, Any] = as_data(message)
        for name in ("extra", "project_id", "session_id", "recovered", "retries", "citation_ids"):
            del fields[name]
        fields["citations"] = [as_data(conversation.source(number)) for number in message.citation_ids]
        rows.append(fields)
    whole = {"session_id": conversation.session_id, "name": conversation.name, "messages": rows}
    return json.dumps(whole, ensure_ascii=False) + "\n"


def as_openai(conversation: Exchange) -> str:
    """Return one line in the form of OpenAI's chat data sets; nothing for a conversation without messages."""
    turns = []
    for message in conversation.messages:
        turns.append({"role": "user", "content": message.prompt})
        turns.append({"role": "assistant", "content": message.answer})
    return json.dumps({"messages": turns}, ensure_ascii=False) + "\n" if turns else ""


def as_markdown(conversation: Exchange) -> str:
    """Return a document: each question as a quotation, its answer, and the answer's sources."""
    parts = [
        f"# {' '.join((conversation.name or 'Conversation').split())}",
        f"Conversation `{conversation.session_id}`",
    ]
    for message in conversation.messages:
        asked = f" {message.created_at:%Y-%m-%d %H:%M} UTC" if message.created_at else ""
        quoted = "\n".join(f"> {line}".rstrip() for line in message.prompt.splitlines())
        links = [
            f"{place}. {_link(conversation.source(number))}"
            for place, number in enumerate(message.citation_ids, 1)
        ]
        parts += [f"**Asked**{asked}", quoted, message.answer.strip(), "\n".join(links)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _link(source: Citation) -> str:
    title = source.title or source.url or f"page {source.id}"
    shown = title.replace("[", r"\[").replace("]", r"\]")
    return f"[{shown}](<{source.url}>)" if source.url else shown


FORMATS = {"markdown": as_markdown, "json": as_json, "openai": as_openai}
SUFFIXES = {".md": "markdown", ".json": "json", ".jsonl": "openai"}
