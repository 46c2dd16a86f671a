"""Closing a client, a loop or a forked child ends nothing under way elsewhere and leaves nothing open."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from customgpt_transport import AsyncClient, Client
from tests.transport.conftest import wait_until

PROMPT = "When are refunds paid?"


def client_of(service, kind=AsyncClient):
    return kind(api_key=service.api_key, base_url=service.base_url, project_id=service.project_id)


async def test_aclose_lets_another_tasks_stream_go_on_and_then_closes_its_connection(service):
    service.pacing.change(tokens_per_second=200)
    client = client_of(service)
    begun = asyncio.Event()

    async def read():
        async with client.stream(PROMPT) as answer:
            async for _ in answer:
                begun.set()
            return answer.message

    reading = asyncio.create_task(read())
    await begun.wait()
    await client.aclose()
    assert not (await reading).recovered
    await asyncio.to_thread(wait_until, lambda: service.open_connections == 0)
    assert 1 == len(service.journal.prompts())


async def test_aclose_lets_another_tasks_question_be_answered(service):
    service.pacing.change(tokens_per_second=200)
    client = client_of(service)
    asking = asyncio.create_task(client.ask(PROMPT))
    await asyncio.to_thread(service.journal.wait_for, lambda entry: entry.prompt is not None)
    await client.aclose()
    assert not (await asking).recovered
    await asyncio.to_thread(wait_until, lambda: service.open_connections == 0)
    assert 1 == len(service.journal.prompts())


async def test_a_client_that_was_closed_beside_a_stream_opens_new_connections(service):
    service.pacing.change(tokens_per_second=200)
    client = client_of(service)
    async with client.stream(PROMPT) as answer:
        await answer.__anext__()
        await client.aclose()
        assert await client.conversations.create("x")
        assert [event async for event in answer]
    await client.aclose()
    await asyncio.to_thread(wait_until, lambda: service.open_connections == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("leaving", ["closes", "collects"])
async def test_a_forked_child_that_leaves_its_copy_of_a_stream_does_not_stall_the_parents(service, leaving):
    service.pacing.change(tokens_per_second=200)
    async with client_of(service) as client, client.stream(PROMPT) as answer:
        events = [await answer.__anext__()]
        child = os.fork()
        if child == 0:
            try:
                if leaving == "closes":
                    answer._reader.hang_up()
                else:
                    answer.__del__()
                client._connections._held.clear()
            finally:
                os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        events += [event async for event in answer]
        assert not answer.message.recovered
    assert 1 == len(service.journal.prompts())


ABANDONED = """
import asyncio, gc, sys
from customgpt_transport import AsyncClient
client = AsyncClient(base_url=sys.argv[1], api_key=sys.argv[2], project_id=int(sys.argv[3]))
async def ask():
    if sys.argv[4] == "in mid-stream":
        answer = client.stream("When are refunds paid?")
        await answer.__aenter__()
        await answer.__anext__()
        return answer
    return await client.ask("When are refunds paid?")
for _ in range(2):
    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(ask())
    loop.close()
    left = None
    gc.collect()
if sys.argv[4] == "collected":
    del client
    gc.collect()
"""


@pytest.mark.parametrize("how", ["collected", "as the interpreter ends", "in mid-stream"])
def test_a_loop_that_is_closed_without_ending_its_generators_leaves_nothing_on_the_screen(service, how):
    done = subprocess.run(
        [
            *(sys.executable, "-W", "always", "-c", ABANDONED),
            *(service.base_url, service.api_key, str(service.project_id), how),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ("", "") == (done.stdout, done.stderr)


def test_a_client_drops_the_connections_of_a_closed_loop_when_it_is_used_on_the_next(service):
    client = client_of(service)
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.ask(PROMPT))
        loop.close()
    wait_until(lambda: service.open_connections == 1)
    del client
    wait_until(lambda: service.open_connections == 0)


def test_close_lets_another_threads_stream_go_on(service):
    service.pacing.change(tokens_per_second=200)
    client = client_of(service, Client)
    with client.stream(PROMPT) as answer:
        next(answer)
        client.close()
        assert list(answer)
        assert not answer.message.recovered
    client.close()
