"""The queue of orders, and which request meets which."""

from __future__ import annotations

import fnmatch
import random
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from customgpt_emulator.faults.fault import COMPLETIONS, Fault, Order, checked
from customgpt_emulator.state.withheld import waiting_time

__all__ = ["CONNECT", "Orders"]

CONNECT = "(connection)"  # the endpoint of orders for connections
PROMPTS = ("messages.send", COMPLETIONS)


class Orders:
    """The queue of orders. Safe to use from any thread."""

    def __init__(self, *, seed: int | None = None, endpoints: Iterable[str] = PROMPTS) -> None:
        self._endpoints = frozenset(endpoints)
        self._seed = seed
        self._lock = threading.Lock()
        self._orders: list[Order] = []
        self._count = 0
        self._placed: weakref.WeakSet[Order] = (
            weakref.WeakSet()
        )  # also those already played: they may hold answers silent
        self._random = random.Random(seed)  # noqa: S311 - chances to be repeated, not secrets

    @property
    def pending(self) -> list[Order]:
        """The open orders, oldest first."""
        with self._lock:
            return [order for order in self._orders if order.open]

    def take(self, endpoint: str | None, *, streamed: bool) -> Fault | None:
        """Return the fault for this request and count it as played; None if it meets none."""
        with self._lock:
            self._orders = [order for order in self._orders if order.open]
            for order in self._orders:
                fault = order.make(endpoint, streamed)
                if fault is None:
                    continue
                if order.chance is not None and self._random.random() >= order.chance:
                    continue
                order.played += 1
                return fault
        return None

    def give_back(self, order: Order) -> None:
        """Take back one play: the request was refused before the fault could act."""
        with self._lock:
            order.played -= 1
            if order.open and order in self._placed and order not in self._orders:
                self._orders.append(order)
                self._orders.sort(key=lambda each: each.number)

    def clear(self) -> None:
        """Cancel every order and end its silences."""
        with self._lock:
            orders, self._orders = self._orders, []
        for order in orders:
            order.cancel()
        self.release()

    def release(self) -> None:
        """End all silences: the answers continue. Open orders stay open."""
        with self._lock:
            placed = list(self._placed)
        for order in placed:
            order.release()

    def reset(self) -> None:
        """Cancel every order and start the chances over."""
        self.clear()
        self.begin()

    def begin(self) -> None:
        """Start the chances over with the seed. Orders stay."""
        self._random.seed(self._seed)

    def _place(
        self, verb: str, make: Callable[..., Fault], order: Mapping[str, Any], **numbers: float | None
    ) -> Order:
        checked(verb, **numbers)
        options = dict(order)
        times, chance = options.pop("times", 1), options.pop("chance", None)
        on = options.pop("on", "messages")
        checked(verb, times=times)
        if times == 0:
            raise ValueError(f"{verb}: times must be 1 or more, or None for every request.")
        if chance is not None and not (isinstance(chance, (int, float)) and 0 < chance <= 1):
            raise ValueError(f"{verb}: chance must be a probability above 0 and at most 1, not {chance!r}.")
        if "visible_after" in options:
            waiting_time(options["visible_after"])
        plain = make()
        endpoints = self._resolve(verb, on)
        if plain.native and endpoints == {COMPLETIONS}:
            raise ValueError(
                f"{verb}: it changes events in the vendor's format, so it cannot be played on {COMPLETIONS}."
            )
        for name in options:
            if not plain.loses or name not in ("persist", "visible_after"):
                raise TypeError(f"{verb} takes no {name!r}.")
        placed = Order(verb, partial(make, **options), endpoints=endpoints, times=times, chance=chance)
        with self._lock:
            self._count += 1
            placed.number = self._count
            self._orders.append(placed)
            self._placed.add(placed)
        return placed

    def _resolve(self, verb: str, on: str | None) -> frozenset[str | None]:
        """Return the endpoints that `on` names."""
        if on is None:
            return frozenset({*self._endpoints, None})
        if on == CONNECT:
            return frozenset({CONNECT})
        found: set[str | None]
        if on == "messages":
            found = {name for name in PROMPTS if name in self._endpoints}
        else:
            pattern = on if "." in on or "*" in on else on + ".*"
            found = set(fnmatch.filter(self._endpoints, pattern))
        if not found:
            names = ", ".join(sorted(self._endpoints))
            raise ValueError(f"{verb}: there is no endpoint {on!r}. The endpoints are: {names}.")
        return frozenset(found)
