"""The event-stream decoder: bytes in, events out, however the bytes were cut.

Follows WHATWG HTML, "Server-sent events", sections 9.2.5 (parsing) and 9.2.6 (interpretation), to the letter.
Knows nothing of HTTP, of JSON or of this API.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from customgpt_transport.errors import ProtocolError

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_COLON = ord(":")
_LINES = 50_000  # of one bounded event: in memory, a line costs more than its bytes


class ServerSentEvent(NamedTuple):
    """One dispatched event.

    `event` is "message" unless the block named it; `id` is the last event id in force ("" at first), which
    outlives its block; `retry` is the reconnection time in milliseconds that this block gave, or None.
    """

    event: str
    data: str
    id: str = ""
    retry: int | None = None


class SSEDecoder:
    """Turn the bytes of a `text/event-stream` into events.

    `max_event_bytes` bounds what one unfinished event may hold in memory, and so its lines, too; an event
    beyond it raises `ProtocolError` (after the events before it were handed out). None: no bound.
    """

    def __init__(self, max_event_bytes: int | None = None) -> None:
        self._most = max_event_bytes
        self._at_start = True
        self._after_cr = False
        self._tail = bytearray()  # a line whose end has not come yet
        self._block: list[bytes] = []  # the whole lines of the event in the making, but for comments
        self._block_size = 0
        self._last_id = ""
        self._too_big = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes; return the events that they complete, oldest first, often none.

        Raises `ProtocolError` when an event grows beyond `max_event_bytes`; further calls raise it again.
        """
        if self._too_big:
            raise self._refusal()
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")  # the second half of a CRLF that was cut in two
            self._after_cr = False
        events: list[ServerSentEvent] = []
        most = self._most
        if most is not None and self._block_size + len(self._tail) + len(chunk) <= most:
            most = None  # no size can be too big yet, so none needs measuring
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = self._take(_LINE_END.split(chunk), events, most)
        elif b"\n" in chunk:
            chunk = self._take(chunk.split(b"\n"), events, most)
        if chunk:
            self._tail += chunk
        if most is not None and self._block_size + len(self._tail) > most:
            self._too_big = True
        if self._too_big and not events:
            raise self._refusal()
        return events

    def close(self) -> bytes:
        """End the stream and return what was left of an event that no blank line completed.

        By the standard that event does not count. The layer above may still know better.
        """
        if self._too_big:
            raise self._refusal()
        left = [*self._block, bytes(self._tail)]
        if self._at_start:
            left[0] = left[0].removeprefix(_BOM)
        return b"\n".join(left)

    def _take(self, lines: list[bytes], events: list[ServerSentEvent], most: int | None) -> bytes:
        """Add lines to the block, which a blank one ends; return the start of the unfinished last line.

        An event of more than `most` bytes is the last that is looked at.
        """
        unended = lines.pop()
        if self._tail:
            lines[0] = bytes(self._tail + lines[0])
            self._tail.clear()
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        block, known = self._block, len(self._block)
        for line in lines:
            if line:
                if line[0] != _COLON:
                    block.append(line)
            elif block:
                if most is not None and sum(map(len, block)) > most:
                    self._too_big = True
                    break
                event = self._dispatch(block)
                if event is not None:
                    events.append(event)
                block, known, self._block_size = [], 0, 0
        self._block = block
        if len(block) > _LINES and self._most is not None:
            self._too_big = True
        if len(block) > known:
            self._block_size += sum(map(len, block[known:]))
        return unended

    def _dispatch(self, block: list[bytes]) -> ServerSentEvent | None:
        name = ""
        data: str | None = None
        more: list[str] | None = None
        retry: int | None = None
        for line in block:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                text = value.decode("utf-8", "replace")
                if data is None:
                    data = text
                elif more is None:
                    more = [data, text]
                else:
                    more.append(text)
            elif field == b"event":
                name = value.decode("utf-8", "replace")
            elif field == b"id":
                if b"\0" not in value:
                    self._last_id = value.decode("utf-8", "replace")
            elif field == b"retry" and value.isdigit():
                with suppress(ValueError):  # Python refuses to read thousands of digits
                    retry = int(value)
        if data is None:
            return None
        return ServerSentEvent(
            name or "message", data if more is None else "\n".join(more), self._last_id, retry
        )

    def _refusal(self) -> ProtocolError:
        return ProtocolError(
            f"One event of the stream is larger than {self._most} bytes or {_LINES} lines. "
            "Raise ClientOptions(max_event_bytes=...) if answers of that size are expected.",
            excerpt=b"\n".join([*self._block[:200], self._tail[:200]])[:200].decode("utf-8", "replace"),
        )
