"""The decoder against WHATWG HTML, "Server-sent events" (9.2.5 parsing, 9.2.6 interpretation)."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from customgpt_transport._sse import ServerSentEvent, SSEDecoder
from customgpt_transport.errors import ProtocolError

VENDOR_STREAM = (
    b'event: start\ndata: {"status":"start","prompt":"Hello!"}\n\n'
    b'event: progress\ndata: {"status":"progress","message":""}\n\n'
    b'event: progress\ndata: {"status":"progress","message":" caf\xc3\xa9"}\n\n'
    b'event: finish\ndata: {"status":"finish","id":2495484,"citations":null}\n\n'
)


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def data_of(*chunks: bytes) -> list[str]:
    return [event.data for event in decode(*chunks)]


class TestLineEnds:
    """A line ends in CRLF, LF or CR; where the bytes were cut does not matter."""

    MIXED = b"data: one\r\n\r\ndata: two\r\rdata: three\n\ndata: four\r\n\ndata: five\n\r\n"

    @pytest.mark.parametrize("cut", range(len(MIXED) + 1))
    def test_mixed_line_ends_at_every_cut(self, cut: int) -> None:
        assert ["one", "two", "three", "four", "five"] == data_of(self.MIXED[:cut], self.MIXED[cut:])

    def test_single_bytes_give_the_same_events(self) -> None:
        pieces = [self.MIXED[i : i + 1] for i in range(len(self.MIXED))]
        assert ["one", "two", "three", "four", "five"] == data_of(*pieces)

    def test_an_event_that_ends_in_cr_is_not_held_back(self) -> None:
        assert ["x"] == data_of(b"data: x\r\r")

    def test_a_crlf_cut_in_two_is_one_line_end_even_with_an_empty_chunk_between(self) -> None:
        assert ["a\nb"] == data_of(b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n")

    def test_u2028_u0085_vt_and_ff_are_data(self) -> None:
        text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
        assert [text] == data_of(f"data: {text}\n\n".encode())


class TestEveryCutOfTheVendorsStream:
    WHOLE = decode(VENDOR_STREAM)

    @pytest.mark.parametrize("cut", range(len(VENDOR_STREAM) + 1))
    def test_the_same_events(self, cut: int) -> None:
        assert self.WHOLE == decode(VENDOR_STREAM[:cut], VENDOR_STREAM[cut:])

    def test_its_names_and_data_are_as_captured(self) -> None:
        assert ["start", "progress", "progress", "finish"] == [event.event for event in self.WHOLE]
        assert '{"status":"progress","message":" café"}' == self.WHOLE[2].data


class TestFields:
    def test_one_leading_space_is_removed_and_only_one(self) -> None:
        assert ["x", " x", "x ", "\tx"] == data_of(b"data:x\n\ndata:  x\n\ndata:x \n\ndata:\tx\n\n")

    def test_several_data_lines_are_joined_by_line_feeds(self) -> None:
        assert ["a\nb\n\nc"] == data_of(b"data: a\ndata: b\ndata\ndata:c\n\n")

    def test_a_field_without_a_colon_has_the_empty_value(self) -> None:
        assert [""] == data_of(b"data\n\n")
        assert ["\n"] == data_of(b"data\ndata\n\n")

    def test_comments_and_unknown_fields_are_ignored(self) -> None:
        assert ["x"] == data_of(b": ping\n:\nfoo: bar\nDATA: no\n data: no\ndata: x\n: end\n\n")

    def test_an_event_without_data_is_not_dispatched_and_its_name_is_forgotten(self) -> None:
        assert [ServerSentEvent("message", "x")] == decode(b"event: gone\n\ndata: x\n\n")

    def test_the_last_event_name_of_a_block_counts_and_an_empty_one_means_message(self) -> None:
        assert ["two", "message"] == [
            e.event for e in decode(b"event: one\nevent: two\ndata\n\nevent: one\nevent\ndata\n\n")
        ]

    def test_an_id_stays_in_force_until_it_is_replaced(self) -> None:
        events = decode(b"data\n\nid: 7\ndata\n\ndata\n\nid: 8\n\ndata\n\nid\ndata\n\n")
        assert ["", "7", "7", "8", ""] == [event.id for event in events]

    def test_an_id_with_nul_is_ignored(self) -> None:
        assert ["1", "1"] == [event.id for event in decode(b"id: 1\ndata\n\nid: a\0b\ndata\n\n")]

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"1500", 1500), (b"0", 0), (b"007", 7), (b"", None), (b"-1", None), (b"+5", None),
            (b"1_000", None), (b" 5", None), (b"1.5", None),
            ("٣٤".encode(), None), ("²".encode(), None), (b"9" * 5000, None),
        ],
    )  # fmt: skip
    def test_retry_takes_ascii_digits_only(self, value: bytes, expected: int | None) -> None:
        (event,) = decode(b"retry: " + value + b"\ndata\n\n")
        assert expected == event.retry

    def test_retry_belongs_to_its_block(self) -> None:
        assert [None, None] == [event.retry for event in decode(b"retry: 5\n\ndata\n\ndata\n\n")]


class TestBytes:
    def test_one_byte_order_mark_at_the_start_is_skipped_however_it_is_cut(self) -> None:
        stream = b"\xef\xbb\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\ndata: \xef\xbb\xbfz\n\n"
        for cut in range(len(stream) + 1):
            assert ["x", "\ufeffz"] == data_of(stream[:cut], stream[cut:])

    def test_only_the_first_of_two_byte_order_marks_is_skipped(self) -> None:
        assert [] == data_of(b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n")

    def test_a_character_cut_in_two_is_whole_again(self) -> None:
        assert ["€"] == data_of(b"data: \xe2", b"\x82", b"\xac\n\n")

    def test_invalid_bytes_are_replaced_and_nothing_else_is_lost(self) -> None:
        assert ["a\ufffdb", "\ufffd", "\ufffd\ufffd\ufffd"] == data_of(
            b"data: a\xffb\n\ndata: \xe2\x82\n\ndata: \xed\xa0\x80\n\n"
        )


class TestTheEnd:
    def test_an_event_without_its_blank_line_is_not_dispatched(self) -> None:
        assert [] == decode(b"data: x\n")

    @pytest.mark.parametrize(
        ("stream", "left"),
        [
            (b"", b""),
            (b"data: x\n\n", b""),
            (b"data: x\n\nevent: finish\ndata: {}", b"event: finish\ndata: {}"),
            (b"event: finish\r\ndata: {}\r\n", b"event: finish\ndata: {}\n"),
            (b"\xef\xbb\xbfdata: x", b"data: x"),
            (b": only a comment\n", b""),
        ],
    )
    def test_close_hands_back_what_was_left(self, stream: bytes, left: bytes) -> None:
        for cut in range(len(stream) + 1):
            decoder = SSEDecoder()
            decoder.feed(stream[:cut])
            decoder.feed(stream[cut:])
            assert left == decoder.close()

    def test_what_was_left_becomes_the_event_when_the_layer_above_completes_it(self) -> None:
        decoder = SSEDecoder()
        decoder.feed(b"event: finish\ndata: {}")
        assert [ServerSentEvent("finish", "{}")] == decode(decoder.close() + b"\n\n")


class TestSize:
    """`max_event_bytes` bounds one event, whatever the chunks; comments between events do not add up."""

    @pytest.mark.parametrize("step", [1, 7, 1000])
    def test_an_event_at_the_limit_passes_and_one_beyond_it_is_refused(self, step: int) -> None:
        fits, too_big = b"data: " + b"x" * 94, b"data: " + b"x" * 95
        decoder = SSEDecoder(max_event_bytes=100)
        stream = fits + b"\n\n" + too_big + b"\n\n"
        seen: list[str] = []
        with pytest.raises(ProtocolError, match="max_event_bytes"):
            for at in range(0, len(stream), step):
                seen += [event.data for event in decoder.feed(stream[at : at + step])]
            decoder.close()
        assert ["x" * 94] == seen

    def test_a_line_without_end_is_refused(self) -> None:
        decoder = SSEDecoder(max_event_bytes=1000)
        with pytest.raises(ProtocolError):
            for _ in range(20):
                decoder.feed(b"x" * 100)

    @pytest.mark.parametrize(
        "line", [b"xy\n", b"data\n", b"data:x\r\n", b"xy"], ids=["unknown", "empty", "short", "cut"]
    )
    def test_an_event_of_very_many_lines_or_pieces_takes_little_memory(self, line: bytes) -> None:
        decoder = SSEDecoder(max_event_bytes=2**20)
        tracemalloc.start()
        with pytest.raises(ProtocolError, match="max_event_bytes"):
            for _ in range(2**20):
                decoder.feed(line * 100 if b"\n" in line else line)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 12 * 2**20

    def test_endless_keep_alives_are_not_refused(self) -> None:
        decoder = SSEDecoder(max_event_bytes=100)
        for _ in range(1000):
            assert [] == decoder.feed(b": ping\n")
        assert ["x"] == [event.data for event in decoder.feed(b"data: x\n\n")]

    def test_no_limit_unless_asked(self) -> None:
        assert [3_000_000] == [len(data) for data in data_of(b"data: " + b"x" * 3_000_000 + b"\n\n")]


def test_the_cost_is_linear_in_the_bytes_whatever_the_chunks() -> None:
    """Sixteen times the bytes in small chunks cost about sixteen times as much, not 256 times.

    Also here, outside the benchmarks, because a quadratic decoder is a way to be brought down.
    """

    def cost(size: int) -> float:
        stream = b"data: " + b"x" * size + b"\n\n"
        chunks = [stream[at : at + 64] for at in range(0, len(stream), 64)]
        best = float("inf")
        for _ in range(3):
            decoder, start = SSEDecoder(), time.process_time()
            for chunk in chunks:
                decoder.feed(chunk)
            best = min(best, time.process_time() - start)
        return best

    assert cost(3_200_000) / cost(200_000) < 64
