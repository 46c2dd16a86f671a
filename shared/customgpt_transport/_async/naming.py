"""The exceptions of aiohttp, named by what happened on the wire."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from customgpt_transport import _naming
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions

LIBRARY_ERRORS = (
    aiohttp.ClientError,
    aiohttp.http_exceptions.HttpProcessingError,
    asyncio.TimeoutError,
    OSError,
)
"""Everything that aiohttp raises for a failed request."""

_NEVER_SENT = (
    aiohttp.ClientConnectorError,  # DNS and proxies too
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.ClientHttpProxyError,
)


def named(error: BaseException, options: ClientOptions, clock: str, seconds: float) -> CustomGPTError:
    """Return our error for theirs. `clock` is the one that was running, for `seconds`.

    The original is not chained: it holds the request with its headers.
    """
    if isinstance(error, aiohttp.InvalidURL):
        return _naming.unfit_address(error)
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        return _naming.certificate_refused(options, _root(error))
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, ssl.SSLCertVerificationError
    ):
        return _naming.certificate_refused(options, error.os_error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _naming.silent("connect", options.connect_timeout)
    if isinstance(error, _NEVER_SENT):
        return _naming.could_not_connect(options, _root(error))
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return _naming.silent(clock, seconds)
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        return _naming.dropped(_root(error))
    root = _root(error)
    if isinstance(root, aiohttp.http_exceptions.ContentEncodingError):
        return _naming.garbled(root.message)
    if isinstance(error, aiohttp.ClientResponseError) and clock == "first_byte":
        return _naming.garbled(error.message)  # in the body, broken framing is a broken line
    return _naming.dropped(root)


def _root(error: BaseException) -> BaseException:
    cause = getattr(error, "os_error", None) or error.__cause__
    return cause if isinstance(cause, BaseException) else error
