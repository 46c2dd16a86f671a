"""Pages (an agent's documents), their metadata, and the stored file behind one.

Sources: vendor OpenAPI 1.0.0 (Pages, Page metadata, Preview); captured answers of 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Literal, TypeAlias, get_args

from customgpt_transport._wire.http import Order, QueryValue, Request, Response, Sink, list_request, request
from customgpt_transport._wire.problems import read_data
from customgpt_transport._wire.values import Paginated, Record, boolean, integer, paginated, text, timestamp
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Page, PageMetadata

Status: TypeAlias = Literal["all", "ok", "failed", "n/a", "queued", "limited"]

MetadataText: TypeAlias = str | EllipsisType | None
"""New text for a field; None clears it, `...` leaves it as it is."""

METADATA_CHARACTERS = {"title": 255, "url": 2000, "description": 500, "image": 2000}

_STATUSES = get_args(Status)
_PAGES = "/projects/{project_id}/pages"
_PAGE = _PAGES + "/{page_id}"


def list_page(
    project_id: int,
    page: int,
    *,
    limit: int | None,
    order: Order = "desc",
    crawl_status: Status | None = None,
    index_status: Status | None = None,
) -> Request:
    """Ask for one page of the pages, by id; the answer is read by `parse_pages`."""
    if limit is not None and limit < 1:
        raise ConfigurationError(f"limit={limit} must be at least 1: it is the number of rows a request gets")
    filters: dict[str, QueryValue] = {"crawl_status": crawl_status, "index_status": index_status}
    for name, status in filters.items():
        if status is not None and status not in _STATUSES:
            raise ConfigurationError(f"{name}={status!r} must be one of {', '.join(_STATUSES)}")
    return list_request(_PAGES, {"project_id": project_id}, page, order, limit=limit, **filters)


def delete(project_id: int, page_id: int) -> Request:
    """Delete a page."""
    return request("DELETE", _PAGE, {"project_id": project_id, "page_id": page_id})


def reindex(project_id: int, page_id: int) -> Request:
    """Reindex a page. Each call starts, and costs, a new run."""
    return request("POST", _PAGE + "/reindex", {"project_id": project_id, "page_id": page_id}, kind="create")


def metadata(project_id: int, page_id: int) -> Request:
    """Ask for the metadata of a page, which its citations show; the answer is read by `parse_metadata`."""
    return request("GET", _PAGE + "/metadata", {"project_id": project_id, "page_id": page_id})


def update_metadata(project_id: int, page_id: int, fields: Mapping[str, MetadataText]) -> Request:
    """Change the metadata of a page, which its citations show; the answer is read by `parse_metadata`.

    Raises `ConfigurationError` when there is nothing to change, or a field is longer than the API takes.
    """
    given = {name: value for name, value in fields.items() if not isinstance(value, EllipsisType)}
    if not given:
        raise ConfigurationError("no metadata given: nothing to update")
    for name, value in given.items():
        if value is not None and len(value) > METADATA_CHARACTERS[name]:
            raise ConfigurationError(
                f"{name} has {len(value)} characters; the API takes at most {METADATA_CHARACTERS[name]}"
            )
    return request("PUT", _PAGE + "/metadata", {"project_id": project_id, "page_id": page_id}, json=given)


def preview(page_id: int, sink: Sink) -> Request:
    """Ask for the stored file behind a page (or citation), to be written to `sink`."""
    return request("GET", "/preview/{page_id}", {"page_id": page_id}, headers={"Accept": "*/*"}, save_to=sink)


def parse_pages(response: Response) -> Paginated[Page]:
    """Return one page of the pages; raises `APIError` for a refusal, `ProtocolError` without a list."""
    return Record(read_data(response), "pages").require("pages", _read_pages)


def _read_pages(data: object) -> Paginated[Page]:
    return paginated(data, "pages", read_page)


def read_page(data: object) -> Page:
    """Return the page in a JSON object; an uploaded file's `url` is its preview address."""
    record = Record(data, "page")
    return Page(
        id=record.require("id", integer),
        url=record.take("page_url", text),
        project_id=record.take("project_id", integer),
        crawl_status=record.take("crawl_status", text),
        index_status=record.take("index_status", text),
        is_file=record.take("is_file", boolean) or False,
        filename=record.take("filename", text),
        filesize=record.take("filesize", integer),
        created_at=record.take("created_at", timestamp),
        updated_at=record.take("updated_at", timestamp),
        extra=record.extra,
    )


def parse_metadata(response: Response, page_id: int) -> PageMetadata:
    """Return the metadata. `page_id` is the page asked for: the answer's `id` numbers its own row."""
    record = Record(read_data(response), "page metadata")
    return PageMetadata(
        page_id=record.take("page_id", integer) or page_id,
        title=record.take("title", text),
        url=record.take("url", text),
        description=record.take("description", text),
        image_url=record.take("image", text),
        extra=record.extra,
    )
