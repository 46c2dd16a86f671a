"""The pages of an agent: states, metadata, citations, and the stored files."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web

from customgpt_emulator.knowledge.sitemaps import is_address
from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.errors import ApiError, page_not_found

__all__ = ["ROUTES"]

PER_PAGE = 20
MOST_PER_PAGE = 100
_CRAWL = "CASE WHEN failure IS NULL AND ? < ready_at THEN 'queued' ELSE 'ok' END"
_INDEX = "CASE WHEN failure IS NOT NULL THEN 'failed' WHEN ? < ready_at THEN 'queued' ELSE 'ok' END"
_STATES = ("ok", "failed", "n/a", "queued", "limited")


async def list_pages(call: Call) -> web.StreamResponse:
    """List the agent's pages, newest first, filtered by `crawl_status` and `index_status`."""
    agent = call.agent()
    where, values = "project_id = ?", [agent["id"]]
    for name, state in (("crawl_status", _CRAWL), ("index_status", _INDEX)):
        wanted = call.request.query.get(name, "all")
        if wanted in _STATES:
            where += f" AND {state} = ?"
            # A page counts as crawled half-way to being indexed.
            early = call.context.switches.readiness_delay / 2 if name == "crawl_status" else 0
            values += [call.real + early, wanted]
    limit = call.request.query.get("limit", "")
    per_page = min(int(limit), MOST_PER_PAGE) if re.fullmatch(r"[1-9][0-9]{0,8}", limit) else PER_PAGE
    rows, total = call.context.store.listed(
        "pages", where, values, page=call.page_number(), per_page=per_page, order=call.order()
    )
    active = call.context.library.is_active(agent["id"], call.real)
    listed = call.listing(call.shapes.each(rows, call.shapes.page), total, per_page)
    return call.success({"project": call.shapes.agent(agent, active=active), "pages": listed})


async def delete_page(call: Call) -> web.StreamResponse:
    """Delete a page from the index, and so from later answers."""
    page = _page(call)
    call.context.library.remove_page(page["project_id"], page["id"])
    return call.success({"deleted": True})


async def reindex_page(call: Call) -> web.StreamResponse:
    """Queue a page again. A file that was not kept cannot be read again: 403."""
    page = _page(call)
    if page["is_file"] and not page["is_file_kept"]:
        raise ApiError(403, f"The Document with the id {page['id']} couldn't have been updated")
    call.context.store.update("pages", page["id"], {"updated_at": call.now, "ready_at": call.ready_at})
    return call.success({"updated": True})


async def get_metadata(call: Call) -> web.StreamResponse:
    """Answer with what citations show of the page."""
    return call.success(call.shapes.metadata(call.context.library.metadata(_page(call)["id"])))


_LIMITS = {"title": 255, "url": 2000, "description": 500, "image": 2000}


async def update_metadata(call: Call) -> web.StreamResponse:
    """Change what is given, also to null. `id` is the metadata's own, `page_id` the page's (captured)."""
    metadata = call.context.library.metadata(_page(call)["id"])
    values: dict[str, Any] = {}
    for name, longest in _LIMITS.items():
        if name not in call.body.fields:
            continue
        value, word = call.field(name), name.capitalize()
        if value is not None and not isinstance(value, str):
            raise ApiError(400, f"{word} must be a string.")
        if value is not None and len(value) > longest:
            raise ApiError(400, f"{word} may not be greater than {longest} characters.")
        if value is not None and name in ("url", "image") and not is_address(value):
            raise ApiError(400, f"{word} must be valid url.")
        values[name] = value
    call.context.store.update("metadata", metadata["id"], {**values, "updated_at": call.now})
    row = call.context.library.metadata(metadata["page_id"])
    dates = {name: call.shapes.date(row[name]) for name in ("created_at", "updated_at")}
    return call.success({**dict(row), **dates, "deleted_at": None})


async def get_citation(call: Call) -> web.StreamResponse:
    """Answer with the five documented keys. `id` is the one asked for."""
    page = _page(call, "citation_id")
    return call.success(call.shapes.citation(page, call.context.library.metadata(page["id"])))


async def preview(call: Call) -> web.StreamResponse:
    """Answer with the stored file, or for an invented page with a text that says so."""
    page = call.found("page_id", call.context.library.page, page_not_found)
    if not page["is_file"]:
        text = call.context.library.metadata(page["id"])["description"] or ""
        return _file(text.encode(), "page.txt")
    if page["data"] is not None:
        return _file(page["data"], page["filename"])
    folder = call.context.documents
    if page["is_file_kept"] and page["stamp"] is not None and folder is not None:
        with suppress(OSError):
            return _file(await asyncio.to_thread((folder / page["key"]).read_bytes), page["filename"])
    raise page_not_found(page["id"])


def _page(call: Call, name: str = "page_id") -> sqlite3.Row:
    """Return the page in the path. Raises 404 if it is not one of the agent's."""
    sql = "SELECT * FROM pages WHERE project_id = ? AND id = ?"
    return call.found(name, partial(call.context.store.one, sql, call.agent()["id"]), page_not_found)


def _file(data: bytes, filename: str) -> web.Response:
    kind = _TYPES.get(filename.rpartition(".")[2].lower(), "application/octet-stream")
    # No browser may run what somebody uploaded.
    headers = {"Content-Type": kind, "Content-Security-Policy": "sandbox"}
    return web.Response(body=data, headers=headers)


_TYPES = {
    "md": "text/markdown",
    "txt": "text/plain",
    "html": "text/html",
    "htm": "text/html",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}

_PATH = "/projects/{project_id}/pages"
_ONE = _PATH + "/{page_id}"
ROUTES = (
    Route("pages.list", "GET", _PATH, list_pages, "OpenAPI; captured 2023, queued and indexed"),
    Route("pages.delete", "DELETE", _ONE, delete_page, "OpenAPI; captured 2023"),
    Route("pages.reindex", "POST", _ONE + "/reindex", reindex_page, "OpenAPI"),
    Route("pages.metadata", "GET", _ONE + "/metadata", get_metadata, "OpenAPI"),
    Route("pages.update_metadata", "PUT", _ONE + "/metadata", update_metadata, "OpenAPI; captured 2023"),
    Route(
        "citations.get",
        "GET",
        "/projects/{project_id}/citations/{citation_id}",
        get_citation,
        "OpenAPI; five keys seen live in 2026",
    ),
    Route("preview.get", "GET", "/preview/{page_id}", preview, "OpenAPI; captured 2023"),
)
