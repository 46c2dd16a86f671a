"""What the transport's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.transport.scripted import Call, ScriptedAPI


@pytest.fixture
def api() -> Iterator[ScriptedAPI]:
    """A server that answers what the test wrote down."""
    with ScriptedAPI() as running:
        yield running


@pytest.fixture(params=["requests", "aiohttp"])
def call(request: pytest.FixtureRequest, api: ScriptedAPI) -> Iterator[Call]:
    """Each client in turn, talking to `api` (which a test module may replace by another server)."""
    if request.param == "requests":
        call = Call(api, None)
        yield call
        call.client.close()
        return
    loop = asyncio.new_event_loop()
    call = Call(api, loop)
    yield call
    loop.run_until_complete(call.client.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
