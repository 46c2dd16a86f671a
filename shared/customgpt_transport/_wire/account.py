"""The account behind the key: its limits and its user.

Source: vendor OpenAPI 1.0.0 (Limits, User).
"""

from __future__ import annotations

from customgpt_transport._wire.http import Request, Response, request
from customgpt_transport._wire.multipart import MultipartBody
from customgpt_transport._wire.problems import read_data
from customgpt_transport._wire.values import Record, integer, text, timestamp
from customgpt_transport.models import UsageLimits, User


def limits() -> Request:
    """Ask for the usage limits; the answer is read by `parse_limits`."""
    return request("GET", "/limits/usage")


def user() -> Request:
    """Ask for the user; the answer is read by `parse_user`."""
    return request("GET", "/user")


def update_user(name: str) -> Request:
    """Change the user's name; the answer is read by `parse_user`."""
    return request("POST", "/user", body=MultipartBody({"name": name}))


def parse_limits(response: Response) -> UsageLimits:
    """Return the limits; raises `APIError` for a refusal."""
    record = Record(read_data(response), "usage limits")
    return UsageLimits(
        max_projects=record.take("max_projects_num", integer),
        current_projects=record.take("current_projects_num", integer),
        max_storage_credits=record.take("max_total_storage_credits", integer),
        current_storage_credits=record.take("current_total_storage_credits", integer),
        max_queries=record.take("max_queries", integer),
        current_queries=record.take("current_queries", integer),
        extra=record.extra,
    )


def parse_user(response: Response) -> User:
    """Return the user; raises `APIError` for a refusal, `ProtocolError` without an id."""
    record = Record(read_data(response), "user")
    return User(
        id=record.require("id", integer),
        name=record.take("name", text),
        email=record.take("email", text),
        current_team_id=record.take("current_team_id", integer),
        created_at=record.take("created_at", timestamp),
        updated_at=record.take("updated_at", timestamp),
        extra=record.extra,
    )
