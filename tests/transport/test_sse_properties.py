"""Properties of the decoder: no bytes crash it, no chunking changes it, a slow plain decoder agrees."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from customgpt_transport._sse import ServerSentEvent, SSEDecoder
from customgpt_transport.errors import ProtocolError

TOKENS = [
    b"data", b"data:", b"data: ", b"event:", b"event: ", b"id:", b"id: ", b"retry:", b"retry: ",
    b":", b" ", b"x", b"7",
    b"\r", b"\n", b"\r\n", b"\n\n", b"\0", b"\xef\xbb\xbf", b"\xe2\x82\xac", b"\xe2\x82",
    b"\xff", "\u2028".encode(),
    "\x85".encode(), b"\x0b", b"\x0c", b'{"status":"progress"}',
]  # fmt: skip
STREAMS = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(TOKENS), max_size=40).map(b"".join))


def slow_reference(stream: bytes) -> list[ServerSentEvent]:
    """Decode as the standard says, rule by rule, over the whole stream as text."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = (
        text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    )  # what no line end closed is dropped
    events: list[ServerSentEvent] = []
    data = name = last_id = ""
    retry: int | None = None
    for line in lines:
        if line == "":
            if data != "":
                events.append(ServerSentEvent(name or "message", data[:-1], last_id, retry))
            data, name, retry = "", "", None
        elif line[0] != ":":
            field, colon, value = line.partition(":")
            if colon and value.startswith(" "):
                value = value[1:]
            if field == "event":
                name = value
            elif field == "data":
                data += value + "\n"
            elif field == "id" and "\0" not in value:
                last_id = value
            elif field == "retry" and value and all(c in "0123456789" for c in value):
                retry = int(value)
    return events


def feed(stream: bytes, cuts: list[int]) -> tuple[list[ServerSentEvent], bytes]:
    decoder = SSEDecoder()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    events = [event for start, end in pairwise(edges) for event in decoder.feed(stream[start:end])]
    return events, decoder.close()


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
def test_any_bytes_in_any_chunks_decode_as_by_the_slow_decoder(stream: bytes, cuts: list[int]) -> None:
    assert slow_reference(stream) == feed(stream, cuts)[0]


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
def test_what_is_left_at_the_end_does_not_depend_on_the_chunks(stream: bytes, cuts: list[int]) -> None:
    assert feed(stream, [])[1] == feed(stream, cuts)[1]


@given(STREAMS, st.integers(1, 50))
def test_with_a_limit_the_events_are_a_prefix_of_those_without(stream: bytes, most: int) -> None:
    decoder, seen = SSEDecoder(most), []
    with suppress(ProtocolError):
        for at in range(len(stream)):
            seen += decoder.feed(stream[at : at + 1])
    whole = slow_reference(stream)
    assert seen == whole[: len(seen)]
