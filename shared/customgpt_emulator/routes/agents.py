"""Agents, which paths and fields call projects."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from customgpt_emulator.knowledge.sitemaps import is_address, is_sitemap
from customgpt_emulator.routes.sources import add_sitemap, add_uploads, read_uploads
from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.errors import ApiError
from customgpt_emulator.wire.shapes import Row

__all__ = ["MOST_AGENTS", "ROUTES"]

PER_PAGE = 10
MOST_AGENTS = 100


def shaped(call: Call, row: Row) -> dict[str, Any]:
    """Return the body of an agent, which is active once a page is indexed."""
    return call.shapes.agent(row, active=call.context.library.is_active(row["id"], call.real))


async def list_agents(call: Call) -> web.StreamResponse:
    """List the agents, newest first. `name` filters by a part of the name."""
    name = call.request.query.get("name", "")
    where, values = ("instr(lower(name), lower(?)) > 0", [name]) if name else ("1", [])
    by = "created_at" if call.request.query.get("orderBy") == "created_at" else "id"
    rows, total = call.context.store.listed(
        "agents", where, values, page=call.page_number(), per_page=PER_PAGE, order=call.order(), by=by
    )
    return call.success(call.listing([shaped(call, row) for row in rows], total, PER_PAGE))


async def get_agent(call: Call) -> web.StreamResponse:
    """Answer with one agent."""
    return call.success(shaped(call, call.agent()))


async def create_agent(call: Call) -> web.StreamResponse:
    """Create an agent: 201, with `is_chat_active` null at first (captured).

    It needs a name. An empty sitemap is refused in the documented words. No sitemap at all is accepted, since
    a vendor client relies on that.
    """
    name = call.text("project_name")
    if name is None:
        raise ApiError(400, "Agent name can't be empty")
    address = call.text("sitemap_path")
    pages = await read_uploads(call)
    if address is None and "sitemap_path" in call.body.fields and not pages:
        raise ApiError(400, "Sitemap path can't be empty")
    store = call.context.store
    _check_limit(call)
    kind = "SITEMAP" if address is None or not is_address(address) or is_sitemap(address) else "URL"
    with store.transaction():
        number = store.add_agent(name, call.context.clock.slug(store.next_id("agents")), call.now, kind=kind)
        _add_content(call, number, address, pages)
    row = store.row("agents", "id", number)
    return call.success(call.shapes.agent(row, active=None), 201)


def _check_limit(call: Call) -> None:
    if call.context.store.count("SELECT COUNT(*) FROM agents") >= MOST_AGENTS:
        raise ApiError(400, "You have reached your agent limit")


async def update_agent(call: Call) -> web.StreamResponse:
    """Change what is given. A sitemap or file is added to what the agent has."""
    agent, fields = call.agent(), call.body.fields
    pages = await read_uploads(call)
    agent = call.agent()  # again: it may have been deleted while the files were read
    values: dict[str, Any] = {"updated_at": call.now}
    if "project_name" in fields:
        values["name"] = call.text("project_name")
        if values["name"] is None:
            raise ApiError(400, "Agent name can't be empty")
    for name in ("is_shared", "are_licenses_allowed"):
        if name in fields:
            values[name] = call.flag(name)
    with call.context.store.transaction():
        call.context.store.update("agents", agent["id"], values)
        _add_content(call, agent["id"], call.text("sitemap_path"), pages)
    return call.success(shaped(call, call.agent()))


def _add_content(call: Call, project_id: int, address: str | None, pages: list[Any]) -> None:
    if address is not None:
        add_sitemap(call, project_id, address)
    if pages:
        uploads = call.context.store.uploads(project_id)
        number = (
            uploads["id"] if uploads else call.context.store.add_source(project_id, "upload", {}, call.now)
        )
        add_uploads(call, project_id, number, pages)


async def delete_agent(call: Call) -> web.StreamResponse:
    """Delete an agent and everything that belongs to it."""
    call.context.store.delete_agent(call.agent()["id"])
    return call.success({"deleted": True})


async def replicate_agent(call: Call) -> web.StreamResponse:
    """Copy an agent with its settings, sources and pages, but without conversations: 201."""
    agent = call.agent()
    _check_limit(call)
    slug = call.context.clock.slug(call.context.store.next_id("agents"))
    number = call.context.library.replicate(agent["id"], f"Copy of {agent['name']}", slug, call.now)
    return call.success(shaped(call, call.context.store.row("agents", "id", number)), 201)


async def agent_stats(call: Call) -> web.StreamResponse:
    """Answer with eight numbers, or the seven of 2023."""
    agent, store = call.agent(), call.context.store
    row = store.one(
        "SELECT COUNT(*) AS found, COALESCE(SUM(ready_at <= ? AND failure IS NULL), 0) AS indexed, "
        "COALESCE(SUM(ready_at <= ?), 0) AS crawled, "
        "COALESCE(SUM(CASE WHEN ready_at <= ? AND failure IS NULL THEN words ELSE 0 END), 0) AS words "
        "FROM pages WHERE project_id = ?",
        call.real,
        call.real + call.context.switches.readiness_delay / 2,
        call.real,
        agent["id"],
    )
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    data = {
        "pages_found": row["found"],
        "pages_crawled": row["crawled"],
        "pages_indexed": row["indexed"],
        "crawl_credits_used": row["crawled"],
        "query_credits_used": agent["queries"],
        "total_queries": agent["queries"],
        "total_words_indexed": row["words"],
        "total_storage_credits_used": row["indexed"],
    }
    if call.context.switches.stats_keys == 7:
        del data["total_storage_credits_used"]
    return call.success(data)


_ONE = "/projects/{project_id}"
ROUTES = (
    Route("agents.list", "GET", "/projects", list_agents, "OpenAPI; captured 2023 and 2025"),
    Route("agents.create", "POST", "/projects", create_agent, "OpenAPI; captured 2023"),
    Route("agents.get", "GET", _ONE, get_agent, "OpenAPI; shape captured in the list"),
    Route("agents.update", "POST", _ONE, update_agent, "OpenAPI; captured 2023"),
    Route("agents.delete", "DELETE", _ONE, delete_agent, "OpenAPI; captured 2023"),
    Route(
        "agents.replicate",
        "POST",
        _ONE + "/replicate",
        replicate_agent,
        "OpenAPI; the copy's name is unknown",
    ),
    Route("agents.stats", "GET", _ONE + "/stats", agent_stats, "OpenAPI; captured 2023 with seven keys"),
)
