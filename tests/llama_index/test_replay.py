from __future__ import annotations

import asyncio
import copy
import pickle
import threading

import pytest

from customgpt_transport.errors import ServerError, StreamInterrupted
from llama_index_customgpt._readers import AsyncReplayGenerator, ReplayGenerator
from llama_index_customgpt._replay import AsyncPump, Pump


class Script:
    """A source that counts the pieces pulled from it and notes whether it was closed."""

    def __init__(self, *pieces: str | Exception) -> None:
        self.pieces = pieces
        self.pulled = 0
        self.hung_up = False

    def sync(self):
        yield from self._run()

    def _run(self):
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                self.pulled += 1
                yield piece
        except GeneratorExit:
            self.hung_up = True
            raise

    async def asynchronous(self):
        try:
            for piece in self.pieces:
                await asyncio.sleep(0)
                if isinstance(piece, Exception):
                    raise piece
                self.pulled += 1
                yield piece
        except (GeneratorExit, asyncio.CancelledError):
            self.hung_up = True
            raise


ANSWER = ("", "Within", " 30", " days.")
TEXT = "Within 30 days."


class TestPump:
    def test_nothing_is_pulled_before_it_is_read(self):
        script = Script(*ANSWER)
        pump = Pump(script.sync())
        assert script.pulled == 0
        assert pump.piece(0) == "Within"
        assert script.pulled == 2

    def test_open_pulls_the_empty_piece_only(self):
        script = Script(*ANSWER)
        pump = Pump(script.sync())
        pump.open()
        assert (script.pulled, pump.pieces) == (1, [])

    def test_many_readers_see_all_of_it(self):
        pump = Pump(Script(*ANSWER).sync())
        first, second = pump.replay(), pump.replay()
        assert next(first) == next(second) == "Within"
        assert "".join(second) == " 30 days."
        assert "".join(first) == " 30 days."
        assert pump.drain() == TEXT

    def test_threads_share_one_upstream(self):
        script = Script(*ANSWER[:1], *(f"{n} " for n in range(2000)))
        pump = Pump(script.sync())
        texts: list[str] = []
        threads = [threading.Thread(target=lambda: texts.append("".join(pump.replay()))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert script.pulled == 2001
        assert set(texts) == {"".join(f"{n} " for n in range(2000))}

    def test_an_error_meets_every_reader(self):
        pump = Pump(Script("", "Within", ServerError("boom")).sync())
        for _ in range(2):
            with pytest.raises(ServerError, match="boom"):
                pump.drain()
        assert pump.text == "Within"

    def test_closing_hangs_up_and_keeps_what_was_read(self):
        script = Script(*ANSWER)
        pump = Pump(script.sync())
        pump.piece(0)
        pump.close()
        pump.close()
        assert script.hung_up
        assert pump.drain() == "Within"

    def test_dropping_hangs_up(self):
        script = Script(*ANSWER)
        pump = Pump(script.sync())
        pump.piece(0)
        del pump
        assert script.hung_up

    def test_reading_from_inside_the_source_is_refused_and_breaks_nothing(self):
        def source():
            yield ""
            with pytest.raises(RuntimeError, match="already being read"):
                pump.drain()
            yield TEXT

        pump = Pump(source())
        assert pump.drain() == TEXT

    def test_a_finished_one_pickles_and_copies_an_unfinished_one_does_not(self):
        pump = Pump(Script(*ANSWER).sync())
        pump.piece(0)
        with pytest.raises(TypeError, match="still coming"):
            pickle.loads(pickle.dumps(pump))
        pump.drain()
        assert pickle.loads(pickle.dumps(pump)).drain() == copy.deepcopy(pump).drain() == TEXT


class TestReader:
    def test_next_then_for_goes_on_where_next_was(self):
        reader = ReplayGenerator(Pump(Script(*ANSWER).sync()))
        assert next(reader) == "Within"
        assert list(reader) == [" 30", " days."]

    def test_loops_begin_at_the_beginning(self):
        reader = ReplayGenerator(Pump(Script(*ANSWER).sync()))
        assert "".join(reader) == "".join(reader) == TEXT

    def test_a_consumer_that_took_all_by_next_leaves_all_to_the_others(self):
        reader = ReplayGenerator(Pump(Script(*ANSWER).sync()))
        while next(reader, None) is not None:
            pass
        assert "".join(reader) == TEXT

    def test_it_has_the_whole_protocol_of_a_generator(self):
        script = Script(*ANSWER)
        reader = ReplayGenerator(Pump(script.sync()))
        assert reader.send(None) == "Within"
        assert {reader: 1}[reader] == 1
        with pytest.raises(KeyError):
            reader.throw(KeyError("thrown in"))
        assert script.hung_up
        reader.close()
        assert list(reader) == ["Within"]


class TestAsyncPump:
    async def test_many_readers_see_all_of_it(self):
        script = Script(*ANSWER)
        pump = AsyncPump(script.asynchronous())

        async def read() -> str:
            return "".join([piece async for piece in pump.replay()])

        assert await asyncio.gather(read(), read(), pump.drain()) == [TEXT] * 3
        assert script.pulled == 4

    async def test_an_error_meets_every_reader(self):
        pump = AsyncPump(Script("", "Within", ServerError("boom")).asynchronous())
        for _ in range(2):
            with pytest.raises(ServerError, match="boom"):
                await pump.drain()

    async def test_a_cancelled_reader_hangs_up_and_later_ones_hear_of_it(self):
        never, reading = asyncio.Event(), asyncio.Event()
        left = []

        async def source():
            yield "Within"
            try:
                reading.set()
                await never.wait()
            except asyncio.CancelledError:
                left.append(True)
                raise

        pump = AsyncPump(source())
        task = asyncio.create_task(pump.drain())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left
        with pytest.raises(StreamInterrupted) as error:
            await pump.drain()
        assert error.value.partial_answer == "Within"

    async def test_closing_hangs_up_and_keeps_what_was_read(self):
        script = Script(*ANSWER)
        pump = AsyncPump(script.asynchronous())
        await pump.piece(0)
        await pump.aclose()
        await pump.aclose()
        assert script.hung_up
        assert await pump.drain() == "Within"

    async def test_another_loop_is_refused_while_it_is_coming(self):
        pump = AsyncPump(Script(*ANSWER).asynchronous())
        await pump.piece(0)
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, pump.drain())
        assert await pump.drain() == TEXT
        assert await asyncio.to_thread(asyncio.run, pump.drain()) == TEXT

    async def test_it_has_the_whole_protocol_of_an_async_generator(self):
        script = Script(*ANSWER)
        reader = AsyncReplayGenerator(AsyncPump(script.asynchronous()))
        assert await reader.__anext__() == "Within"
        assert await reader.asend(None) == " 30"
        assert {reader: 1}[reader] == 1
        with pytest.raises(KeyError):
            await reader.athrow(KeyError("thrown in"))
        assert script.hung_up
        await reader.aclose()
        assert [piece async for piece in reader] == ["Within", " 30"]

    async def test_a_loop_that_was_left_can_be_begun_again(self):
        reader = AsyncReplayGenerator(AsyncPump(Script(*ANSWER).asynchronous()))
        async for _ in reader:
            break
        assert "".join([piece async for piece in reader]) == TEXT
