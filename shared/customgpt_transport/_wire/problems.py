"""Refusals: which error an answer stands for, and the sentence that says what to do next.

Nothing here fails on a strange body, which may be the vendor's envelope, Laravel's `{"message", "errors"}`,
text, HTML, or nothing. Sources: vendor OpenAPI 1.0.0 (error examples); captured Laravel bodies.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from customgpt_transport._wire.http import Response
from customgpt_transport._wire.values import boolean
from customgpt_transport.errors import (
    AnswerFailed,
    APIError,
    AuthenticationFailed,
    BadRequest,
    CreditsExhausted,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    ServerError,
)

BODY_CHARACTERS = 2000
"""How much of a refusal's body is kept on the error."""

MESSAGE_CHARACTERS = 500

_NEXT_STEP: dict[type[APIError], str] = {
    BadRequest: "Correct what was sent.",
    AuthenticationFailed: "Check the API key (api_key=... or CUSTOMGPT_API_KEY).",
    PermissionDenied: "Check that this key may use this agent, and that the agent has something indexed.",
    NotFound: "Check the id, and that it belongs to the account of this key.",
    RateLimited: "Wait, then try again with fewer requests a minute.",
    CreditsExhausted: "Buy query credits or wait for the next billing cycle; trying again will not help.",
    ServerError: "Try again later.",
    AnswerFailed: "Ask again later, or change the prompt.",
}


def raise_for_status(response: Response, *, prompt: bool = False) -> None:
    """Raise the error that `response` stands for, if it is no success.

    Raises an `APIError` for 4xx and 5xx and for a 2xx whose envelope says `"status": "error"` (to a `prompt`
    that is `AnswerFailed`, as inside a stream), and `ProtocolError` for a redirect that was not followed or
    any other status.
    """
    if 200 <= response.status < 300:
        if b'"error"' in response.body[:BODY_CHARACTERS]:
            _raise_disguised(response, prompt=prompt)
        return
    if 300 <= response.status < 400:
        location = response.header("location")
        raise ProtocolError(
            f"The service answered {response.status} and points to {location or 'nowhere'}: redirects are "
            "not followed here, because a request would change or the key would travel. Correct base_url.",
            excerpt=response.text,
            status=response.status,
        )
    if response.status < 400:
        raise ProtocolError(
            f"The service answered with status {response.status}.",
            excerpt=response.text,
            status=response.status,
        )
    raise api_error(response)


def api_error(response: Response) -> APIError:
    """Return the error for a refusal, with the vendor's words and what to do next."""
    code, message = read_refusal(response.body, response.headers)
    return _build(response, response.status, code, message)


def _raise_disguised(response: Response, *, prompt: bool) -> None:
    """Raise if a 2xx carries the error envelope; its `code` is then the status that was meant."""
    parsed = _json(response.body)
    if isinstance(parsed, Mapping) and parsed.get("status") == "error":
        code, message = read_refusal(response.body, response.headers)
        if code is not None and 400 <= code < 500:
            raise _build(response, code, code, message)
        if prompt:
            raise _build(response, response.status, code, message, AnswerFailed)
        raise _build(response, code if code is not None and code < 600 else 500, code, message)


def _build(
    response: Response, status: int, code: int | None, message: str, kind: type[APIError] | None = None
) -> APIError:
    kind = kind or _kind(status, message)
    told = retry_after(response.headers)
    said = message or "no reason given"
    sentence = f"{_happened(kind, status)}: {said if said.endswith(('.', '!', '?')) else said + '.'}"
    if kind is RateLimited and told is not None:
        sentence += f" The service asks to wait {told:g} s."
    step = _NEXT_STEP.get(kind)
    return kind(
        f"{sentence} {step}" if step else sentence,
        status=status,
        code=code,
        message=message,
        url=response.url,
        retry_after=told,
        body=response.text[:BODY_CHARACTERS],
    )


def _kind(status: int, message: str) -> type[APIError]:
    if status == 429:
        # One status for two things: the words are what tells them apart (contract: captured vendor clients
        # make exactly this test).
        return CreditsExhausted if "query credits" in message.lower() else RateLimited
    if status >= 500:
        return ServerError
    return {
        400: BadRequest,
        401: AuthenticationFailed,
        403: PermissionDenied,
        404: NotFound,
        422: BadRequest,
    }.get(status, APIError)


