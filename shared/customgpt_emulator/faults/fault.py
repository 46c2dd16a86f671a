"""A fault, which is a script for one answer, and the order that says which requests meet it."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypedDict

from aiohttp import web

from customgpt_emulator.serving.call import Call, Handler
from customgpt_emulator.serving.connections import Connection, Gone
from customgpt_emulator.serving.writer import EventWriter, Script

__all__ = ["Fault", "Lossy", "Order", "Ordering", "checked", "end", "hang_up", "header", "reset"]

COMPLETIONS = "completions.create"
A_DAY = 86_400  # seconds
MOST = 2**28  # of whatever is counted: bytes, events, requests
PIECES = 8  # of an answer that is not a stream; they count as its events


class Ordering(TypedDict, total=False):
    """The arguments of every verb."""

    times: int | None
    """How many requests meet the fault; None: all of them, until it is cleared."""
    on: str | None
    """Which requests: see `Faults`."""
    chance: float | None
    """The probability that a request meets it; the emulator's seed decides."""


class Lossy(Ordering, total=False):
    """The arguments of verbs that lose an answer."""

    persist: bool | None
    """Whether the lost answer is stored; None: as the switch `on_disconnect` has it."""
    visible_after: int | str | None
    """How many lists of messages still lack it; or for how long, such as `"1.5s"`."""


# Ways to end an answer early.


async def end(out: EventWriter) -> NoReturn:
    """End the body properly. The rest of the answer is not sent."""
    await out.end()
    raise Gone


async def hang_up(out: EventWriter) -> NoReturn:
    """Close the connection (FIN), the body left unfinished."""
    out.connection.hang_up()
    raise Gone


async def reset(out: EventWriter) -> NoReturn:
    """Reset the connection (RST), after what was written has left."""
    await out.connection.flush()
    out.connection.reset()
    raise Gone


@dataclass
class Fault(Script):
    """One fault, made anew for each request that meets it. The base class does nothing."""

    order: Order = field(init=False, repr=False)
    persist: bool | None = field(default=None, kw_only=True)
    visible_after: int | str | None = field(default=None, kw_only=True)

    streams_only = False
    """It waits for a streamed answer."""
    loses = False
    """The client does not get the answer, or may give up. Then `persist` and `visible_after` apply."""
    worthless = False
    """The client gets a complete answer that is useless."""
    native = False
    """It uses the vendor's event format, so it skips answers in OpenAI's format."""
    early = False
    """It acts before the request is read, so it counts as played even if the request is refused."""

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        """Answer the request, with the fault."""
        response = await handler(call)
        if isinstance(response, web.Response) and not response.prepared:
            return await self.send_body(call, response)
        return response

    async def send_body(self, call: Call, response: web.Response) -> web.StreamResponse:
        """Send an answer that is not a stream through the script, with its body cut into pieces."""
        body = bytes(response.body) if isinstance(response.body, (bytes, bytearray)) else b""
        if response.headers.pop("Content-Encoding", "") == "gzip":
            body = gzip.decompress(body)
        body = self.rewrite(body)
        size = max(1, -(-len(body) // PIECES))
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        head = web.StreamResponse(status=response.status)
        head.headers["Content-Type"] = response.headers.get("Content-Type", "application/json")
        out = call.writer(head)
        await out.open(head.headers["Content-Type"])
        await out.send(pieces[:-1])
        await out.finish(pieces[-1:])
        return head

    def rewrite(self, body: bytes) -> bytes:
        """Return the changed body of an answer that is not a stream."""
        return body

    def settle(self, call: Call) -> None:
        """Remove or hide the stored message, once its answer was sent or lost.

        What the client got stays stored, even if useless, unless `persist=False`: the answer may name its id.
        """
        if call.stored is None or not self.loses:
            return
        if self.worthless and not call.entry.disconnected:
            kept = self.persist is not False
        elif call.entry.complete:
            return
        else:
            kept = call.keeps_answer
        if not kept:
            call.context.store.take_back(call.stored)
            call.stored = None  # so no credit is used
        elif self.visible_after is not None:
            call.context.withheld.hide(call.stored, self.visible_after, call.context.clock.real())


class Order:
    """A fault that was ordered. Safe to use from any thread."""

    def __init__(
        self,
        verb: str,
        make: Callable[[], Fault],
        *,
        endpoints: frozenset[str | None],
        times: int | None,
        chance: float | None,
    ) -> None:
        self.verb = verb
        self.times = times
        self.played = 0
        """How many requests have met it."""
        self.chance = chance
        self._make = make
        self._endpoints = endpoints
        self.number = 0
        """Its place in the queue."""
        self._lock = threading.Lock()
        self._released = False
        self._held: set[Connection] = set()

    @property
    def open(self) -> bool:
        """Whether more requests may meet it."""
        return self.times is None or self.played < self.times

    @property
    def released(self) -> bool:
        """Whether its silences are over."""
        return self._released

    def cancel(self) -> None:
        """Cancel it for later requests. Answers that it holds silent stay silent until `release`."""
        self.times = 0

    def release(self) -> None:
        """End its silences, also future ones. The answers continue."""
        with self._lock:
            self._released = True
            held = list(self._held)
        for connection in held:
            connection.wake_from_outside()

    def make(self, endpoint: str | None, streamed: bool) -> Fault | None:
        """Return the fault for a request, or None if the order is not for this request."""
        if endpoint not in self._endpoints:
            return None
        fault = self._make()
        if (fault.streams_only and not streamed) or (fault.native and endpoint == COMPLETIONS):
            return None
        fault.order = self
        return fault

    async def hold(self, connection: Connection) -> None:
        """Wait until `release` is called. Raises `Gone` if the client leaves."""
        with self._lock:
            if self._released:
                return
            self._held.add(connection)
        try:
            await connection.pause(None)
        finally:
            with self._lock:
                self._held.discard(connection)

    def __repr__(self) -> str:
        left = "always" if self.times is None else f"{max(0, self.times - self.played)} left"
        return f"<{self.verb}: played {self.played} times, {left}>"


def header(verb: str, name: str, value: str) -> str:
    """Return `value`, which must be valid in a header. Raises `ValueError` for control characters."""
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError(f"{verb}: {name} must be valid as a header, not {value!r}.")
    return value


def checked(verb: str, **values: Any) -> None:
    """Raise `ValueError` for numbers that are negative or too large."""
    for name, value in values.items():
        whole = name in ("events", "times", "size", "count")
        if value is None:
            continue
        good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not good or not 0 <= value <= (MOST if whole else A_DAY):
            kind = "a whole number, 0 or more" if whole else "a number of seconds, 0 or more, a day at most"
            kind += f", {MOST} at most" if good and whole and value > MOST else ""
            raise ValueError(f"{verb}: {name} must be {kind}, not {value!r}.")
