"""Record `cassettes/emulator/flow.yaml`: `python -m tests.contract.record`.

With CUSTOMGPT_API_KEY and CUSTOMGPT_PROJECT_ID set it asks the real agent (two prompts are billed), else the
emulator over `tests/documents`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import vcr

from customgpt_emulator import Emulator
from customgpt_transport import AsyncClient, Citation, Client, ClientOptions, Message, MessageEvent
from tests.cassettes import vcr_settings
from tests.conftest import DOCUMENTS

CASSETTE = "emulator/flow"
NAME = "A conversation on a cassette"
FIRST, SECOND = "When are refunds paid?", "How long is a gift card valid?"


@dataclass(frozen=True)
class Flow:
    """What one conversation gave, from the first call to the last."""

    asked: Message
    events: list[MessageEvent]
    streamed: Message
    listed: list[Message]
    citations: list[Citation]


def converse(client: Client) -> Flow:
    """Create a conversation, ask, stream, list, look up what was cited."""
    session = client.conversations.create(NAME).session_id
    asked = client.ask(FIRST, session_id=session)
    with client.stream(SECOND, session_id=session) as answer:
        events = list(answer)
    listed = list(client.messages.list(session))
    return Flow(asked, events, answer.message, listed, client.citations(asked))


async def aconverse(client: AsyncClient) -> Flow:
    """The same, awaited."""
    session = (await client.conversations.create(NAME)).session_id
    asked = await client.ask(FIRST, session_id=session)
    async with client.stream(SECOND, session_id=session) as answer:
        events = [event async for event in answer]
    listed = [message async for message in client.messages.list(session)]
    return Flow(asked, events, answer.message, listed, await client.citations(asked))


def replay(library: str, project_id: int) -> Flow:
    """Play the cassette through one of the two HTTP libraries."""
    options = ClientOptions(api_key="1|made-up", project_id=project_id)
    with vcr.VCR(**vcr_settings()).use_cassette(CASSETTE):
        if library == "requests":
            with Client(options=options) as client:
                return converse(client)

        async def asynchronously() -> Flow:
            async with AsyncClient(options=options) as client:
                return await aconverse(client)

        return asyncio.run(asynchronously())


@contextmanager
def whoever_answers() -> Iterator[ClientOptions]:
    """Return the options for the real agent when a key is set, else for an emulator with fixed ids."""
    if os.environ.get("CUSTOMGPT_API_KEY"):
        yield ClientOptions().resolve()
        return
    with Emulator(documents=DOCUMENTS, seed=1) as emulator:
        yield ClientOptions(
            api_key=emulator.api_key, base_url=emulator.base_url, project_id=emulator.project_id
        )


def main() -> None:
    """Record anew."""
    with whoever_answers() as options:
        recorder = vcr.VCR(**{**vcr_settings(), "record_mode": "all"})
        with recorder.use_cassette(CASSETTE), Client(options=options) as client:
            converse(client)


if __name__ == "__main__":
    main()
