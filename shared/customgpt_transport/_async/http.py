"""Requests sent with aiohttp, over one session for each loop; knows sockets, and nothing of the API."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import certifi
from yarl import URL

from customgpt_transport import _naming
from customgpt_transport._async.line import watch
from customgpt_transport._async.naming import LIBRARY_ERRORS, named
from customgpt_transport._async.orphans import close_orphan, disown
from customgpt_transport._async.reader import Reader
from customgpt_transport._async.sending import Request, Sending
from customgpt_transport._flows import Send
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import ConfigurationError, CustomGPTError
from customgpt_transport.options import ClientOptions

KEPT_IDLE = 60.0  # seconds that an unused connection is kept

SessionFactory = Callable[[], aiohttp.ClientSession]


@dataclass(eq=False)
class _Held:
    """The session of one loop, and the generator that closes it when the loop ends.

    `busy` counts the requests under way. One that is `retired` takes no more, and the last one closes it.
    """

    session: aiohttp.ClientSession
    keeper: AsyncGenerator[None, None] | None
    loop: asyncio.AbstractEventLoop
    process: int
    busy: int = 0
    retired: asyncio.Task[None] | bool = False

    async def retire(self) -> None:
        self.retired = True
        if not self.busy and self.keeper is not None:
            await self.keeper.aclose()

    def leave(self) -> None:
        self.busy -= 1
        if self.busy or self.retired is not True or self.keeper is None or self.process != os.getpid():
            return
        if self.loop.is_running():
            self.retired = self.loop.create_task(self.keeper.aclose())


Held = dict[asyncio.AbstractEventLoop, _Held]


class Connections:
    """The pooled connections of one client: one aiohttp session for each running loop that uses it."""

    def __init__(self, factory: SessionFactory | None = None) -> None:
        self._factory = factory
        self._held: Held = {}
        self._certificates: dict[bool | str, ssl.SSLContext] = {}
        weakref.finalize(self, _let_go, self._held)

    async def aclose(self) -> None:
        """Close this loop's connections: the idle ones now, the others when their request has ended.

        A session of the caller's stays as it is.
        """
        held = self._held.pop(asyncio.get_running_loop(), None)
        if held is None or held.keeper is None:
            return
        if held.process == os.getpid():
            await held.retire()
        else:
            disown(held.session)

    async def _hold(self) -> _Held:
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is not None and held.process == os.getpid() and not held.session.closed:
            return held
        _let_go(self._held)
        if self._factory is not None:
            held = _Held(self._factory(), None, loop, os.getpid())
            self._held[loop] = held
            return held
        session = _new_session()
        held = _Held(session, _keep(session, weakref.ref(self), loop), loop, os.getpid())
        self._held[loop] = held
        assert held.keeper is not None  # noqa: S101 - for the type checker
        await held.keeper.__anext__()  # from here on the loop closes it when it ends
        return held

    async def _verify(self, options: ClientOptions) -> ssl.SSLContext | bool:
        verify = options.verify
        if verify is False or not (options.base_url or "").startswith("https"):
            return verify is not False
        if verify not in self._certificates:  # reading the certificates takes long enough to be felt
            self._certificates[verify] = await asyncio.get_running_loop().run_in_executor(
                None, _certificates, verify
            )
        return self._certificates[verify]

    async def open(self, send: Send, options: ClientOptions) -> Reader:
        """Send, and return the body to read when the headers are there. Raises our errors and the disk's."""
        brought: dict[str, Any] = {}
        if self._factory is None:
            brought = {"ssl": await self._verify(options), "proxy": options.proxy or None}
        held = await self._hold()
        held.busy += 1
        try:
            response = await self._send(held.session, send, options, brought)
            return Reader(response, options, held.leave)
        except BaseException:
            held.leave()
            raise

    async def _send(
        self, session: aiohttp.ClientSession, send: Send, options: ClientOptions, brought: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        for _ in range(2):  # the loop may have stood still while an idle connection was closed: let it hear
            await asyncio.sleep(0)
        request = send.request
        connect, first = options.connect_timeout, options.first_byte_timeout
        seconds = connect + first
        if send.timeout is not None:
            connect, first = min(connect, send.timeout), min(first, send.timeout)
            seconds = min(seconds, send.timeout)
        sending = Sending(request, seconds, first)

        try:
            response = await sending.until_headers(
                session.request(
                    request.method,
                    URL(request.url(options.base_url or ""), encoded=True),
                    data=sending.data,
                    headers=sending.headers(options),
                    skip_auto_headers=("Content-Type",),
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_read=first),
                    allow_redirects=False,
                    **brought,
                )
            )
            if response.status >= 200:
                return response
            response.close()
            problem: CustomGPTError = _naming.garbled(f"an answer with status {response.status}")
        except LIBRARY_ERRORS as error:
            problem = named(error, options, "first_byte", first)
        except ValueError as error:
            if self._factory is None:
                raise
            problem = ConfigurationError(
                f"The session that session_factory made cannot send this: {error}. Make it without auth, and "
                "without trust_env where a ~/.netrc names this host."
            )
        if sending.failure is not None:
            raise sending.failure  # the disk's, not the connection's
        raise problem

    async def exchange(self, send: Send, options: ClientOptions) -> Response:
        """Send, and return the whole response."""
        body = await self.open(send, options)
        sink = send.request.save_to
        # A JSON answer is one event: bytes that trickle do not prolong it.
        body.bound("events", options.event_timeout if send.timeout is None and sink is None else send.timeout)
        try:
            if sink is None or not 200 <= body.status < 300:
                return body.response(await body.rest())
            return body.response(saved=await body.save(sink))
        except BaseException:
            body.hang_up()
            raise


async def _keep(
    session: aiohttp.ClientSession, owner: weakref.ref[Connections], loop: asyncio.AbstractEventLoop
) -> AsyncGenerator[None, None]:
    """Wait until the loop ends (`asyncio.run` closes generators that it began), then close the session."""
    process = os.getpid()
    try:
        yield
    finally:
        connections = owner()
        if connections is not None:
            held = connections._held.get(loop)
            if held is not None and held.session is session:
                connections._held.pop(loop, None)
        if process == os.getpid():
            await session.close()
        else:
            disown(session)


def _let_go(held: Held) -> None:
    """Close the sessions of loops that were closed without ending their generators; disown a parent's.

    Also called when the connections are collected, and as the interpreter ends.
    """
    for loop, each in list(held.items()):
        if each.process != os.getpid() or loop.is_closed():
            held.pop(loop, None)
            if each.keeper is not None and not each.session.closed:
                (close_orphan if each.process == os.getpid() else disown)(each.session)


def _new_session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_IDLE, socket_factory=_socket)
    watch(connector, asyncio.get_running_loop())
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, request_class=Request
    )
    # aiohttp sends a GET, PUT or DELETE again by itself when a kept connection drops, unseen by the policy: a
    # sync of a source (a PUT) would start twice. There is no public way to say no.
    session._retry_connection = False
    return session


def _socket(address: Any) -> socket.socket:
    """Return a socket that sends TCP keep-alives while idle, where the platform can."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _certificates(verify: bool | str) -> ssl.SSLContext:
    """Return the context for `verify`: True means the certificates that requests uses, too."""
    path = certifi.where() if verify is True else str(verify)
    if os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
