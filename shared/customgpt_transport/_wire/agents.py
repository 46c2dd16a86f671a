"""Agents (the paths say projects): their requests, and what the answers say.

Sources: vendor OpenAPI 1.0.0 (Projects, Project settings); captured answers of 2023. The documented form
of every POST here is multipart, so that is what is sent, with or without a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from customgpt_transport._wire.http import Order, Request, Response, list_request, request
from customgpt_transport._wire.multipart import FieldValue, MultipartBody, Progress, Upload
from customgpt_transport._wire.problems import read_data
from customgpt_transport._wire.values import (
    Paginated,
    Record,
    boolean,
    integer,
    items,
    paginated,
    text,
    timestamp,
)
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Agent, AgentSettings, AgentStats

NAME_CHARACTERS = 255

SettingValue: TypeAlias = str | int | bool | list[str] | tuple[str, ...] | None

_AGENT = "/projects/{project_id}"


def intake(
    *, file_data_retention: bool | None, is_ocr_enabled: bool | None, is_anonymized: bool | None
) -> dict[str, FieldValue]:
    """Return the form fields for the options of an upload, under the vendor's (misspelt) names."""
    return {
        "file_data_retension": file_data_retention,
        "is_ocr_enabled": is_ocr_enabled,
        "is_anonymized": is_anonymized,
    }


def checked_name(name: object, what: str = "name") -> str:
    """Return `name`; raise `ConfigurationError` when it is empty or longer than the API takes."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"{what} must not be empty")
    if len(name) > NAME_CHARACTERS:
        raise ConfigurationError(
            f"{what} has {len(name)} characters; the API takes at most {NAME_CHARACTERS}"
        )
    return name


def checked_sitemap(sitemap_path: object) -> str:
    """Return `sitemap_path`; raise `ConfigurationError` unless it is an http or https address."""
    if not isinstance(sitemap_path, str) or not sitemap_path.startswith(("http://", "https://")):
        raise ConfigurationError(f"sitemap_path={sitemap_path!r:.200} must be an http or https address")
    return sitemap_path


def create(
    name: str,
    *,
    sitemap_path: str | None,
    upload: Upload | None,
    settings: Mapping[str, FieldValue],
    on_progress: Progress | None = None,
) -> Request:
    """Create an agent from a sitemap, a file, or neither; the answer is read by `parse_agent`."""
    fields = {"project_name": name, "sitemap_path": sitemap_path, **settings}
    uploads = [("file", upload)] if upload is not None else []
    return request(
        "POST", "/projects", kind="create", body=MultipartBody(fields, uploads, on_progress=on_progress)
    )


def list_page(page: int, *, order: Order, order_by: str, name: str | None) -> Request:
    """Ask for one page of the agents; the answer is read by `parse_agents`."""
    return list_request("/projects", {}, page, order, orderBy=order_by, name=name)


def get(project_id: int) -> Request:
    """Ask for one agent; the answer is read by `parse_agent`."""
    return request("GET", _AGENT, {"project_id": project_id})


def update(
    project_id: int, *, name: str | None, is_shared: bool | None, are_licenses_allowed: bool | None
) -> Request:
    """Change what is not None of an agent; the answer is read by `parse_agent`."""
    if name is None and is_shared is None and are_licenses_allowed is None:
        raise ConfigurationError("nothing to update: give name=... or another field")
    fields: dict[str, FieldValue] = {
        "project_name": name if name is None else checked_name(name),
        "is_shared": is_shared,
        "are_licenses_allowed": are_licenses_allowed,
    }
    return request("POST", _AGENT, {"project_id": project_id}, body=MultipartBody(fields))


def delete(project_id: int) -> Request:
    """Delete an agent with everything in it."""
    return request("DELETE", _AGENT, {"project_id": project_id})


def replicate(project_id: int) -> Request:
    """Copy an agent; the answer is read by `parse_agent`, the copy."""
    return request("POST", _AGENT + "/replicate", {"project_id": project_id}, kind="create")


def stats(project_id: int) -> Request:
    """Ask for an agent's counts; the answer is read by `parse_stats`."""
    return request("GET", _AGENT + "/stats", {"project_id": project_id})


