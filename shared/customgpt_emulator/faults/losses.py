"""Faults that lose or delay an answer: cuts, resets, silences."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from customgpt_emulator.faults.fault import Fault, Lossy, Order, Ordering, end, hang_up, reset
from customgpt_emulator.faults.orders import Orders
from customgpt_emulator.serving.call import Call, Handler
from customgpt_emulator.serving.connections import Connection, Gone
from customgpt_emulator.serving.writer import KEEP_ALIVE, EventWriter

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BreakOff", "LossVerbs"]

OPENAI_HEAD = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content"'


@dataclass
class BreakOff(Fault):
    """After some events something else comes, at the latest in place of the finish."""

    events: int = 3
    instead: Callable[[EventWriter], Awaitable[None]] = end
    loses = True

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        """Write the event; before it, the ending if it is due."""
        if index == self.events or (last and index < self.events):
            await self.ending(out)
        await out.write(frame)  # an answer that was only held silent continues

    async def ending(self, out: EventWriter) -> None:
        """Do what comes in place of the rest."""
        await self.instead(out)


@dataclass
class _CutInsideCharacter(BreakOff):
    """The connection ends between the two bytes of an `é`, in the format of the answer."""

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        self._native = frame.startswith(b"event: ")
        await super().event(out, index, frame, last)

    async def ending(self, out: EventWriter) -> None:
        head = b'event: progress\ndata: {"status":"progress","message"' if self._native else OPENAI_HEAD
        await out.write(head + b':" caf\xc3', counts=False)
        await hang_up(out)


@dataclass
class _Stall(BreakOff):
    """Silence until the order is released; then the answer continues."""

    async def ending(self, out: EventWriter) -> None:
        await self.order.hold(out.connection)


@dataclass
class _BadChunkSize(BreakOff):
    """A chunk size that is not a number, then silence."""

    async def ending(self, out: EventWriter) -> None:
        out.connection.write(b"zz\r\ndata: nothing\r\n\r\n")
        await self.order.hold(out.connection)
        await hang_up(out)


@dataclass
class _KeepAlives(BreakOff):
    """Comments, then silence."""

    every: float = 0.05
    count: int | None = None

    async def ending(self, out: EventWriter) -> None:
        await _send_comments(out, self.order, self.every, self.count)
        await self.order.hold(out.connection)


@dataclass
class _Lingering(Fault):
    """The whole answer, then comments or silence in place of the end of the body."""

    every: float | None = None

    async def after(self, out: EventWriter) -> None:
        if self.every is not None:
            await _send_comments(out, self.order, self.every)
        await self.order.hold(out.connection)


async def _send_comments(out: EventWriter, order: Order, every: float, count: int | None = None) -> None:
    sent = 0
    while not order.released and (count is None or sent < count):
        await out.write(KEEP_ALIVE, counts=False)
        await out.connection.pause(every)
        sent += 1


@dataclass
class _Unanswered(Fault):
    """The connection ends before the first byte. The request is served if its answer is to be stored."""

    cut: Callable[[Connection], None]
    loses = True
    early = True
    mute = True

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        if call.keeps_answer:
            await handler(call)
        self.cut(call.connection)
        raise Gone


@dataclass
class _Late(Fault):
    """The first byte comes late, or with None not before the order is released."""

    seconds: float | None = None
    loses = True

    async def before(self, out: EventWriter) -> None:
        if self.seconds is None:
            await self.order.hold(out.connection)
        else:
            await out.connection.pause(self.seconds)


@dataclass
class _Delay(Fault):
    """The request is read late. It is not served if the client leaves meanwhile."""

    seconds: float
    early = True

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        await call.connection.pause(self.seconds)
        return await handler(call)


@dataclass
class _Slow(Fault):
    """A pause before each event."""

    seconds: float
    loses = True

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        await out.connection.pause(self.seconds)
        await out.write(frame)


@dataclass
class _Dribble(Fault):
    """Every byte is a chunk."""

    loses = True

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        for at in range(len(frame) - 1):
            await out.write(frame[at : at + 1], counts=False)
            await out.connection.pause(0)
        await out.write(frame[-1:])


class LossVerbs(Orders):
    """Connections that break and answers that are slow. `events` includes the `start`."""

    def cut_after(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Close the connection (FIN) after some events, the body unfinished."""
        return self._place("cut_after", partial(BreakOff, events, hang_up), order, events=events)

    def reset_after(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Reset the connection (RST) after some events."""
        return self._place("reset_after", partial(BreakOff, events, reset), order, events=events)

    def end_without_finish(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """End the body properly after some events: a stream lacks its `finish`, a JSON text is cut short."""
        return self._place("end_without_finish", partial(BreakOff, events, end), order, events=events)

    def cut_inside_character(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Close the connection after some events and half a UTF-8 character of the next one."""
        return self._place("cut_inside_character", partial(_CutInsideCharacter, events), order, events=events)

    def stall(self, after_events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Fall silent after some events (0: after the headers) until `release`."""
        return self._place("stall", partial(_Stall, after_events), order, events=after_events)

    def bad_chunk_size(self, after_events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Send a chunk size that is not a number after some events, then nothing. The connection stays."""
        return self._place("bad_chunk_size", partial(_BadChunkSize, after_events), order, events=after_events)

    def keep_alives(
        self, after_events: int = 1, *, every: float = 0.05, count: int | None = None, **order: Unpack[Lossy]
    ) -> Order:
        """Send only comments after some events, `every` seconds apart, and nothing after `count` of them."""
        make = partial(_KeepAlives, after_events, every=every, count=count)
        return self._place("keep_alives", make, order, events=after_events, every=every, count=count)

    def reset_before_answer(self, **order: Unpack[Lossy]) -> Order:
        """Reset the connection (RST) once the request was read. With `persist` it was served."""
        return self._place("reset_before_answer", partial(_Unanswered, Connection.reset), order)

    def drop_before_answer(self, **order: Unpack[Lossy]) -> Order:
        """Close the connection (FIN) once the request was read. With `persist` it was served."""
        return self._place("drop_before_answer", partial(_Unanswered, Connection.hang_up), order)

    def slow_first_byte(self, seconds: float | None = None, **order: Unpack[Lossy]) -> Order:
        """Serve the request, but send the first byte late; None: not before `release`."""
        return self._place("slow_first_byte", partial(_Late, seconds), order, seconds=seconds)

    def delay(self, seconds: float, **order: Unpack[Ordering]) -> Order:
        """Read the request late. If the client leaves meanwhile, nothing is stored."""
        return self._place("delay", partial(_Delay, seconds), order, seconds=seconds)

    def slow(self, seconds: float = 0.1, **order: Unpack[Lossy]) -> Order:
        """Pause before each event."""
        return self._place("slow", partial(_Slow, seconds), order, seconds=seconds)

    def dribble(self, **order: Unpack[Lossy]) -> Order:
        """Send each byte as a chunk of its own."""
        return self._place("dribble", _Dribble, order)

    def trickle_after_finish(self, every: float = 0.05, **order: Unpack[Ordering]) -> Order:
        """Send the whole answer, then comments, `every` seconds apart, but never the end of the body."""
        return self._place("trickle_after_finish", partial(_Lingering, every), order, every=every)

    def withhold_terminator(self, **order: Unpack[Ordering]) -> Order:
        """Send the whole answer, but the end of the body only after `release`."""
        return self._place("withhold_terminator", _Lingering, order)
