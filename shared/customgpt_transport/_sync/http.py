"""Requests sent with the requests library; knows connections, and nothing of the API."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import certifi
import requests
from requests.auth import AuthBase
from urllib3.util import Timeout

from customgpt_transport import _naming, _observe
from customgpt_transport._flows import Send
from customgpt_transport._secrets import Secret
from customgpt_transport._sync.naming import LIBRARY_ERRORS, named
from customgpt_transport._sync.pool import new_session
from customgpt_transport._sync.reader import Reader
from customgpt_transport._wire.http import Body, Request, Response, dump_json
from customgpt_transport.options import ClientOptions


class _Key(AuthBase):
    """The key as an auth object: requests lets a `~/.netrc` entry replace a plain header, silently."""

    def __init__(self, key: str) -> None:
        self._value = Secret(f"Bearer {key}")

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = self._value
        return prepared


class _BodyFailed(Exception):
    """Carries what the disk or the caller's progress raised past urllib3, which swallows some OSErrors."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure


class _Upload:
    """A body with a length that requests reads piece by piece."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        try:
            with contextlib.closing(self._body.chunks()) as chunks:  # type: ignore[type-var]  # a generator
                for chunk in chunks:
                    yield chunk
                    sent += len(chunk)
                    self._body.sent(sent)
        except Exception as error:
            raise _BodyFailed(error) from None


class Connections:
    """The pooled connections of one client: one pool for each process that uses it."""

    def __init__(self, session: requests.Session | None = None) -> None:
        self._own = session
        self._pools: dict[int, requests.Session] = {}

    def close(self) -> None:
        """Close the idle connections; a session of the caller's stays as it is."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _session(self) -> requests.Session:
        if self._own is not None:
            return self._own
        pool = self._pools.get(os.getpid())
        if pool is None:  # setdefault: two threads may come here at once, and a fork must not copy a lock
            pool = self._pools.setdefault(os.getpid(), new_session())
        return pool

    def open(self, send: Send, options: ClientOptions) -> Reader:
        """Send, and return the body to read when the headers are there. Raises our errors and the disk's."""
        request = send.request
        first = min(options.first_byte_timeout, send.timeout or options.first_byte_timeout)
        brought = {} if self._own is not None else _route(options)
        try:
            response = self._session().request(
                request.method,
                request.url(options.base_url or ""),
                data=_payload(request),
                headers=_headers(request, options),
                auth=_Key(options.api_key or ""),
                timeout=_timeout(options.connect_timeout, first, send.timeout),
                allow_redirects=False,
                stream=True,
                **brought,
            )
            if response.status_code >= 200:
                return Reader(response, options)
            response.close()  # an interim answer, taken for the final one by a session of the caller's
            problem: Exception = _naming.garbled(f"an answer with status {response.status_code}")
        except LIBRARY_ERRORS as error:
            problem = named(error, options, "first_byte", first)
        except _BodyFailed as stopped:
            problem = stopped.failure
        except ValueError as error:
            if self._own is None:
                raise
            problem = _naming.garbled(error)  # a caller's session parses redirects that it ignores
        raise problem

    def exchange(self, send: Send, options: ClientOptions) -> Response:
        """Send, and return the whole response."""
        clock, sink = options.clock, send.request.save_to
        began_at = clock()
        body = self.open(send, options)
        if send.timeout is not None:
            body.bound("events", max(0.0, began_at + send.timeout - clock()))
        elif sink is None:  # a JSON answer is one event: bytes that trickle do not prolong it
            body.bound("events", options.event_timeout)
        try:
            if sink is None or not 200 <= body.status < 300:
                return body.response(body.rest())
            return body.response(saved=body.save(sink))
        except BaseException:
            body.hang_up()
            raise


def _timeout(connect: float, first: float, total: float | None) -> Any:
    if total is None:
        return connect, first
    return Timeout(connect=min(connect, total), read=first, total=total)


def _route(options: ClientOptions) -> dict[str, Any]:
    verify = certifi.where() if options.verify is True else options.verify
    proxies = {"http": options.proxy, "https": options.proxy} if options.proxy else {}
    return {"verify": verify, "proxies": proxies}


def _headers(request: Request, options: ClientOptions) -> dict[str, str]:
    headers = {
        "User-Agent": _observe.user_agent(options, f"requests/{requests.__version__}"),
        "Accept": "text/event-stream" if request.stream else "application/json",
        "Accept-Encoding": "identity" if request.stream else "gzip, deflate",
    }
    if request.body is not None:
        headers["Content-Type"] = request.body.content_type
    elif request.json is not None:
        headers["Content-Type"] = "application/json"
    return {**headers, **request.headers}


def _payload(request: Request) -> Any:
    if request.body is not None:
        return _Upload(request.body)
    return None if request.json is None else dump_json(request.json)
