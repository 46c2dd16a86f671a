"""Faults in the contents of an answer: its events, its JSON, its headers."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from customgpt_emulator.faults.fault import Fault, Lossy, Order, Ordering, end, header
from customgpt_emulator.faults.losses import BreakOff
from customgpt_emulator.faults.orders import Orders
from customgpt_emulator.serving.call import Call, Handler
from customgpt_emulator.serving.writer import EventWriter
from customgpt_emulator.wire.events import encode_event
from customgpt_emulator.wire.shapes import dump

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ContentVerbs"]


@dataclass
class _ErrorEvent(BreakOff):
    """The service gives up in mid-stream. An answer that is not a stream says so in its envelope."""

    native = True
    message: str = ""
    key: str = "error"

    async def ending(self, out: EventWriter) -> None:
        await out.write(encode_event("error", {"status": "error", self.key: self.message}), counts=False)
        await self.instead(out)

    async def send_body(self, call: Call, response: web.Response) -> web.StreamResponse:
        return call.json({"status": "error", "url": call.url, "data": {"code": 500, "message": self.message}})


@dataclass
class _MalformedEvent(Fault):
    """One event is not valid JSON."""

    events: int = 3
    loses = True
    worthless = True

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        broken = index == self.events or (last and index < self.events)
        await out.write(frame.rstrip(b'"}]\n')[:-1] + b"\n\n" if broken else frame)

    def rewrite(self, body: bytes) -> bytes:
        self.events = -1
        return body[:-2]


@dataclass
class _AsJson(Fault):
    """A JSON answer although a stream was asked for."""

    streams_only = True
    loses = True
    worthless = True
    native = True
    mute = True

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        await handler(call)
        return call.success(self.message(call))

    def message(self, call: Call) -> dict[str, Any]:
        return call.shapes.message(call.stored) if call.stored else {}


@dataclass
class _NullAnswer(_AsJson):
    """The answer is null: `openai_response`, or in a stream every `message`."""

    streams_only = False

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        if not call.flag("stream"):
            return await super().serve(call, handler)
        self.mute = False
        return await handler(call)

    def message(self, call: Call) -> dict[str, Any]:
        return {**super().message(call), "openai_response": None}

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        data = _data(frame)
        if data is not None and "message" in data:
            frame = _event(frame, {**data, "message": None})
        await out.write(frame)


@dataclass
class _Changed(Fault):
    """Every event and every object has more keys."""

    extra: dict[str, Any] = field(default_factory=dict)
    only: int | None = None

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        data = _data(frame)
        chosen = self.only is None or index == self.only or (last and index < self.only)
        await out.write(_event(frame, {**self.extra, **data}) if data is not None and chosen else frame)

    def rewrite(self, body: bytes) -> bytes:
        try:
            data = json.loads(body)
        except ValueError:
            return body
        if not isinstance(data, dict):
            return body
        inner = data.get("data")
        if isinstance(inner, dict):
            data["data"] = {**self.extra, **inner}
        return dump({**self.extra, **data})


@dataclass
class _Interleaved(Fault):
    """An event of an unknown status before each event."""

    status: str = "thinking"
    streams_only = True
    native = True

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        data = {"status": self.status, "message": "not a part of the answer", "step": index}
        await out.write(encode_event(self.status, data), counts=False)
        await out.write(frame)


@dataclass
class _FinishTwice(Fault):
    """The finish comes twice."""

    streams_only = True
    native = True

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        await out.write(frame)
        if last:
            await out.write(frame, counts=False)


@dataclass
class _FinishUnended(Fault):
    """The finish lacks its blank line."""

    streams_only = True
    native = True

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        await out.write(frame[:-1] if last else frame)


@dataclass
class _Gzipped(Fault):
    """The answer is compressed, asked for or not."""

    def head(self, response: web.StreamResponse) -> None:
        response.headers["Content-Encoding"] = "gzip"
        self._zip = zlib.compressobj(wbits=31)

    async def event(self, out: EventWriter, index: int, frame: bytes, last: bool) -> None:
        await out.write(self._zip.compress(frame) + self._zip.flush(zlib.Z_SYNC_FLUSH))

    async def after(self, out: EventWriter) -> None:
        await out.write(self._zip.flush(), counts=False)


@dataclass
class _Mislabelled(Fault):
    """The right bytes have the wrong content type."""

    content_type: str = "text/html; charset=UTF-8"

    def head(self, response: web.StreamResponse) -> None:
        response.headers["Content-Type"] = self.content_type


class ContentVerbs(Orders):
    """Answers with unusual or broken contents. `events` includes the `start`."""

    def error_event(
        self,
        after_events: int = 3,
        *,
        message: str = "Something went wrong",
        key: str = "error",
        **order: Unpack[Lossy],
    ) -> Order:
        """Send an event of status `error` after some events, then end. Its message stands under `key`.

        Nothing is stored unless `persist=True`. A JSON answer has the error in its envelope, with status 200.
        """
        order.setdefault("persist", False)
        make = partial(_ErrorEvent, after_events, end, message=message, key=key)
        return self._place("error_event", make, order, events=after_events)

    def malformed_event(self, after_events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Break the JSON of one event, after some good ones. A JSON answer breaks at its end."""
        return self._place(
            "malformed_event", partial(_MalformedEvent, after_events), order, events=after_events
        )

    def json_instead_of_stream(self, **order: Unpack[Lossy]) -> Order:
        """Answer with JSON although a stream was asked for."""
        return self._place("json_instead_of_stream", _AsJson, order)

    def null_answer(self, **order: Unpack[Lossy]) -> Order:
        """Answer with `openai_response` null, or in a stream with each `message` null."""
        return self._place("null_answer", _NullAnswer, order)

    def unknown_fields(self, **order: Unpack[Ordering]) -> Order:
        """Put unknown keys first in every event and object."""
        extra = {"zz_unknown": {"nested": [1, None, "x"]}, "zz_flag": True}
        return self._place("unknown_fields", partial(_Changed, extra), order)

    def huge_event(self, size: int = 2**20, after_events: int = 1, **order: Unpack[Ordering]) -> Order:
        """Pad one event, after some others, with an unknown key of `size` bytes; a JSON answer likewise."""

        def make() -> Fault:
            return _Changed({"padding": "x" * size}, after_events)

        return self._place("huge_event", make, order, size=size, events=after_events)

    def unknown_statuses(self, status: str = "thinking", **order: Unpack[Ordering]) -> Order:
        """Send an event of an unknown status before each event of a stream."""
        return self._place("unknown_statuses", partial(_Interleaved, status), order)

    def duplicate_finish(self, **order: Unpack[Ordering]) -> Order:
        """Send the finish of a stream twice."""
        return self._place("duplicate_finish", _FinishTwice, order)

    def finish_without_blank_line(self, **order: Unpack[Ordering]) -> Order:
        """End a stream without the blank line that completes its finish."""
        return self._place("finish_without_blank_line", _FinishUnended, order)

    def gzip(self, **order: Unpack[Ordering]) -> Order:
        """Compress the answer although the client did not ask for it."""
        return self._place("gzip", _Gzipped, order)

    def wrong_content_type(
        self, content_type: str = "text/html; charset=UTF-8", **order: Unpack[Ordering]
    ) -> Order:
        """Send the right bytes with the wrong content type."""
        header("wrong_content_type", "content_type", content_type)
        return self._place("wrong_content_type", partial(_Mislabelled, content_type), order)


def _data(frame: bytes) -> dict[str, Any] | None:
    """Return the JSON object of an event, or None."""
    _, found, rest = frame.partition(b"data: ")
    try:
        data = json.loads(rest) if found else None
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _event(frame: bytes, data: dict[str, Any]) -> bytes:
    """Return the same event with other data."""
    head, _, _ = frame.partition(b"data: ")
    return head + b"data: " + dump(data) + b"\n\n"
