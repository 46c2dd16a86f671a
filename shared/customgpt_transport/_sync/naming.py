"""The exceptions of requests and urllib3, named by what happened on the wire."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions as lower

from customgpt_transport import _naming
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions

_HANDSHAKE = (
    "WRONG_VERSION",
    "HANDSHAKE",
    "UNSUPPORTED",
    "PROTOCOL_VERSION",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
)
_UNFIT = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    lower.LocationValueError,
)

LIBRARY_ERRORS = (requests.RequestException, lower.HTTPError, http.client.HTTPException, OSError)
"""Everything that the two libraries raise for a failed request."""


def named(error: BaseException, options: ClientOptions, clock: str, seconds: float) -> CustomGPTError:
    """Give our error for theirs. `clock` is the one that was running, for `seconds`.

    requests raises one `ConnectionError` for a refused and for a dropped connection; what it wraps tells. The
    original is not chained: it holds the request with its headers.
    """
    causes = list(_causes(error))

    def any_is(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if isinstance(error, _UNFIT):
        return _naming.unfit_address(error)
    if found := any_is(ssl.SSLCertVerificationError):
        return _naming.certificate_refused(options, found)
    if found := any_is(lower.ProxyError, lower.NameResolutionError, socket.gaierror, ConnectionRefusedError):
        return _naming.could_not_connect(options, _root(found))
    # A refusal is a kind of urllib3's connect timeout, a read timeout a kind of its timeout: in this order.
    if found := any_is(lower.NewConnectionError):
        return _naming.could_not_connect(options, _root(found))
    if any_is(lower.ConnectTimeoutError, requests.ConnectTimeout):
        return _naming.silent("connect", options.connect_timeout)
    if any_is(lower.ReadTimeoutError, requests.Timeout, TimeoutError, socket.timeout):
        return _naming.silent(clock, seconds)
    handshake = any_is(ssl.SSLError)
    if handshake is not None and any(word in str(handshake) for word in _HANDSHAKE):
        return _naming.could_not_connect(options, handshake)
    if found := any_is(lower.DecodeError, requests.exceptions.ContentDecodingError, lower.InvalidHeader):
        return _naming.garbled(found)
    for cause in causes:
        if isinstance(cause, (http.client.BadStatusLine, http.client.LineTooLong)) and not isinstance(
            cause, http.client.RemoteDisconnected
        ):
            return _naming.garbled(cause)
    return _naming.dropped(_root(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give the error and all that it wraps, each once, outermost first."""
    waiting, met = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in met:
            continue
        met.add(id(one))
        yield one
        inner = [*one.args, getattr(one, "reason", None), getattr(one, "original_error", None), one.__cause__]
        if one.__cause__ is None and not one.__suppress_context__:
            inner.append(one.__context__)
        waiting += [i for i in inner if isinstance(i, BaseException)]


def _root(error: BaseException) -> BaseException:
    return list(_causes(error))[-1]
