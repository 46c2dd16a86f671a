"""The state of a chat: its conversation on the server, its local history, and whose turn it is to open it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore

from customgpt_transport.errors import ConfigurationError, RequestTimeout
from customgpt_transport.models import Message
from llama_index_customgpt._asking import CitedAnswer
from llama_index_customgpt._history import assistant_message, user_message
from llama_index_customgpt._replay import AsyncPump, Pump

__all__ = ["Conversation", "HistoryEntry", "OpenStream"]


class Conversation:
    """One conversation. A chat engine has one at a time and replaces it to start a new one.

    A message stays in the conversation it began in, whatever the engine does meanwhile: this keeps the users
    of one engine apart. While the first message is getting a `session_id`, others wait, on any thread or
    event loop; otherwise each would open a conversation of its own. After that, the transport admits one
    prompt at a time to a session.
    """

    def __init__(self, session_id: str | None = None, history: Iterable[ChatMessage] = ()) -> None:
        self.session_id = session_id
        self._entries: list[list[ChatMessage]] = [list(history)]
        self._lock = threading.Lock()
        self._opening: _Opening | None = None
        self._streams: list[OpenStream] = []

    @property
    def history(self) -> list[ChatMessage]:
        """A copy of the messages so far, in the order in which the service accepted them."""
        return [message for entry in list(self._entries) for message in entry]

    @contextmanager
    def begun(self, patience: float) -> Iterator[None]:
        """Wait until a message may be sent, then let none but this one open the conversation.

        That lasts until `opened` is called or the `with` block ends. Raises `RequestTimeout` after `patience`
        seconds, and `ConfigurationError` where the wait could never end, because this thread would be
        waiting for itself.
        """
        for stream in self._in_the_way():
            stream.leave()
        while (other := self._take_opening()) is not None:
            if other.thread is threading.current_thread():
                raise ConfigurationError(
                    "This thread is already opening the conversation, so waiting here would never end. On an "
                    "event loop use achat() or astream_chat(), or wait until the first message is answered."
                )
            try:
                other.done.result(patience)
            except concurrent.futures.TimeoutError:
                raise _not_opened(patience) from None
        try:
            yield
        finally:
            self._ended()

    @asynccontextmanager
    async def abegun(self, patience: float) -> AsyncIterator[None]:
        """`begun` without blocking the event loop."""
        for stream in self._in_the_way():
            await stream.aleave()
        while (other := self._take_opening()) is not None:
            done, _ = await asyncio.wait([asyncio.wrap_future(other.done)], timeout=patience)
            if not done:
                raise _not_opened(patience)
        try:
            yield
        finally:
            self._ended()

    def opened(self, session_id: str) -> None:
        """Record that the service has accepted a prompt: the conversation exists, and others may send."""
        self.session_id = session_id
        self._ended()

    def entry(self, message: str) -> HistoryEntry:
        """Add `message` to the history. Call it when the service has accepted the message."""
        entry = HistoryEntry(message)
        self._entries.append(entry.messages)
        return entry

    def accepted(self, message: str, said: Message) -> HistoryEntry:
        """Add `message` and its answer to the history, as yet without sources: looking those up may fail."""
        entry = self.entry(message)
        self.opened(said.session_id)
        entry.answered(said.answer, [], CitedAnswer(said, []).ids())
        return entry

    def streams(self, pump: Pump | AsyncPump) -> OpenStream:
        """Register an answer that is being read. Call `done()` on the result when it ends."""
        stream = OpenStream(pump, self._streams)
        self._streams.append(stream)
        return stream

    def _ended(self) -> None:
        with self._lock:
            opening, self._opening = self._opening, None
        if opening is not None:
            opening.done.set_result(None)

    def _take_opening(self) -> _Opening | None:
        with self._lock:
            if self.session_id is None and self._opening is not None:
                return self._opening
            if self.session_id is None:
                self._opening = _Opening()
            return None

    def _in_the_way(self) -> list[OpenStream]:
        return [stream for stream in list(self._streams) if stream.is_mine() or stream.is_stranded()]

    def __getstate__(self) -> dict[str, Any]:
        return {"session_id": self.session_id, "history": self.history}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # a fresh lock, and nothing being sent


class _Opening:
    """A first message that has been sent, or is about to be."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.done: Future[None] = Future()


class HistoryEntry:
    """A message in the history, with its answer once there is one.

    It takes no lock, because a stream that the garbage collector ends also writes here, from any thread.
    """

    def __init__(self, message: str) -> None:
        self._user = user_message(message)
        self.messages = [self._user]

    def answered(self, text: str, nodes: Iterable[NodeWithScore], metadata: dict[str, Any]) -> None:
        """Set the answer, replacing an earlier one."""
        self.messages[:] = [self._user, assistant_message(text, nodes, metadata)]


class OpenStream:
    """An answer that is being read. The next message from the same task or thread abandons it."""

    def __init__(self, pump: Pump | AsyncPump, among: list[OpenStream]) -> None:
        self._pump = weakref.ref(pump)  # weak: dropping the response and its readers must hang up
        self._owner = weakref.ref(_here())  # the object, because ids of tasks and threads are reused
        self._among = among
        self._done: Future[None] = Future()

    def done(self) -> None:
        """Record that the answer is complete, broken or abandoned."""
        with suppress(ValueError):
            self._among.remove(self)
        if not self._done.done():
            self._done.set_result(None)

    def is_mine(self) -> bool:
        """Return whether the calling task or thread asked for it."""
        return self._owner() is _here()

    def is_stranded(self) -> bool:
        """Return whether nobody can read on, because its event loop has been closed."""
        pump = self._pump()
        if pump is None:
            return self._owner() is None
        return isinstance(pump, AsyncPump) and pump.loop is not None and pump.loop.is_closed()

    def leave(self) -> None:
        """Hang up."""
        pump = self._pump()
        if isinstance(pump, Pump):
            pump.leave()
        elif self.is_stranded():
            self._give_up()

    async def aleave(self) -> None:
        """Hang up, or wait until the event loop has closed what was dropped."""
        pump = self._pump()
        if self.is_stranded():
            self._give_up()
        elif isinstance(pump, AsyncPump):
            await pump.leave()
        elif pump is not None:
            pump.leave()
        else:
            await asyncio.wait([asyncio.wrap_future(self._done)])

    def _give_up(self) -> None:
        pump = self._pump()
        if isinstance(pump, AsyncPump):
            pump.abandon()
        self.done()


def _here() -> asyncio.Task[Any] | threading.Thread:
    """Return the running task, or the thread where there is none."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return task or threading.current_thread()


def _not_opened(seconds: float) -> RequestTimeout:
    return RequestTimeout(
        f"Another message was still opening this conversation after {seconds:g} s "
        "(ClientOptions.session_wait). Nothing was sent; try again.",
        clock="session",
        sent=False,
    )
