"""Turns of both clients in one conversation: who waits, in which order, and what is refused."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from customgpt_transport import AnswerFinished, AsyncClient, Client, ConfigurationError, RequestTimeout
from customgpt_transport._sessions import sessions
from tests.transport.conftest import wait_until

PROMPT = "When are refunds paid?"


@pytest.fixture
def client(service):
    with Client(**access(service)) as made:
        yield made


@pytest.fixture
async def asynchronous(service):
    async with AsyncClient(**access(service)) as made:
        yield made


@pytest.fixture
def slow(service):
    """Answers take long enough that two would overlap."""
    service.pacing.change(tokens_per_second=400)
    return service


def access(service):
    return {"api_key": service.api_key, "base_url": service.base_url, "project_id": service.project_id}


def in_line() -> int:
    """How many have the turn or wait for it, in all conversations."""
    return sum(len(line) for line in sessions._turns.values())


def one_after_the_other(service) -> bool:
    """Whether each prompt came when the one before it was answered."""
    prompts = service.journal.prompts()
    assert all(entry.complete for entry in prompts)
    return all(before.answered <= after.arrived for before, after in itertools.pairwise(prompts))


def test_threads_take_turns_in_one_conversation(slow, client):
    session = client.conversations.create("x").session_id
    with ThreadPoolExecutor(4) as pool:
        messages = list(pool.map(lambda n: client.ask(f"{PROMPT} {n}", session_id=session), range(4)))
    assert 4 == len({message.prompt_id for message in messages})
    assert one_after_the_other(slow)
    assert 0 == in_line()


async def test_tasks_take_turns_in_one_conversation(slow, asynchronous):
    session = (await asynchronous.conversations.create("x")).session_id

    async def stream():
        async with asynchronous.stream(PROMPT, session_id=session) as answer:
            return [event async for event in answer]

    await asyncio.gather(stream(), asynchronous.ask(PROMPT, session_id=session), stream())
    assert 3 == len(slow.journal.prompts())
    assert one_after_the_other(slow)
    assert 0 == in_line()


async def test_threads_and_loops_take_turns_in_one_conversation(slow, client, asynchronous):
    session = (await asynchronous.conversations.create("x")).session_id
    await asyncio.gather(
        asyncio.to_thread(client.ask, PROMPT, session_id=session),
        asynchronous.ask(PROMPT, session_id=session),
        asyncio.to_thread(lambda: asyncio.run(AsyncClient(**access(slow)).ask(PROMPT, session_id=session))),
        asyncio.to_thread(client.ask, PROMPT, session_id=session),
    )
    assert 4 == len(slow.journal.prompts())
    assert one_after_the_other(slow)


def test_turns_come_in_the_order_of_asking(service, client):
    session = client.conversations.create("x").session_id
    with client.stream(PROMPT, session_id=session) as answer, ThreadPoolExecutor(3) as pool:
        next(answer)
        asked = []
        for n in range(3):
            asked.append(pool.submit(client.ask, f"{PROMPT} {n}", session_id=session))
            wait_until(lambda n=n: in_line() == n + 2)
        answer.close()
        for each in asked:
            each.result(10)
    assert [PROMPT, *(f"{PROMPT} {n}" for n in range(3))] == [e.prompt for e in service.journal.prompts()]


def test_conversations_do_not_wait_for_each_other(service, client):
    service.faults.stall(after_events=3)
    with client.stream(PROMPT) as answer:
        next(answer)
        assert client.ask(PROMPT).answer
        assert client.ask(PROMPT, session_id=client.conversations.create("y").session_id).answer


def test_a_turn_ends_with_the_finish_event_not_with_the_block(service, client):
    session = client.conversations.create("x").session_id
    with client.stream(PROMPT, session_id=session) as answer:
        while not isinstance(next(answer), AnswerFinished):
            pass
        assert client.ask(PROMPT, session_id=session).answer
        assert answer.message.answer


async def test_an_awaited_turn_ends_with_the_finish_event_not_with_the_block(service, asynchronous):
    session = (await asynchronous.conversations.create("x")).session_id
    async with asynchronous.stream(PROMPT, session_id=session) as answer:
        while not isinstance(await answer.__anext__(), AnswerFinished):
            pass
        assert (await asynchronous.ask(PROMPT, session_id=session)).answer
        assert answer.message.answer


@pytest.mark.parametrize("fault", ["error", "cut_after", "error_event", "unauthorized"])
def test_a_turn_ends_with_an_error(service, open_door, fault):
    door = open_door(service, recovery_patience=0)
    session = door.call("conversations.create", "x").session_id
    getattr(service.faults, fault)()
    assert door.stream(PROMPT, session_id=session).error is not None
    assert 0 == in_line()
    assert door.ask(PROMPT, session_id=session).answer


def test_asking_while_ones_own_stream_is_open_is_a_mistake_that_is_named(service, client):
    session = client.conversations.create("x").session_id
    with client.stream(PROMPT, session_id=session) as answer:
        next(answer)
        with pytest.raises(ConfigurationError, match="Close the open stream first"):
            client.ask(PROMPT, session_id=session)
        with pytest.raises(ConfigurationError, match="Close the open stream first"):
            client.stream(PROMPT, session_id=session).__enter__()
        assert list(answer)  # which goes on
    assert client.ask(PROMPT, session_id=session).answer
    assert 2 == len(service.journal.prompts())


async def test_awaiting_while_ones_own_stream_is_open_is_a_mistake_that_is_named(
    service, client, asynchronous
):
    session = (await asynchronous.conversations.create("x")).session_id
    service.faults.stall(after_events=3)
    async with asynchronous.stream(PROMPT, session_id=session) as answer:
        await answer.__anext__()
        with pytest.raises(ConfigurationError, match="Close the open stream first"):
            await asynchronous.ask(PROMPT, session_id=session)
        with pytest.raises(ConfigurationError, match="Close the open stream first"):
            client.ask(PROMPT, session_id=session)  # would block the loop that reads
    assert (await asynchronous.ask(PROMPT, session_id=session)).answer


async def test_a_loop_with_an_open_stream_refuses_a_blocking_prompt_of_any_task(
    service, client, asynchronous
):
    session = (await asynchronous.conversations.create("x")).session_id
    service.faults.stall(after_events=3)

    async def blocking():
        client.ask(PROMPT, session_id=session)

    async with asynchronous.stream(PROMPT, session_id=session) as answer:
        await answer.__anext__()
        with pytest.raises(ConfigurationError):
            await asyncio.create_task(blocking())


def test_who_waits_too_long_is_told_that_nothing_was_sent(service, client, open_door):
    session = client.conversations.create("x").session_id
    service.faults.stall(after_events=3)
    holder = threading.Thread(
        target=lambda: opened.append(client.stream(PROMPT, session_id=session).__enter__())
    )
    opened = []
    holder.start()
    holder.join()
    door = open_door(service, session_wait=0.05)
    with pytest.raises(
        RequestTimeout, match=r"busy .* 0.05 s \(ClientOptions.session_wait\). Nothing was sent"
    ) as it:
        door.ask(PROMPT, session_id=session)
    assert ("session", False, True, session) == (
        it.value.clock, it.value.sent, it.value.resend_safe, it.value.session_id,
    )  # fmt: skip
    assert 1 == len(service.journal.prompts())
    assert 1 == in_line()
    opened[0].close()
    assert door.ask(PROMPT, session_id=session).answer


async def test_a_waiter_that_is_cancelled_does_not_wedge_the_line(service, asynchronous):
    session = (await asynchronous.conversations.create("x")).session_id
    service.faults.stall(after_events=3)
    async with asynchronous.stream(PROMPT, session_id=session) as answer:
        await answer.__anext__()
        waiters = [
            asyncio.create_task(asynchronous.ask(f"{PROMPT} {n}", session_id=session)) for n in range(3)
        ]
        await until(lambda: in_line() == 4)
        waiters[0].cancel()
        waiters[1].cancel()
        await asyncio.wait(waiters[:2])
        assert 2 == in_line()
    assert (await waiters[2]).answer
    assert [PROMPT, f"{PROMPT} 2"] == [entry.prompt for entry in service.journal.prompts()]
    assert 0 == in_line()


async def test_a_waiter_that_is_cancelled_just_as_its_turn_comes_passes_it_on(service, asynchronous):
    session = (await asynchronous.conversations.create("x")).session_id
    service.faults.stall(after_events=3)
    async with asynchronous.stream(PROMPT, session_id=session) as answer:
        await answer.__anext__()
        first = asyncio.create_task(asynchronous.ask(PROMPT, session_id=session))
        second = asyncio.create_task(asynchronous.ask(PROMPT, session_id=session))
        await until(lambda: in_line() == 3)
        answer._end_turn()  # the turn is the first one's from here on, and it has not heard yet
        first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).answer
    assert 2 == len(service.journal.prompts())


def test_a_loop_that_is_gone_with_its_waiter_does_not_wedge_the_line(service, client):
    session = client.conversations.create("x").session_id
    service.faults.stall(after_events=3)
    with client.stream(PROMPT, session_id=session) as answer:
        next(answer)

        async def give_up():
            waiter = asyncio.create_task(AsyncClient(**access(service)).ask(PROMPT, session_id=session))
            await until(lambda: in_line() == 2)
            return waiter  # asyncio.run cancels it

        thread = threading.Thread(target=lambda: asyncio.run(give_up()))
        thread.start()
        thread.join(10)
        assert 1 == in_line()
    assert client.ask(PROMPT, session_id=session).answer
    assert 2 == len(service.journal.prompts())


async def until(true) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("still not so")
