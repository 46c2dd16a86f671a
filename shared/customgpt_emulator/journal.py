"""What was asked of the emulator: the newest requests, with the key taken out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from customgpt_emulator.bodies import Body

__all__ = ["Entry", "Journal"]

KEPT = 10_000
SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
BODY_KEPT = 64 * 1024  # bytes of a body; files in a form are kept as name and size only


@dataclass
class Entry:
    """One request and how it was answered. Live: `status` and the rest are filled in as things happen."""

    number: int
    time: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    endpoint: str | None = None
    """The route's name, such as `messages.send`; None for an unknown path."""
    fields: dict[str, Any] = field(default_factory=dict)
    """The body's fields, whatever its encoding."""
    body: bytes = b""
    """The raw body, cut at 64 KiB; empty for multipart forms."""
    status: int | None = None
    """None until it was answered."""
    disconnected: bool = False
    """The client was seen to have left before the answer was complete."""
    complete: bool = False
    """All of the answer was written; a stream is complete with its `finish`."""
    cut: bool = False
    """A fault broke the connection off."""
    events_sent: int = 0
    """Events of a stream that were written."""
    connection: int = 0
    """The TCP connection, counted from 1: requests with the same number shared it."""
    redirected_to: str | None = None
    """Where a fault sent the client instead."""
    fault: str | None = None
    """The fault that was played, if any."""

    def take_body(self, body: Body) -> None:
        """Note what the request carried."""
        self.body = body.raw[:BODY_KEPT]
        self.fields = dict(body.fields)
        for upload in body.files:
            self.fields[upload.field] = f"{upload.filename} ({len(upload.data)} bytes)"

    @property
    def prompt(self) -> str | None:
        """The prompt that this request sent, if it sent one."""
        if self.endpoint == "messages.send":
            value = self.fields.get("prompt")
            return value if isinstance(value, str) else None
        return None


class Journal:
    """The newest 10,000 requests, oldest first; may be read from any thread."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._count = 0

    def open(self, request: web.BaseRequest, now: float, endpoint: str | None, connection: int = 0) -> Entry:
        """Begin the entry of a request that has just come."""
        headers = {
            name: "[redacted]" if name.lower() in SECRET else value for name, value in request.headers.items()
        }
        with self._lock:
            self._count += 1
            entry = Entry(
                self._count,
                now,
                request.method,
                request.path,
                dict(request.query),
                headers,
                endpoint,
                connection=connection,
            )
            self._entries.append(entry)
        return entry

    @property
    def dropped(self) -> int:
        """How many requests are no longer here."""
        with self._lock:
            return self._count - len(self._entries)

    def entries(self, endpoint: str | None = None) -> list[Entry]:
        """All that is kept, or the requests of one endpoint."""
        with self._lock:
            kept = list(self._entries)
        return kept if endpoint is None else [entry for entry in kept if entry.endpoint == endpoint]

    def prompts(self) -> list[Entry]:
        """The requests that sent a prompt."""
        return [entry for entry in self.entries() if entry.prompt is not None]

    def wait_for(self, predicate: Callable[[Entry], bool], timeout: float = 10.0) -> Entry:
        """The oldest request for which `predicate` is true, as soon as there is one.

        ```python
        emulator.journal.wait_for(lambda entry: entry.disconnected)
        ```

        Looks again every few milliseconds; raises `TimeoutError` with the newest requests when `timeout`
        seconds are over. Blocks: on an event loop use `await asyncio.to_thread(journal.wait_for, predicate)`.
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
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._count = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())
