"""The emulator's own controls over HTTP, under `/_emulator/`: for tests in other languages and processes.

| call | body, query | answer |
|---|---|---|
| `GET /_emulator` | | the verbs with their parameters, and what is in force |
| `POST /_emulator/faults/{verb}` | the verb's arguments as a JSON object | 201, the order |
| `GET /_emulator/faults` | | the orders that are open |
| `DELETE /_emulator/faults` | | takes them back, ends silences, opens the port |
| `POST /_emulator/release` | | ends silences |
| `GET /_emulator/journal` | what to search by, `limit` | the newest requests |
| `GET /_emulator/verdict` | `clients_closed` | what the clients did wrong |
| `GET`, `PUT /_emulator/quotas` and `/_emulator/pacing` | the values to change | the values |
| `POST /_emulator/reset` | | back to the beginning |

Needs the key, as everything does. Its requests are not in the journal, meet no faults and use no quota.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from customgpt_emulator.faults import Order
from customgpt_emulator.faults.parse import order_fault, verbs
from customgpt_emulator.journal.verdict import judge_now
from customgpt_emulator.serving.context import CONTEXT, Context
from customgpt_emulator.serving.keys import has_key
from customgpt_emulator.wire.bodies import is_deep, is_true
from customgpt_emulator.wire.errors import ApiError, unauthenticated

__all__ = ["Control", "add_control", "is_loopback"]

PREFIX = "/_emulator"
SHOWN = 100  # requests in one answer unless asked otherwise
Handler = Callable[[web.Request], Awaitable[Any]]


@dataclass(frozen=True)
class Control:
    """What the controls need besides the context."""

    allowed: bool
    """Whether they are open at all."""
    reset: Callable[[], Awaitable[None]]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address that is listened on."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def add_control(app: web.Application, control: Control) -> None:
    """Add the routes of the controls."""

    async def reset(request: web.Request) -> dict[str, Any]:
        await control.reset()
        return {"reset": True}

    routes: tuple[tuple[str, str, Handler], ...] = (
        ("GET", "", _overview),
        ("POST", "/faults/{verb}", _order),
        ("GET", "/faults", _orders),
        ("DELETE", "/faults", _clear),
        ("POST", "/release", _release),
        ("GET", "/journal", _journal),
        ("GET", "/verdict", _verdict),
        ("GET", "/quotas", _quotas),
        ("PUT", "/quotas", _quotas),
        ("GET", "/pacing", _pacing),
        ("PUT", "/pacing", _pacing),
        ("POST", "/reset", reset),
    )
    for method, path, handler in routes:
        app.router.add_route(method, PREFIX + path, _guarded(handler, control))


def _guarded(handler: Handler, control: Control) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        context = request.app[CONTEXT]
        with context.connections.of(request).held():
            response = await _answer(request, handler, context.api_key, control.allowed)
            await response.prepare(request)
            await response.write_eof()
        return response

    return handle


async def _answer(request: web.Request, handler: Handler, api_key: str, allowed: bool) -> web.Response:
    try:
        if not has_key(request, api_key):
            raise unauthenticated()
        if not allowed:
            text = "The controls are closed, as others may reach this address: open them with control=True"
            raise ApiError(403, f"{text} or --control.")
        data = await handler(request)
    except ApiError as error:
        return web.json_response(error.body(request.path), status=error.status)
    except ValueError as error:
        return web.json_response(ApiError(422, str(error)).body(request.path), status=422)
    status = 201 if "verb" in request.match_info else 200
    return web.json_response({"status": "success", "data": data}, status=status)


async def _arguments(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    try:
        arguments = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict) or is_deep(arguments):
        raise ValueError("the body must be a JSON object.")
    return arguments


def _context(request: web.Request) -> Context:
    return request.app[CONTEXT]


async def _overview(request: web.Request) -> dict[str, Any]:
    context = _context(request)
    return {
        "faults": verbs(),
        "pending": await _orders(request),
        "quotas": context.quotas.as_dict(),
        "pacing": context.pacing.as_dict(),
        "requests": len(context.journal),
        "dropped": context.journal.dropped,
        "open_connections": context.connections.open,
    }


async def _order(request: web.Request) -> dict[str, Any]:
    arguments = await _arguments(request)
    # In a thread, as any caller's: `refuse` waits for the loop to close the port.
    made = await asyncio.to_thread(
        order_fault, _context(request).faults, request.match_info["verb"], arguments
    )
    return _shown(made) if isinstance(made, Order) else {"verb": request.match_info["verb"]}


async def _orders(request: web.Request) -> list[dict[str, Any]]:
    return [_shown(order) for order in _context(request).faults.pending]


def _shown(order: Order) -> dict[str, Any]:
    return {"verb": order.verb, "times": order.times, "played": order.played, "chance": order.chance}


async def _clear(request: web.Request) -> list[dict[str, Any]]:
    _context(request).faults.clear()
    return await _orders(request)


async def _release(request: web.Request) -> dict[str, Any]:
    _context(request).faults.release()
    return {"released": True}


async def _journal(request: web.Request) -> dict[str, Any]:
    query, journal = dict(request.query), _context(request).journal
    limit, status = query.pop("limit", str(SHOWN)), query.pop("status", None)
    if not limit.isdecimal() or (status is not None and not status.isdecimal()):
        raise ValueError("limit and status must be whole numbers.")
    known = ("endpoint", "method", "path", "session_id", "fault")
    for name in query:
        if name not in known:
            raise ValueError(f"the journal is not searched by {name!r}; it is by {', '.join(known)}, status.")
    found = journal.entries(status=int(status) if status else None, **query)
    newest = found[-int(limit) :] if int(limit) else []
    return {
        "requests": [entry.as_dict() for entry in newest],
        "found": len(found),
        "kept": len(journal),
        "dropped": journal.dropped,
    }


async def _verdict(request: web.Request) -> dict[str, Any]:
    context = _context(request)
    closed = is_true(request.query.get("clients_closed"))
    verdict = await asyncio.to_thread(judge_now, context.journal, context.connections, clients_closed=closed)
    return {**verdict.as_dict(), "report": str(verdict)}


async def _quotas(request: web.Request) -> dict[str, int | None]:
    quotas = _context(request).quotas
    quotas.change(**await _arguments(request))
    return quotas.as_dict()


async def _pacing(request: web.Request) -> dict[str, float | None]:
    pacing = _context(request).pacing
    pacing.change(**await _arguments(request))
    return pacing.as_dict()
