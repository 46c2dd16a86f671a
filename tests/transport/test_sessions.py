"""The registry of turns: two prompts of one process never run in one conversation at once."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from customgpt_emulator import Emulator
from customgpt_transport import AsyncClient, Client, ClientOptions, ConfigurationError, RequestTimeout
from customgpt_transport._guard import Guard
from customgpt_transport._sessions import REMEMBERED, Sessions, sessions

PROMPT = "When are refunds paid?"


@pytest.fixture
def options(emulator: Emulator) -> ClientOptions:
    return ClientOptions(api_key=emulator.api_key, base_url=emulator.base_url, project_id=emulator.project_id)


def elsewhere(function):
    """Run on another thread and return the result."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(10)


class TestTheRegistry:
    KEY = ("https://x", "s")

    def test_the_first_in_line_has_the_turn_and_the_next_gets_it_when_that_leaves(self):
        registry = Sessions()
        first = registry.join(self.KEY, blocking=True)
        second = elsewhere(lambda: registry.join(self.KEY, blocking=True))
        assert (True, False) == (first.granted.done(), second.granted.done())
        registry.leave(first)
        assert second.granted.done()

    def test_one_that_gave_up_is_passed_over(self):
        registry = Sessions()
        first = registry.join(self.KEY, blocking=True)
        second, third = (elsewhere(lambda: registry.join(self.KEY, blocking=True)) for _ in range(2))
        assert second.granted.cancel()
        registry.leave(second)
        registry.leave(first)
        assert third.granted.done()

    def test_leaving_twice_takes_nobody_elses_turn(self):
        registry = Sessions()
        first = registry.join(self.KEY, blocking=True)
        second = elsewhere(lambda: registry.join(self.KEY, blocking=True))
        registry.leave(first)
        registry.leave(first)
        third = elsewhere(lambda: registry.join(self.KEY, blocking=True))
        assert (True, False) == (second.granted.done(), third.granted.done())

    def test_a_new_thread_waits_for_one_that_has_ended_although_it_may_bear_its_number(self):
        registry = Sessions()
        kept = [elsewhere(lambda: registry.join(self.KEY, blocking=True)) for _ in range(20)]
        assert 19 == sum(not turn.granted.done() for turn in kept)  # though a number is given again at once

    def test_nothing_is_kept_of_a_conversation_without_prompts(self):
        registry = Sessions()
        registry.leave(registry.join(self.KEY, blocking=True))
        assert {} == registry._turns

    def test_the_greatest_prompt_id_is_remembered_for_the_newest_conversations(self):
        registry = Sessions()
        for number in (5, 3, None):
            registry.note(self.KEY, number)
        assert 5 == registry.seen(self.KEY)
        for number in range(REMEMBERED):
            registry.note(("https://x", str(number)), 1)
        assert (0, 1) == (registry.seen(self.KEY), registry.seen(("https://x", "0")))

    def test_a_collection_in_the_middle_of_anything_cannot_deadlock(self):
        registry = Sessions()
        first = registry.join(self.KEY, blocking=True)
        second = elsewhere(lambda: registry.join(self.KEY, blocking=True))
        with registry._guard, registry._guard.lock:
            del first  # on the thread that holds the lock
            assert not second.granted.done()
        assert second.granted.done()


def test_a_guard_runs_what_came_meanwhile_when_it_is_let_go():
    guard, done = Guard(), []
    with guard, guard.lock:
        guard.soon(lambda: done.append(1))
        assert [] == done
    guard.soon(lambda: done.append(2))
    assert [1, 2] == done


def test_a_second_prompt_beside_ones_own_open_stream_is_refused_at_once(options, emulator):
    emulator.faults.stall(after_events=3)  # else one read may bring it to its end
    with Client(options=options) as client:
        session = client.conversations.create("x").session_id
        with client.stream(PROMPT, session_id=session) as answer:
            next(answer)
            with pytest.raises(ConfigurationError, match="Close the open stream first"):
                client.ask(PROMPT, session_id=session)
            assert client.ask(PROMPT).answer  # another conversation is free
        assert client.ask(PROMPT, session_id=session).answer