def _happened(kind: type[APIError], status: int) -> str:
    return {
        BadRequest: f"The request was not accepted ({status})",
        AuthenticationFailed: f"The API key was refused ({status})",
        PermissionDenied: f"Not permitted ({status})",
        NotFound: f"Not found ({status})",
        RateLimited: f"Too many requests ({status})",
        CreditsExhausted: f"No query credits left ({status})",
        ServerError: f"The service failed ({status})",
        AnswerFailed: "The service broke off the answer",
    }.get(kind, f"The service refused the request ({status})")


def read_refusal(body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int | None, str]:
    """Return the envelope's code (None without one) and the words of a refusal, '' when there are none."""
    parsed = _json(body)
    if isinstance(parsed, Mapping):
        data = parsed.get("data")
        inner: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        code = inner.get("code", parsed.get("code"))
        words = _words(inner) or _words(parsed) or (data if isinstance(data, str) else "")
        return (code if isinstance(code, int) and not isinstance(code, bool) else None), _short(words)
    if isinstance(parsed, str):
        return None, _short(parsed)
    text = body[: 64 * 1024].decode("utf-8", "replace")
    if "html" in (headers or {}).get("content-type", "") or text.lstrip()[:1] == "<":
        return None, _short(_html_words(text))
    return None, _short(text)


def _words(mapping: Mapping[str, Any]) -> str:
    found = next((v for k in ("message", "error") if (v := mapping.get(k))), "")
    if isinstance(found, Mapping):  # OpenAI's {"error": {"message": ...}}
        found = found.get("message") or ""
    said = found if isinstance(found, str) else json.dumps(found, default=str)
    errors = mapping.get("errors")
    if isinstance(errors, Mapping) and errors:
        fields = "; ".join(
            f"{name}: {' '.join(map(str, v)) if isinstance(v, list) else v}" for name, v in errors.items()
        )
        said = f"{said} ({fields})" if said else fields
    return said


def _html_words(page: str) -> str:
    title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", page, re.S | re.I)
    return html.unescape(re.sub(r"<[^>]*>", " ", title[2])) if title else "an HTML page"


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= MESSAGE_CHARACTERS else one_line[: MESSAGE_CHARACTERS - 1] + "…"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that `Retry-After` names, or None when it is absent or not a number or date.

    Whole seconds or an HTTP date (RFC 9110, 10.2.3); a date is measured against the answer's own `Date`,
    else against `now`. A date in the past is 0. Negative, fractional, nan, inf and garbage are None; more
    digits than a float can hold are infinity, which no patience reaches.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", value, re.ASCII):
        return float(value) if len(value) <= 300 else float("inf")
    at = _epoch(value)
    if at is None:
        return None
    sent = _epoch(headers.get("date", ""))
    if sent is None:
        sent = time.time() if now is None else now
    return max(0.0, at - sent)


def _epoch(http_date: str) -> float | None:
    if not http_date or len(http_date) > 64:
        return None
    try:
        parsed = parsedate_to_datetime(http_date)
        return parsed.timestamp() if parsed.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def read_data(response: Response) -> Any:
    """Return `data` of a successful answer's envelope (or the whole body where there is no envelope).

    Raises `APIError` for a refusal, `ProtocolError` when the body is not JSON.
    """
    raise_for_status(response)
    parsed = _json(response.body)
    if parsed is None:
        raise not_documented(response)
    if isinstance(parsed, Mapping) and "data" in parsed and ("status" in parsed or len(parsed) == 1):
        return parsed["data"]
    return parsed


def read_object(response: Response) -> Mapping[str, Any]:
    """Return `data` of a successful answer, which must be a JSON object. Raises as `read_data`."""
    data = read_data(response)
    if not isinstance(data, Mapping):
        raise not_documented(response)
    return data


def not_documented(response: Response) -> ProtocolError:
    """Return the error for a success in a form that the API does not document."""
    kind = response.header("content-type") or "no content type"
    what = "an empty body" if not response.body.strip() else f"something that is not its JSON ({kind})"
    return ProtocolError(
        f"The service answered {response.status} with {what}. Check that base_url is the API's address.",
        excerpt=response.text,
    )


def parse_done(response: Response) -> None:
    """Raise `APIError` for a refusal, and `ProtocolError` for a success that denies that it was done."""
    data = read_data(response)
    if isinstance(data, Mapping):
        for word in ("deleted", "updated"):
            if boolean(data.get(word)) is False:
                raise ProtocolError(
                    f"The service answered {response.status}, yet says that nothing was {word}.",
                    excerpt=response.text,
                )
