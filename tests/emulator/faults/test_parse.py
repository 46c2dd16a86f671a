"""Faults by name, as the command line and HTTP order them."""

from __future__ import annotations

from typing import Any

import pytest

from customgpt_emulator import Emulator
from customgpt_emulator.faults.parse import order_fault, parse_fault, verbs
from tests.emulator.conftest import Raw

NEEDED = {"delay": {"seconds": 0}, "refuse": {"seconds": 0.01}}  # arguments without a default


class TestReading:
    @pytest.mark.parametrize(
        ("text", "verb", "arguments"),
        [
            ("cut_after", "cut_after", {}),
            (" cut_after: events=3, times=1 ", "cut_after", {"events": 3, "times": 1}),
            ("error:status=503,retry_after=0.5", "error", {"status": 503, "retry_after": 0.5}),
            ("error:times=none,on=none", "error", {"times": None, "on": None}),
            ("cut_after:persist=true,visible_after=2", "cut_after", {"persist": True, "visible_after": 2}),
            (
                "cut_after:persist=False,visible_after=1.5s",
                "cut_after",
                {"persist": False, "visible_after": "1.5s"},
            ),
            (
                "rate_limit:retry_after=Wed, 21 Oct 2026 07:28:00 GMT,times=2",
                "rate_limit",
                {"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT", "times": 2},
            ),
            ("redirect:location=https://a.example/?b=c", "redirect", {"location": "https://a.example/?b=c"}),
            ("error_event:message=500", "error_event", {"message": "500"}),
            ("not_found:chance=.25", "not_found", {"chance": 0.25}),
            ("refuse:seconds=2", "refuse", {"seconds": 2}),
        ],
    )
    def test_gives_the_verb_and_its_arguments(self, text: str, verb: str, arguments: dict[str, Any]):
        assert parse_fault(text) == (verb, arguments)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "there is no fault ''. The faults are: bad_chunk_size, "),
            ("explode", "there is no fault 'explode'"),
            ("clear", "there is no fault 'clear'"),
            ("_place", "there is no fault '_place'"),
            ("cut_after:3", "cut_after: '3' is not an argument; write name=value"),
            ("cut_after:event=3", "cut_after takes no 'event'; it takes events, times, on, chance, persist"),
        ],
    )
    def test_refuses_what_is_no_fault(self, text: str, words: str):
        with pytest.raises(ValueError, match=words.replace(".", r"\.")):
            parse_fault(text)


class TestOrdering:
    def test_by_name_is_ordering_by_verb(self, raw: Raw):
        order_fault(raw.emulator.faults, *parse_fault("error:status=503,retry_after=2"))
        answer = raw.send("Aurora")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")

    @pytest.mark.parametrize("verb", sorted(verbs()))
    def test_works_for_every_verb(self, server: Emulator, verb: str):
        order_fault(server.faults, verb, NEEDED.get(verb, {}))
        assert verb == "refuse" or [order.verb for order in server.faults.pending] == [verb]
        server.faults.clear()

    @pytest.mark.parametrize(
        ("verb", "arguments", "words"),
        [
            ("cut_after", {"events": "3"}, "cut_after: events must be int, not '3'"),
            ("cut_after", {"events": True}, "events must be int, not True"),
            ("wrong_content_type", {"content_type": 5}, "content_type must be str, not 5"),
            ("error", {"retry_after": [1]}, r"retry_after must be float or str or None, not \[1\]"),
            ("delay", {}, "delay: missing 1 required positional argument: 'seconds'"),
            ("error", {"times": -1}, "error: times must be a whole number"),
            ("explode", {}, "there is no fault 'explode'"),
        ],
    )
    def test_refuses_wrong_values(self, server: Emulator, verb: str, arguments: dict[str, Any], words: str):
        with pytest.raises(ValueError, match=words):
            order_fault(server.faults, verb, arguments)
        assert server.faults.pending == []
