"""Close sessions whose loop is closed or another process's: aiohttp can close them on their loop only."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp


def close_orphan(session: aiohttp.ClientSession) -> None:
    """Close a session whose loop was closed before it, with all its connections, at once and silently.

    LlamaIndex and others run coroutines on a loop that they close without ending its generators.
    """
    connector = session.connector
    transports = _transports(connector)
    closing = session.close()
    with contextlib.suppress(StopIteration, RuntimeError):  # nothing waits where the loop is closed
        closing.send(None)
    closing.close()
    for transport in transports:
        _close(transport)


def disown(session: aiohttp.ClientSession) -> None:
    """Forget a session that a fork copied: its sockets, and the loop's list of them, are the parent's."""
    connector = session.connector
    session.detach()
    if connector is not None:
        connector._closed = True  # else its collection would close the connections


def _transports(connector: aiohttp.BaseConnector | None) -> list[Any]:
    """Return the transports of a connector's connections, for which there is no public way."""
    idle = [kept[0] for each in getattr(connector, "_conns", {}).values() for kept in each]
    busy = list(getattr(connector, "_acquired", ()))
    return [transport for protocol in idle + busy if (transport := protocol.transport) is not None]


def _close(transport: asyncio.Transport) -> None:
    with contextlib.suppress(Exception):  # it marks itself as closing, then misses its loop
        transport.abort()
    below = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    if below is not None:
        _close(below)
    made = getattr(transport, "_sock", None)
    if made is not None:
        with contextlib.suppress(OSError):
            made.close()
        transport._sock = None  # type: ignore[attr-defined]  # else it says on collection that it was open