async def test_a_second_prompt_beside_the_tasks_own_open_stream_is_refused_at_once(options, emulator):
    emulator.faults.stall(after_events=3)  # else one read may bring it to its end
    async with AsyncClient(options=options) as client:
        session = (await client.conversations.create("x")).session_id
        async with client.stream(PROMPT, session_id=session) as answer:
            await answer.__anext__()
            with pytest.raises(ConfigurationError, match="Close the open stream first"):
                await client.ask(PROMPT, session_id=session)
        assert (await client.ask(PROMPT, session_id=session)).answer


def test_another_thread_waits_for_the_stream_to_end(options, emulator):
    with Client(options=options) as client:
        session = client.conversations.create("x").session_id
        with ThreadPoolExecutor(1) as pool, client.stream(PROMPT, session_id=session) as answer:
            next(answer)
            waiting = pool.submit(client.ask, PROMPT, session_id=session)
            _until(lambda: len(sessions._turns[next(iter(sessions._turns))]) == 2)
            assert 1 == len(emulator.journal.prompts())
            for _ in answer:
                pass
            assert waiting.result(10).answer  # the turn ended at the finish, not at the close


def test_a_loop_waits_for_a_thread_without_standing_still(options, emulator):
    client, loops = Client(options=options), AsyncClient(options=options)
    session = client.conversations.create("x").session_id
    ticks = []

    async def ask() -> str:
        async with loops:
            waiting = asyncio.create_task(loops.ask(PROMPT, session_id=session))
            while not waiting.done():
                ticks.append(1)
                if len(ticks) == 20:
                    release.set()
                await asyncio.sleep(0.001)
            return (await waiting).answer

    release = threading.Event()
    with ThreadPoolExecutor(1) as pool, client:
        with client.stream(PROMPT, session_id=session) as answer:
            next(answer)
            asked = pool.submit(lambda: asyncio.run(ask()))
            assert release.wait(10)
        assert asked.result(10)
    assert 2 == len(emulator.journal.prompts())


def test_who_waits_too_long_is_told_that_nothing_was_sent(options, emulator):
    with Client(options=options) as client:
        session = client.conversations.create("x").session_id
        impatient = ClientOptions(session_wait=0.05)
        with client.stream(PROMPT, session_id=session) as answer:
            next(answer)
            with pytest.raises(RequestTimeout) as caught:
                elsewhere(lambda: client.ask(PROMPT, session_id=session, options=impatient))
            assert ("session", False, True) == (
                caught.value.clock, caught.value.sent, caught.value.resend_safe,
            )  # fmt: skip
            assert 1 == len(emulator.journal.prompts())


async def test_a_task_that_is_cancelled_while_it_waits_gives_up_its_place(options):
    async with AsyncClient(options=options) as client:
        session = (await client.conversations.create("x")).session_id
        async with client.stream(PROMPT, session_id=session) as answer:
            await answer.__anext__()
            waiting = asyncio.create_task(client.ask(PROMPT, session_id=session))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert {} == sessions._turns


def test_a_stream_that_is_dropped_gives_its_turn_back(options, emulator):
    emulator.faults.stall(after_events=3)
    with Client(options=options) as client:
        session = client.conversations.create("x").session_id
        stream = client.stream(PROMPT, session_id=session)
        next(stream.__enter__())
        del stream
        gc.collect()
        assert {} == sessions._turns
        emulator.journal.wait_for(lambda entry: entry.disconnected)
        assert client.ask(PROMPT, session_id=session).answer


def test_clients_of_one_process_share_the_turns(options):
    with Client(options=options) as one, Client(options=options) as other:
        session = one.conversations.create("x").session_id
        with one.stream(PROMPT, session_id=session) as answer:
            next(answer)
            with pytest.raises(ConfigurationError):
                other.ask(PROMPT, session_id=session)


def _until(true) -> None:
    ends = threading.Event()
    for _ in range(2000):
        if true():
            return
        ends.wait(0.002)
    raise AssertionError("still not so")
