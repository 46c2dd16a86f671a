"""Sources: where an agent's pages come from.

Source of these facts: vendor OpenAPI 1.0.0 (Sources); captured answers of 2023, where the settings of
uploads are `[]`. The vendor's own spellings (`executive_js`, `remove_unexist_pages`) are the real names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from customgpt_transport._wire.http import Request, Response, request
from customgpt_transport._wire.multipart import FieldValue, MultipartBody, Progress, Upload
from customgpt_transport._wire.pages import read_page
from customgpt_transport._wire.problems import read_data
from customgpt_transport._wire.values import Record, integer, items, text, timestamp
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Source, Sources

RefreshFrequency: TypeAlias = Literal["never", "daily", "weekly", "monthly", "advanced"]
RefreshPages: TypeAlias = Literal["never", "always", "if_updated"]

_SOURCES = "/projects/{project_id}/sources"
_SOURCE = _SOURCES + "/{source_id}"


def add(
    project_id: int,
    *,
    sitemap_path: str | None,
    upload: Upload | None,
    settings: Mapping[str, FieldValue],
    on_progress: Progress | None = None,
) -> Request:
    """Add a sitemap or a file to an agent; the answer is read by `parse_source`."""
    uploads = [("file", upload)] if upload is not None else []
    body = MultipartBody({"sitemap_path": sitemap_path, **settings}, uploads, on_progress=on_progress)
    return request("POST", _SOURCES, {"project_id": project_id}, kind="create", body=body)


def list_all(project_id: int) -> Request:
    """Ask for all sources of an agent; the answer is read by `parse_sources`."""
    return request("GET", _SOURCES, {"project_id": project_id})


def update(
    project_id: int,
    source_id: int,
    *,
    execute_js: bool | None,
    refresh_frequency: RefreshFrequency | None,
    create_new_pages: bool | None,
    remove_missing_pages: bool | None,
    refresh_existing_pages: RefreshPages | None,
    refresh_schedule: Mapping[str, Any] | None,
) -> Request:
    """Change how a sitemap is refreshed; None leaves a setting. The answer is read by `parse_source`."""
    settings = {
        "executive_js": execute_js,
        "data_refresh_frequency": refresh_frequency,
        "create_new_pages": create_new_pages,
        "remove_unexist_pages": remove_missing_pages,
        "refresh_existing_pages": refresh_existing_pages,
        "refresh_schedule": refresh_schedule,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    if not given:
        raise ConfigurationError("no source settings given: nothing to update")
    return request("PUT", _SOURCE, {"project_id": project_id, "source_id": source_id}, json=given)


def delete(project_id: int, source_id: int) -> Request:
    """Delete a source with its pages."""
    return request("DELETE", _SOURCE, {"project_id": project_id, "source_id": source_id})


def sync(project_id: int, source_id: int) -> Request:
    """Sync a sitemap now. Each call starts a new run, though the method is PUT."""
    return request(
        "PUT", _SOURCE + "/instant-sync", {"project_id": project_id, "source_id": source_id}, kind="create"
    )


def parse_source(response: Response) -> Source:
    """Return the source; raises `APIError` for a refusal, `ProtocolError` without an id."""
    return read_source(read_data(response))


def parse_sources(response: Response) -> Sources:
    """Return all sources; raises `APIError` for a refusal."""
    record = Record(read_data(response), "sources")
    return Sources(
        sitemaps=tuple(map(read_source, record.take("sitemaps", items) or ())),
        uploads=record.take("uploads", _read_uploads),
        extra=record.extra,
    )


def _read_uploads(value: object) -> Source | None:
    return read_source(value) if isinstance(value, Mapping) and value.get("id") is not None else None


def read_source(data: object) -> Source:
    """Return the source in a JSON object."""
    record = Record(data, "source")
    settings = record.take("settings", _read_settings) or {}
    return Source(
        id=record.require("id", integer),
        type=record.take("type", text),
        sitemap_path=text(settings.get("sitemap_path")),
        pages=tuple(map(read_page, record.take("pages", items) or ())),
        created_at=record.take("created_at", timestamp),
        updated_at=record.take("updated_at", timestamp),
        settings=settings,
        extra=record.extra,
    )


def _read_settings(value: object) -> Mapping[str, Any] | None:
    if value == []:  # PHP writes an empty map as an empty list
        return {}
    return value if isinstance(value, Mapping) else None
