"""A request to send and the response to it, as plain data that no HTTP library knows.

`request(...)` is how every `_wire` module makes one: it fills a path template with values from callers, and
no value can break out of its place in the path or the query.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import quote, urlencode

from customgpt_transport.errors import ConfigurationError

Kind: TypeAlias = Literal["repeatable", "prompt", "create"]
"""How often a request may be sent, after the design's retry table.

`repeatable`: sending it twice does no harm (GET, PUT, DELETE; POST of settings, names, user; a new
conversation, which leaves at worst an empty one behind). `prompt`: answered and billed each time. `create`:
makes, uploads or starts something each time (agents, sources, replicate, reindex, sync).
"""

PathValue: TypeAlias = str | int
QueryValue: TypeAlias = str | int | bool | None
Order: TypeAlias = Literal["asc", "desc"]

_PLACE = re.compile(r"\{(\w+)\}")
_UNFIT = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Body(Protocol):
    """A request body that is not JSON, read in chunks. Each attempt reads it from the start."""

    content_type: str

    def __len__(self) -> int:
        """Return the exact number of bytes that `chunks` yields."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the start. May read from disk; closes what it opened when it is closed."""

    def sent(self, count: int) -> None:
        """Called on the caller's thread or loop: `count` bytes of this attempt went to the connection."""


class Sink(Protocol):
    """Where the body of a 2xx is written, chunk by chunk, instead of kept in memory.

    `open`, `write` and `close` may touch the disk: the asynchronous client calls them off its loop. What they
    raise (a full disk) reaches the caller as it is; it is never taken for a failure of the connection.
    """

    def open(self) -> None:
        """Start, or start over for a new attempt: discard what an earlier one wrote."""

    def write(self, chunk: bytes) -> None:
        """Write the next bytes."""

    def received(self, count: int, total: int | None) -> None:
        """Called on the caller's thread or loop: `count` bytes so far, of `total` by `Content-Length`."""

    def close(self, *, complete: bool) -> None:
        """Finish what `open` started; discard it unless it is `complete`."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, made by `request()`; `path` is below the base URL, quoted, with its leading slash.

    `template` is the path with names instead of values, for logs and hooks. `stream` asks for an event
    stream, which only a stream object opens. The body of a 2xx is written to `save_to`, not kept in memory.
    `location` replaces base URL, path and query (a followed redirect).
    """

    method: str
    path: str
    template: str
    kind: Kind = "repeatable"
    query: tuple[tuple[str, str], ...] = ()
    json: Any = None
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    save_to: Sink | None = None
    location: str | None = None

    def url(self, base_url: str) -> str:
        """The absolute, already quoted URL, for a `base_url` without a trailing slash."""
        if self.location is not None:
            return self.location
        url = base_url + self.path
        return f"{url}?{urlencode(self.query)}" if self.query else url


@dataclass(frozen=True, slots=True)
class Response:
    """A response. Header names are in lower case. `saved` counts the bytes written to `save_to`.

    `retries` counts the attempts before this one; `url` never has the query.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""
    saved: int = 0
    retries: int = 0

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 become U+FFFD."""
        return self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """The header's value, or None; `name` in any case."""
        return self.headers.get(name.lower())


def request(
    method: str,
    template: str,
    values: Mapping[str, PathValue] | None = None,
    *,
    kind: Kind = "repeatable",
    query: Mapping[str, QueryValue] | Iterable[tuple[str, QueryValue]] = (),
    json: Any = None,
    body: Body | None = None,
    headers: Mapping[str, str] | None = None,
    stream: bool = False,
    save_to: Sink | None = None,
) -> Request:
    """Return a `Request` for `template`, such as `/projects/{project_id}/pages`, filled with `values`.

    Query values that are None are left out, booleans become `true` and `false`. Raises `ConfigurationError`
    for a value that cannot be one segment of a path.
    """
    given = values or {}
    pairs = query.items() if isinstance(query, Mapping) else query
    return Request(
        method=method,
        path=_PLACE.sub(lambda place: path_segment(place[1], given[place[1]]), template),
        template=template,
        kind=kind,
        query=tuple((name, _query_text(value)) for name, value in pairs if value is not None),
        json=json,
        body=body,
        headers=dict(headers or {}),
        stream=stream,
        save_to=save_to,
    )


def list_request(
    template: str, values: Mapping[str, PathValue], page: int, order: Order, **filters: QueryValue
) -> Request:
    """Return the `Request` for one page of a list. Raises `ConfigurationError` for an unknown order."""
    if order not in ("asc", "desc"):
        raise ConfigurationError(f"order={order!r} must be 'asc' or 'desc'.")
    return request("GET", template, values, query={"page": page, "order": order, **filters})


def path_segment(name: str, value: PathValue) -> str:
    """Return `value` quoted as one segment of a path.

    Quoting alone is not enough: `..` survives it, and proxies are known to decode `%2F` before they route.
    """
    text = str(value)
    if not text or text in (".", "..") or _UNFIT.search(text) or len(text) > 512 or isinstance(value, bool):
        raise ConfigurationError(
            f"{name}={value!r:.80} cannot be part of an address: it must be a plain id, not empty, "
            "without slashes, dots alone or control characters"
        )
    return quote(text, safe="")


def _query_text(value: QueryValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def dump_json(value: Any) -> bytes:
    """Return `value` as compact UTF-8 JSON, the same bytes in both clients; lone surrogates stay escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
