"""What the LangChain classes raise: each is our error and LangChain's at once, so catching either works.

    customgpt_transport            langchain_core.exceptions
    ConfigurationError, BadRequest ModelInvalidRequestError
    ConnectionFailed, CertificateRefused, ConnectionLost, StreamInterrupted   ModelConnectionError
    RequestTimeout                 ModelTimeoutError
    ProtocolError, ServerError, AnswerFailed, any other APIError   ModelAPIError
    AuthenticationFailed           ModelAuthenticationError
    PermissionDenied               ModelPermissionDeniedError
    NotFound                       ModelNotFoundError
    RateLimited, CreditsExhausted  ModelRateLimitError

`is_retryable`, which LangChain's retry middleware reads, is `resend_safe`: True only where asking again
cannot bill the prompt twice. LangGraph's `RetryPolicy` knows no such flag; it leaves a `RuntimeError` or
`ValueError` alone, so every error that may have been billed, or cannot heal, is a `RuntimeError` too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.tools import ToolException

import customgpt_transport.errors as transport

__all__ = [
    "APIError",
    "AnswerFailed",
    "AuthenticationFailed",
    "BadRequest",
    "CertificateRefused",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "CreditsExhausted",
    "CustomGPTToolError",
    "ErrorResponse",
    "NotFound",
    "PermissionDenied",
    "ProtocolError",
    "RateLimited",
    "RequestTimeout",
    "ServerError",
    "StreamInterrupted",
]


class ErrorResponse:
    """The API's refusal as LangChain's tracer reads it: `status_code`, `headers`, `text`, `json()`."""

    def __init__(self, error: transport.APIError) -> None:
        self.status_code = error.status
        self.text = error.body
        retry_after = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
        self.headers: Mapping[str, str] = MappingProxyType(retry_after)

    def json(self) -> Any:
        """The body as parsed JSON; raises ValueError when it is not JSON."""
        return json.loads(self.text)


class _Face:
    """What LangChain reads on an error, answered from what ours know."""

    if TYPE_CHECKING:
        is_retryable: bool  # a plain attribute in LangChain's classes; what answers here is a property
    else:

        @property
        def is_retryable(self) -> bool:
            """Whether the same prompt may be sent again without being billed twice."""
            return self.resend_safe

    @property
    def response(self) -> ErrorResponse | None:
        """The API's refusal; None when no whole answer came."""
        return ErrorResponse(self) if isinstance(self, transport.APIError) else None

    @property
    def request_id(self) -> str | None:
        """The prompt's `external_id`: the API has no request ids, its messages keep this one."""
        return getattr(self, "external_id", None)


# `_Face` comes first among the bases everywhere: it answers before LangChain's class attributes do.


class ConfigurationError(_Face, transport.ConfigurationError, ModelInvalidRequestError):
    """Something the caller passed, or left out, cannot work; nothing was sent."""


class ConnectionFailed(_Face, transport.ConnectionFailed, ModelConnectionError):
    """No connection; nothing was sent."""


class CertificateRefused(_Face, transport.CertificateRefused, ModelConnectionError, RuntimeError):
    """The server's TLS certificate does not verify; nothing was sent."""


class ConnectionLost(_Face, transport.ConnectionLost, ModelConnectionError, RuntimeError):
    """The line dropped after the prompt was sent: it may have been answered and billed."""


class StreamInterrupted(_Face, transport.StreamInterrupted, ModelConnectionError, RuntimeError):
    """The answer began and did not finish; `partial_answer` is the text that had arrived."""


class RequestTimeout(_Face, transport.RequestTimeout, ModelTimeoutError, RuntimeError):
    """Nothing came for too long; `clock` says which wait, `sent` whether the prompt had left."""


class ProtocolError(_Face, transport.ProtocolError, ModelAPIError, RuntimeError):
    """The service answered in a form its API does not document."""


class APIError(_Face, transport.APIError, ModelAPIError, RuntimeError):
    """The API refused the request, with a status that has no class of its own."""


class BadRequest(_Face, transport.BadRequest, ModelInvalidRequestError, RuntimeError):
    """400 or 422: the API does not accept what was sent."""


class AuthenticationFailed(_Face, transport.AuthenticationFailed, ModelAuthenticationError, RuntimeError):
    """401: the API key is missing or not valid."""


class PermissionDenied(_Face, transport.PermissionDenied, ModelPermissionDeniedError, RuntimeError):
    """403: the key may not do this, or the agent has nothing indexed yet."""


class NotFound(_Face, transport.NotFound, ModelNotFoundError, RuntimeError):
    """404: no such agent or conversation for this key."""


class RateLimited(_Face, transport.RateLimited, ModelRateLimitError):
    """429, throttled: wait `retry_after` seconds."""


class CreditsExhausted(_Face, transport.CreditsExhausted, ModelRateLimitError, RuntimeError):
    """429, no query credits left: waiting does not help."""


class ServerError(_Face, transport.ServerError, ModelAPIError, RuntimeError):
    """5xx: the service failed; the prompt may have been answered and billed."""


class AnswerFailed(_Face, transport.AnswerFailed, ModelAPIError, RuntimeError):
    """The service reported an error inside the answer; `partial_answer` is the text before it."""


class CustomGPTToolError(ToolException, transport.CustomGPTError, ModelError, RuntimeError):
    """What `CustomGPTTool` raises: a `ToolException`, with the error itself as its `__cause__`.

    It is a `ModelError` as well, because LangChain's tool retry middleware repeats any other exception, and a
    repeated call is a prompt that is billed again.
    """

    def __init__(self, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(message)
        self.is_retryable = is_retryable

    @property
    def resend_safe(self) -> bool:
        """As the error itself has it."""
        return self.is_retryable


_FACES: dict[type[transport.CustomGPTError], type[transport.CustomGPTError]] = {
    transport.ConfigurationError: ConfigurationError,
    transport.ConnectionFailed: ConnectionFailed,
    transport.CertificateRefused: CertificateRefused,
    transport.ConnectionLost: ConnectionLost,
    transport.StreamInterrupted: StreamInterrupted,
    transport.RequestTimeout: RequestTimeout,
    transport.ProtocolError: ProtocolError,
    transport.APIError: APIError,
    transport.BadRequest: BadRequest,
    transport.AuthenticationFailed: AuthenticationFailed,
    transport.PermissionDenied: PermissionDenied,
    transport.NotFound: NotFound,
    transport.RateLimited: RateLimited,
    transport.CreditsExhausted: CreditsExhausted,
    transport.ServerError: ServerError,
    transport.AnswerFailed: AnswerFailed,
}


def as_langchain(error: transport.CustomGPTError) -> transport.CustomGPTError:
    """Give `error` as LangChain knows it: same sentence, attributes, cause and traceback, one class richer.

    An error that already is one of LangChain's, or has no counterpart, comes back as it is.
    """
    if isinstance(error, ModelError):
        return error
    face = next((_FACES[kind] for kind in type(error).__mro__ if kind in _FACES), None)
    if face is None:
        return error
    converted = face.__new__(face)  # not through __init__: nothing that a subclass added may be lost
    converted.args = error.args
    converted.__dict__.update(error.__dict__)
    converted.__cause__ = error.__cause__
    converted.__context__ = error.__context__
    converted.__suppress_context__ = error.__suppress_context__
    return converted.with_traceback(error.__traceback__)


@contextmanager
def langchain_errors() -> Iterator[None]:
    """Turn our errors that leave the `with` block into LangChain's, with the same cause."""
    try:
        yield
    except transport.CustomGPTError as error:
        converted = as_langchain(error)
        if converted is error:
            raise
        raise converted from converted.__cause__
