"""Prompts and the messages they become.

Source: vendor OpenAPI 1.0.0, `SendConversationResponse`; vendor reference, send message; captured answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from customgpt_transport._wire.http import (
    Body,
    Order,
    PathValue,
    QueryValue,
    Request,
    Response,
    list_request,
    request,
)
from customgpt_transport._wire.problems import not_documented, read_data, read_object
from customgpt_transport._wire.values import (
    Paginated,
    Record,
    citation_ids,
    integer,
    paginated,
    text,
    timestamp,
)
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Message

EXTERNAL_ID_CHARACTERS = 128
REACTIONS = ("liked", "disliked", "neutral")
_ALL = "/projects/{project_id}/conversations/{session_id}/messages"
_ONE = _ALL + "/{prompt_id}"


def send(
    project_id: int,
    session_id: str,
    prompt: str,
    settings: Mapping[str, Any],
    *,
    external_id: str,
    stream: bool,
    body: Body | None = None,
) -> Request:
    """Send a prompt; the answer is an event stream, or read by `parse_message`.

    `settings` are those of `PromptSettings` but for the external id. `body` replaces the JSON: a form that
    already holds the prompt, the settings and files.
    """
    query: dict[str, QueryValue] = {
        "stream": stream or None,
        "lang": settings.get("lang"),
        "external_id": external_id,
    }
    fields = {name: value for name, value in settings.items() if name != "lang"}
    return request(
        "POST",
        _ALL,
        {"project_id": project_id, "session_id": session_id},
        kind="prompt",
        query=query,
        json={"prompt": prompt, **fields} if body is None else None,
        body=body,
        stream=stream,
    )


def list_page(project_id: int, session_id: str, page: int, *, order: Order) -> Request:
    """Ask for one page of a conversation's messages; the answer is read by `parse_messages`."""
    return list_request(_ALL, {"project_id": project_id, "session_id": session_id}, page, order)


def get(project_id: int, session_id: str, prompt_id: int) -> Request:
    """Ask for one message; the answer is read by `parse_message`."""
    return request("GET", _ONE, {"project_id": project_id, "session_id": session_id, "prompt_id": prompt_id})


def feedback(project_id: int, session_id: str, prompt_id: int, reaction: str | None) -> Request:
    """Like or dislike a message; None clears it; the answer is read by `parse_message`."""
    if reaction is not None and reaction not in REACTIONS:
        raise ConfigurationError(f"reaction={reaction!r:.80} must be one of {', '.join(REACTIONS)}, or None.")
    values: dict[str, PathValue] = {
        "project_id": project_id,
        "session_id": session_id,
        "prompt_id": prompt_id,
    }
    return request("PUT", _ONE + "/feedback", values, json={"reaction": reaction})


def parse_message(
    response: Response, *, project_id: int, session_id: str, external_id: str | None = None
) -> Message:
    """Return the message with its answer.

    Raises `APIError` for a refusal, `ProtocolError` when `openai_response` is missing or null.
    """
    data = read_object(response)
    if not isinstance(data.get("openai_response"), str):
        raise not_documented(response)
    message = replace(_message(data, project_id, session_id), retries=response.retries)
    if isinstance(message.extra.get("id"), int):  # too long for an id, and no prompt could be greater
        raise not_documented(response)
    return message if message.external_id else replace(message, external_id=external_id)


def parse_messages(response: Response, *, project_id: int, session_id: str) -> Paginated[Message]:
    """Return one page of the list, which is nested twice. The answer of a row without one is ''."""
    data = read_data(response)
    listed = data.get("messages", data) if isinstance(data, Mapping) else data
    return paginated(listed, "list of messages", lambda row: _message(row, project_id, session_id))


def _message(data: object, project_id: int, session_id: str) -> Message:
    record = Record(data, "message")
    feedback_given, metadata = record.extra.get("response_feedback"), record.extra.get("metadata")
    return Message(
        answer=record.take("openai_response", text) or "",
        prompt=record.take("user_query", text) or "",
        project_id=project_id,
        session_id=session_id,
        prompt_id=record.take("id", integer),
        citation_ids=citation_ids(record.extra.pop("citations", None)),
        created_at=record.take("created_at", timestamp),
        external_id=_member(metadata, "external_id"),
        reaction=_member(feedback_given, "reaction"),
        extra=record.extra,
    )


def _member(mapping: Any, name: str) -> str | None:
    value = mapping.get(name) if isinstance(mapping, Mapping) else None
    return value if isinstance(value, str) and value else None
