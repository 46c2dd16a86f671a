"""Agents, which paths and fields call projects."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from customgpt_emulator.call import Call, Route
from customgpt_emulator.shapes import Row

__all__ = ["ROUTES"]

PER_PAGE = 10


def shaped(call: Call, row: Row) -> dict[str, Any]:
    """The agent's body; it is active once something is indexed."""
    return call.shapes.agent(row, active=call.context.library.is_active(row["id"], call.now))


async def list_agents(call: Call) -> web.StreamResponse:
    """Newest first; `name` filters by a part of the name."""
    name = call.request.query.get("name", "")
    where, values = ("instr(lower(name), lower(?)) > 0", [name]) if name else ("1", [])
    by = "created_at" if call.request.query.get("orderBy") == "created_at" else "id"
    rows, total = call.context.store.listed(
        "agents", where, values, page=call.page_number(), per_page=PER_PAGE, order=call.order(), by=by
    )
    return call.success(call.listing([shaped(call, row) for row in rows], total, PER_PAGE))


async def get_agent(call: Call) -> web.StreamResponse:
    """One agent."""
    return call.success(shaped(call, call.agent()))


ROUTES = (
    Route("agents.list", "GET", "/projects", list_agents, "OpenAPI; captured 2023 and 2025"),
    Route(
        "agents.get", "GET", "/projects/{project_id}", get_agent, "OpenAPI; captured shape of the list's rows"
    ),
)
