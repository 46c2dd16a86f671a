"""A wait for a slot, or for a key that was refused, always ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from customgpt_transport import AsyncClient, Client, ClientOptions, ConfigurationError, RequestTimeout
from customgpt_transport._pacing import WINDOW, Gate
from customgpt_transport._wire.http import Response

PROMPT = "When are refunds paid?"


@pytest.fixture
def options(service) -> ClientOptions:
    return ClientOptions(
        api_key=service.api_key, base_url=service.base_url, project_id=service.project_id, session_wait=0.2
    )


class Meeting:
    """Who joins waits for the other; asyncio.Barrier is not in Python 3.10."""

    def __init__(self) -> None:
        self._came, self._both = 0, asyncio.Event()

    async def join(self) -> None:
        self._came += 1
        if self._came == 2:
            self._both.set()
        await self._both.wait()


async def test_tasks_that_hold_each_others_slots_are_refused(service, options):
    service.faults.stall(after_events=3, times=2)
    async with AsyncClient(options=replace(options, max_concurrent_prompts=2)) as client:
        opened, told = Meeting(), Meeting()

        async def nested():
            async with client.stream(PROMPT) as answer:
                await answer.__anext__()
                await opened.join()
                with pytest.raises(RequestTimeout, match="max_concurrent_prompts=2") as raised:
                    await client.ask(PROMPT)
                assert not raised.value.sent
                await told.join()

        await asyncio.wait_for(asyncio.gather(nested(), nested()), 20)
    assert 2 == len(service.journal.prompts())


async def test_a_blocking_call_on_the_loops_thread_does_not_wait_for_a_slot_of_that_loop(service, options):
    service.faults.stall(after_events=3)
    options = replace(options, max_concurrent_prompts=1, session_wait=120)
    async with AsyncClient(options=options) as client, client.stream(PROMPT) as answer:
        await answer.__anext__()

        async def elsewhere():
            with Client(options=options) as blocking, pytest.raises(ConfigurationError):
                blocking.ask(PROMPT)

        await asyncio.create_task(elsewhere())


def refused(seconds: str) -> Response:
    return Response(429, {"retry-after": seconds})


def admitted(remaining: int, limit: int = 100) -> Response:
    return Response(200, {"x-ratelimit-remaining": str(remaining), "x-ratelimit-limit": str(limit)})


@pytest.mark.parametrize("seconds", ["9999999", "9" * 300])
def test_one_refusal_shuts_a_key_for_an_hour_at_most(seconds):
    gate = Gate()
    gate.heard(refused(seconds), 0.0)
    assert gate.opening(3600.0) is None


def test_a_key_that_the_service_admits_again_is_open_again():
    gate = Gate()
    gate.heard(refused("3000"), 0.0)
    assert gate.opening(WINDOW) is not None
    gate.heard(admitted(50), WINDOW)
    assert gate.opening(WINDOW) is None


def test_an_answer_that_was_under_way_during_a_refusal_does_not_undo_it():
    gate = Gate()
    gate.heard(refused("30"), 0.0)
    gate.heard(admitted(50), 1.0)
    assert 30.0 == gate.opening(1.0)


def test_a_limit_that_was_reached_long_ago_does_not_count_prompts_spread_over_hours():
    gate = Gate()
    gate.heard(admitted(0, limit=3), 0.0)
    assert [None] * 20 == [gate.opening(3600.0 * hour) for hour in range(1, 21)]
