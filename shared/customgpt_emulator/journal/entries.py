"""The journal: the newest requests and how they were answered, without the key."""

from __future__ import annotations

import fnmatch
import hashlib
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from aiohttp import web

from customgpt_emulator.journal.redaction import REDACTED, Redactor
from customgpt_emulator.wire.bodies import Body

__all__ = ["Entry", "Journal"]

KEPT = 10_000
SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
BODY_KEPT = 64 * 1024  # bytes of a body; of files in a form only name and size are kept
FIELDS_KEPT = (
    64 * 1024
)  # characters of a body's fields; long texts are cut, what exceeds the limit is left out
ALL_KEPT = 64 * 1024 * 1024  # bytes of all entries; the oldest go first


@dataclass
class Entry:
    """One request and how it was answered. `status` and the rest are filled in as they become known."""

    number: int
    time: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    endpoint: str | None = None
    """The route's name, such as `messages.send`; None for an unknown path."""
    fields: dict[str, Any] = field(default_factory=dict)
    """The fields of the body, whatever its encoding."""
    body: bytes = b""
    """The raw body, cut at 64 KiB; empty for multipart forms."""
    status: int | None = None
    """None until it is answered."""
    disconnected: bool = False
    """The client left before the answer was complete."""
    complete: bool = False
    """The whole answer was written. A stream is complete with its `finish`."""
    accepted: bool = False
    """It is a prompt that passed validation, quotas and refusing faults: the service would bill it."""
    cut: bool = False
    """A fault broke the connection."""
    events_sent: int = 0
    """How many events of a stream were written."""
    connection: int = 0
    """The number of the TCP connection, from 1. Requests with the same number shared it."""
    streamed: bool = False
    """The answer was a stream of events."""
    retry_after: str | None = None
    """The header `Retry-After` of the answer."""
    reason: str | None = None
    """The message of a refusal."""
    arrived: float = 0.0
    """When it came, in real seconds since the epoch, also with a seed."""
    answered: float | None = None
    """When its answer was complete or broke off."""
    keyed: bool = False
    """It had the key in its `Authorization` header."""
    leaks: tuple[str, ...] = ()
    """Where else it had the key: `query`, `path`, `body`, `header X`, `file X`."""
    redirected_to: str | None = None
    """Where a fault redirected the client."""
    fault: str | None = None
    """The fault that was played, if any."""
    credentials: str = ""
    """A salted digest of the key: the same for requests with the same key."""
    size: int = 0
    """About how many bytes of its body are kept."""
    redactor: ClassVar[Redactor | None] = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Redact what is noted later, too: a reason quotes the path, a redirect the query."""
        if isinstance(value, str) and self.redactor is not None:
            value = self.redactor.text(value, [], name)
        object.__setattr__(self, name, value)

    def has_ended(self) -> None:
        """Note the time: the answer is complete, or broke off."""
        if self.answered is None:
            self.answered = time.time()

    @property
    def prompt(self) -> str | None:
        """The prompt that it sent, in the vendor's or in OpenAI's format; None if it sent none."""
        value = None
        if self.endpoint == "messages.send":
            value = self.fields.get("prompt", self.query.get("prompt"))
        elif self.endpoint == "completions.create":
            messages = self.fields.get("messages")
            said = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
            value = next((m.get("content") for m in reversed(said) if m.get("role") == "user"), None)
        return value if isinstance(value, str) else None

    @property
    def external_id(self) -> str | None:
        """The client's own id for the prompt."""
        value = self.fields.get("external_id", self.query.get("external_id"))
        return str(value) if value else None

    @property
    def session_id(self) -> str | None:
        """The conversation in the path."""
        match = re.search(r"/conversations/([^/]+)", self.path)
        return match[1] if match else None

    def __str__(self) -> str:
        asked = f" {self.prompt[:60]!r}" if self.prompt is not None else ""
        said = f"{self.status}" if self.status is not None else "no answer"
        if self.events_sent:
            said += f", {self.events_sent} events"
        if self.disconnected:
            said += ", the client left"
        elif not self.complete:
            said += ", incomplete"
        if self.fault is not None:
            said += f", fault {self.fault}"
        return f"#{self.number} {self.method} {self.path}{asked}: {said}"

    def as_dict(self) -> dict[str, Any]:
        """Return all values, ready for JSON, the body as text."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {"prompt": self.prompt, "session_id": self.session_id, "leaks": list(self.leaks)}
        return values | {"body": self.body.decode("utf-8", "replace")}


class Journal:
    """The newest 10,000 requests, oldest first. Safe to read from any thread. `secret` is never kept."""

    def __init__(self, kept: int = KEPT, *, secret: str = "") -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._count = 0
        self._size = 0
        self._redactor = Redactor(secret)
        self._salt = secrets.token_bytes(16)

    def open(self, request: web.BaseRequest, now: float, endpoint: str | None, connection: int = 0) -> Entry:
        """Add the entry of a new request and return it."""
        redact = self._redactor
        leaks: list[str] = []
        headers = {
            name: REDACTED if name.lower() in SECRET else redact.text(value, leaks, f"header {name}")
            for name, value in request.headers.items()
        }
        path = redact.text(request.path, leaks, "path")
        query = {
            redact.text(name, leaks, "query"): redact.text(value, leaks, "query")
            for name, value in request.query.items()
        }
        with self._lock:
            self._count += 1
            entry = Entry(
                self._count, now, request.method, path, query, headers, endpoint, connection=connection
            )
            entry.arrived = time.time()
            object.__setattr__(entry, "redactor", redact)  # not a field: `as_dict` leaves it out
            presented = request.headers.get("Authorization", "").encode("utf-8", "replace")
            entry.credentials = hashlib.sha256(self._salt + presented).hexdigest()[:12]
            entry.keyed = redact.hides(request.headers.get("Authorization", ""))
            entry.leaks = tuple(dict.fromkeys(leaks))
            if len(self._entries) == self._entries.maxlen:
                self._forget_oldest()
            self._entries.append(entry)
        return entry

    def _forget_oldest(self) -> None:
        self._size -= self._entries.popleft().size

    def take_body(self, entry: Entry, body: Body) -> None:
        """Note the body of a request: its fields, and the names and sizes of its files."""
        leaks = list(entry.leaks)
        entry.body = self._redactor.data(body.raw, leaks, "body")[:BODY_KEPT]
        entry.fields = _shortened(self._redactor.value(body.fields, leaks, "body"))
        for upload in body.files:
            self._redactor.data(upload.data, leaks, f"file {upload.field}")
            name = self._redactor.text(upload.filename, leaks, "body")
            entry.fields[upload.field] = f"{name} ({len(upload.data)} bytes)"
        entry.leaks = tuple(dict.fromkeys(leaks))
        size = len(entry.body) + len(repr(entry.fields))
        with self._lock:
            if not self._entries or entry.number < self._entries[0].number:
                return  # dropped meanwhile
            entry.size = size
            self._size += size
            while self._size > ALL_KEPT and len(self._entries) > 1:
                self._forget_oldest()

    @property
    def dropped(self) -> int:
        """How many requests were dropped."""
        with self._lock:
            return self._count - len(self._entries)

    def entries(
        self,
        endpoint: str | None = None,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        session_id: str | None = None,
        fault: str | None = None,
    ) -> list[Entry]:
        """Return the requests that have all the given values, oldest first.

        `endpoint` may be a pattern such as `messages.*`; `path` may be a part of the path.
        """
        with self._lock:
            kept = list(self._entries)
        if endpoint is not None:
            kept = [e for e in kept if e.endpoint is not None and fnmatch.fnmatch(e.endpoint, endpoint)]
        if path is not None:
            kept = [e for e in kept if path in e.path]
        exact = {"method": method, "status": status, "session_id": session_id, "fault": fault}
        for name, value in exact.items():
            if value is not None:
                kept = [e for e in kept if getattr(e, name) == value]
        return kept

    def prompts(self, *, accepted: bool | None = None) -> list[Entry]:
        """Return the requests that sent a prompt, or only those that were accepted, or were not."""
        sent = [entry for entry in self.entries() if entry.prompt is not None]
        return [entry for entry in sent if accepted is None or entry.accepted is accepted]

    def wait_for(self, predicate: Callable[[Entry], bool], timeout: float = 10.0) -> Entry:
        """Wait for a request for which `predicate` is true and return it, the oldest first.

        ```python
        emulator.journal.wait_for(lambda entry: entry.disconnected)
        ```

        Raises `TimeoutError`, which lists the newest requests, after `timeout` seconds. It blocks: on an
        event loop use `await asyncio.to_thread(journal.wait_for, predicate)`.
        """
        deadline = time.monotonic() + timeout
        while True:
            for entry in self.entries():
                if predicate(entry):
                    return entry
            if time.monotonic() > deadline:
                seen = "\n".join(f"  {entry}" for entry in self.entries()[-10:]) or "  none"
                raise TimeoutError(f"no such request within {timeout:g} s; the newest are\n{seen}")
            time.sleep(0.005)

    def clear(self) -> None:
        """Drop all requests."""
        with self._lock:
            self._entries.clear()
            self._count = self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())


def _shortened(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that there is room for. A long text loses its end, a long list its beginning."""
    kept: dict[str, Any] = {}
    room = FIELDS_KEPT
    for name, value in fields.items():
        if isinstance(value, str):
            value = value[: max(0, room)]
        while isinstance(value, list) and len(value) > 1 and len(repr(value)) > room:
            value = value[len(value) // 2 :]  # the newest messages matter most
        room -= len(name) + len(value if isinstance(value, str) else repr(value))
        if room < 0 and kept:
            break
        kept[name] = value
    return kept
