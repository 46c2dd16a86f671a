"""The context: what all requests share."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from customgpt_emulator.journal.entries import Journal
from customgpt_emulator.journal.verdict import Verdict, judge
from customgpt_emulator.knowledge.library import Library
from customgpt_emulator.serving.connections import Connections
from customgpt_emulator.serving.pacing import Pacing
from customgpt_emulator.serving.quotas import Quotas
from customgpt_emulator.state.clock import Clock
from customgpt_emulator.state.store import Store
from customgpt_emulator.state.switches import Switches
from customgpt_emulator.state.withheld import Withheld

__all__ = ["CONTEXT", "Context", "judge_now"]

CLOSING = 1.0  # seconds to wait for connections to close


@dataclass
class Context:
    """The parts of a running emulator, as the request handlers see them."""

    api_key: str = field(repr=False)
    store: Store
    library: Library
    clock: Clock
    switches: Switches = field(default_factory=Switches)
    journal: Journal = field(default_factory=Journal)
    pacing: Pacing = field(default_factory=Pacing)
    quotas: Quotas = field(default_factory=lambda: Quotas(time.time))
    connections: Connections = field(default_factory=Connections)
    documents: Path | None = None
    """The documents folder, which holds the files behind its pages."""

    def __post_init__(self) -> None:
        self.withheld = Withheld(self.store)

    def admits(self, request: web.BaseRequest) -> bool:
        """Return whether a request has the key, as `Authorization: Bearer`."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        given = key.strip().encode("utf-8", "surrogateescape")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self.api_key.encode())


CONTEXT = web.AppKey("context", Context)


def judge_now(journal: Journal, connections: Connections, *, clients_closed: bool = False) -> Verdict:
    """Return the verdict on everything in the journal.

    For each name of this host, as many idle connections may be open as there ever were requests at once; with
    `clients_closed` none may be open. This waits up to a second for connections that are being closed, so it
    must not be called on the emulator's own loop.
    """
    deadline = time.monotonic() + CLOSING
    while True:
        entries = journal.entries()
        known = {entry.connection: entry.headers.get("Host") for entry in entries}
        numbers = connections.open_numbers if clients_closed else connections.idle_numbers
        opened = [number for number in numbers if number in known]
        hosts = len({known[number] for number in opened})
        allowed = 0 if clients_closed else connections.most_busy * hosts
        if len(opened) <= allowed or time.monotonic() > deadline:
            return judge(entries, open_connections=opened, allowed=allowed, dropped=journal.dropped)
        time.sleep(0.005)
