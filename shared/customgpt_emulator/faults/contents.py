"""Faults in what an answer says, and in how it is dressed: events, JSON, headers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from customgpt_emulator.faults.fault import Chunk, End, Fault, Lossy, Order, Ordering, Step, checked, header
from customgpt_emulator.faults.losses import BreakOff
from customgpt_emulator.faults.orders import Orders
from customgpt_emulator.wire.shapes import dump

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from customgpt_emulator.serving.call import Call, Handler

__all__ = ["ContentVerbs"]

PADDING = "padding"


@dataclass
class ErrorEvent(BreakOff):
    """The service gives up in mid-stream."""

    native = True
    message: str = ""
    key: str = "error"

    def ending(self) -> Iterator[Step]:
        """The error event, and the proper end of the body."""
        data = dump({"status": "error", self.key: self.message})
        yield Chunk(b"event: error\ndata: " + data + b"\n\n", counts=False)
        yield from self.instead

    async def send_body(self, call: Call, response: web.Response) -> web.StreamResponse:
        """An answer that is no stream says it in the envelope, under the status of a success."""
        return call.json({"status": "error", "url": call.url, "data": {"code": 500, "message": self.message}})


@dataclass
class MalformedEvent(Fault):
    """One event that is no JSON."""

    events: int = 3
    loses = True
    worthless = True

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """Without the end of its JSON text."""
        broken = index == self.events or (last and index < self.events)
        yield Chunk(frame.rstrip(b'"}]\n')[:-1] + b"\n\n" if broken else frame)

    def rewrite(self, body: bytes) -> bytes:
        """The whole text is broken."""
        self.events = -1
        return body[:-2]


@dataclass
class AsJson(Fault):
    """A JSON answer where a stream was asked for."""

    streams_only = True
    loses = True
    worthless = True
    native = True
    mute = True

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        """Let the handler stream into the void, then tell what it stored."""
        await handler(call)
        return call.success(self.tell(call, call.shapes.message(call.stored) if call.stored else {}))

    def tell(self, call: Call, message: dict[str, Any]) -> dict[str, Any]:
        """What of the message is told."""
        return message


@dataclass
class NullAnswer(AsJson):
    """The answer is null: `openai_response`, or in a stream the one `message`."""

    streams_only = False

    async def serve(self, call: Call, handler: Handler) -> web.StreamResponse:
        """A stream keeps its form; so does a message."""
        if not call.flag("stream"):
            await handler(call)
            message = call.shapes.message(call.stored) if call.stored else {}
            return call.success({**message, "openai_response": None})
        self.mute = False
        return await handler(call)

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """Every delta is null."""
        data = _data(frame)
        if data is not None and "message" in data:
            frame = _event(frame, {**data, "message": None})
        yield Chunk(frame)


@dataclass
class Changed(Fault):
    """Every event and every object is a little different."""

    extra: dict[str, Any] = field(default_factory=dict)
    only: int | None = None

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """With more keys."""
        data = _data(frame)
        chosen = self.only is None or index == self.only or (last and index < self.only)
        yield Chunk(_event(frame, {**self.extra, **data}) if data is not None and chosen else frame)

    def rewrite(self, body: bytes) -> bytes:
        """With more keys, in the envelope and in its data."""
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
class Interleaved(Fault):
    """Events of a status that nobody knows, before each of the others."""

    status: str = "thinking"
    streams_only = True
    native = True

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """One more."""
        data = dump({"status": self.status, "message": "not a part of the answer", "step": index})
        yield Chunk(b"event: " + self.status.encode() + b"\ndata: " + data + b"\n\n", counts=False)
        yield Chunk(frame)


@dataclass
class FinishTwice(Fault):
    """The finish comes twice."""

    streams_only = True
    native = True

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """Once more."""
        yield Chunk(frame)
        if last:
            yield Chunk(frame, counts=False)


@dataclass
class FinishUnended(Fault):
    """The finish lacks its blank line."""

    streams_only = True
    native = True

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """Without the last line end."""
        yield Chunk(frame[:-1] if last else frame)


@dataclass
class Gzipped(Fault):
    """Compressed, asked or not."""

    def head(self, response: web.StreamResponse) -> None:
        """Say so."""
        response.headers["Content-Encoding"] = "gzip"
        self._zip = zlib.compressobj(wbits=31)

    def steps(self, index: int, frame: bytes, last: bool) -> Iterator[Step]:
        """Each event can be unpacked when it comes."""
        yield Chunk(self._zip.compress(frame) + self._zip.flush(zlib.Z_SYNC_FLUSH))

    def after(self) -> Iterator[Step]:
        """What gzip has at its end."""
        yield Chunk(self._zip.flush(), counts=False)


@dataclass
class Mislabelled(Fault):
    """The right bytes under a wrong name."""

    content_type: str = "text/html; charset=UTF-8"

    def head(self, response: web.StreamResponse) -> None:
        """Another type."""
        response.headers["Content-Type"] = self.content_type


class ContentVerbs(Orders):
    """Answers that say something odd. `events` counts all events, `start` included."""

    def error_event(
        self,
        after_events: int = 3,
        *,
        message: str = "Something went wrong",
        key: str = "error",
        **order: Unpack[Lossy],
    ) -> Order:
        """Send an event of status `error` after some events, and end. `key`: where its message stands.

        Nothing is stored unless `persist=True`. A JSON answer says it in the envelope, under status 200.
        """
        checked("error_event", events=after_events)
        order.setdefault("persist", False)
        make = partial(ErrorEvent, after_events, (End(),), message=message, key=key)
        return self._place("error_event", make, order)

    def malformed_event(self, after_events: int = 3, **order: Unpack[Lossy]) -> Order:
        """Break the JSON of the event after so many, and of no other. A JSON answer is broken at its end."""
        checked("malformed_event", events=after_events)
        return self._place("malformed_event", partial(MalformedEvent, after_events), order)

    def json_instead_of_stream(self, **order: Unpack[Lossy]) -> Order:
        """Answer with the message as JSON although a stream was asked for."""
        return self._place("json_instead_of_stream", AsJson, order)

    def null_answer(self, **order: Unpack[Lossy]) -> Order:
        """Answer with `openai_response` null; in a stream each `message` is null."""
        return self._place("null_answer", NullAnswer, order)

    def unknown_fields(self, **order: Unpack[Ordering]) -> Order:
        """Put keys that nobody knows before the others, in every event and object."""
        extra = {"zz_unknown": {"nested": [1, None, "x"]}, "zz_flag": True}
        return self._place("unknown_fields", partial(Changed, extra), order)

    def huge_event(self, size: int = 2**20, after_events: int = 1, **order: Unpack[Ordering]) -> Order:
        """Pad the event after so many with an unknown key of `size` bytes; a JSON answer likewise."""
        checked("huge_event", size=size, events=after_events)
        return self._place("huge_event", lambda: Changed({PADDING: "x" * size}, after_events), order)

    def unknown_statuses(self, status: str = "thinking", **order: Unpack[Ordering]) -> Order:
        """Put an event of an unknown status before each event of a stream."""
        return self._place("unknown_statuses", partial(Interleaved, status), order)

    def duplicate_finish(self, **order: Unpack[Ordering]) -> Order:
        """Send the finish of a stream twice."""
        return self._place("duplicate_finish", FinishTwice, order)

    def finish_without_blank_line(self, **order: Unpack[Ordering]) -> Order:
        """End a stream right after the last line of its finish, without the blank line that completes it."""
        return self._place("finish_without_blank_line", FinishUnended, order)

    def gzip(self, **order: Unpack[Ordering]) -> Order:
        """Compress the answer although the client did not ask for it."""
        return self._place("gzip", Gzipped, order)

    def wrong_content_type(
        self, content_type: str = "text/html; charset=UTF-8", **order: Unpack[Ordering]
    ) -> Order:
        """Send the right bytes under a wrong content type."""
        header("wrong_content_type", "content_type", content_type)
        return self._place("wrong_content_type", partial(Mislabelled, content_type), order)


def _data(frame: bytes) -> dict[str, Any] | None:
    """The JSON object of an event, or None."""
    _, found, rest = frame.partition(b"data: ")
    try:
        data = json.loads(rest) if found else None
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _event(frame: bytes, data: dict[str, Any]) -> bytes:
    """The same event with other data."""
    head, _, _ = frame.partition(b"data: ")
    return head + b"data: " + dump(data) + b"\n\n"
