"""The service's limits hold for all clients of a key: they wait instead of failing."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from customgpt_transport import (
    AsyncClient,
    AuthenticationFailed,
    Client,
    ClientOptions,
    ConfigurationError,
    RateLimited,
    RetryPolicy,
)
from customgpt_transport._pacing import pacing
from tests.doors import DOORS
from tests.transport.conftest import wait_until
from tests.transport.scripted import Answer

PROMPT = "When are refunds paid?"
ONCE = {"retry": RetryPolicy(max_retries=0)}


class Clock:
    """A clock that is moved only by the pauses taken on it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(round(seconds, 6))
        self.now += seconds

    @property
    def options(self):
        return {"clock": self, "sleep": self.sleep, "new_session": "uuid"}


@pytest.fixture
def clock(service):
    service.switches.unknown_session = "create"  # so that a prompt is one request
    made = Clock()
    service.quotas.clock = made
    yield made
    service.switches.unknown_session = "404"


def refusals(service):
    return service.journal.entries(status=429)


def test_when_nothing_remains_the_next_prompt_waits_for_a_minute_after_the_first_response(
    service, open_door, clock
):
    service.quotas.change(requests_per_minute=3)
    door = open_door(service, **clock.options)
    for _ in range(3):
        door.ask(PROMPT)
        clock.now += 10
    assert [] == clock.naps
    door.ask(PROMPT)
    assert [30.0] == clock.naps  # 10 + 10 + 10 have passed
    assert [] == refusals(service)


def test_many_prompts_pass_a_small_limit_without_a_single_refusal(service, open_door, clock):
    service.quotas.change(requests_per_minute=5)
    door = open_door(service, **clock.options)
    for _ in range(17):
        assert door.stream(PROMPT).error is None
    assert [60.0] * 3 == clock.naps
    assert [] == refusals(service)


def test_a_refusal_with_a_time_is_obeyed_to_the_second(service, open_door, clock):
    service.faults.rate_limit(retry_after=7)
    message = open_door(service, **clock.options).ask(PROMPT)
    assert ([7.0], 1) == (clock.naps, message.retries)


@pytest.mark.parametrize("second", DOORS)
def test_a_refusal_of_one_client_holds_back_the_others_of_the_same_key(service, open_door, clock, second):
    service.faults.rate_limit(retry_after=7)
    with pytest.raises(RateLimited):
        open_door(service, **clock.options, **ONCE).ask(PROMPT)
    other = DOORS[second](service, **clock.options, **ONCE)
    assert other.stream(PROMPT).error is None
    other.close()
    assert [7.0] == clock.naps


def test_a_refusal_of_a_look_up_holds_back_prompts_too(service, open_door, clock):
    door = open_door(service, **clock.options, **ONCE)
    service.faults.rate_limit(retry_after=7, on="citations")
    assert not door.citations([1])[0].resolved
    assert [] == clock.naps
    door.ask(PROMPT)
    assert [7.0] == clock.naps


def test_a_refusal_does_not_concern_another_key_or_another_origin(service, open_door, clock):
    service.faults.rate_limit(retry_after=7)
    with pytest.raises(RateLimited):
        open_door(service, **clock.options, **ONCE).ask(PROMPT)
    with pytest.raises(AuthenticationFailed):
        open_door(service, **clock.options, **{**ONCE, "api_key": "2|another"}).ask(PROMPT)
    elsewhere = service.base_url.replace("127.0.0.1", "localhost")
    assert open_door(service, **clock.options, **{**ONCE, "base_url": elsewhere}).ask(PROMPT).answer
    assert [] == clock.naps


def test_a_refusal_without_a_time_holds_back_for_a_moment_and_the_one_refused_backs_off(
    service, open_door, clock
):
    service.faults.rate_limit()
    door = open_door(service, **clock.options, retry=RetryPolicy(random=lambda: 0.5))
    assert 1 == door.ask(PROMPT).retries
    assert [0.25, 0.75] == clock.naps


def test_a_wait_beyond_the_patience_is_refused_without_a_request(service, open_door, clock):
    service.faults.rate_limit(retry_after=3600)
    door = open_door(service, **clock.options, retry=RetryPolicy(patience=30))
    with pytest.raises(RateLimited):
        door.ask(PROMPT)
    with pytest.raises(RateLimited, match=r"beyond the patience of 30 s.*Nothing was sent") as raised:
        door.ask(PROMPT)
    assert (3600.0, True) == (raised.value.retry_after, raised.value.resend_safe)
    assert ([], 1) == (clock.naps, len(service.journal.prompts()))
    clock.now += 3600
    assert door.ask(PROMPT).answer


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "1.5", "soon", "9" * 5000, "-", "\xb2"])
def test_a_remainder_that_is_no_number_is_no_remainder(open_door, api, said):
    clock = Clock()
    answer = Answer(200, b'{"data":{"openai_response":"So.","id":1}}', {"X-RateLimit-Remaining": said})
    api.on("POST /projects/7/conversations/s/messages", answer)
    door = open_door(api, **clock.options, recovery_patience=0)
    for _ in range(2):
        assert "So." == door.ask(PROMPT, session_id="s").answer
    assert [] == clock.naps


