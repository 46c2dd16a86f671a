"""The session of requests as we use it.

Its connections tell what was sent, keep to their clocks, and are used again only with nothing left on them.
Half-private names of urllib3's pools that are used here: `_make_request`, `_put_conn`, `_get_timeout`.
"""

from __future__ import annotations

import queue
import socket
from collections import deque
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from customgpt_transport._sync.line import Incoming, is_silent
from customgpt_transport._sync.naming import note_unsent

POOLED = 1_000  # idle connections that are kept; as many as there are threads may be open at once


class _Outgoing:
    """What our connections add to urllib3's.

    Failing to connect (to resolve, to shake hands, to get through a proxy) marks the error: nothing of the
    request was sent. What fails later has no mark. Sending takes at most `patience` seconds a piece, which is
    the first byte's clock; urllib3 would leave the much shorter one of connecting in force.
    """

    patience: float | None = None
    sock: socket.socket | None
    _incoming: Incoming | None = None

    def response_class(self, *args: Any, **kwargs: Any) -> Incoming:
        """Make the answer that `http.client` is to read."""
        self._incoming = Incoming(*args, **kwargs)
        return self._incoming

    @property
    def is_connected(self) -> bool:
        """Whether another request can be sent: the last answer is over, and nothing has come since."""
        return self.sock is not None and (not self._incoming or self._incoming.clean) and is_silent(self.sock)

    def connect(self) -> None:
        """Connect."""
        try:
            super().connect()  # type: ignore[misc]  # of the connection that this is mixed into
        except BaseException as error:
            note_unsent(error)
            raise
        self._be_patient()

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        """Begin to send. Raises when an answer is there before anything was asked."""
        if self.sock is None:
            self.connect()
        if self.sock is not None and not is_silent(self.sock):
            self.close()  # type: ignore[attr-defined]  # of the connection that this is mixed into
            note_unsent(early := ConnectionError("something came before anything was asked"))
            raise early
        self._be_patient()
        super().endheaders(*args, **kwargs)  # type: ignore[misc]  # as above

    def _be_patient(self) -> None:
        if self.sock is not None and self.patience is not None:
            self.sock.settimeout(self.patience)


class _Connection(_Outgoing, HTTPConnection):  # type: ignore[misc]  # a method for an attribute
    pass


class _TLSConnection(_Outgoing, HTTPSConnection):  # type: ignore[misc]  # as above
    pass


class _Idle:
    """The idle connections of a pool, the newest first.

    The standard library's queue has locks that Ctrl-C can leave locked for ever; a deque needs none.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._kept: deque[Any] = deque()

    def get(self, *_: Any, **__: Any) -> Any:
        try:
            return self._kept.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, connection: Any, *_: Any, **__: Any) -> None:
        if connection is None:  # urllib3's sign for one that is yet to be made
            return
        if len(self._kept) >= self._most:
            raise queue.Full
        self._kept.append(connection)

    def qsize(self) -> int:
        return len(self._kept)


class _Patient:
    """What our pools add to urllib3's: our connections, unless a cassette has put its own in their place."""

    QueueCls: Any = _Idle
    _get_timeout: Callable[[Any], Any]

    @property
    def ConnectionCls(self) -> Any:
        found = super().ConnectionCls  # type: ignore[misc]  # of the pool that this is mixed into
        return {HTTPConnection: _Connection, HTTPSConnection: _TLSConnection}.get(found, found)

    def _make_request(self, *args: Any, **kwargs: Any) -> Any:
        timeout = self._get_timeout(kwargs.get("timeout"))
        timeout.start_connect()
        args[0].patience = timeout.read_timeout  # the connection
        return super()._make_request(*args, **kwargs)  # type: ignore[misc]  # as above

    def _put_conn(self, conn: Any) -> None:
        if isinstance(conn, _Outgoing) and not conn.is_connected:
            conn.close()  # type: ignore[attr-defined]  # as above
        super()._put_conn(conn)  # type: ignore[misc]  # as above


class _Pool(_Patient, HTTPConnectionPool):  # type: ignore[override]  # a property for an attribute
    pass


class _TLSPool(_Patient, HTTPSConnectionPool):  # type: ignore[override]  # as above
    pass


_OURS: dict[type, type] = {HTTPConnectionPool: _Pool, HTTPSConnectionPool: _TLSPool}


class _Adapter(HTTPAdapter):
    """Has our pools, and keeps idle connections alive on the way, where the platform can."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, socket_options=_socket_options(), **kwargs)
        _with_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return _with_our_pools(super().proxy_manager_for(proxy, socket_options=_socket_options(), **kwargs))

    def close(self) -> None:
        """Close the idle connections now: urllib3 leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it has keys(), and refuses to be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()


def _with_our_pools(manager: Any) -> Any:
    classes = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _OURS.get(kind, kind) for scheme, kind in classes.items()}
    return manager


def _socket_options() -> list[tuple[int, int, int]]:
    given = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            given.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return given


class _Session(requests.Session):
    """A session that leaves redirects alone.

    requests reads the body of a redirect and parses its target even when it is not to follow it.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def new_session() -> requests.Session:
    """Return a session that keeps nothing but idle connections."""
    session = _Session()
    session.trust_env = False  # no netrc; proxies and certificates are worked out once for both clients
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    adapter = _Adapter(pool_maxsize=POOLED, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
