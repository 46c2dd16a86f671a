"""One request as a handler sees it: its agent, its fields, and the ways to answer."""

from __future__ import annotations

import gzip
import re
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiohttp import web

from customgpt_emulator.journal.entries import Entry
from customgpt_emulator.serving.connections import Connection
from customgpt_emulator.serving.context import Context
from customgpt_emulator.serving.writer import EventWriter, Script, takes_chunks
from customgpt_emulator.wire.bodies import Body, is_true
from customgpt_emulator.wire.errors import ApiError, agent_not_found, bad_agent_id, conversation_not_found
from customgpt_emulator.wire.shapes import Shapes, dump, paginated

__all__ = ["Call", "Handler", "Route", "origin_of"]


@dataclass
class Call:
    """A request that passed the gate. Lookups raise `ApiError` with the documented refusal."""

    context: Context
    request: web.Request
    entry: Entry
    connection: Connection
    body: Body = field(default_factory=Body)
    script: Script | None = None
    """How its answer misbehaves; None: it does not."""
    stored: sqlite3.Row | None = None
    """The message that was stored for it."""
    out: EventWriter | None = None
    """The way out of an answer that goes out in parts."""

    @cached_property
    def now(self) -> float:
        """The date of this request, the same throughout."""
        return self.context.clock.now()

    @cached_property
    def real(self) -> float:
        """The real time of this request, for what is waited for."""
        return self.context.clock.real()

    @property
    def ready_at(self) -> float:
        """When what this request adds counts as indexed; 0: at once."""
        delay = self.context.switches.readiness_delay
        return self.real + delay if delay else 0.0

    @cached_property
    def shapes(self) -> Shapes:
        """How rows look to this client."""
        return Shapes(origin_of(self.request), self.context.switches, self.real)

    @property
    def url(self) -> str:
        """The request's address without its query."""
        return f"{self.shapes.origin}{self.request.path}"

    @property
    def keeps_answer(self) -> bool:
        """Whether an answer that the client cannot get is stored all the same."""
        if self.script is not None and self.script.persist is not None:
            return self.script.persist
        return self.context.switches.on_disconnect == "persist"

    def writer(self, response: web.StreamResponse | None = None) -> EventWriter:
        """Return the way out for a stream of events, or for a `response` that goes out in pieces."""
        script, streamed = self.script, response is None
        self.entry.streamed = streamed and not (script is not None and script.mute)
        self.out = EventWriter(
            self.request,
            web.StreamResponse() if response is None else response,
            self.entry,
            self.connection,
            script=script,
            # An answer that is no stream has had its pause before it came here.
            pause=self.context.pacing.pauses() if streamed else None,
            keep_alive=self.context.switches.keep_alive_seconds,
        )
        return self.out

    def agent(self) -> sqlite3.Row:
        """The agent of the path: 400 when its id is no integer, 404 when it is unknown."""
        text = self.request.match_info["project_id"]
        if not re.fullmatch(r"-?[0-9]{1,30}", text):
            raise bad_agent_id()
        row = self.context.store.agent(int(text))
        if row is None:
            raise agent_not_found(int(text))
        return row

    def conversation(self) -> sqlite3.Row:
        """The conversation of the path, of the path's agent."""
        agent = self.agent()
        session_id = self.request.match_info["session_id"]
        row = self.context.store.conversation(agent["id"], session_id)
        if row is None:
            raise conversation_not_found(session_id)
        return row

    def found(
        self, name: str, find: Callable[[int], sqlite3.Row | None], missing: Callable[[str], ApiError]
    ) -> sqlite3.Row:
        """The row that a number in the path names; `missing` makes the refusal when there is none."""
        text = self.request.match_info[name]
        row = find(int(text)) if re.fullmatch(r"[0-9]{1,18}", text) else None
        if row is None:
            raise missing(text)
        return row

    def field(self, name: str) -> Any:
        """A parameter from the body or else the query; blank text is None (the framework's habit)."""
        value = self.body.fields.get(name)
        if value is None:
            value = self.request.query.get(name)
        if isinstance(value, str):
            return value.strip() or None
        return value

    def text(self, name: str) -> str | None:
        """A text parameter; numbers are taken as text, anything else as not given."""
        value = self.field(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) else None

    def flag(self, name: str) -> bool:
        """A yes-or-no parameter in any spelling."""
        return is_true(self.field(name))

    def page_number(self) -> int:
        """The list's page that was asked for; nonsense is page 1."""
        text = self.request.query.get("page", "1")
        return max(1, int(text)) if re.fullmatch(r"[0-9]{1,15}", text) else 1

    def order(self) -> str:
        """`asc` or `desc`, which is the default everywhere."""
        return "asc" if self.request.query.get("order", "").lower() == "asc" else "desc"

    def listing(self, rows: list[Any], total: int, per_page: int) -> dict[str, Any]:
        """One page of a list in the paginator's form."""
        page = self.page_number()
        return paginated(
            rows, total, page=page, per_page=per_page, path=self.url, query=dict(self.request.query)
        )

    def success(self, data: Any, status: int = 200) -> web.Response:
        """`{"data":...,"status":"success"}`."""
        return self.json({"data": data, "status": "success"}, status)

    def refusal(self, error: ApiError) -> web.Response:
        """The answer that a refusal is."""
        self.entry.reason = error.message
        response = self.json(error.body(self.url), error.status)
        response.headers.update(error.headers)
        return response

    def json(self, body: Any, status: int = 200) -> web.Response:
        """A JSON answer: chunked, and gzipped for clients that take it (captured)."""
        raw = dump(body, ascii_only=self.context.switches.escape_unicode)
        response = web.Response(status=status)
        response.headers["Content-Type"] = "application/json"
        if takes_gzip(self.request.headers.get("Accept-Encoding", "")):
            raw = gzip.compress(raw, 1, mtime=0)
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.body = raw
        if takes_chunks(self.request):
            response.enable_chunked_encoding()
        return response


def takes_gzip(accepted: str) -> bool:
    """Whether an `Accept-Encoding` allows gzip: it is named, and not with `q=0`."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


def origin_of(request: web.Request) -> str:
    """`http://127.0.0.1:8123`, as the client names it."""
    return f"{request.scheme}://{request.host}"


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """An endpoint: its name in journal and faults, where it is, what serves it, and how we know of it."""

    name: str
    method: str
    path: str
    """Below `/api/v1`."""
    handler: Handler
    evidence: str
    """Where its behaviour is known from, for the coverage table."""
