"""Read by mypy and by pyright, never run: the types of the API's calls in each colour.

Each `type: ignore` stands where a checker has to complain; both are told to report one that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from typing_extensions import assert_type

from customgpt_transport import Agent, AsyncClient, Client, Message, Page, Source
from customgpt_transport.flows import ApiFlows, Flow, Pages, Sleep


def blocking(client: Client) -> None:
    assert_type(client.agents.get(), Agent)
    assert_type(client.sources.add(file=("a.txt", b"a")), Source)
    assert_type(client.agents.update_settings(7, default_prompt="Hi"), None)
    assert_type(client.pages.list(limit=100), Iterator[Page])
    assert_type(client.find_message("session", "id"), Message | None)
    client.agents.get(agent=7)  # type: ignore[call-arg]
    client.pages.list(limit="100")  # type: ignore[arg-type]
    client.pages.delete()  # type: ignore[call-arg]


async def awaited(client: AsyncClient) -> None:
    assert_type(await client.agents.get(), Agent)
    assert_type(await client.sources.add(file=("a.txt", b"a")), Source)
    assert_type(client.pages.list(limit=100), AsyncIterator[Page])
    assert_type(await client.find_message("session", "id"), Message | None)
    await client.agents.get(agent=7)  # type: ignore[call-arg]
    client.pages.list(limit="100")  # type: ignore[arg-type]
    assert_type([page.id async for page in client.pages.list()], list[int])


def inside_a_flow(api: ApiFlows) -> Flow[list[Page]]:
    agent = yield from api.agents.get()
    assert_type(agent, Agent)
    rows = api.pages.list(project_id=agent.id)
    assert_type(rows, Pages[Page])
    found = list[Page]()
    while rows.more:
        found += yield from rows.next()
    yield Sleep(0.1)
    assert_type((yield from api.find_message("session", "id")), Message | None)
    yield from api.agents.get(agent=7)  # type: ignore[call-arg]
    return found


async def run_by_either(client: Client, async_client: AsyncClient, api: ApiFlows) -> None:
    assert_type(client.run(inside_a_flow(api)), list[Page])
    assert_type(await async_client.run(inside_a_flow(api)), list[Page])
