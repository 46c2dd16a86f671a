"""Clients live through threads, loops, forks and copies, and leave nothing behind.

Most of this runs in a Python of its own, with `-X dev -W error`: whatever is left open at its end is printed
there, and nothing may be.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from customgpt_emulator import Emulator
from tests.conftest import DOCUMENTS

PROMPT = "When are refunds paid?"
HEAD = """
import asyncio, copy, gc, logging, os, pickle, sys, threading, time
logging.getLogger("asyncio").setLevel(logging.ERROR)  # a busy machine makes callbacks slow; that is no leak
from customgpt_transport import *
URL, KEY, PROJECT = sys.argv[1], sys.argv[2], int(sys.argv[3])
PROMPT = "When are refunds paid?"
def client(**more): return Client(api_key=KEY, base_url=URL, project_id=PROJECT, **more)
def async_client(**more): return AsyncClient(api_key=KEY, base_url=URL, project_id=PROJECT, **more)
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    with Emulator(documents=DOCUMENTS) as running:
        yield running


def run(service: Emulator, program: str) -> str:
    """Run a program as a user would, with warnings as errors, and return what it printed."""
    service.reset()
    done = subprocess.run(
        [
            sys.executable, "-X", "dev", "-W", "error", "-c", HEAD + textwrap.dedent(program),
            service.base_url, service.api_key, str(service.project_id),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert "" == done.stderr
    assert 0 == done.returncode
    return done.stdout.strip()


def connections(service: Emulator) -> int:
    return len({entry.connection for entry in service.journal})


def test_a_hundred_prompts_use_one_connection_streamed_ones_too(service):
    run(service, """
        with client() as c:
            session = c.conversations.create("x").session_id
            for n in range(50):
                c.ask(PROMPT, session_id=session)
                with c.stream(PROMPT, session_id=session) as answer:
                    for event in answer: pass
    """)  # fmt: skip
    assert 1 == connections(service)
    assert 100 == len(service.journal.prompts())


def test_a_hundred_awaited_prompts_use_one_connection_streamed_ones_too(service):
    run(service, """
        async def main():
            async with async_client() as c:
                session = (await c.conversations.create("x")).session_id
                for n in range(50):
                    await c.ask(PROMPT, session_id=session)
                    async with c.stream(PROMPT, session_id=session) as answer:
                        async for event in answer: pass
        asyncio.run(main())
    """)  # fmt: skip
    assert 1 == connections(service)
    assert 100 == len(service.journal.prompts())


def test_leaving_at_the_finish_event_keeps_the_connection(service):
    run(service, """
        with client() as c:
            for n in range(5):
                with c.stream(PROMPT) as answer:
                    for event in answer:
                        if isinstance(event, AnswerFinished): break
    """)  # fmt: skip
    assert 1 == connections(service)


def test_one_async_client_serves_one_loop_after_another_and_is_never_closed(service):
    assert "ok 3" == run(service, """
        c = async_client()
        for n in range(3):
            answer = asyncio.run(c.ask(PROMPT)).answer
        print("ok", n + 1)
    """)  # fmt: skip


def test_one_async_client_serves_loops_in_parallel_threads(service):
    assert "ok 6" == run(service, """
        c = async_client()
        async def main():
            messages = await asyncio.gather(*(c.ask(PROMPT) for n in range(3)))
            answers.extend(m.answer for m in messages)
        answers = []
        threads = [threading.Thread(target=lambda: asyncio.run(main())) for n in range(2)]
        for t in threads: t.start()
        for t in threads: t.join()
        print("ok", len(answers))
    """)  # fmt: skip


def test_a_loop_that_is_ended_by_hand_leaves_nothing(service):
    assert "ok" == run(service, """
        c = async_client()
        for n in range(2):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(c.ask(PROMPT))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            del loop
            gc.collect()
        print("ok")
    """)  # fmt: skip


def test_a_client_that_is_dropped_on_a_running_loop_leaves_nothing(service):
    assert "ok" == run(service, """
        async def main():
            for n in range(2):
                c = async_client()
                await c.ask(PROMPT)
                del c
                gc.collect()
                await asyncio.sleep(0.05)
        asyncio.run(main())
        print("ok")
    """)  # fmt: skip


def test_a_client_that_is_dropped_unclosed_leaves_nothing(service):
    assert "ok" == run(service, """
        c = client()
        c.ask(PROMPT)
        with c.stream(PROMPT) as answer: next(answer)
        del c, answer
        gc.collect()
        print("ok")
    """)  # fmt: skip


def test_one_client_serves_many_threads(service):
    assert "ok 16" == run(service, """
        with client() as c:
            answers = []
            def work():
                with c.stream(PROMPT) as answer:
                    for event in answer: pass
                answers.append(answer.message.answer)
            threads = [threading.Thread(target=work) for n in range(16)]
            for t in threads: t.start()
            for t in threads: t.join()
            print("ok", len(answers))
    """)  # fmt: skip


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this platform has no fork")
def test_both_clients_work_after_fork_on_connections_of_their_own(service):
    run(service, """
        c, a = client(), async_client()
        c.ask(PROMPT)
        asyncio.run(a.ask(PROMPT))
        with c.stream(PROMPT) as answer:
            next(answer)
            pid = os.fork()
            if pid == 0:
                c.ask(PROMPT)
                asyncio.run(a.ask(PROMPT))
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            for event in answer: pass
            assert answer.message.answer
        c.close()
    """)  # fmt: skip
    prompts = service.journal.prompts()
    assert 5 == len(prompts)
    first, _, streamed, forked, forked_async = prompts
    assert first.connection == streamed.connection
    assert forked.connection not in (streamed.connection, forked_async.connection)


def test_clients_travel_by_pickle_and_copy_without_their_connections(service):
    assert "ok 4" == run(service, """
        c, a = client(), async_client()
        c.ask(PROMPT)
        answers = [pickle.loads(pickle.dumps(c)).ask(PROMPT).answer, copy.deepcopy(c).ask(PROMPT).answer]
        for x in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a)):
            answers.append(asyncio.run(x.ask(PROMPT)).answer)
        print("ok", len(answers))
    """)  # fmt: skip


def test_a_stream_that_is_collected_half_read_hangs_up_and_gives_its_turn_back(service):
    service.faults.stall(after_events=3, times=2)
    assert "ok" == run_kept(service, """
        with client() as c:
            session = c.conversations.create("x").session_id
            answer = c.stream(PROMPT, session_id=session)
            answer.__enter__(); next(answer)
            del answer
            gc.collect()
        async def main():
            async with async_client() as c:
                session = (await c.conversations.create("x")).session_id
                answer = c.stream(PROMPT, session_id=session)
                await answer.__aenter__(); await answer.__anext__()
                del answer
                gc.collect()
                await asyncio.sleep(0.01)
        asyncio.run(main())
        print("ok")
    """)  # fmt: skip


def run_kept(service: Emulator, program: str) -> str:
    """Like `run`, without the reset that would forget the faults ordered before."""
    reset, service.reset = service.reset, lambda: None  # type: ignore[method-assign]
    try:
        return run(service, program)
    finally:
        service.reset = reset  # type: ignore[method-assign]


def test_cancelling_a_reader_hangs_up(service):
    service.reset()
    service.faults.stall(after_events=3)
    assert "cancelled" == run_kept(service, """
        async def read(c):
            async with c.stream(PROMPT) as answer:
                async for event in answer: seen.set()
        async def main():
            global seen
            seen = asyncio.Event()
            async with async_client() as c:
                task = asyncio.create_task(read(c))
                await seen.wait()
                task.cancel()
                try: await task
                except asyncio.CancelledError: print("cancelled")
        asyncio.run(main())
    """)  # fmt: skip


def test_importing_loads_no_http_library():
    done = subprocess.run(
        [
            sys.executable, "-c",
            "import sys, customgpt_transport as t; t.ClientOptions, t.Message, t.CustomGPTError;"
            "print([m for m in ('requests', 'aiohttp', 'urllib3', 'ssl') if m in sys.modules])",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "[]" == done.stdout.strip()
