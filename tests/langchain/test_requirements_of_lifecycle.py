"""Requirements 10, 11, 12 and 19: loops, threads, leaving early, construction, copies."""

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
from langchain_core.callbacks import AsyncCallbackHandler
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


def test_requirement_10_one_instance_over_many_loops_and_threads_without_a_warning(
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


def left_early(emulator: Emulator) -> int:
    """How many events had been sent when the emulator saw the client leave."""
    return emulator.journal.wait_for(lambda entry: entry.disconnected).events_sent


def test_requirement_11_break_hangs_up_at_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    emulator.faults.stall(after_events=3)
    for chunk in chat.stream(QUESTION):
        assert chunk.content
        break
    assert left_early(emulator) == 3


def test_requirement_11_close_hangs_up_at_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    emulator.faults.stall(after_events=3)
    chunks = chat.stream(QUESTION)
    next(iter(chunks))
    chunks.close()
    assert left_early(emulator) == 3


async def test_requirement_11_aclose_hangs_up_at_once(chat: ChatCustomGPT, emulator: Emulator) -> None:
    emulator.faults.stall(after_events=3)
    chunks = chat.astream(QUESTION)
    await anext(chunks)
    await chunks.aclose()
    assert await asyncio.to_thread(left_early, emulator) == 3


async def test_requirement_11_breaking_out_of_an_async_stream_hangs_up_at_once(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    emulator.faults.stall(after_events=3)
    async for _ in chat.astream(QUESTION):
        break
    assert await asyncio.to_thread(left_early, emulator) == 3


async def test_requirement_11_aclose_of_v3_events_hangs_up_at_once(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    emulator.faults.stall(after_events=3)
    events = await chat.astream_events(QUESTION, version="v3")
    async for _ in events:
        break
    await events.aclose()
    assert await asyncio.to_thread(left_early, emulator) <= 3


class Heard(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.events: list[str] = []

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("start")

    async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("end")

    async def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.events.append(f"error:{type(error).__name__}")

    async def on_retriever_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("start")

    async def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(f"error:{type(error).__name__}")


async def sent(emulator: Emulator) -> None:
    """Wait until a prompt is being answered."""
    await asyncio.to_thread(
        emulator.journal.wait_for, lambda entry: entry.prompt is not None and entry.events_sent > 0
    )


@pytest.mark.parametrize("streaming", [False, True])
async def test_requirement_11_a_cancelled_ainvoke_tells_callbacks_and_hangs_up(
    make_chat: MakeChat, emulator: Emulator, streaming: bool
) -> None:
    chat, heard = make_chat(streaming=True) if streaming else make_chat(), Heard()
    emulator.faults.stall(after_events=3)
    task = asyncio.ensure_future(chat.ainvoke(QUESTION, {"callbacks": [heard]}))
    await sent(emulator)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.events == ["start", "error:CancelledError"]
    assert await asyncio.to_thread(left_early, emulator) == 3


async def test_requirement_11_a_cancelled_retriever_tells_callbacks(
    where: dict[str, Any], emulator: Emulator
) -> None:
    heard = Heard()
    emulator.faults.stall(after_events=3)
    task = asyncio.ensure_future(CustomGPTRetriever(**where).ainvoke(QUESTION, {"callbacks": [heard]}))
    await sent(emulator)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.events == ["start", "error:CancelledError"]


@pytest.mark.parametrize("make", [ChatCustomGPT, CustomGPTRetriever, CustomGPTTool])
def test_requirement_12_construction_does_no_io(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("construction opened something")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    made = make(project_id=1, api_key="1|made-up")
    assert not made._made


def test_requirement_12_construction_is_quick(make_chat: MakeChat) -> None:
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
def test_requirement_12_copies_work_also_after_use(copied: Any, where: dict[str, Any]) -> None:
    chat, retriever, tool = ChatCustomGPT(**where), CustomGPTRetriever(**where), CustomGPTTool(**where)
    for _ in range(2):
        answer = copied(chat).invoke(QUESTION)
        assert answer.content == chat.invoke(QUESTION).content
        assert asyncio.run(copied(chat).ainvoke(QUESTION)).content == answer.content
        assert asyncio.run(chat.ainvoke(QUESTION)).content == answer.content
        assert copied(retriever).invoke(QUESTION)[0].id == retriever.invoke(QUESTION)[0].id
        assert copied(tool).invoke(QUESTION) == tool.invoke(QUESTION) == answer.content


def test_requirement_12_a_ready_made_client_serves_several_models(
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


def test_requirement_19_users_of_one_instance_do_not_meet(chat: ChatCustomGPT, emulator: Emulator) -> None:
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
