"""One request as its handler sees it: the agent, the fields, and the ways to answer."""

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
    """A request that passed the gate. Look-ups raise `ApiError` with the documented refusal."""

    context: Context
    request: web.Request
    entry: Entry
    connection: Connection
    body: Body = field(default_factory=Body)
    script: Script | None = None
    """The fault that its answer meets; None if it meets none."""
    stored: sqlite3.Row | None = None
    """The message that was stored for it."""
    out: EventWriter | None = None
    """The writer of an answer that goes out in parts."""

    @cached_property
    def now(self) -> float:
        """The date of this request; it stays the same."""
        return self.context.clock.now()

    @cached_property
    def real(self) -> float:
        """The real time of this request, for delays and limits."""
        return self.context.clock.real()

    @property
    def ready_at(self) -> float:
        """The time from which pages that this request adds count as indexed; 0: at once."""
        delay = self.context.switches.readiness_delay
        return self.real + delay if delay else 0.0

    @cached_property
    def shapes(self) -> Shapes:
        """The bodies of resources, as this client sees them."""
        return Shapes(origin_of(self.request), self.context.switches, self.real)

    @property
    def url(self) -> str:
        """The URL of the request, without its query."""
        return f"{self.shapes.origin}{self.request.path}"

    @property
    def keeps_answer(self) -> bool:
        """Whether an answer that does not reach the client is stored."""
        if self.script is not None and self.script.persist is not None:
            return self.script.persist
        return self.context.switches.on_disconnect == "persist"

    def writer(self, response: web.StreamResponse | None = None) -> EventWriter:
        """Return the writer of a stream of events, or of a `response` that goes out in pieces."""
        script, streamed = self.script, response is None
        self.entry.streamed = streamed and not (script is not None and script.mute)
        self.out = EventWriter(
            self.request,
            web.StreamResponse() if response is None else response,
            self.entry,
            self.connection,
            script=script,
            # The pause of an answer that is not a stream comes before its first piece.
            pause=self.context.pacing.pauses() if streamed else None,
            keep_alive=self.context.switches.keep_alive_seconds,
        )
        return self.out

    def agent(self) -> sqlite3.Row:
        """Return the agent in the path. Raises 400 if its id is not an integer, 404 if it is unknown."""
        text = self.request.match_info["project_id"]
        if not re.fullmatch(r"-?[0-9]{1,30}", text):
            raise bad_agent_id()
        row = self.context.store.agent(int(text))
        if row is None:
            raise agent_not_found(int(text))
        return row

    def conversation(self) -> sqlite3.Row:
        """Return the conversation in the path. Raises 404 if it is not one of the agent's."""
        agent = self.agent()
        session_id = self.request.match_info["session_id"]
        row = self.context.store.conversation(agent["id"], session_id)
        if row is None:
            raise conversation_not_found(session_id)
        return row

    def found(
        self, name: str, find: Callable[[int], sqlite3.Row | None], missing: Callable[[str], ApiError]
    ) -> sqlite3.Row:
        """Return the row with the number in the path. Raises what `missing` makes if there is none."""
        text = self.request.match_info[name]
        row = find(int(text)) if re.fullmatch(r"[0-9]{1,18}", text) else None
        if row is None:
            raise missing(text)
        return row

    def field(self, name: str) -> Any:
        """Return a parameter from the body or the query. Blank text is None, as in the vendor's framework."""
        value = self.body.fields.get(name)
        if value is None:
            value = self.request.query.get(name)
        if isinstance(value, str):
            return value.strip() or None
        return value

    def text(self, name: str) -> str | None:
        """Return a text parameter. A number becomes text; any other value is None."""
        value = self.field(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) else None

    def flag(self, name: str) -> bool:
        """Return a boolean parameter, however it is written."""
        return is_true(self.field(name))

    def page_number(self) -> int:
        """Return the number of the page of a list; 1 if it is not a number."""
        text = self.request.query.get("page", "1")
        return max(1, int(text)) if re.fullmatch(r"[0-9]{1,15}", text) else 1

    def order(self) -> str:
        """Return `asc` or `desc`; `desc` is the default everywhere."""
        return "asc" if self.request.query.get("order", "").lower() == "asc" else "desc"

    def listing(self, rows: list[Any], total: int, per_page: int) -> dict[str, Any]:
        """Return one page of a list in the form of the vendor's paginator."""
        page = self.page_number()
        return paginated(
            rows, total, page=page, per_page=per_page, path=self.url, query=dict(self.request.query)
        )

    def success(self, data: Any, status: int = 200) -> web.Response:
        """Return `{"data":...,"status":"success"}`."""
        return self.json({"data": data, "status": "success"}, status)

    def refusal(self, error: ApiError) -> web.Response:
        """Return a refusal as an answer."""
        self.entry.reason = error.message
        response = self.json(error.body(self.url), error.status)
        response.headers.update(error.headers)
        return response

    def json(self, body: Any, status: int = 200) -> web.Response:
        """Return a JSON answer: chunked, and gzipped for clients that accept it (captured)."""
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
    """Return whether an `Accept-Encoding` allows gzip: it names it, and not with `q=0`."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


def origin_of(request: web.Request) -> str:
    """Return `http://127.0.0.1:8123`, as the client writes it."""
    return f"{request.scheme}://{request.host}"


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """An endpoint: its name in journal and faults, its path, its handler, and how we know of it."""

    name: str
    method: str
    path: str
    """Below `/api/v1`."""
    handler: Handler
    evidence: str
    """How its behaviour is known, for the coverage table."""
