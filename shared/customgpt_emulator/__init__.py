"""The CustomGPT API on your own machine: a real server over a folder of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from customgpt_emulator.emulator import Emulator as Emulator
    from customgpt_emulator.journal.entries import Entry as Entry
    from customgpt_emulator.journal.entries import Journal as Journal
    from customgpt_emulator.journal.verdict import Verdict as Verdict
    from customgpt_emulator.state.facts import read_facts as read_facts
    from customgpt_emulator.state.switches import Switches as Switches

__all__ = ["Emulator", "Entry", "Journal", "Switches", "Verdict", "read_facts"]

_HOMES = {
    "Emulator": "customgpt_emulator.emulator",
    "Entry": "customgpt_emulator.journal.entries",
    "Journal": "customgpt_emulator.journal.entries",
    "Switches": "customgpt_emulator.state.switches",
    "Verdict": "customgpt_emulator.journal.verdict",
    "read_facts": "customgpt_emulator.state.facts",
}


def __getattr__(name: str) -> Any:  # PEP 562: importing the package loads neither aiohttp nor sqlite3
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
