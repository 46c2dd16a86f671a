"""Conversations of an agent. Source: vendor OpenAPI 1.0.0, Conversations; captured answers."""

from __future__ import annotations

from customgpt_transport._wire.http import Order, PathValue, Request, Response, list_request, request
from customgpt_transport._wire.problems import read_data
from customgpt_transport._wire.values import Paginated, Record, integer, paginated, text, timestamp
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Conversation

NAME_CHARACTERS = 255
_ALL = "/projects/{project_id}/conversations"
_ONE = _ALL + "/{session_id}"


def create(project_id: int, name: str | None) -> Request:
    """Create a conversation; the answer is read by `parse_conversation`.

    Some of the vendor's own clients say that the API demands a name, so there is always one.
    """
    return request("POST", _ALL, {"project_id": project_id}, json={"name": _name(name or "Conversation")})


def list_page(project_id: int, page: int, *, order: Order, name: str | None) -> Request:
    """Ask for one page of the conversations; the answer is read by `parse_conversations`."""
    return list_request(_ALL, {"project_id": project_id}, page, order, name=name)


def rename(project_id: int, session_id: str, name: str) -> Request:
    """Rename a conversation; the answer is read by `parse_conversation`."""
    values: dict[str, PathValue] = {"project_id": project_id, "session_id": session_id}
    return request("PUT", _ONE, values, json={"name": _name(name)})


def delete(project_id: int, session_id: str) -> Request:
    """Delete a conversation with its messages."""
    return request("DELETE", _ONE, {"project_id": project_id, "session_id": session_id})


def parse_conversation(response: Response) -> Conversation:
    """Return the conversation; raises `APIError` for a refusal, `ProtocolError` without a session id."""
    return _conversation(read_data(response))


def parse_conversations(response: Response) -> Paginated[Conversation]:
    """Return one page of the list."""
    return paginated(read_data(response), "list of conversations", _conversation)


def _conversation(data: object) -> Conversation:
    record = Record(data, "conversation")
    return Conversation(
        session_id=record.require("session_id", text),
        id=record.take("id", integer),
        name=record.take("name", text),
        project_id=record.take("project_id", integer),
        created_by=record.take("created_by", integer),
        created_at=record.take("created_at", timestamp),
        updated_at=record.take("updated_at", timestamp),
        extra=record.extra,
    )


def _name(name: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError("The name of a conversation must not be empty.")
    return name[:NAME_CHARACTERS]
