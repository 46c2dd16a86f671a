"""Leaving a stream hangs up at once: the service sees it before it sends the next event."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import pytest

from customgpt_transport import AsyncClient, Client, ConfigurationError, CustomGPTError
from customgpt_transport._pacing import pacing
from customgpt_transport._sessions import sessions
from tests.transport.conftest import wait_until

PROMPT = "When are refunds paid?"


@pytest.fixture
def silent(service):
    """The service falls silent after the third event of each answer, until the client leaves."""
    service.faults.stall(after_events=3, times=None)
    return service


def client_of(service, kind=Client, **more):
    return kind(api_key=service.api_key, base_url=service.base_url, project_id=service.project_id, **more)


def has_left(service, events: int = 3) -> None:
    """Assert that the service saw the client leave, that no turn is held and no connection is open."""
    left = service.journal.wait_for(lambda entry: entry.disconnected)
    assert events == left.events_sent
    wait_until(lambda: not sessions._turns)
    wait_until(lambda: not any(gate._flying for gate in pacing._gates.values()))
    service.faults.clear()


def test_leaving_the_block_early_hangs_up(silent, open_door):
    heard = open_door(silent).stream(PROMPT, most=1)
    assert heard.error is None
    has_left(silent)


def test_the_next_prompt_after_leaving_early_is_answered_on_a_new_connection(silent, open_door):
    door = open_door(silent)
    session = door.call("conversations.create", "x").session_id
    door.stream(PROMPT, most=1, session_id=session)
    has_left(silent)
    message = door.ask(PROMPT, session_id=session)
    first, second = silent.journal.prompts()
    assert message.answer
    assert first.connection != second.connection


def test_an_exception_in_the_block_hangs_up(silent):
    with client_of(silent) as client, pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with client.stream(PROMPT) as answer:
            next(answer)
            raise KeyboardInterrupt
    has_left(silent)


async def test_an_exception_in_the_asynchronous_block_hangs_up(silent):
    async with client_of(silent, AsyncClient) as client:
        with pytest.raises(KeyError):
            async with client.stream(PROMPT) as answer:
                await answer.__anext__()
                raise KeyError
        await asyncio.to_thread(has_left, silent)


def test_a_stream_that_is_closed_from_another_thread_wakes_its_reader(silent):
    with client_of(silent) as client, client.stream(PROMPT) as answer:
        next(answer)
        reached = threading.Event()
        ended = []

        def read():
            reached.set()
            try:
                list(answer)
            except CustomGPTError as error:
                ended.append(error)
            else:
                ended.append(None)

        reader = threading.Thread(target=read)
        reader.start()
        reached.wait(5)
        answer.close()
        reader.join(10)
        assert not reader.is_alive()
        has_left(silent)
    assert 1 == len(ended)
    assert 0 == len(silent.journal.entries("messages.list"))  # nobody looks for what was left on purpose


def test_close_is_harmless_when_repeated_and_reading_on_says_why_not(silent):
    with client_of(silent) as client:
        answer = client.stream(PROMPT)
        answer.close()  # never entered
        answer.close()
        with pytest.raises(ConfigurationError):
            answer.__enter__()
        with client.stream(PROMPT) as answer:
            next(answer)
            answer.close()
            answer.close()
            with pytest.raises(ConfigurationError, match="not open"):
                next(answer)
    has_left(silent)
    assert 1 == len(silent.journal.prompts())


async def test_aclose_is_harmless_when_repeated_and_reading_on_says_why_not(silent):
    async with client_of(silent, AsyncClient) as client:
        answer = client.stream(PROMPT)
        await answer.aclose()  # never entered
        with pytest.raises(ConfigurationError):
            await answer.__aenter__()
        async with client.stream(PROMPT) as answer:
            await answer.__anext__()
            await answer.aclose()
            await answer.aclose()
            with pytest.raises(ConfigurationError, match="not open"):
                await answer.__anext__()
        await asyncio.to_thread(has_left, silent)
    assert 1 == len(silent.journal.prompts())


def test_a_stream_that_is_never_entered_sends_nothing(service, open_door):
    door = open_door(service)
    stream = door.client.stream(PROMPT)
    assert stream.external_id
    with pytest.raises(ConfigurationError):
        _ = stream.message
    assert 0 == len(service.journal)


def test_a_stream_is_entered_once(service):
    with client_of(service) as client, client.stream(PROMPT) as answer, pytest.raises(ConfigurationError):
        answer.__enter__()
    assert 1 == len(service.journal.prompts())


def test_a_stream_that_was_garbage_collected_hangs_up(silent):
    with client_of(silent) as client:
        answer = client.stream(PROMPT)
        answer.__enter__()
        next(answer)
        del answer
        gc.collect()
        has_left(silent)


async def test_an_async_stream_that_was_garbage_collected_hangs_up(silent):
    async with client_of(silent, AsyncClient) as client:
        answer = client.stream(PROMPT)
        await answer.__aenter__()
        await answer.__anext__()
        del answer
        gc.collect()
        await asyncio.to_thread(has_left, silent)


async def test_a_stream_that_another_thread_garbage_collects_hangs_up(silent):
    async with client_of(silent, AsyncClient) as client:
        held = [client.stream(PROMPT)]
        await held[0].__aenter__()
        await held[0].__anext__()

        def drop():
            held.clear()
            gc.collect()

        await asyncio.to_thread(drop)
        await asyncio.to_thread(has_left, silent)


@pytest.mark.parametrize("way", ["waits for an event", "opens the stream", "asks"])
async def test_cancelling_the_task_hangs_up(service, way):
    if way == "waits for an event":
        service.faults.stall(after_events=3, times=None)
    else:
        service.faults.slow_first_byte(times=None)

    async def read(client):
        if way == "asks":
            await client.ask(PROMPT)
        async with client.stream(PROMPT) as answer:
            async for _ in answer:
                pass

    def begun(entry):
        return entry.prompt is not None and entry.events_sent == (3 if way == "waits for an event" else 0)

    async with client_of(service, AsyncClient) as client:
        task = asyncio.create_task(read(client))
        await asyncio.to_thread(service.journal.wait_for, begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(has_left, service, 3 if way == "waits for an event" else 0)
        assert (await client.ask(PROMPT)).answer
    assert 2 == len(service.journal.prompts())


@pytest.mark.parametrize("way", ["stream", "ask"])
async def test_cancelling_hangs_up_even_when_somebody_still_holds_the_stream(silent, way):
    async with client_of(silent, AsyncClient) as client:
        held = client.stream(PROMPT)
        if way == "stream":
            await held.__aenter__()
            await held.__anext__()
        task = asyncio.ensure_future(held.__anext__() if way == "stream" else client.ask(PROMPT))
        await asyncio.to_thread(silent.journal.wait_for, lambda entry: entry.events_sent == 3)
        await asyncio.sleep(0.01)  # it waits for what comes next
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(has_left, silent)


async def test_cancelling_in_the_middle_of_recovery_stops_looking(service):
    service.faults.cut_after(events=3, persist=False)
    looking, never = asyncio.Event(), asyncio.Event()

    async def sleep(seconds):
        looking.set()
        await never.wait()

    options = client_of(service, AsyncClient).options
    async with AsyncClient(options=type(options)(**{**vars(options), "sleep": sleep})) as client:
        task = asyncio.create_task(client.ask(PROMPT))
        await looking.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [] == service.journal.entries("messages.list")
    assert not sessions._turns


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_that_drops_its_copy_of_a_stream_does_not_end_the_parents(service):
    service.pacing.change(tokens_per_second=200)
    with client_of(service) as client, client.stream(PROMPT) as answer:
        events = [next(answer)]
        child = os.fork()
        if child == 0:
            try:
                answer.__del__()
                answer.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        events += list(answer)
        assert not answer.message.recovered
    assert 1 == len(service.journal.prompts())
    assert [] == service.journal.entries("messages.list")
