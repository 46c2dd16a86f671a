"""What a fault is: a script for one answer, and the order that says which requests meet it."""

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
MOST = 2**28  # of anything that is counted: bytes, events, requests
PIECES = 8  # an answer that is no stream goes out in so many pieces, which then count as its events


class Ordering(TypedDict, total=False):
    """What every verb takes."""

    times: int | None
    """How many requests meet the fault; None: all, until it is cleared."""
    on: str | None
    """Which requests: see `Faults`."""
    chance: float | None
    """With what probability a request meets it, by the emulator's seed."""


class Lossy(Ordering, total=False):
    """What verbs take that lose an answer."""

    persist: bool | None
    """Whether the answer is stored all the same; None: as the switch `on_disconnect` has it."""
    visible_after: int | str | None
    """How many times the message list does not have it yet; or seconds, as `"1.5s"`."""


# How an answer ends before its time.


async def end(out: EventWriter) -> NoReturn:
    """End the body properly. Whatever the handler still has to send is not sent."""
    await out.end()
    raise Gone


async def hang_up(out: EventWriter) -> NoReturn:
    """Close the connection (FIN), the body left unfinished."""
    out.connection.hang_up()
    raise Gone


async def reset(out: EventWriter) -> NoReturn:
    """Let what was written leave, then reset the connection (RST)."""
    await out.connection.flush()
    out.connection.reset()
    raise Gone


@dataclass
class Fault(Script):
    """One misbehaviour, made afresh for each request that meets it. As it stands it does nothing."""

    order: Order = field(init=False, repr=False)
    persist: bool | None = field(default=None, kw_only=True)
    visible_after: int | str | None = field(default=None, kw_only=True)

    streams_only = False
    """Only a streamed answer can meet it; the order waits for one."""
    loses = False
    """The client does not get the answer, or may give up: `persist` and `visible_after` have a meaning."""
    worthless = False
    """What the client gets is of no use, though it be complete."""
    native = False
    """It speaks the vendor's own form: no answer in OpenAI's form can meet it."""
    early = False
    """It acts before the request is looked at: it is played, whatever becomes of the request."""

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        """Answer the request, badly."""
        response = await handler(call)
        if isinstance(response, web.Response) and not response.prepared:
            return await self.send_body(call, response)
        return response

    async def send_body(self, call: Call, response: web.Response) -> web.StreamResponse:
        """Send an answer that is no stream through the script, its body cut in pieces."""
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
        """Change the body of an answer that is no stream."""
        return body

    def settle(self, call: Call) -> None:
        """The answer was given, or lost: then what was stored is taken out, or hidden for a while.

        What the client got is stored, useless or not, unless `persist=False`: the answer may name its id.
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
            call.stored = None  # and so it costs nothing
        elif self.visible_after is not None:
            call.context.withheld.hide(call.stored, self.visible_after, call.context.clock.real())


class Order:
    """A fault that was ordered. Usable from any thread."""

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
        """Take it back: nobody meets it any more. What it holds silent stays so: see `release`."""
        self.times = 0

    def release(self) -> None:
        """End its silences, present and future: the answers go on."""
        with self._lock:
            self._released = True
            held = list(self._held)
        for connection in held:
            connection.wake_from_outside()

    def make(self, endpoint: str | None, streamed: bool) -> Fault | None:
        """The fault for a request, or None when it is not for this one."""
        if endpoint not in self._endpoints:
            return None
        fault = self._make()
        if (fault.streams_only and not streamed) or (fault.native and endpoint == COMPLETIONS):
            return None
        fault.order = self
        return fault

    async def hold(self, connection: Connection) -> None:
        """Wait until released. Raises `Gone` when the client leaves."""
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
    """Text that can stand in a header. Raises `ValueError` with a sentence for control characters."""
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError(f"{verb}: {name} must be text that fits into a header, not {value!r}.")
    return value


def checked(verb: str, **values: Any) -> None:
    """Raise `ValueError` with a sentence for numbers that mean nothing: below 0, or beyond all use."""
    for name, value in values.items():
        whole = name in ("events", "times", "size", "count")
        if value is None:
            continue
        good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not good or not 0 <= value <= (MOST if whole else A_DAY):
            kind = "a whole number, 0 or more" if whole else "a number of seconds, 0 or more, a day at most"
            kind += f", {MOST} at most" if good and whole and value > MOST else ""
            raise ValueError(f"{verb}: {name} must be {kind}, not {value!r}.")
