"""Event loops that nobody shuts down properly.

LlamaIndex runs async code from sync code (SubQuestionQueryEngine; in 0.13 also the router's async path) on a
loop that it makes, and then closes the loop without ending the async generators on it. So what the transport
keeps open on that loop would be collected open, and aiohttp would say so on the user's screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from customgpt_transport import AsyncClient

__all__ = ["close_with_this_loop"]

_OURS = "_llama_index_customgpt_clients"


def close_with_this_loop(client: AsyncClient) -> None:
    """Have the client's connections on the running loop closed at the latest when the loop is."""
    loop = asyncio.get_running_loop()
    clients: weakref.WeakSet[AsyncClient] | None = getattr(loop, _OURS, None)
    if clients is None:
        clients = weakref.WeakSet()
        with contextlib.suppress(AttributeError):  # a loop that takes no attributes is left as it is
            setattr(loop, _OURS, clients)
            loop.close = _closing(loop, clients)  # type: ignore[method-assign]  # of this one loop
    clients.add(client)


def _closing(loop: asyncio.AbstractEventLoop, clients: weakref.WeakSet[AsyncClient]) -> Callable[[], None]:
    weak, close = weakref.ref(loop), type(loop).close  # not the loop itself: it would hold itself

    def closing() -> None:
        loop = weak()
        if loop is None:
            return
        if not loop.is_closed() and not loop.is_running() and not _any_loop_runs():
            for client in list(clients):
                with contextlib.suppress(Exception):  # the loop closes, whatever a connection says
                    loop.run_until_complete(client.aclose())
        close(loop)

    return closing


def _any_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