def test_threads_of_one_key_wait_together_and_go_on_together(service, clock):
    service.quotas.change(requests_per_minute=4)
    made = Client(options=options(service, **clock.options))
    with made, ThreadPoolExecutor(4) as pool:
        assert all(m.answer for m in pool.map(lambda _: made.ask(PROMPT), range(4)))
        assert all(m.answer for m in pool.map(lambda _: made.ask(PROMPT), range(4)))
    assert all(0 < nap <= 60 for nap in clock.naps)
    assert [] == refusals(service)


def test_prompts_at_once_are_not_limited_unless_asked(service):
    with Client(options=options(service)) as made:
        streams = [made.stream(PROMPT) for _ in range(12)]
        service.faults.stall(after_events=3, times=None)
        for stream in streams:
            next(stream.__enter__())
        for stream in streams:
            stream.close()
    assert 12 == len(service.journal.prompts())


def test_threads_wait_for_a_free_slot(service):
    service.quotas.change(concurrent_prompts=2)
    service.pacing.change(time_to_first_token=0.005)
    chosen = options(service, max_concurrent_prompts=2, **ONCE)
    with Client(options=chosen) as made, ThreadPoolExecutor(8) as pool:
        assert 16 == len({m.session_id for m in pool.map(lambda _: made.ask(PROMPT), range(16))})
    assert [] == refusals(service)


async def test_tasks_and_threads_share_the_slots_of_their_key(service):
    service.quotas.change(concurrent_prompts=3)
    service.pacing.change(time_to_first_token=0.005)
    chosen = options(service, max_concurrent_prompts=3, **ONCE)
    made = Client(options=chosen)
    async with AsyncClient(options=pickle.loads(pickle.dumps(chosen))) as asynchronous:

        async def stream():
            async with asynchronous.stream(PROMPT) as answer:
                return [event async for event in answer]

        await asyncio.gather(
            *(stream() for _ in range(6)),
            *(asynchronous.ask(PROMPT) for _ in range(6)),
            *(asyncio.to_thread(made.ask, PROMPT) for _ in range(6)),
        )
    made.close()
    assert 18 == len(service.journal.prompts())
    assert [] == refusals(service)
    assert idle()


def test_a_slot_is_given_back_by_an_error_and_by_leaving(service, open_door):
    door = open_door(service, max_concurrent_prompts=1, recovery_patience=0, **ONCE)
    service.faults.error(500)
    service.faults.stall(after_events=3)
    assert door.stream(PROMPT).error is not None
    assert door.stream(PROMPT, most=1).error is None
    assert door.ask(PROMPT).answer
    assert idle()


def test_a_caller_whose_own_streams_hold_every_slot_is_refused(service):
    service.faults.stall(after_events=3)
    with Client(options=options(service, max_concurrent_prompts=1)) as made, made.stream(PROMPT) as answer:
        next(answer)
        with pytest.raises(ConfigurationError, match="max_concurrent_prompts=1"):
            made.ask(PROMPT)
        answer.close()
        assert made.ask(PROMPT).answer


async def test_a_task_that_is_cancelled_while_it_waits_for_a_slot_leaves_the_line(service):
    service.faults.stall(after_events=3)
    async with AsyncClient(options=options(service, max_concurrent_prompts=1)) as made:
        async with made.stream(PROMPT) as answer:
            await answer.__anext__()
            waiters = [asyncio.create_task(made.ask(PROMPT)) for _ in range(2)]
            gate = pacing.gate(made.options)
            await asyncio.to_thread(wait_until, lambda: len(gate._waiting) == 2)
            waiters[0].cancel()
            await asyncio.wait(waiters[:1])
        assert (await waiters[1]).answer
    assert 2 == len(service.journal.prompts())
    assert idle()


def test_gates_hold_no_key(service, open_door):
    door = open_door(service)
    door.ask(PROMPT)
    assert service.api_key not in str(vars(pacing))
    assert 1 == len(pacing._gates)


def options(service, **more):
    return ClientOptions(
        api_key=service.api_key, base_url=service.base_url, project_id=service.project_id, **more
    )


def idle() -> bool:
    gates = list(pacing._gates.values())
    return bool(gates) and not any(gate._flying or gate._waiting for gate in gates)


def test_a_wait_is_measured_in_whole_seconds_of_the_callers_clock(service, open_door, clock):
    service.faults.rate_limit(retry_after=7)
    with pytest.raises(RateLimited):
        open_door(service, **clock.options, **ONCE).ask(PROMPT)
    clock.now += 5
    open_door(service, **clock.options, **ONCE).ask(PROMPT)
    assert [2.0] == clock.naps
