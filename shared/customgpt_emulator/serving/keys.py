"""The one key that opens everything."""

from __future__ import annotations

import hmac

from aiohttp import web

__all__ = ["has_key"]


def has_key(request: web.BaseRequest, api_key: str) -> bool:
    """Whether a request carries the key as `Authorization: Bearer`."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    given = key.strip().encode("utf-8", "surrogateescape")
    return scheme.lower() == "bearer" and hmac.compare_digest(given, api_key.encode())
