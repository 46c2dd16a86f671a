"""One engine serves ten users at once, in 100 interleaved chats, and mixes no conversations."""

from __future__ import annotations

import asyncio
import random
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from llama_index_customgpt import CustomGPTChatEngine, CustomGPTQueryBundle, CustomGPTQueryEngine

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

USERS, TURNS = 10, 10


def prompt(user: int, turn: int) -> str:
    return f"How do refunds work? (user-{user}, turn-{turn})"


def users_by_session(emulator: Emulator) -> dict[str, set[str]]:
    """Return the users named in each conversation, by prompts and by what they replay."""
    heard: dict[str, set[str]] = defaultdict(set)
    for entry in emulator.journal.prompts():
        session = entry.path.split("/conversations/")[1].split("/")[0]
        heard[session] |= set(re.findall(r"user-\d+", entry.prompt or ""))
    return heard


def check(emulator: Emulator, *, conversations: int) -> None:
    heard = users_by_session(emulator)
    assert len(emulator.journal.prompts()) == USERS * TURNS
    assert len(heard) == conversations
    assert all(len(users) == 1 for users in heard.values())


class Spread:
    """Pauses that differ from user to user and turn to turn, the same in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def __call__(self) -> float:
        return self._random.random() / 200


@pytest.mark.parametrize("streaming", [False, True])
async def test_ten_users_of_one_chat_engine_each_bring_their_history(
    where: dict[str, Any], emulator: Emulator, streaming: bool
) -> None:
    engine = CustomGPTChatEngine(**where)
    pause = Spread()

    async def chat(user: int) -> None:
        history: list[ChatMessage] = []
        for turn in range(TURNS):
            await asyncio.sleep(pause())
            if streaming:
                response: Any = await engine.astream_chat(prompt(user, turn), list(history))
                text = "".join([token async for token in response.async_response_gen()])
            else:
                response = await engine.achat(prompt(user, turn), list(history))
                text = response.response
            history += [
                ChatMessage(role="user", content=prompt(user, turn)),
                ChatMessage(role="assistant", content=text),
            ]

    await asyncio.gather(*[chat(user) for user in range(USERS)])
    await engine.aclose()
    check(emulator, conversations=USERS * TURNS)
    last = [
        entry for entry in emulator.journal.prompts() if (entry.prompt or "").endswith(f"turn-{TURNS - 1})")
    ]
    assert all(f"turn-{turn})" in (entry.prompt or "") for entry in last for turn in range(TURNS))


def test_ten_users_of_one_chat_engine_in_threads(where: dict[str, Any], emulator: Emulator) -> None:
    engine = CustomGPTChatEngine(**where)

    def chat(user: int) -> None:
        history: list[ChatMessage] = []
        for turn in range(TURNS):
            response = engine.stream_chat(prompt(user, turn), list(history))
            text = "".join(response.response_gen)
            history += [
                ChatMessage(role="user", content=prompt(user, turn)),
                ChatMessage(role="assistant", content=text),
            ]

    with ThreadPoolExecutor(USERS) as pool:
        list(pool.map(chat, range(USERS)))
    engine.close()
    check(emulator, conversations=USERS * TURNS)


@pytest.mark.parametrize("streaming", [False, True])
async def test_ten_users_of_one_query_engine_each_in_their_conversation(
    where: dict[str, Any], emulator: Emulator, streaming: bool
) -> None:
    engine = CustomGPTQueryEngine(streaming=streaming, **where)
    pause = Spread()

    async def chat(user: int) -> None:
        session: str | None = None
        for turn in range(TURNS):
            await asyncio.sleep(pause())
            response = await engine.aquery(CustomGPTQueryBundle(prompt(user, turn), session_id=session))
            if streaming:
                await response.get_response()
            session = session or response.metadata["session_id"]
            assert response.metadata["session_id"] == session

    await asyncio.gather(*[chat(user) for user in range(USERS)])
    await engine.aclose()
    check(emulator, conversations=USERS)


async def test_engines_that_share_clients_share_no_conversation(
    where: dict[str, Any], emulator: Emulator
) -> None:
    first = CustomGPTChatEngine(**where)
    engines = [CustomGPTChatEngine(async_client=first._clients.asynchronous) for _ in range(USERS)]
    for turn in range(TURNS):
        await asyncio.gather(*[engine.achat(prompt(user, turn)) for user, engine in enumerate(engines)])
    await first.aclose()
    check(emulator, conversations=USERS)
    assert len({engine.session_id for engine in engines}) == USERS


def test_one_engine_over_several_loops_one_after_the_other_and_at_once(where: dict[str, Any]) -> None:
    engine = CustomGPTQueryEngine(streaming=True, **where)

    async def ask() -> str:
        response = await engine.aquery("How do refunds work?")
        text = "".join([token async for token in response.async_response_gen()])
        assert response.source_nodes
        return text

    answers = {asyncio.run(ask()) for _ in range(3)}
    with ThreadPoolExecutor(8) as pool:
        answers |= set(pool.map(lambda _: asyncio.run(ask()), range(8)))
    assert len(answers) == 1
