"""The page at `/` for a browser: agents, documents, the journal, and prompts with their answers and sources.

It is made on the server. Its only script shows streams as they arrive; the rest works without it. Prompts go
through the API over HTTP, like those of any client, so they are in the journal and meet faults and quotas.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web

from customgpt_emulator.knowledge.library import PER_PAGE
from customgpt_emulator.page import guard, markup
from customgpt_emulator.page.guard import Refused
from customgpt_emulator.page.markup import DocumentRow, Html, ShownMessage, View
from customgpt_emulator.serving.call import origin_of
from customgpt_emulator.serving.connections import Gone
from customgpt_emulator.serving.context import CONTEXT, Context
from customgpt_emulator.wire.shapes import Row, Shapes

__all__ = ["add_page"]

AGENTS = 200  # shown, the newest
DOCUMENTS = 50  # in one part of the list
REQUESTS = 50  # shown, the newest
MESSAGES = 50  # of the conversation shown, the newest

PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_page(app: web.Application, otherwise: PageHandler) -> None:
    """Add the routes of the page. A request that is neither admitted nor a browser's goes to `otherwise`."""
    for method, path, handler in (
        ("GET", "/", _show),
        ("POST", "/page/ask", _ask),
        ("GET", "/page/journal", _journal),
        ("GET", "/page/sources", _sources),
        ("GET", "/page/documents/{page_id}", _document),
    ):
        app.router.add_route(method, path, _guarded(handler, otherwise))
    app.on_response_prepare.append(_own_headers)


def _guarded(handler: PageHandler, otherwise: PageHandler) -> PageHandler:
    async def handle(request: web.Request) -> web.StreamResponse:
        api_key = request.app[CONTEXT].api_key
        try:
            if guard.admitted(request, api_key) or (request.path == "/" and "key" in request.query):
                guard.check_host(request)
                if "key" in request.query:
                    return guard.login(request, api_key)
                if request.method == "POST":
                    guard.check_origin(request)
                return await handler(request)
            if "text/html" in request.headers.get("Accept", ""):
                raise Refused(401, f"The page has a key of its own. {guard.REMEDY}")
        except Refused as refused:
            return _html(markup.refusal(str(refused)), refused.status)
        return await otherwise(request)

    return handle


async def _own_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Replace the headers of the API by those of the page."""
    if request.path == "/" or request.path.startswith("/page/"):
        for name in ("Access-Control-Allow-Origin", "X-RateLimit-Limit", "X-RateLimit-Remaining"):
            response.headers.popall(name, None)
        response.headers.update(guard.headers(markup.asset("page.css"), markup.asset("page.js")))


# Handlers


async def _show(request: web.Request) -> web.StreamResponse:
    return _html(markup.index(_view(request, request.query.get("agent"), request.query.get("session", ""))))


async def _ask(request: web.Request) -> web.StreamResponse:
    """Send the prompt to the API: as a stream for the script, else as a form that leads back to the page."""
    form = await request.post()
    agent, session_id, prompt = (str(form.get(name, "")) for name in ("agent", "session", "prompt"))
    if not re.fullmatch(r"[0-9]{1,18}", agent) or not re.fullmatch(r"[\w-]{0,64}", session_id):
        return _html(markup.refusal("There is no such agent or conversation."), 404)
    try:
        conversations = f"/api/v1/projects/{agent}/conversations"
        async with _api(request) as api:
            if not session_id:
                async with api.post(conversations, json={"name": prompt[:60] or "Untitled"}) as made:
                    if made.status != 201:
                        return await _failed(request, agent, "", prompt, made)
                    session_id = (await made.json())["data"]["session_id"]
            stream = "text/event-stream" in request.headers.get("Accept", "")
            body = {"prompt": prompt, "stream": stream}
            async with api.post(f"{conversations}/{session_id}/messages", json=body) as answer:
                if answer.status != 200:
                    return await _failed(request, agent, session_id, prompt, answer)
                if stream:
                    return await _pass_on(request, session_id, answer)
                await answer.read()
    except (aiohttp.ClientError, ValueError, KeyError) as error:
        return _problem(request, agent, session_id, prompt, 502, f"The answer could not be read: {error}")
    where = {"agent": agent, "session": session_id}
    return web.Response(
        status=303, headers={"Location": str(request.rel_url.with_path("/").with_query(where))}
    )


async def _journal(request: web.Request) -> web.StreamResponse:
    return _html(markup.journal_rows(_newest(request.app[CONTEXT])))


async def _sources(request: web.Request) -> web.StreamResponse:
    """Answer with the sources of an answer, by the citations of its last event: 12 or `12.0`."""
    numbers = re.findall(r"\b([0-9]{1,15})(?:\.0)?(?=,|$)", request.query.get("ids", ""))[:100]
    return _html(markup.sources(_citations(request, [int(number) for number in numbers])))


async def _document(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    number = request.match_info["page_id"]
    row = context.library.page(int(number)) if re.fullmatch(r"[0-9]{1,18}", number) else None
    if row is None:
        return _html(markup.refusal("There is no such document."), 404)
    shown = context.library.metadata(row["id"])
    first = row["id"] * PER_PAGE
    passages = context.store.all(
        f"SELECT heading, text FROM passages_{row['project_id']:d} "  # noqa: S608 - a number of ours
        "WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
        first,
        first + PER_PAGE,
    )
    texts = [(passage["heading"], passage["text"]) for passage in passages]
    return _html(markup.document(shown["title"] or row["key"], row["key"], shown["url"] or row["url"], texts))


# The page as a client of the API


def _api(request: web.Request) -> aiohttp.ClientSession:
    """Return a client of this server, at the address at which the browser reached it."""
    if request.transport is None:
        raise Refused(400, "The browser has left.")
    host, port = request.transport.get_extra_info("sockname")[:2]
    context = request.app[CONTEXT]
    return aiohttp.ClientSession(
        f"http://{f'[{host}]' if ':' in host else host}:{port}",
        headers={"Authorization": f"Bearer {context.api_key}", "User-Agent": "customgpt-emulator-page"},
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def _pass_on(
    request: web.Request, session_id: str, answer: aiohttp.ClientResponse
) -> web.StreamResponse:
    """Pass on the API's stream, byte for byte. When the browser leaves, leave the API at once, too."""
    browser = request.app[CONTEXT].connections.of(request)
    response = web.StreamResponse(headers={"X-Conversation": session_id})
    response.content_type = answer.content_type

    async def leave() -> None:
        with suppress(Gone):
            await browser.pause(None)
        answer.close()

    leaving = asyncio.create_task(leave())
    try:
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, ConnectionError) as error:  # most likely a fault: tell the script
        if browser.lost:
            return response
        lost = {"status": "error", "message": f"The connection broke in mid-stream: {error}"}
        await response.write(b"\n\ndata: " + json.dumps(lost).encode() + b"\n\n")
    finally:
        leaving.cancel()
    await response.write_eof()
    return response


