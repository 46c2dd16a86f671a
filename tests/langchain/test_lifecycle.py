"""Construction does no I/O, copies work, and one instance serves many loops, threads and users."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_customgpt import ChatCustomGPT, CustomGPTRetriever, CustomGPTTool

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid?"

LOOPS = """
    import asyncio, gc, sys, threading
    from langchain_customgpt import ChatCustomGPT

    chat = ChatCustomGPT()

    async def ask():
        answer = await chat.ainvoke("When are refunds paid?")
        async for chunk in chat.astream("hello"):
            break
        return answer.content

    answers = [asyncio.run(ask()) for _ in range(3)]
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(ask()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del chat
    gc.collect()
    assert len(answers) == 11 and len(set(answers)) == 1, answers
"""


def test_one_instance_serves_many_loops_and_threads_without_a_warning(
    emulator: Emulator,
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", textwrap.dedent(LOOPS)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "CUSTOMGPT_API_KEY": emulator.api_key,
            "CUSTOMGPT_PROJECT_ID": str(emulator.project_id),
            "CUSTOMGPT_BASE_URL": emulator.base_url,
        },
    )
    said = [
        line for line in done.stderr.splitlines() if not line.startswith("Executing <")
    ]  # loading aiohttp
    assert (done.returncode, said, done.stdout) == (0, [], "")


@pytest.mark.parametrize("make", [ChatCustomGPT, CustomGPTRetriever, CustomGPTTool])
def test_construction_does_no_io(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("construction opened something")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    made = make(project_id=1, api_key="1|made-up")
    assert not made._clients._made


def test_construction_is_quick(make_chat: MakeChat) -> None:
    """A loose bound, in the time that LangChain's own fields take; the benchmark measures it."""
    from langchain_core.language_models.fake_chat_models import ParrotFakeChatModel

    def cost(make: Callable[[], Any]) -> float:
        def once() -> float:
            began = time.process_time()
            for _ in range(50):
                make()
            return time.process_time() - began

        return min(once() for _ in range(5))

    assert cost(make_chat) < 60 * cost(ParrotFakeChatModel)


@pytest.mark.parametrize("copied", [lambda made: pickle.loads(pickle.dumps(made)), copy.deepcopy, copy.copy])
def test_copies_and_pickles_work_before_and_after_use(copied: Any, where: dict[str, Any]) -> None:
    chat, retriever, tool = ChatCustomGPT(**where), CustomGPTRetriever(**where), CustomGPTTool(**where)
    for _ in range(2):
        answer = copied(chat).invoke(QUESTION)
        assert answer.content == chat.invoke(QUESTION).content
        assert asyncio.run(copied(chat).ainvoke(QUESTION)).content == answer.content
        assert asyncio.run(chat.ainvoke(QUESTION)).content == answer.content
        assert copied(retriever).invoke(QUESTION)[0].id == retriever.invoke(QUESTION)[0].id
        assert copied(tool).invoke(QUESTION) == tool.invoke(QUESTION) == answer.content


def test_a_ready_made_client_serves_model_retriever_and_tool(
    where: dict[str, Any], emulator: Emulator
) -> None:
    from customgpt_transport import AsyncClient, Client, ClientOptions

    with Client(**where) as client:
        chat = ChatCustomGPT(client=client)
        assert chat.invoke(QUESTION).content
        assert CustomGPTRetriever(client=client).invoke(QUESTION)
        assert CustomGPTTool(client=client).invoke(QUESTION)
        assert asyncio.run(chat.ainvoke(QUESTION)).content
        with pytest.raises(ValueError, match="ready-made client"):
            ChatCustomGPT(client=client, api_key="another")
        chat = ChatCustomGPT(client=client, timeout=0.2, max_retries=0)
        emulator.faults.slow_first_byte()
        assert chat.invoke(QUESTION).response_metadata["customgpt"]["recovered"], "it did not wait for long"
    own = AsyncClient(**where)
    assert asyncio.run(ChatCustomGPT(async_client=own).ainvoke(QUESTION)).content
    assert ChatCustomGPT(client_options=ClientOptions(**where)).invoke(QUESTION).content


def test_users_of_one_instance_keep_their_own_conversations(chat: ChatCustomGPT, emulator: Emulator) -> None:
    before = chat.model_dump()

    def converse(user: int) -> set[str]:
        messages: list[Any] = []
        for turn in range(3):
            messages.append(HumanMessage(f"This is user {user}, turn {turn}: when are refunds paid?"))
            messages.append(chat.invoke(messages))
        return {m.response_metadata["customgpt"]["session_id"] for m in messages[1::2]}

    with ThreadPoolExecutor(8) as pool:
        sessions = list(pool.map(converse, range(16)))
    assert all(len(own) == 1 for own in sessions)
    assert len(set.union(*sessions)) == 16
    assert chat.model_dump() == before
    said: dict[str, set[str]] = {}
    for entry in emulator.journal.prompts():
        user = str(entry.fields["prompt"]).split(",")[0]
        said.setdefault(entry.path, set()).add(user)
    assert all(len(users) == 1 for users in said.values())
