"""The exceptions of requests and urllib3, named by what happened on the wire."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions as lower

from customgpt_transport import _naming
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions

_UNFIT = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    lower.LocationValueError,
)

_TIMEOUTS = (lower.ReadTimeoutError, requests.Timeout, TimeoutError)
_UNSENT = (lower.NewConnectionError, lower.ConnectTimeoutError, lower.ClosedPoolError, lower.EmptyPoolError)
_MARK = "customgpt_nothing_was_sent"

LIBRARY_ERRORS = (requests.RequestException, lower.HTTPError, http.client.HTTPException, OSError)
"""Everything that the two libraries raise for a failed request."""


def note_unsent(error: BaseException) -> None:
    """Mark `error` as one of connecting: the request had not begun to leave."""
    setattr(error, _MARK, True)


def named(
    error: BaseException, options: ClientOptions, clock: str, seconds: float, *, answering: bool = False
) -> CustomGPTError:
    """Return our error for theirs. `clock` is the one that was running, for `seconds`.

    requests raises one `ConnectionError` for a refused and for a dropped connection; what it wraps tells.
    That nothing was sent needs a proof, since a prompt is then sent again: the mark of our connections, or an
    error that urllib3 has for nothing else. There is none once the service is `answering`. The original is
    not chained: it holds the request with its headers.
    """
    causes = list(_causes(error))

    def any_is(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if found := any_is(lower.InvalidHeader):  # before requests' error for a header of ours, which wraps it
        return _naming.garbled(found)
    if not answering:
        if isinstance(error, _UNFIT):
            return _naming.unfit_address(error)
        if found := any_is(ssl.SSLCertVerificationError):
            return _naming.certificate_refused(options, found)
        if unsent := next((c for c in causes if isinstance(c, _UNSENT) or getattr(c, _MARK, False)), None):
            # A refusal is a kind of urllib3's connect timeout.
            if any_is(*_TIMEOUTS, lower.ConnectTimeoutError) and not any_is(lower.NewConnectionError):
                return _naming.silent("connect", options.connect_timeout)
            return _naming.could_not_connect(options, _root(unsent))
    if any_is(*_TIMEOUTS):
        return _naming.silent(clock, seconds)
    if found := any_is(lower.DecodeError, requests.exceptions.ContentDecodingError):
        return _naming.garbled(found)
    for cause in causes:
        if isinstance(cause, (http.client.BadStatusLine, http.client.LineTooLong)) and not isinstance(
            cause, http.client.RemoteDisconnected
        ):
            return _naming.garbled(cause)
    return _naming.dropped(_root(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return the error and all that it wraps, each once, outermost first.

    Not its `__context__`: that is whatever the caller was busy with, a refused connection of theirs, say.
    """
    waiting, met = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in met:
            continue
        met.add(id(one))
        yield one
        inner = [*one.args, getattr(one, "reason", None), getattr(one, "original_error", None), one.__cause__]
        waiting += [i for i in inner if isinstance(i, BaseException)]


def _root(error: BaseException) -> BaseException:
    return list(_causes(error))[-1]
