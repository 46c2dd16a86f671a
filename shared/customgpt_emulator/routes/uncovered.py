"""Endpoints that exist but that the emulator does not cover: they answer 501."""

from __future__ import annotations

from aiohttp import web

from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.errors import ApiError

__all__ = ["ROUTES", "uncovered"]


async def uncovered(call: Call) -> web.StreamResponse:
    """Raise 501."""
    raise ApiError(501, f"{call.request.method} {call.request.path} is not covered by the emulator.")


_PROJECT = "/projects/{project_id}"
_MESSAGE = _PROJECT + "/conversations/{session_id}/messages/{prompt_id}"
_OPENAPI = "OpenAPI; not covered"
_CLIENTS = "clients and newer reference pages only; not covered"
ROUTES = (
    *(
        Route(f"plugins.{m.lower()}", m, _PROJECT + "/plugins", uncovered, _OPENAPI)
        for m in ("GET", "POST", "PUT")
    ),
    *(
        Route(f"reports.{name}", "GET", f"{_PROJECT}/reports/{name}", uncovered, _OPENAPI)
        for name in ("traffic", "queries", "conversations", "analysis", "intelligence")
    ),
    Route("licenses.list", "GET", _PROJECT + "/licenses", uncovered, _OPENAPI),
    Route("licenses.create", "POST", _PROJECT + "/licenses", uncovered, _OPENAPI),
    *(
        Route(f"licenses.{m.lower()}", m, _PROJECT + "/licenses/{license_id}", uncovered, _OPENAPI)
        for m in ("GET", "PUT", "DELETE")
    ),
    Route("messages.claims", "GET", _MESSAGE + "/claims", uncovered, _CLIENTS),
    Route("messages.trust_score", "GET", _MESSAGE + "/trust-score", uncovered, _CLIENTS),
    Route("messages.verify", "POST", _MESSAGE + "/verify", uncovered, _CLIENTS),
    Route(
        "conversations.export", "GET", _PROJECT + "/conversations/{session_id}/export", uncovered, _CLIENTS
    ),
)
