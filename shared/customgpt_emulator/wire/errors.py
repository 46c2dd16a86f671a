"""The refusals of the API, in the documented words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ApiError",
    "Invalid",
    "Throttled",
    "agent_not_found",
    "bad_agent_id",
    "conversation_not_found",
    "labels_refused",
    "session_unknown",
    "credits_exhausted",
    "message_not_found",
    "page_not_found",
    "source_not_found",
    "unauthenticated",
]


class ApiError(Exception):
    """A refusal in the envelope `{"status":"error","url":...,"data":{"code":...,"message":...}}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers: Mapping[str, str] = {}

    def body(self, url: str) -> dict[str, Any]:
        """Return the JSON body, for a request to `url`."""
        return {"status": "error", "url": url, "data": {"code": self.status, "message": self.message}}


class Invalid(ApiError):
    """422 in the form of the vendor's framework, `{"message":...,"errors":{...}}` (inferred)."""

    def __init__(self, **errors: str) -> None:
        super().__init__(422, next(iter(errors.values())))
        self.errors = errors

    def body(self, url: str) -> dict[str, Any]:
        """Return the JSON body, which has no envelope."""
        more = len(self.errors) - 1
        tail = f" (and {more} more error{'s' if more > 1 else ''})" if more else ""
        return {
            "message": self.message + tail,
            "errors": {field: [text] for field, text in self.errors.items()},
        }


class Throttled(ApiError):
    """429 for too many requests, in the form of the vendor's framework (inferred)."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(429, "Too Many Attempts.")
        self.headers = headers

    def body(self, url: str) -> dict[str, Any]:
        """Return the JSON body, which has no envelope."""
        return {"message": self.message}


def credits_exhausted() -> ApiError:
    """Return the 429 for used-up credits (documented on messages and chat/completions)."""
    return ApiError(
        429,
        "You have exhausted your current query credits. Please contact customer service "
        "(https://customgpt.freshdesk.com/support/home) for further assistance.",
    )


def unauthenticated() -> ApiError:
    """Return the 401 for a missing or wrong key (documented)."""
    return ApiError(401, "API Token is either missing or invalid")


def bad_agent_id() -> ApiError:
    """Return the 400 for an agent id that is not an integer (documented)."""
    return ApiError(400, "Agent id must be integer")


def agent_not_found(project_id: int) -> ApiError:
    """Return the 404 for an agent (documented)."""
    return ApiError(404, f"Agent with id {project_id} not found")


def page_not_found(page_id: str | int) -> ApiError:
    """Return the 404 for a page, also of a citation (documented)."""
    return ApiError(404, f"Page with id {page_id} not found")


def message_not_found(prompt_id: str | int) -> ApiError:
    """Return the 404 for a message (documented)."""
    return ApiError(404, f"Conversation message with id {prompt_id} not found")


def source_not_found(source_id: str | int) -> ApiError:
    """Return the 404 for a source (documented)."""
    return ApiError(404, f"Agent source with id {source_id} not found")


def conversation_not_found(session_id: str) -> ApiError:
    """Return the 404 for a conversation. Its text is unknown; it follows the others."""
    return ApiError(404, f"Conversation with id {session_id} not found")


def session_unknown(session_id: str) -> ApiError:
    """404 for a prompt: several public clients count on a conversation being made of any UUID."""
    error = conversation_not_found(session_id)
    error.message += '. (The emulator makes it with the switch unknown_session="create".)'
    return error


def labels_refused() -> ApiError:
    """501: an answer from all documents would look as if the labels had been obeyed."""
    return ApiError(
        501,
        "The emulator does not know which documents have which labels. With the switch "
        'labels="ignore" it answers from all of them.',
    )
