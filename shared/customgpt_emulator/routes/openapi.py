"""The OpenAPI document of the covered endpoints, which the emulator serves at a path of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from customgpt_emulator.serving.call import Call, Route

__all__ = ["DOCUMENT", "load_document"]

_FILE = Path(__file__).with_name("openapi.json")


def load_document() -> dict[str, Any]:
    """The document as data. Operations are named like the routes."""
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


async def serve(call: Call) -> web.StreamResponse:
    """The document as it is shipped."""
    return web.Response(text=_FILE.read_text(encoding="utf-8"), content_type="application/json")


DOCUMENT = Route("emulator.openapi", "GET", "/_emulator/openapi.json", serve, "the emulator's own")
