"""Connections are made when needed and replaced when gone; those of the caller's session are left alone."""

from __future__ import annotations

import socket
import threading

import aiohttp
import pytest
import requests

from customgpt_transport import AsyncClient, Client
from tests.transport.conftest import wait_until

PROMPT = "When are refunds paid?"


def client_of(service, kind=Client, **more):
    return kind(api_key=service.api_key, base_url=service.base_url, project_id=service.project_id, **more)


def test_making_and_closing_clients_does_no_io(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    class NoSocket(socket.socket):
        __init__ = refuse  # type: ignore[assignment]

    monkeypatch.setattr(socket, "socket", NoSocket)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = threading.active_count()
    client = Client(api_key="1|k", base_url="https://example.com", project_id=1)
    asynchronous = AsyncClient(api_key="1|k", base_url="https://example.com", project_id=1)
    assert client.stream(PROMPT) is not None
    assert asynchronous.stream(PROMPT) is not None
    client.close()
    assert before == threading.active_count()
    assert asynchronous.options == client.options


def test_a_session_of_the_callers_is_used_and_never_closed(service):
    class Watched(requests.Session):
        closed = 0

        def close(self):
            self.closed += 1
            super().close()

    session = Watched()
    session.headers["X-Theirs"] = "yes"
    with client_of(service, session=session) as client:
        client.ask(PROMPT)
        with client.stream(PROMPT) as answer:
            list(answer)
    assert 0 == session.closed
    assert all("yes" == entry.headers.get("X-Theirs") for entry in service.journal)
    assert 1 == len({entry.connection for entry in service.journal})
    session.close()


async def test_sessions_of_the_callers_factory_are_used_and_never_closed(service):
    made = []

    def factory():
        made.append(aiohttp.ClientSession(headers={"X-Theirs": "yes"}))
        return made[-1]

    async with client_of(service, AsyncClient, session_factory=factory) as client:
        await client.ask(PROMPT)
        async with client.stream(PROMPT) as answer:
            assert [event async for event in answer]
    assert [False] == [session.closed for session in made]
    assert all("yes" == entry.headers.get("X-Theirs") for entry in service.journal)
    assert 1 == len({entry.connection for entry in service.journal})
    await made[0].close()


def test_a_closed_client_opens_new_connections(service, open_door):
    door = open_door(service)
    door.ask(PROMPT)
    if door.name == "requests":
        door.client.close()
    else:
        door.run(door.client.aclose())
    wait_until(lambda: service.open_connections == 0)
    assert door.ask(PROMPT).answer


def test_a_connection_that_the_service_closed_while_idle_is_replaced(service, open_door):
    door = open_door(service)
    session = door.call("conversations.create", "x").session_id
    door.ask(PROMPT, session_id=session)
    with service.faults.refuse():
        wait_until(lambda: service.open_connections == 0)
    message = door.ask(PROMPT, session_id=session)
    assert (False, 0) == (message.recovered, message.retries)
    assert 2 == len(service.journal.prompts())


async def test_nothing_of_the_client_blocks_the_loop(service, blockbuster):
    async with client_of(service, AsyncClient) as client:
        message = await client.ask(PROMPT)
        async with client.stream(PROMPT, files=[("a.txt", b"words")]) as answer:
            async for _ in answer:
                pass
        assert await client.citations(message)
        assert [m async for m in client.messages.list(message.session_id)]


@pytest.fixture
def blockbuster():
    """Raise on any call that blocks the loop."""
    from blockbuster import blockbuster_ctx

    with blockbuster_ctx("customgpt_transport") as guard:
        yield guard
