"""Streamed answers: the tokens of a text, and the bytes of each event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from customgpt_emulator.wire.shapes import dump

__all__ = ["encode_event", "fresh_tokens", "progress_event", "replay_tokens"]

_ASCII_SIGNS = r"!-/:-@\[-`{-~"
_FRESH = re.compile(rf" ?[^\s{_ASCII_SIGNS}]{{1,12}}| ?[{_ASCII_SIGNS}]+|\s+")


def fresh_tokens(answer: str) -> list[str]:
    """Return the tokens of a new answer: an empty one first, then words with their LEADING space.

    Captured 2023 and 2024 (vendor docs "Requests and Responses"). The cuts depend on spaces and ASCII signs
    only, not on Python's tables of letters, which change between versions.
    """
    return ["", *_FRESH.findall(answer)]


def replay_tokens(answer: str) -> list[str]:
    """Return the tokens of a cached answer: words with a TRAILING space, no empty one (captured 2023)."""
    words = answer.split(" ")
    return [word + " " for word in words[:-1]] + ([words[-1]] if words[-1] else [])


def encode_event(name: str, data: Mapping[str, Any], *, ascii_only: bool = True) -> bytes:
    """Return the bytes of one event: `event: X`, `data: {...}`, a blank line, all with LF."""
    return b"event: " + name.encode() + b"\ndata: " + dump(data, ascii_only=ascii_only) + b"\n\n"


@lru_cache(maxsize=8192)  # the same words come again and again
def progress_event(token: str, ascii_only: bool) -> bytes:
    """Return the `progress` event of one token."""
    return encode_event("progress", {"status": "progress", "message": token}, ascii_only=ascii_only)
