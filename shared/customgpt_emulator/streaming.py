"""Streamed answers: the pieces of a text, and the bytes of each event."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from customgpt_emulator.shapes import dump

__all__ = ["event", "fresh_tokens", "progress_events", "replay_tokens"]

_ASCII_SIGNS = r"!-/:-@\[-`{-~"
_FRESH = re.compile(rf" ?[^\s{_ASCII_SIGNS}]{{1,12}}| ?[{_ASCII_SIGNS}]+|\s+")


def fresh_tokens(answer: str) -> list[str]:
    """Cut an answer as fresh answers come: an empty piece first, then words with their LEADING space.

    Captured 2023 and 2024 (vendor docs "Requests and Responses"). The cuts depend on spaces and ASCII signs
    alone, not on Python's tables of letters, which change from version to version.
    """
    return ["", *_FRESH.findall(answer)]


def replay_tokens(answer: str) -> list[str]:
    """Cut an answer as cached answers come: words with a TRAILING space, no empty piece (captured 2023)."""
    words = answer.split(" ")
    return [word + " " for word in words[:-1]] + ([words[-1]] if words[-1] else [])


def event(name: str, data: Mapping[str, Any], *, ascii_only: bool = True) -> bytes:
    """One event: `event: X`, `data: {...}`, a blank line, all with LF."""
    return b"event: " + name.encode() + b"\ndata: " + dump(data, ascii_only=ascii_only) + b"\n\n"


def progress_events(tokens: Iterable[str], *, ascii_only: bool = True) -> list[bytes]:
    """The `progress` events of an answer: `event` for each token, at a third of the cost."""
    head, tail = event("progress", {"status": "progress", "message": ""}).split(b'""')
    return [b"".join((head, dump(token, ascii_only=ascii_only), tail)) for token in tokens]
