"""What answers rest on: citations, and the stored files behind them."""

from __future__ import annotations

import sqlite3

from aiohttp import web

from customgpt_emulator.call import Call, Route
from customgpt_emulator.errors import page_not_found

__all__ = ["ROUTES"]


def page_of(call: Call, name: str) -> sqlite3.Row:
    """The page of the path, of the path's agent; 404 otherwise."""
    agent = call.agent()
    number = call.number(name, page_not_found)
    row = call.context.library.page(number)
    if row is None or row["project_id"] != agent["id"]:
        raise page_not_found(number)
    return row


async def get_citation(call: Call) -> web.StreamResponse:
    """The five documented keys; `id` is the one asked for."""
    page = page_of(call, "citation_id")
    return call.success(call.shapes.citation(page, call.context.library.metadata(page["id"])))


async def preview(call: Call) -> web.StreamResponse:
    """The stored file itself."""
    number = call.number("page_id", page_not_found)
    page = call.context.library.page(number)
    if page is None or not page["is_file"] or not page["is_file_kept"]:
        raise page_not_found(number)
    if page["data"] is not None:
        return _file(page["data"], page["filename"])
    path = call.context.documents / page["key"] if call.context.documents else None
    if path is None or not path.is_file():
        raise page_not_found(number)
    return _file(path.read_bytes(), page["filename"])


def _file(data: bytes, filename: str) -> web.Response:
    response = web.Response(body=data)
    response.content_type = _TYPES.get(filename.rpartition(".")[2].lower(), "application/octet-stream")
    # Never run in a browser what somebody uploaded.
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


_TYPES = {
    "md": "text/markdown",
    "txt": "text/plain",
    "html": "text/html",
    "htm": "text/html",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}

ROUTES = (
    Route(
        "citations.get",
        "GET",
        "/projects/{project_id}/citations/{citation_id}",
        get_citation,
        "OpenAPI; five keys seen live in 2026",
    ),
    Route("preview.get", "GET", "/preview/{page_id}", preview, "OpenAPI; captured 2023"),
)
