"""An aiohttp connection that is closed when bytes arrive that belong to no request.

Half-private names that are used here: `ResponseHandler` with its `_parser`; `_factory` of a connector.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection


class Line(ResponseHandler):
    """aiohttp's handler, which closes as soon as anything arrives that is not part of the answer.

    aiohttp gives a connection back the moment the parser has seen the end of a body, before it has looked at
    what follows, and takes whatever comes before the next request for the answer to that.
    """

    _asked = True
    _fresh = True
    _feeding = False

    def set_response_params(self, *args: Any, **kwargs: Any) -> None:
        """Expect an answer."""
        self._asked = True
        super().set_response_params(*args, **kwargs)

    async def is_ready(self, connection: Connection) -> bool:
        """Whether a request can be sent: nothing came before it. `connection` is ours until its end."""
        if self._fresh:  # the loop has not looked yet whether the service speaks first
            self._fresh = False
            for _ in range(2):
                await asyncio.sleep(0)
        if not self.is_connected() or self.should_close or self._has_begun():
            return False
        connection.add_callback(self._over)
        return True

    def _over(self) -> None:
        self._asked = False

    @property
    def should_close(self) -> bool:
        """Whether the connection must not be used again."""
        return super().should_close or (not (self._asked or self._feeding) and self._has_begun())

    def data_received(self, data: bytes) -> None:
        """Take the next bytes of the answer that is due; hang up when more than that arrives."""
        self._feeding = True
        super().data_received(data)
        self._feeding = False
        if not self._asked and self.transport is not None and self.should_close:
            self.transport.abort()

    def _has_begun(self) -> bool:
        """Whether the beginning of another answer is in the parser."""
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except Exception:  # it says so
            return True


def watch(connector: aiohttp.BaseConnector, loop: asyncio.AbstractEventLoop) -> None:
    """Make all connections of `connector` such lines."""
    connector._factory = partial(Line, loop=loop)  # type: ignore[assignment]  # a partial is invariant
