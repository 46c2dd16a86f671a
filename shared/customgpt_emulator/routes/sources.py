"""Sources of an agent's pages: sitemaps, which are never fetched, and uploads, which are indexed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from functools import partial
from typing import Any

from aiohttp import web

from customgpt_emulator.knowledge.documents import Document, Unreadable, read_document
from customgpt_emulator.knowledge.library import NewPage
from customgpt_emulator.knowledge.sitemaps import CHOICES, SETTINGS, invented_pages, is_address, with_scheme
from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.bodies import Upload, is_true
from customgpt_emulator.wire.errors import ApiError, source_not_found

__all__ = ["ROUTES", "add_sitemap", "add_uploads", "read_uploads"]


def add_sitemap(call: Call, project_id: int, address: str) -> int:
    """Add a sitemap with invented pages and return the source's id. Raises 400 if it is not a URL."""
    address = with_scheme(address)
    if not is_address(address):
        raise ApiError(400, "Sitemap path must be valid url")
    with call.context.store.transaction():
        number = call.context.store.add_source(
            project_id, "sitemap", {**SETTINGS, "sitemap_path": address}, call.now
        )
        for page in invented_pages(address):
            call.context.library.add_page(project_id, number, page, call.now, call.ready_at)
    return number


async def read_uploads(call: Call) -> list[NewPage]:
    """Return the files of the form, read in a thread: a large PDF would block all other requests."""
    kept = "file_data_retension" not in call.body.fields or is_true(call.body.fields["file_data_retension"])
    uploads = [upload for upload in call.body.files if upload.field in ("file", "files[]", "files")]
    return [await asyncio.to_thread(_read, upload, kept) for upload in uploads]


def add_uploads(call: Call, project_id: int, source_id: int, pages: list[NewPage]) -> None:
    """Index what `read_uploads` returned."""
    with call.context.store.transaction():
        for page in pages:
            call.context.library.add_page(project_id, source_id, page, call.now, call.ready_at)


def _read(upload: Upload, kept: bool) -> NewPage:
    """Read one upload. Its name is a label, never a path: the file is kept in the database."""
    name = upload.filename.replace("\\", "/").rpartition("/")[2] or "file"
    document: Document | None = None
    failure: str | None = None
    try:
        document = read_document(name, upload.data)
    except Unreadable as error:
        failure = str(error)
    return NewPage(
        name,
        document,
        failure,
        filename=name,
        filesize=len(upload.data),
        digest=hashlib.sha256(upload.data).hexdigest(),
        data=upload.data if kept else None,
        kept=kept,
    )


async def list_sources(call: Call) -> web.StreamResponse:
    """List the sitemaps, and all uploads as one source (documented)."""
    agent, store = call.agent(), call.context.store
    sitemaps = store.all(
        "SELECT * FROM sources WHERE project_id = ? AND type = 'sitemap' ORDER BY id", agent["id"]
    )
    uploads = store.uploads(agent["id"])
    files = store.all(
        "SELECT pages.* FROM pages JOIN sources ON sources.id = source_id "
        "WHERE pages.project_id = ? AND type = 'upload' ORDER BY pages.id",
        agent["id"],
    )
    return call.success(
        {
            "sitemaps": [call.shapes.source(row, _pages(call, row)) for row in sitemaps],
            "uploads": call.shapes.source(uploads, files) if uploads else {"type": "upload", "pages": []},
        }
    )


async def create_source(call: Call) -> web.StreamResponse:
    """Add a source: 201, with null states of its pages at first (captured)."""
    agent = call.agent()
    address = call.text("sitemap_path")
    pages = await read_uploads(call)
    agent = call.agent()  # again: it may have been deleted while the files were read
    if pages:
        number = call.context.store.add_source(agent["id"], "upload", {}, call.now)
        add_uploads(call, agent["id"], number, pages)
    elif address:
        number = add_sitemap(call, agent["id"], address)
    else:
        raise ApiError(400, "Sitemap URL is empty")
    row = call.context.store.row("sources", "id", number)
    shown = _pages(call, row) if pages else None  # those of a sitemap are not found yet (captured)
    return call.success(call.shapes.source(row, shown, fresh=True), 201)


async def update_source(call: Call) -> web.StreamResponse:
    """Change the settings of a sitemap: 201 with the source, as documented."""
    source = _source(call)
    if source["type"] == "sitemap":
        settings: dict[str, Any] = json.loads(source["settings"])
        for name in SETTINGS:
            if name in call.body.fields:
                settings[name] = _setting(name, call.body.fields[name])
        values = {"settings": json.dumps(settings), "updated_at": call.now}
        call.context.store.update("sources", source["id"], values)
    row = _source(call)
    return call.success(call.shapes.source(row, _pages(call, row)), 201)


def _setting(name: str, value: Any) -> Any:
    if isinstance(SETTINGS[name], bool):
        return is_true(value)
    if name == "refresh_schedule":
        allowed = value is None or isinstance(value, list)
    else:
        allowed = isinstance(value, str) and value in CHOICES[name]
    if not allowed:
        raise ApiError(400, f"The selected {name.replace('_', ' ')} is invalid.")
    return value


async def delete_source(call: Call) -> web.StreamResponse:
    """Delete a source with its pages. An agent always has a source of uploads: a new one if need be."""
    source = _source(call)
    store = call.context.store
    with store.transaction():
        for page in _pages(call, source):
            call.context.library.remove_page(source["project_id"], page["id"])
        store.db.execute("DELETE FROM sources WHERE id = ?", (source["id"],))
        if store.uploads(source["project_id"]) is None:
            store.add_source(source["project_id"], "upload", {}, call.now)
    return call.success({"deleted": True})


async def sync_source(call: Call) -> web.StreamResponse:
    """Crawl the pages of a sitemap again: 201. Uploads cannot be: 403, in the documented words."""
    source = _source(call)
    if source["type"] != "sitemap":
        raise ApiError(403, "Agent source can't be synced")
    call.context.store.db.execute(
        "UPDATE pages SET updated_at = ?, ready_at = ? WHERE source_id = ?",
        (call.now, call.ready_at, source["id"]),
    )
    call.context.store.update("sources", source["id"], {"updated_at": call.now})
    row = _source(call)
    return call.success(call.shapes.source(row, _pages(call, row)), 201)


def _source(call: Call) -> sqlite3.Row:
    agent = call.agent()
    store = call.context.store
    sql = "SELECT * FROM sources WHERE project_id = ? AND id = ?"
    return call.found("source_id", partial(store.one, sql, agent["id"]), source_not_found)


def _pages(call: Call, source: sqlite3.Row) -> list[sqlite3.Row]:
    return call.context.store.all("SELECT * FROM pages WHERE source_id = ? ORDER BY id", source["id"])


_PATH = "/projects/{project_id}/sources"
_ONE = _PATH + "/{source_id}"
ROUTES = (
    Route("sources.list", "GET", _PATH, list_sources, "OpenAPI"),
    Route("sources.create", "POST", _PATH, create_source, "OpenAPI; captured 2023, sitemap and upload"),
    Route("sources.update", "PUT", _ONE, update_source, "OpenAPI"),
    Route("sources.delete", "DELETE", _ONE, delete_source, "OpenAPI"),
    Route("sources.sync", "PUT", _ONE + "/instant-sync", sync_source, "OpenAPI"),
)
