"""The emulator's own controls over HTTP, under `/_emulator/`: for tests in other languages and processes.

| call | body, query | answer |
|---|---|---|
| `GET /_emulator` | | the verbs with their parameters, and the current values |
| `POST /_emulator/faults/{verb}` | the verb's arguments as a JSON object | 201, the order |
| `GET /_emulator/faults` | | the open orders |
| `DELETE /_emulator/faults` | | cancels them, ends silences, opens the port |
| `POST /_emulator/release` | | ends silences |
| `GET /_emulator/journal` | search terms, `limit` | the newest requests |
| `GET /_emulator/verdict` | `clients_closed` | what the clients did wrong |
| `GET`, `PUT /_emulator/quotas` and `/_emulator/pacing` | the values to change | the values |
| `POST /_emulator/reset` | | starts over |

They need the API key. These requests are not in the journal, meet no faults and use no quota.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from customgpt_emulator.faults import Faults, Order
from customgpt_emulator.faults.parse import order_fault, verbs
from customgpt_emulator.serving.context import Context, judge_now
from customgpt_emulator.wire.bodies import is_deep, is_true
from customgpt_emulator.wire.errors import ApiError, unauthenticated

__all__ = ["Control", "is_loopback"]

PREFIX = "/_emulator"
CLOSED = (
    "The controls are closed, since others may reach this address. Open them with control=True or --control."
)
SHOWN = 100  # requests in one answer, by default
ControlHandler = Callable[[web.Request], Awaitable[Any]]


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Control:
    """The controls of one emulator. `allowed` says whether they are open, `reset` starts everything over."""

    def __init__(
        self, context: Context, faults: Faults, *, allowed: bool, reset: Callable[[], Awaitable[None]]
    ) -> None:
        self._context = context
        self._faults = faults
        self._allowed = allowed
        self._start_over = reset

    def add_to(self, app: web.Application) -> None:
        """Add the routes of the controls."""
        routes: tuple[tuple[str, str, ControlHandler], ...] = (
            ("GET", "", self._overview),
            ("POST", "/faults/{verb}", self._order),
            ("GET", "/faults", self._orders),
            ("DELETE", "/faults", self._clear),
            ("POST", "/release", self._release),
            ("GET", "/journal", self._journal),
            ("GET", "/verdict", self._verdict),
            ("GET", "/quotas", self._quotas),
            ("PUT", "/quotas", self._quotas),
            ("GET", "/pacing", self._pacing),
            ("PUT", "/pacing", self._pacing),
            ("POST", "/reset", self._reset),
        )
        for method, path, handler in routes:
            app.router.add_route(method, PREFIX + path, self._guarded(handler))

    def _guarded(self, handler: ControlHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            with self._context.connections.of(request).held():
                response = await self._answer(request, handler)
                await response.prepare(request)
                await response.write_eof()
            return response

        return handle

    async def _answer(self, request: web.Request, handler: ControlHandler) -> web.Response:
        try:
            if not self._context.admits(request):
                raise unauthenticated()
            if not self._allowed:
                raise ApiError(403, CLOSED)
            data = await handler(request)
        except ApiError as error:
            return web.json_response(error.body(request.path), status=error.status)
        except ValueError as error:
            return web.json_response(ApiError(422, str(error)).body(request.path), status=422)
        status = 201 if "verb" in request.match_info else 200
        return web.json_response({"status": "success", "data": data}, status=status)

    async def _overview(self, request: web.Request) -> dict[str, Any]:
        context = self._context
        return {
            "faults": verbs(),
            "pending": await self._orders(request),
            "quotas": context.quotas.as_dict(),
            "pacing": context.pacing.as_dict(),
            "requests": len(context.journal),
            "dropped": context.journal.dropped,
            "open_connections": context.connections.open,
        }

    async def _order(self, request: web.Request) -> dict[str, Any]:
        arguments, verb = await _arguments(request), request.match_info["verb"]
        # In a thread: `refuse` waits until the loop has closed the port.
        made = await asyncio.to_thread(order_fault, self._faults, verb, arguments)
        return _shown(made) if isinstance(made, Order) else {"verb": verb}

    async def _orders(self, request: web.Request) -> list[dict[str, Any]]:
        return [_shown(order) for order in self._faults.pending]

    async def _clear(self, request: web.Request) -> list[dict[str, Any]]:
        self._faults.clear()
        return await self._orders(request)

    async def _release(self, request: web.Request) -> dict[str, Any]:
        self._faults.release()
        return {"released": True}

    async def _reset(self, request: web.Request) -> dict[str, Any]:
        await self._start_over()
        return {"reset": True}

    async def _journal(self, request: web.Request) -> dict[str, Any]:
        query, journal = dict(request.query), self._context.journal
        limit, status = query.pop("limit", str(SHOWN)), query.pop("status", None)
        if not limit.isdecimal() or (status is not None and not status.isdecimal()):
            raise ValueError("limit and status must be whole numbers.")
        known = ("endpoint", "method", "path", "session_id", "fault")
        for name in query:
            if name not in known:
                raise ValueError(
                    f"the journal is not searched by {name!r}; it is by {', '.join(known)}, status."
                )
        found = journal.entries(status=int(status) if status else None, **query)
        newest = found[-int(limit) :] if int(limit) else []
        return {
            "requests": [entry.as_dict() for entry in newest],
            "found": len(found),
            "kept": len(journal),
            "dropped": journal.dropped,
        }

    async def _verdict(self, request: web.Request) -> dict[str, Any]:
        closed, context = is_true(request.query.get("clients_closed")), self._context
        judge = partial(judge_now, context.journal, context.connections, clients_closed=closed)
        verdict = await asyncio.to_thread(judge)
        return {**verdict.as_dict(), "report": str(verdict)}

    async def _quotas(self, request: web.Request) -> dict[str, int | None]:
        quotas = self._context.quotas
        quotas.change(**await _arguments(request))
        return quotas.as_dict()

    async def _pacing(self, request: web.Request) -> dict[str, float | None]:
        pacing = self._context.pacing
        pacing.change(**await _arguments(request))
        return pacing.as_dict()


async def _arguments(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    try:
        arguments = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict) or is_deep(arguments):
        raise ValueError("the body must be a JSON object.")
    return arguments


def _shown(order: Order) -> dict[str, Any]:
    return {"verb": order.verb, "times": order.times, "played": order.played, "chance": order.chance}
