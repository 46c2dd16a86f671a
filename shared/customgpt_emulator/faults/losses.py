"""Faults that lose an answer, or keep it waiting: cuts, resets, silences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from customgpt_emulator.faults.fault import (
    Chunk,
    End,
    Fault,
    HangUp,
    Lossy,
    Order,
    Ordering,
    Pause,
    Raw,
    Reset,
    Silence,
    Step,
    checked,
)
from customgpt_emulator.faults.orders import Orders
from customgpt_emulator.serving.connections import Gone

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from customgpt_emulator.serving.call import Call, Handler

__all__ = ["LossVerbs"]

KEEP_ALIVE = b": keep-alive\n\n"
OPENAI_HEAD = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content"'


@dataclass
class BreakOff(Fault):
    """After some events, at the latest in place of the finish, something else comes than the rest."""

    events: int = 3
    instead: tuple[Step, ...] = ()
    loses = True

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """The event as long as there are to be some."""
        if index == self.events or (last and index < self.events):
            yield from self.ending()
        yield Chunk(frame)  # what was only held silent goes on

    def ending(self) -> Iterator[Step]:
        """What comes instead."""
        return iter(self.instead)


@dataclass
class CutInsideCharacter(BreakOff):
    """Cut between the two bytes of an `é`."""

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """In the form that the answer has."""
        self._native = frame.startswith(b"event: ")
        yield from super().steps(index, frame, last)

    def ending(self) -> Iterator[Step]:
        """Half a character, and the end of the connection."""
        head = b'event: progress\ndata: {"status":"progress","message"' if self._native else OPENAI_HEAD
        yield Chunk(head + b':" caf\xc3', counts=False)
        yield HangUp()


@dataclass
class Stall(BreakOff):
    """Silence until the client leaves or the order is released; then the answer goes on."""

    def ending(self) -> Iterator[Step]:
        """Silence."""
        yield Silence(self.order)


@dataclass
class BadChunkSize(BreakOff):
    """A chunk size that is no number, then silence."""

    def ending(self) -> Iterator[Step]:
        """A line that is no chunk size."""
        yield Raw(b"zz\r\ndata: nothing\r\n\r\n")
        yield Silence(self.order)
        yield HangUp()


@dataclass
class KeepAlives(BreakOff):
    """Comments only."""

    every: float = 0.05
    count: int | None = None

    def ending(self) -> Iterator[Step]:
        """Comments, and silence after the last."""
        sent = 0
        while not self.order.released and (self.count is None or sent < self.count):
            yield Chunk(KEEP_ALIVE, counts=False)
            yield Pause(self.every)
            sent += 1
        yield Silence(self.order)


@dataclass
class Unanswered(Fault):
    """The connection ends before the first byte of the answer."""

    cut: Step = HangUp()  # noqa: RUF009 - it has no state
    loses = True
    early = True
    mute = True

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        """The request is served if its answer is to be kept; nobody hears of it."""
        if call.keeps_answer:
            await handler(call)
        if isinstance(self.cut, Reset):
            call.connection.reset()
        else:
            call.connection.hang_up()
        raise Gone


@dataclass
class Late(Fault):
    """The first byte comes late; None: never, until released."""

    seconds: float | None = None
    loses = True

    def before(self) -> Iterator[Step]:
        """Silence."""
        yield Silence(self.order) if self.seconds is None else Pause(self.seconds)


@dataclass
class Delay(Fault):
    """The request is looked at late."""

    seconds: float = 1.0
    early = True

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        """Wait; a client that leaves meanwhile is not served."""
        await call.connection.pause(self.seconds)
        return await handler(call)


@dataclass
class Slow(Fault):
    """A pause before each event."""

    seconds: float = 0.1
    loses = True

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """Late."""
        yield Pause(self.seconds)
        yield Chunk(frame)


@dataclass
class Dribble(Fault):
    """Every byte is a chunk."""

    loses = True

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """Byte by byte."""
        for at in range(len(frame) - 1):
            yield Chunk(frame[at : at + 1], counts=False)
            yield Pause(0)
        yield Chunk(frame[-1:])


@dataclass
class Lingering(Fault):
    """After the finish the body does not end."""

    every: float | None = None

    def after(self) -> Iterator[Step]:
        """Comments without end, or silence."""
        while self.every is not None and not self.order.released:
            yield Chunk(KEEP_ALIVE, counts=False)
            yield Pause(self.every)
        yield Silence(self.order)


class LossVerbs(Orders):
    """Connections that break, and answers that keep one waiting. `events` counts `start` too."""

    def cut_after(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Close the connection after some events (FIN), the body unfinished."""
        checked("cut_after", events=events)
        return self._place("cut_after", partial(BreakOff, events, (HangUp(),)), order)

    def reset_after(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Reset the connection after some events (RST)."""
        checked("reset_after", events=events)
        return self._place("reset_after", partial(BreakOff, events, (Reset(),)), order)

    def end_without_finish(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """End the body properly after some events: without a `finish`, or a JSON text cut short."""
        checked("end_without_finish", events=events)
        return self._place("end_without_finish", partial(BreakOff, events, (End(),)), order)

    def cut_inside_character(self, events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Close the connection after some events and half a character of the next one, as UTF-8 has it."""
        checked("cut_inside_character", events=events)
        return self._place("cut_inside_character", partial(CutInsideCharacter, events), order)

    def stall(self, after_events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Fall silent after some events (0: after the headers), until the client leaves or `release`."""
        checked("stall", events=after_events)
        return self._place("stall", partial(Stall, after_events), order)

    def bad_chunk_size(self, after_events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Send a chunk size that is no number after some events, then nothing more, the connection open."""
        checked("bad_chunk_size", events=after_events)
        return self._place("bad_chunk_size", partial(BadChunkSize, after_events), order)

    def keep_alives(
        self, after_events: int = 1, *, every: float = 0.05, count: int | None = None, **order: Unpack[Lossy]
    ) -> Order:
        """After some events send comments only, `every` so many seconds; after `count` nothing more."""
        checked("keep_alives", events=after_events, every=every, count=count)
        make = partial(KeepAlives, after_events, every=every, count=count)
        return self._place("keep_alives", make, order)

    def reset_before_answer(self, **order: Unpack[Lossy]) -> Order:
        """Reset the connection (RST) when the request was read whole; `persist`: it was served."""
        return self._place("reset_before_answer", partial(Unanswered, Reset()), order)

    def drop_before_answer(self, **order: Unpack[Lossy]) -> Order:
        """Close the connection (FIN) when the request was read whole; `persist`: it was served."""
        return self._place("drop_before_answer", partial(Unanswered, HangUp()), order)

    def slow_first_byte(self, seconds: float | None = None, **order: Unpack[Lossy]) -> Order:
        """Serve the request, and send the first byte late; None: not before `release`."""
        checked("slow_first_byte", seconds=seconds)
        return self._place("slow_first_byte", partial(Late, seconds), order)

    def delay(self, seconds: float, **order: Unpack[Ordering]) -> Order:
        """Look at the request late; who leaves meanwhile is not served, and nothing is stored."""
        checked("delay", seconds=seconds)
        return self._place("delay", partial(Delay, seconds), order)

    def slow(self, seconds: float = 0.1, **order: Unpack[Lossy]) -> Order:
        """Pause before each event."""
        checked("slow", seconds=seconds)
        return self._place("slow", partial(Slow, seconds), order)

    def dribble(self, **order: Unpack[Lossy]) -> Order:
        """Send byte by byte, each as a chunk."""
        return self._place("dribble", Dribble, order)

    def trickle_after_finish(self, every: float = 0.05, **order: Unpack[Ordering]) -> Order:
        """Send the whole answer, then comments, `every` so many seconds, and never the end of the body."""
        checked("trickle_after_finish", every=every)
        return self._place("trickle_after_finish", partial(Lingering, every), order)

    def withhold_terminator(self, **order: Unpack[Ordering]) -> Order:
        """Send the whole answer, and the end of the body only after `release`."""
        return self._place("withhold_terminator", Lingering, order)