def settings(project_id: int) -> Request:
    """Ask for an agent's settings; the answer is read by `parse_settings`."""
    return request("GET", _AGENT + "/settings", {"project_id": project_id})


def update_settings(project_id: int, fields: Mapping[str, SettingValue]) -> Request:
    """Change the settings that are in `fields`, under the API's own names; a list goes element by element.

    None and an empty list are sent as an empty field, which Laravel reads as null. Raises
    `ConfigurationError` when there is nothing to change, or for a value of a type that no setting has.
    """
    if not fields:
        raise ConfigurationError("no settings given: nothing to update")
    body = MultipartBody([pair for name, value in fields.items() for pair in _setting(name, value)])
    return request("POST", _AGENT + "/settings", {"project_id": project_id}, body=body)


def _setting(name: str, value: object) -> Iterator[tuple[str, FieldValue]]:
    if value is None or value == [] or value == ():
        yield name, ""
    elif isinstance(value, (str, int)):
        yield name, value
    elif isinstance(value, (list, tuple)) and all(isinstance(element, str) for element in value):
        yield from ((f"{name}[{number}]", element) for number, element in enumerate(value))
    else:
        raise ConfigurationError(
            f"setting {name} must be text, a number, a boolean, None or a list of texts, "
            f"not {type(value).__name__}"
        )


def parse_agent(response: Response) -> Agent:
    """Return the agent; raises `APIError` for a refusal, `ProtocolError` without an id."""
    return read_agent(read_data(response))


def parse_agents(response: Response) -> Paginated[Agent]:
    """Return one page of agents. Raises as `parse_agent`."""
    return paginated(read_data(response), "agents", read_agent)


def read_agent(data: object) -> Agent:
    """Return the agent in a JSON object. `is_chat_active` null (as right after creation) reads as False."""
    record = Record(data, "agent")
    return Agent(
        id=record.require("id", integer),
        name=record.take("project_name", text) or "",
        is_chat_active=record.take("is_chat_active", boolean) or False,
        type=record.take("type", text),
        is_shared=record.take("is_shared", boolean) or False,
        created_at=record.take("created_at", timestamp),
        updated_at=record.take("updated_at", timestamp),
        extra=record.extra,
    )


def parse_stats(response: Response) -> AgentStats:
    """Return the counts; raises `APIError` for a refusal."""
    record = Record(read_data(response), "agent stats")
    return AgentStats(
        pages_found=record.take("pages_found", integer),
        pages_crawled=record.take("pages_crawled", integer),
        pages_indexed=record.take("pages_indexed", integer),
        crawl_credits_used=record.take("crawl_credits_used", integer),
        query_credits_used=record.take("query_credits_used", integer),
        total_queries=record.take("total_queries", integer),
        total_words_indexed=record.take("total_words_indexed", integer),
        total_storage_credits_used=record.take("total_storage_credits_used", integer),
        extra=record.extra,
    )


def parse_settings(response: Response) -> AgentSettings:
    """Return the settings; raises `APIError` for a refusal."""
    record = Record(read_data(response), "agent settings")
    questions = record.take("example_questions", _questions)
    return AgentSettings(
        default_prompt=record.take("default_prompt", text),
        example_questions=questions or (),
        response_source=record.take("response_source", text),
        chatbot_model=record.take("chatbot_model", text),
        agent_capability=record.take("agent_capability", text),
        persona_instructions=record.take("persona_instructions", text),
        enable_citations=record.take("enable_citations", integer),
        no_answer_message=record.take("no_answer_message", text),
        chatbot_msg_lang=record.take("chatbot_msg_lang", text),
        extra=record.extra,
    )


def _questions(value: object) -> tuple[str, ...] | None:
    listed = items(value)
    if listed is None or not all(isinstance(element, str) for element in listed):
        return None
    return tuple(str(element) for element in listed)
