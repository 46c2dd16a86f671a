"""What all requests share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from customgpt_emulator.faults import Faults
from customgpt_emulator.journal.entries import Journal
from customgpt_emulator.knowledge.library import Library
from customgpt_emulator.serving.connections import Connections
from customgpt_emulator.serving.pacing import Pacing
from customgpt_emulator.serving.quotas import Quotas
from customgpt_emulator.state.clock import Clock
from customgpt_emulator.state.store import Store
from customgpt_emulator.state.switches import Switches

__all__ = ["CONTEXT", "Context"]


@dataclass
class Context:
    """The emulator's parts, as the request handlers see them."""

    api_key: str
    store: Store
    library: Library
    clock: Clock
    switches: Switches = field(default_factory=Switches)
    faults: Faults = field(default_factory=Faults)
    journal: Journal = field(default_factory=Journal)
    pacing: Pacing = field(default_factory=Pacing)
    quotas: Quotas = field(default_factory=lambda: Quotas(time.time))
    connections: Connections = field(default_factory=Connections)
    documents: Path | None = None
    """The documents folder, from which the files of its pages are served."""


CONTEXT = web.AppKey("context", Context)
