"""Faults that replace an answer: refusals, HTML pages of gateways, redirects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from customgpt_emulator.faults.fault import Fault, Lossy, Order, Ordering, header
from customgpt_emulator.faults.orders import Orders
from customgpt_emulator.serving.call import Call, Handler
from customgpt_emulator.wire.errors import ApiError, Invalid, Throttled, credits_exhausted, unauthenticated
from customgpt_emulator.wire.shapes import dump

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["RefusalVerbs"]

HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
HTML_200 = (
    b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head>"
    b"<body>We will be back soon.</body></html>\n"
)
_REASONS = {
    400: "Agent id must be integer",
    401: "API Token is either missing or invalid",
    403: "Agent is not active",
    404: "Agent with id 0 not found",
}


@dataclass
class _Replace(Fault):
    """Another answer in place of the real one. Nothing is stored unless `persist`."""

    status: int = 200
    body: bytes | None = None
    """None: the documented envelope."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    loses = True
    worthless = True
    early = True
    mute = True

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        if self.persist:
            await handler(call)
        response = self.answer(call)
        response.headers.update(self.headers)
        return response

    def answer(self, call: Call) -> web.Response:
        if self.body is None:
            return call.refusal(ApiError(self.status, self.message))
        response = web.Response(status=self.status, body=self.body)
        if self.body:
            response.headers["Content-Type"] = self.content_type
        return response


@dataclass
class _Refuse(_Replace):
    """A refusal in the documented words."""

    error: ApiError = field(default_factory=unauthenticated)

    def answer(self, call: Call) -> web.Response:
        return call.refusal(self.error)


@dataclass
class _Redirect(_Replace):
    """A redirect; without a location to the same path under another name of this host."""

    location: str | None = None

    def answer(self, call: Call) -> web.Response:
        request, location = call.request, self.location
        if location is None:
            host, _, port = request.host.rpartition(":")
            other = "127.0.0.1" if host == "localhost" else "localhost"
            location = f"{request.scheme}://{other}:{port}{request.path_qs}"
        call.entry.redirected_to = location
        return web.Response(status=self.status, headers={"Location": location})


class RefusalVerbs(Orders):
    """Refusals and the like. Unless `persist=True` the request is not served and nothing is stored."""

    def error(
        self,
        status: int = 500,
        body: str | bytes | Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        retry_after: float | str | None = None,
        content_type: str = "application/json",
        **order: Unpack[Lossy],
    ) -> Order:
        """Answer with an error in the documented envelope, or with a `body` of text, bytes or JSON."""
        if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
            raise ValueError(f"error: status must be a whole number from 200 to 599, not {status!r}.")
        text = message or _REASONS.get(status) or ("Internal Server Error" if status >= 500 else "Refused")
        raw = dump(body) if isinstance(body, Mapping) else body.encode() if isinstance(body, str) else body
        header("error", "content_type", content_type)
        headers = {} if retry_after is None else {"Retry-After": _text("error", retry_after)}
        return self._place("error", partial(_Replace, status, raw, content_type, headers, text), order)

    def rate_limit(self, retry_after: float | str | None = None, **order: Unpack[Lossy]) -> Order:
        """Answer 429 for too many requests, in the form of the vendor's framework.

        `retry_after`: the header in seconds, or any text, such as an HTTP date; None: no such header.
        """
        headers = {"X-RateLimit-Remaining": "0"}
        if retry_after is not None:
            headers["Retry-After"] = _text("rate_limit", retry_after)
        return self._place("rate_limit", partial(_Refuse, error=Throttled(headers)), order)

    def exhaust_credits(self, **order: Unpack[Lossy]) -> Order:
        """Answer 429 for used-up credits, in the documented words."""
        return self._place("exhaust_credits", partial(_Refuse, error=credits_exhausted()), order)

    def unauthorized(self, **order: Unpack[Lossy]) -> Order:
        """Answer 401 in the documented words, although the key is right."""
        return self._place("unauthorized", partial(_Refuse, error=unauthenticated()), order)

    def not_found(self, message: str = "Agent with id 0 not found", **order: Unpack[Lossy]) -> Order:
        """Answer 404."""
        return self._place("not_found", partial(_Replace, 404, message=message), order)

    def unprocessable(
        self, field: str = "prompt", message: str = "The prompt field is required.", **order: Unpack[Lossy]
    ) -> Order:
        """Answer 422 in the form of the vendor's framework, `{"message":...,"errors":{field:[...]}}`."""
        return self._place("unprocessable", partial(_Refuse, error=Invalid(**{field: message})), order)

    def bad_gateway(self, **order: Unpack[Lossy]) -> Order:
        """Answer 502 with the HTML page of a gateway."""
        return self._place("bad_gateway", partial(_Replace, 502, HTML_502, "text/html"), order)

    def html_instead(self, **order: Unpack[Lossy]) -> Order:
        """Answer 200 with an HTML page."""
        return self._place(
            "html_instead", partial(_Replace, 200, HTML_200, "text/html; charset=UTF-8"), order
        )

    def empty_body(self, **order: Unpack[Lossy]) -> Order:
        """Answer 200 with an empty body."""
        return self._place("empty_body", partial(_Replace, 200, b""), order)

    def redirect(self, location: str | None = None, status: int = 302, **order: Unpack[Ordering]) -> Order:
        """Redirect the client to `location`; None: to the same path under another name of this host.

        That is `localhost` for `127.0.0.1` and the reverse: for a client another host, but the journal and
        the verdict still see what it sends there.
        """
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"redirect: status must be 301, 302, 303, 307 or 308, not {status!r}.")
        if location is not None:
            header("redirect", "location", location)
        return self._place("redirect", partial(_Redirect, status, location=location), order)


def _text(verb: str, retry_after: float | str) -> str:
    if isinstance(retry_after, str):
        return header(verb, "retry_after", retry_after)
    return f"{retry_after:g}"