async def _failed(
    request: web.Request, agent: str, session_id: str, prompt: str, answer: aiohttp.ClientResponse
) -> web.Response:
    text = await answer.text(errors="replace")
    try:
        body = json.loads(text)
        text = str(body.get("message") or body["data"]["message"])
    except (ValueError, LookupError, AttributeError, TypeError):
        text = text[:300] or answer.reason or ""
    return _problem(request, agent, session_id, prompt, answer.status, f"{answer.status}: {text}")


def _problem(
    request: web.Request, agent: str, session_id: str, prompt: str, status: int, text: str
) -> web.Response:
    if "text/event-stream" in request.headers.get("Accept", ""):
        return web.Response(status=status, text=text)
    view = _view(request, agent, session_id)
    view.problem, view.prompt = text, prompt
    return _html(markup.index(view), status)


# What is shown


def _view(request: web.Request, agent: str | None, session_id: str) -> View:
    context = request.app[CONTEXT]
    store = context.store
    rows = store.all(
        "SELECT id, name, (SELECT COUNT(*) FROM pages WHERE project_id = agents.id) AS pages "
        "FROM agents ORDER BY id DESC LIMIT ?",
        AGENTS,
    )
    view = View(origin_of(request), agents=[(row["id"], row["name"], row["pages"]) for row in rows])
    view.journal, view.dropped = _newest(context), context.journal.dropped
    wanted = agent if agent is not None else store.fact("agent") or ""
    known = store.agent(int(wanted)) if re.fullmatch(r"[0-9]{1,18}", wanted) else None
    if known is None:
        return view
    view.agent_id = known["id"]
    view.documents_total = store.count("SELECT COUNT(*) FROM pages WHERE project_id = ?", view.agent_id)
    view.parts = max(1, -(-view.documents_total // DOCUMENTS))
    part = request.query.get("page", "1")
    view.part = min(max(1, int(part)), view.parts) if re.fullmatch(r"[0-9]{1,9}", part) else 1
    documents = store.all(
        "SELECT pages.*, metadata.title FROM pages JOIN metadata ON metadata.page_id = pages.id "
        "WHERE project_id = ? ORDER BY pages.id LIMIT ? OFFSET ?",
        view.agent_id,
        DOCUMENTS,
        (view.part - 1) * DOCUMENTS,
    )
    view.documents = [_row(row, context.clock.real()) for row in documents]
    conversation = store.conversation(view.agent_id, session_id) if session_id else None
    if conversation is not None:
        view.session_id = session_id
        view.messages = _messages(request, conversation["id"])
    return view


def _row(row: Row, now: float) -> DocumentRow:
    state = (
        f"failed: {row['failure']}" if row["failure"] else "indexed" if row["ready_at"] <= now else "indexing"
    )
    return DocumentRow(row["id"], row["title"] or "", row["key"], state, row["filesize"], row["words"])


def _messages(request: web.Request, conversation_id: int) -> list[ShownMessage]:
    rows = request.app[CONTEXT].store.all(
        "SELECT prompt, answer, citations FROM messages WHERE conversation_id = ? ORDER BY id DESC LIMIT ?",
        conversation_id,
        MESSAGES,
    )
    return [
        ShownMessage(row["prompt"], row["answer"], _citations(request, json.loads(row["citations"])))
        for row in reversed(rows)
    ]


def _citations(request: web.Request, page_ids: list[int]) -> list[dict[str, Any]]:
    """Return citations as the API does, but files without a URL of their own have one of the page."""
    context = request.app[CONTEXT]
    shapes = Shapes(origin_of(request), context.switches, context.clock.real())
    found = []
    for page_id in page_ids:
        page = context.library.page(page_id)
        if page is not None:
            citation = shapes.citation(page, context.library.metadata(page_id))
            if citation["url"] == shapes.preview(page_id):
                citation["url"] = f"/page/documents/{page_id}"
            found.append(citation)
    return found


def _newest(context: Context) -> list[Any]:
    return context.journal.entries()[: -REQUESTS - 1 : -1]


def _html(body: Html, status: int = 200) -> web.Response:
    return web.Response(text=body, status=status, content_type="text/html")
