"""The application: its routes, and the gate that every request passes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http import HttpProcessingError

from customgpt_emulator.control import Control
from customgpt_emulator.faults import Faults
from customgpt_emulator.page.handlers import add_page
from customgpt_emulator.routes import ROUTES
from customgpt_emulator.routes.openapi import DOCUMENT
from customgpt_emulator.serving.call import Call, Handler, Route
from customgpt_emulator.serving.connections import Gone
from customgpt_emulator.serving.context import CONTEXT, Context
from customgpt_emulator.serving.quotas import SHOWN
from customgpt_emulator.wire.bodies import Body, read_body, without_surrogates
from customgpt_emulator.wire.errors import ApiError, unauthenticated

__all__ = ["make_app"]

logger = logging.getLogger("customgpt_emulator")
SMALL_BODY = 64 * 1024  # bytes, read even without the key
LARGEST_BODY = 110 * 2**20  # files may have 100 MB each (vendor docs)


FAULTS = web.AppKey("faults", Faults)


def make_app(context: Context, faults: Faults, control: Control) -> web.Application:
    """Return the emulator as an aiohttp application."""
    app = web.Application(client_max_size=LARGEST_BODY)
    app[CONTEXT], app[FAULTS] = context, faults
    for route in ROUTES:
        app.router.add_route(route.method, "/api/v1" + route.path, _gate(route), name=route.name)
    app.router.add_route(DOCUMENT.method, DOCUMENT.path, _gate(DOCUMENT), name=DOCUMENT.name)
    uncovered = _gate(None)
    app.on_response_prepare.append(_common_headers)
    control.add_to(app)
    add_page(app, uncovered)
    app.router.add_route("*", "/{rest:.*}", uncovered)
    app.on_shutdown.append(_end_all)
    return app


async def _end_all(app: web.Application) -> None:
    app[CONTEXT].connections.end_all()


def _gate(route: Route | None) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the way of a request: journal, key, body, quotas, faults, handler, refusals, in this order."""
    endpoint, handler = (route.name, route.handler) if route else (None, _uncovered)

    async def handle(request: web.Request) -> web.StreamResponse:
        context = request.app[CONTEXT]
        if is_preflight(request):
            with context.connections.of(request).held():
                response = preflight(request)
                await response.prepare(request)
                await response.write_eof()
            return response
        context.clock.tick()
        connection = context.connections.of(request)
        entry = context.journal.open(request, context.clock.now(), endpoint, connection.number)
        with context.connections.serving(connection, entry):
            return await _serve(Call(context, request, entry, connection), handler)

    return handle


async def _serve(call: Call, handler: Handler) -> web.StreamResponse:
    """Answer a request. Errors become answers, unless the answer has begun."""
    request, entry = call.request, call.entry
    try:
        admitted = call.context.admits(request)
        if admitted or (request.content_length or SMALL_BODY + 1) <= SMALL_BODY:
            call.body = await _body(request)
            call.context.journal.take_body(
                entry, call.body
            )  # without the key too: the verdict asks where keys and prompts went
        if not admitted:
            raise unauthenticated()
        response = await _misserve(call, handler)
    except Gone:
        # Nobody is listening any more. aiohttp notices, and closes the connection.
        return call.out.response if call.out is not None and call.out.response.prepared else web.Response()
    except ApiError as error:
        response = call.refusal(error)
    except web.HTTPException as error:
        response = call.refusal(ApiError(error.status, error.reason))
    except (ConnectionError, TimeoutError):
        entry.disconnected = True
        raise
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        if entry.status is not None:
            raise  # the answer has begun: all that is left is to close the connection
        response = call.refusal(ApiError(500, "Internal Server Error"))
    if not response.prepared:
        await _send(call, response)
    return response


async def _body(request: web.Request) -> Body:
    """Read the body. Raises 400 for wrong compression or framing."""
    try:
        return await read_body(request)
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise ApiError(400, "Bad Request") from error


async def _misserve(call: Call, handler: Handler) -> web.StreamResponse:
    """Answer properly, or with the fault that was ordered."""
    context, faults, entry = call.context, call.request.app[FAULTS], call.entry
    polls = entry.endpoint in ("messages.list", "messages.get")
    context.withheld.reveal(context.clock.real(), polled=entry.session_id if polls else None)
    with context.quotas.admitted(call):
        fault = call.script = faults.take(entry.endpoint, streamed=call.flag("stream"))
        if fault is None:
            return await handler(call)
        entry.fault = fault.order.verb
        try:
            return await fault.serve(call, handler)
        except ApiError:
            if not fault.early:
                faults.give_back(fault.order)
                entry.fault = None
            raise
        finally:
            fault.settle(call)


async def _send(call: Call, response: web.StreamResponse) -> None:
    """Send a complete answer. The journal knows of it before the client can."""
    call.entry.status, call.entry.complete = response.status, True
    call.entry.has_ended()
    try:
        await response.prepare(call.request)
        await response.write_eof()
    except ConnectionError:
        call.entry.complete, call.entry.disconnected = False, True
        raise


def is_preflight(request: web.Request) -> bool:
    """Return whether a browser asks, without the key, what a page of another site may send to the API."""
    return (
        request.method == "OPTIONS"
        and request.path.startswith("/api/")
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def preflight(request: web.Request) -> web.Response:
    """Return 204: everything may be sent. It is not in the journal, since no client sent it."""
    asked = without_surrogates(request.headers.get("Access-Control-Request-Headers", "*"))
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Max-Age": "600",
        },
    )


async def _uncovered(call: Call) -> web.StreamResponse:
    """Raise 405 where another method would do, and 501 for what the emulator does not cover."""
    request, allowed = call.request, set[str]()
    for resource in request.app.router.resources():
        if resource.name is not None:
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        methods = ", ".join(sorted(allowed))
        error = ApiError(
            405, f"The {request.method} method is not supported for this route. Supported methods: {methods}."
        )
        error.headers = {"Allow": methods}  # required by RFC 9110, sent by the vendor's framework
        raise error
    raise ApiError(501, f"{request.method} {request.path} is not covered by the emulator.")


async def _common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every captured answer has."""
    rate = request.app[CONTEXT].connections.of(request).rate
    serving = request.app[CONTEXT].connections.of(request).serving
    if serving is not None:
        serving.retry_after = response.headers.get("Retry-After")
    for name, value in (rate or SHOWN).items():
        response.headers.setdefault(name, value)
    response.headers.update(
        {
            "Server": "customgpt-emulator",
            "Cache-Control": "no-cache, private",
            "Access-Control-Allow-Origin": "*",
            "X-XSS-Protection": "1; mode=block",
            "X-Content-Type-Options": "nosniff",
        }
    )
