"""Who may see the page: anyone who opened it with its own key, but no other site.

The page has a key of its own, derived from the API key and useless for the API. So the API key is in no URL,
history or cookie. `/?key=...` is exchanged for a cookie at once. The cookie is for the page only: the API
reads the `Authorization` header and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re

from aiohttp import web

__all__ = ["REMEDY", "Refused", "admitted", "check_host", "check_origin", "headers", "login", "page_key"]

REMEDY = "Open the address that the emulator printed when it started: http://…/?key=…"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?")


class Refused(Exception):
    """The page is refused; the text says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def page_key(api_key: str) -> str:
    """Return the key of the page of the emulator with this API key."""
    return _derived(api_key, "page")


def admitted(request: web.Request, api_key: str) -> bool:
    """Return whether the request has the page's cookie."""
    given = request.cookies.get(_cookie_name(request), "")
    return hmac.compare_digest(given.encode("utf-8", "replace"), _derived(api_key, "cookie").encode())


def login(request: web.Request, api_key: str) -> web.Response:
    """Exchange the key in the URL for a cookie. Raises `Refused` for a wrong key."""
    given = request.query.get("key", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, page_key(api_key).encode()):
        raise Refused(401, f"The key in the address is not this emulator's. {REMEDY}")
    response = web.Response(status=303, headers={"Location": "/"})
    # Not Secure: the emulator speaks plain HTTP, on this machine.
    response.set_cookie(
        _cookie_name(request), _derived(api_key, "cookie"), httponly=True, samesite="Strict", path="/"
    )
    return response


def check_host(request: web.Request) -> None:
    """Raise `Refused` if this is loopback and the host's name is another: DNS was rebound to point here."""
    match = _HOST.fullmatch(request.host)
    if match is None or int(match[2] or 0) > 65535:
        raise Refused(400, "The Host header is not a host and a port.")
    name = request.transport.get_extra_info("sockname") if request.transport else None
    if name is None or not _is_loopback(str(name[0])):
        return
    if not (match[1] == "localhost" or _is_loopback(match[1].strip("[]"))):
        raise Refused(403, "This page answers to 127.0.0.1 and localhost only.")


def check_origin(request: web.Request) -> None:
    """Raise `Refused` unless the page itself sent the form: `SameSite` lets other ports of this host pass."""
    if request.headers.get("Origin") != f"{request.scheme}://{request.host}":
        raise Refused(403, "Questions are taken from the emulator's own page only.")


def headers(style: str, script: str) -> dict[str, str]:
    """Return the headers of the page. Only this style and this script may be loaded or run."""
    policy = {
        "default-src": "'none'",
        "style-src": _hashed(style),
        "script-src": _hashed(script),
        "img-src": "data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        # Not `no-referrer`: with it a form's `Origin` would be null.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _derived(api_key: str, use: str) -> str:
    return hmac.new(api_key.encode(), f"customgpt-emulator {use}".encode(), hashlib.sha256).hexdigest()[
        :24
    ]  # 96 bits, and a URL that fits on a line


def _cookie_name(request: web.Request) -> str:
    """Return the cookie's name. Browsers share cookies among the ports of a host, so it has the port."""
    host = _HOST.fullmatch(request.host)  # `request.url` raises for a port out of range
    return f"customgpt_emulator_{(host and host[2]) or 80}"


def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _hashed(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
