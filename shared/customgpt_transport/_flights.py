"""Prompts that are asked once and are under way: callers of one process under one key share one flight."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias

from customgpt_transport._sessions import Owner
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Message

Key: TypeAlias = tuple[str, int, str]
"""Origin of the service, agent, key."""


@dataclass(eq=False, slots=True)
class Flight:
    """One prompt under way. `landed` gets its outcome, None when whoever asked it left."""

    key: Key
    external_id: str
    owner: Owner = field(default_factory=Owner)
    landed: Future[Message | Exception | None] = field(default_factory=Future)

    def outcome(self) -> Message | None:
        """Return the message, raise the error, or return None when there is neither; `landed` is done."""
        found = self.landed.result()
        if isinstance(found, Exception):
            raise copy(found)
        return found


class Flights:
    """The registry. One per process, see `flights`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything; for tests, and in a forked child."""
        self._lock = threading.Lock()
        self._flying: dict[Key, Flight] = {}

    def board(self, key: Key, external_id: str, *, blocking: bool) -> tuple[Flight, bool]:
        """Return the flight of a key, and whether it is the caller's own, to be asked and landed.

        Raises `ConfigurationError` when another prompt is under way under the key, or when the caller would
        wait for itself.
        """
        with self._lock:
            flight = self._flying.get(key)
            if flight is None:
                flight = self._flying[key] = Flight(key, external_id)
                return flight, True
        if flight.external_id != external_id:
            raise another_prompt(key[2])
        if Owner().would_block(flight.owner, blocking=blocking):
            raise ConfigurationError(
                f"The key {key[2]!r} is being asked by this very thread: use one client, blocking or not."
            )
        return flight, False

    def land(self, flight: Flight, outcome: Message | Exception | None) -> None:
        """Tell all who wait for it, and let the key go."""
        with self._lock:
            self._flying.pop(flight.key, None)
        flight.landed.set_result(outcome)


def another_prompt(key: str) -> ConfigurationError:
    """Return the error for a key that is taken."""
    return ConfigurationError(
        f"The key {key!r} was used for another prompt. A key stands for one prompt: choose another key."
    )


flights = Flights()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=flights.clear)
