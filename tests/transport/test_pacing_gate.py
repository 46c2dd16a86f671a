"""The gate of one key: what the service says about its limits holds for all prompts of the process."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from customgpt_emulator import Emulator
from customgpt_transport import AsyncClient, Client, ClientOptions, ConfigurationError, RateLimited
from customgpt_transport._pacing import Gate, Pacing, pacing
from customgpt_transport._wire.http import Response
from tests.doors import DOORS

PROMPT = "When are refunds paid?"


def left(remaining: int, limit: int = 60) -> Response:
    return Response(200, {"x-ratelimit-remaining": str(remaining), "x-ratelimit-limit": str(limit)})


def throttled(seconds: str | None = None) -> Response:
    return Response(
        429, {} if seconds is None else {"retry-after": seconds}, b'{"message":"Too Many Attempts."}'
    )


class TestTheGate:
    def test_it_is_open_until_the_service_says_otherwise(self):
        gate = Gate()
        gate.heard(Response(200), 100)
        gate.heard(left(1), 100)
        assert gate.opening(100) is None

    def test_nothing_left_shuts_it_until_a_minute_after_the_windows_first_response(self):
        gate = Gate()
        gate.heard(left(2), 100)
        gate.heard(left(1), 110)
        gate.heard(left(0), 120)
        assert 160 == gate.opening(130)
        assert gate.opening(160) is None

    def test_a_window_that_began_anew_counts_from_its_own_first_response(self):
        gate = Gate()
        gate.heard(left(5), 100)
        gate.heard(left(59), 130)
        gate.heard(left(0), 140)
        assert 190 == gate.opening(141)

    def test_a_429_shuts_it_until_its_retry_after(self):
        gate = Gate()
        gate.heard(throttled("7"), 100)
        assert 107 == gate.opening(100)
        assert gate.opening(107) is None

    def test_a_429_that_names_no_time_shuts_it_for_a_moment(self):
        gate = Gate()
        gate.heard(throttled(), 100)
        assert 100 < (gate.opening(100) or 0) <= 102

    def test_used_up_credits_do_not_shut_it(self):
        gate = Gate()
        gate.heard(Response(429, {"retry-after": "9"}, b'{"data":{"message":"no query credits"}}'), 100)
        assert gate.opening(100) is None

    def test_a_later_opening_wins_over_an_earlier_one(self):
        gate = Gate()
        gate.heard(throttled("9"), 100)
        gate.heard(throttled("1"), 101)
        assert 109 == gate.opening(101)

    def test_it_is_open_for_who_has_waited_though_the_clock_stands_still(self):
        gate = Gate()
        gate.heard(throttled("7"), 100)
        assert gate.opening(100, after=107) is None

    def test_once_shut_it_admits_no_more_at_once_than_the_limit(self):
        gate = Gate()
        gate.heard(left(1, limit=2), 100)
        gate.heard(throttled("5"), 100)
        assert [None, None, 165, 165] == [gate.opening(105) for _ in range(4)]

    def test_the_services_own_count_frees_it_again(self):
        gate = Gate()
        gate.heard(left(1, limit=2), 100)
        gate.heard(throttled("5"), 100)
        assert gate.opening(105) is None
        gate.heard(left(60), 105)
        assert [None] * 5 == [gate.opening(105) for _ in range(5)]

    @pytest.mark.parametrize("value", ["", "-1", "x", "1.5", "9" * 50, "٣"])
    def test_a_header_that_is_no_count_is_ignored(self, value):
        gate = Gate()
        gate.heard(Response(200, {"x-ratelimit-remaining": value}), 100)
        assert gate.opening(100) is None


def test_gates_are_kept_by_origin_and_key_and_never_hold_the_key():
    registry = Pacing()

    def of(key: str, url: str) -> ClientOptions:
        return ClientOptions(api_key=key, base_url=url).resolve()

    one = registry.gate(of("secret", "https://a.test"))
    assert one is registry.gate(of("secret", "https://a.test/api/v1/"))
    assert one is not registry.gate(of("other", "https://a.test"))
    assert one is not registry.gate(of("secret", "https://b.test"))
    assert "secret" not in repr(registry._gates)


@pytest.mark.parametrize("library", DOORS)
def test_a_429_makes_the_next_prompt_of_another_client_wait(emulator, library):
    other = "aiohttp" if library == "requests" else "requests"
    first, second = DOORS[library](emulator), DOORS[other](emulator)
    try:
        emulator.faults.rate_limit(retry_after=7)
        first.ask(PROMPT)
        second.ask(PROMPT)
    finally:
        first.close()
        second.close()
    assert [7] == first.naps
    assert [pytest.approx(7, abs=1)] == second.naps
    assert 3 == len(emulator.journal.prompts())


@pytest.mark.parametrize("library", DOORS)
def test_a_prompt_that_would_wait_beyond_the_patience_is_not_sent(emulator, library):
    door = DOORS[library](emulator)
    try:
        emulator.faults.rate_limit(retry_after=3600)
        for _ in range(2):
            with pytest.raises(RateLimited) as caught:
                door.ask(PROMPT)
            assert (caught.value.retry_after or 0) > 3500
    finally:
        door.close()
    assert 1 == len(emulator.journal.prompts())


def test_prompts_in_flight_are_bounded_for_threads_and_loops_together(emulator: Emulator):
    emulator.faults.delay(0.05, times=None)
    options = ClientOptions(
        api_key=emulator.api_key,
        base_url=emulator.base_url,
        project_id=emulator.project_id,
        max_concurrent_prompts=2,
    ).resolve()
    gate, most, lock = pacing.gate(options), [0], threading.Lock()

    def look(_: object) -> None:
        with lock:
            most[0] = max(most[0], len(gate._flying))

    options = replace(options, on_request=look)
    client, loops = Client(options=options), AsyncClient(options=options)

    async def ask_all() -> None:
        async with loops:
            await asyncio.gather(*(loops.ask(PROMPT) for _ in range(4)))

    with client, ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(client.ask, PROMPT) for _ in range(4)]
        asked.append(pool.submit(lambda: asyncio.run(ask_all())))
        for one in asked:
            one.result(20)
    assert 8 == len(emulator.journal.prompts())
    assert 2 == most[0]
    assert [] == gate._flying


def test_a_prompt_is_refused_when_the_callers_own_streams_hold_every_slot(emulator):
    options = ClientOptions(
        api_key=emulator.api_key,
        base_url=emulator.base_url,
        project_id=emulator.project_id,
        max_concurrent_prompts=1,
    )
    with Client(options=options) as client, client.stream(PROMPT) as answer:
        next(answer)
        with pytest.raises(ConfigurationError, match="max_concurrent_prompts"):
            client.ask(PROMPT)
