"""The OpenAPI document of the covered endpoints, and the route that serves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from customgpt_emulator.serving.call import Call, Route

__all__ = ["DOCUMENT", "load_document"]

_FILE = Path(__file__).with_name("openapi.json")


def load_document() -> dict[str, Any]:
    """Return the document as data. Its operations have the names of the routes."""
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


async def serve(call: Call) -> web.StreamResponse:
    """Answer with the document as it is shipped."""
    return web.Response(text=_FILE.read_text(encoding="utf-8"), content_type="application/json")


DOCUMENT = Route("emulator.openapi", "GET", "/_emulator/openapi.json", serve, "the emulator's own")
