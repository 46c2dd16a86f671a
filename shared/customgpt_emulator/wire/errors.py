"""What the API says when it refuses, in the documented words."""

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
        """The JSON body, for a request to `url`."""
        return {"status": "error", "url": url, "data": {"code": self.status, "message": self.message}}


class Invalid(ApiError):
    """422 in the plain form of the vendor's framework, `{"message":...,"errors":{...}}` (inferred)."""

    def __init__(self, **errors: str) -> None:
        super().__init__(422, next(iter(errors.values())))
        self.errors = errors

    def body(self, url: str) -> dict[str, Any]:
        """The JSON body; it has no envelope."""
        more = len(self.errors) - 1
        tail = f" (and {more} more error{'s' if more > 1 else ''})" if more else ""
        return {
            "message": self.message + tail,
            "errors": {field: [text] for field, text in self.errors.items()},
        }


class Throttled(ApiError):
    """429 for too many requests, in the plain form of the vendor's framework (inferred)."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(429, "Too Many Attempts.")
        self.headers = headers

    def body(self, url: str) -> dict[str, Any]:
        """The JSON body."""
        return {"message": self.message}


def credits_exhausted() -> ApiError:
    """429, documented on messages and chat/completions."""
    return ApiError(
        429,
        "You have exhausted your current query credits. Please contact customer service "
        "(https://customgpt.freshdesk.com/support/home) for further assistance.",
    )


def unauthenticated() -> ApiError:
    """401, documented."""
    return ApiError(401, "API Token is either missing or invalid")


def bad_agent_id() -> ApiError:
    """400, documented."""
    return ApiError(400, "Agent id must be integer")


def agent_not_found(project_id: int) -> ApiError:
    """404, documented."""
    return ApiError(404, f"Agent with id {project_id} not found")


def page_not_found(page_id: str | int) -> ApiError:
    """404, documented; citations answer with it too."""
    return ApiError(404, f"Page with id {page_id} not found")


def message_not_found(prompt_id: str | int) -> ApiError:
    """404, documented."""
    return ApiError(404, f"Conversation message with id {prompt_id} not found")


def source_not_found(source_id: str | int) -> ApiError:
    """404, documented."""
    return ApiError(404, f"Agent source with id {source_id} not found")


def conversation_not_found(session_id: str) -> ApiError:
    """404; the text is unknown and modelled on the others."""
    return ApiError(404, f"Conversation with id {session_id} not found")
