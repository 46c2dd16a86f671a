"""The settings of an agent."""

from __future__ import annotations

import json

from aiohttp import web

from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.settings import DEFAULTS, changed

__all__ = ["ROUTES"]


async def get_settings(call: Call) -> web.StreamResponse:
    """Answer with all documented settings in a flat object."""
    return call.success(DEFAULTS | call.context.store.settings(call.agent()["id"]))


async def update_settings(call: Call) -> web.StreamResponse:
    """Change what is given, in a form or in JSON. The rest stays."""
    agent = call.agent()
    files = {upload.field: upload for upload in call.body.files}
    found = changed(call.body.fields, files, origin=call.shapes.origin)
    stored = json.dumps(call.context.store.settings(agent["id"]) | found)
    call.context.store.update("agents", agent["id"], {"settings": stored, "updated_at": call.now})
    return call.success({"updated": True})


_PATH = "/projects/{project_id}/settings"
ROUTES = (
    Route("settings.get", "GET", _PATH, get_settings, "OpenAPI; captured 2023 and 2025"),
    Route("settings.update", "POST", _PATH, update_settings, "OpenAPI; captured 2023"),
)
