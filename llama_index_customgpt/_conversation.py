"""The state of one chat: its conversation on the server, its history here, and who may open it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from llama_index.core.base.llms.types import ChatMessage

from llama_index_customgpt._replay import AsyncPump, Pump

__all__ = ["Conversation", "OpenStream"]


class Conversation:
    """One conversation. A chat engine has one at a time and takes a new one to start afresh.

    A turn keeps to the conversation that it began in, whatever the engine does meanwhile: that is what keeps
    users of one engine apart. While a turn is getting the conversation its `session_id`, other turns wait, on
    any thread or event loop, or they would each open a conversation of their own; from then on the transport
    lets one prompt at a time into a session.
    """

    def __init__(self, session_id: str | None = None, history: Iterable[ChatMessage] = ()) -> None:
        self.session_id = session_id
        self.history = list(history)
        self._lock = threading.Lock()
        self._opening: Future[None] | None = None
        self._stream: OpenStream | None = None

    def begin(self) -> None:
        """Wait until this turn may be sent. `opened` or `ended` must follow."""
        stream = self._own_open_stream()
        if stream is not None:
            stream.leave()
        while (other := self._take_opening()) is not None:
            other.result()

    async def abegin(self) -> None:
        """`begin` without blocking the event loop."""
        stream = self._own_open_stream()
        if stream is not None:
            await stream.aleave()
        while (other := self._take_opening()) is not None:
            await asyncio.shield(asyncio.wrap_future(other))

    def opened(self, session_id: str) -> None:
        """The service has accepted a prompt: the conversation exists, and others may go on."""
        self.session_id = session_id
        self.ended()

    def ended(self) -> None:
        """The turn is over, or could not be sent; the next may try."""
        with self._lock:
            opening, self._opening = self._opening, None
        if opening is not None:
            opening.set_result(None)

    def add_turn(self, user: ChatMessage, agent: ChatMessage) -> None:
        """Keep a turn in the history."""
        with self._lock:
            self.history += [user, agent]

    def streams(self, pump: Pump | AsyncPump) -> OpenStream:
        """Remember that an answer is being read. Tell the result `done()` when it ends."""
        self._stream = OpenStream(pump)
        return self._stream

    def _take_opening(self) -> Future[None] | None:
        with self._lock:
            if self.session_id is None and self._opening is not None:
                return self._opening
            if self.session_id is None:
                self._opening = Future()
            return None

    def _own_open_stream(self) -> OpenStream | None:
        stream = self._stream
        return stream if stream is not None and stream.is_mine() else None

    def __getstate__(self) -> dict[str, Any]:
        return {"session_id": self.session_id, "history": list(self.history)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # a fresh lock, and no turn under way


class OpenStream:
    """An answer being read. Whoever asks the next question in the same task or thread has left it."""

    def __init__(self, pump: Pump | AsyncPump) -> None:
        self._pump = weakref.ref(pump)  # weakly: dropping the response and its readers hangs up
        self._owner = _here()
        self._done: Future[None] = Future()

    def done(self) -> None:
        """The answer is complete, broken or left."""
        if not self._done.done():
            self._done.set_result(None)

    def is_mine(self) -> bool:
        """Whether it is still open, and was asked for where this is called."""
        return not self._done.done() and self._owner == _here()

    def leave(self) -> None:
        """Hang up."""
        pump = self._pump()
        if isinstance(pump, Pump):
            pump.leave()

    async def aleave(self) -> None:
        """Hang up, or wait until the event loop has closed what was dropped."""
        pump = self._pump()
        if isinstance(pump, AsyncPump):
            await pump.leave()
        elif pump is None:
            await asyncio.shield(asyncio.wrap_future(self._done))


def _here() -> tuple[int, int]:
    """Name the task, or the thread where there is none."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), id(task) if task is not None else 0
