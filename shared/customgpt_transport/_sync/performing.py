"""How the blocking client performs what flows ask for."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from typing import Any

from customgpt_transport._flows import Call, Disk, Effect, Flow, Open, Send, Sleep, T, Wait
from customgpt_transport._sync.http import Connections
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions


def drive(flow: Flow[T], connections: Connections, options: ClientOptions) -> T:
    """Perform what the flow yields, until it returns."""
    steps: list[Callable[[], Effect]] = [partial(next, flow)]
    try:
        while True:
            try:
                # Popped: what is sent back may echo the key, and tracebacks can show locals.
                effect = steps.pop()()
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # what the flow returns is a T
            try:
                steps.append(partial(flow.send, _perform(effect, connections, options)))
            except CustomGPTError as error:
                steps.append(partial(flow.throw, error))
    finally:
        flow.close()


def _perform(effect: Effect, connections: Connections, options: ClientOptions) -> Any:
    match effect:
        case Send():
            return connections.exchange(effect, options)
        case Open(send):
            return connections.open(send, options)
        case Call(method):
            return method()
        case Sleep(seconds):
            (options.sleep or time.sleep)(max(0.0, seconds))
        case Wait(future, seconds):
            if not future.done():
                wait([future], seconds)
            return future.done()
        case Disk(look):
            return look()
    return None
