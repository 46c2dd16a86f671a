"""What the asynchronous client holds while a prompt runs, and how it performs what flows ask for."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from customgpt_transport import _environment, _naming, _observe
from customgpt_transport._async.http import Connections
from customgpt_transport._flows import Disk, Effect, Flow, Send, Sleep, T
from customgpt_transport._flows.prompts import Prompt
from customgpt_transport._flows.turns import Turn
from customgpt_transport._pacing import Gate, pacing, too_long
from customgpt_transport._sessions import sessions
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions

Opener = Callable[[Send], Awaitable[Response]]


async def take_turn(prompt: Prompt, session_id: str) -> Turn:
    """Wait until no other prompt of this process runs in the conversation, and there is a free slot."""
    options = prompt.options
    place = sessions.join((_environment.origin(options.base_url or ""), session_id), blocking=False)
    try:
        if not await granted(place.granted, options.session_wait) and place.granted.cancel():
            raise _naming.session_busy(options.session_wait, session_id)
        gate = pacing.gate(options)
        slot = gate.take(options.max_concurrent_prompts, blocking=False)
        try:
            if not await granted(slot.granted, options.session_wait) and slot.granted.cancel():
                raise _naming.slots_busy(options, session_id)
        except BaseException:
            slot.granted.cancel()
            gate.release(slot)
            raise
    except BaseException:
        place.granted.cancel()
        sessions.leave(place)
        raise
    return Turn(place, gate, slot, sessions.seen(place.key))


async def drive(
    flow: Flow[T], connections: Connections, options: ClientOptions, opener: Opener | None = None
) -> T:
    """Perform what the flow yields, until it returns. `opener` performs a streamed `Send`."""
    performer = _Performer(connections, options, opener)
    step: Callable[[], Effect] = partial(next, flow)
    try:
        while True:
            try:
                effect = step()
            except StopIteration as done:  # the flow's own; one that a hook raises is not its end
                return done.value  # type: ignore[no-any-return]  # what the flow returns is a T
            try:
                step = partial(flow.send, await performer.perform(effect))
            except CustomGPTError as error:
                step = partial(flow.throw, error)
    finally:
        flow.close()


class _Performer:
    """Performs the effects of one flow."""

    def __init__(self, connections: Connections, options: ClientOptions, opener: Opener | None) -> None:
        self._connections = connections
        self._options = options
        self._opener = opener
        self._waited = 0.0  # the moment until which this flow has waited already

    async def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Disk):
            return await asyncio.to_thread(effect.look)
        if isinstance(effect, Sleep):
            if effect.retry is not None:
                _observe.retrying(self._options, effect.retry)
            self._waited = self._options.clock() + effect.seconds
            await self._sleep(effect.seconds)
            return None
        options, gate = self._options, pacing.gate(self._options)
        if effect.request.kind == "prompt":
            await self._wait_for(gate)
        began_at = options.clock()
        _observe.began(options, effect)
        try:
            if effect.request.stream and self._opener is not None:
                response = await self._opener(effect)
            else:
                response = await self._connections.exchange(effect, options)
        except CustomGPTError as error:
            _observe.ended(options, effect, began_at, error=error)
            raise
        _observe.ended(options, effect, began_at, status=response.status)
        gate.heard(response, options.clock())
        return response

    async def _wait_for(self, gate: Gate) -> None:
        clock = self._options.clock
        while (opens_at := gate.opening(clock(), self._waited)) is not None:
            pause = opens_at - clock()
            if problem := too_long(pause, self._options.retry.patience):
                raise problem
            self._waited = opens_at
            await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        slept = (self._options.sleep or asyncio.sleep)(max(0.0, seconds))
        if inspect.isawaitable(slept):
            await slept


async def granted(right: Future[Any], patience: float | None = None) -> bool:
    """Wait for a right without blocking the loop; False when it did not come in time."""
    if not right.done():
        await asyncio.wait([asyncio.wrap_future(right)], timeout=patience)
    return right.done()
