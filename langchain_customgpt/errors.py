"""The errors of the LangChain classes. Each is both ours and LangChain's, so that catching either works.

    customgpt_transport            langchain_core.exceptions
    ConfigurationError, BadRequest ModelInvalidRequestError
    ConnectionFailed, CertificateRefused, ConnectionLost,
    StreamInterrupted, Unresolved  ModelConnectionError
    RequestTimeout                 ModelTimeoutError
    ProtocolError, ServerError, AnswerFailed, any other APIError   ModelAPIError
    AuthenticationFailed           ModelAuthenticationError
    PermissionDenied               ModelPermissionDeniedError
    NotFound                       ModelNotFoundError
    RateLimited, CreditsExhausted  ModelRateLimitError

LangChain's retry middleware reads `is_retryable`. It equals `resend_safe`: True only where asking again
cannot bill the prompt twice. LangGraph's `RetryPolicy` has no such flag, but never retries a `RuntimeError`
or `ValueError`. So every error after which a retry could be billed again, or could not help, is a
`RuntimeError`.
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
from customgpt_transport.errors import CustomGPTError as CustomGPTError
from customgpt_transport.errors import TransportError as TransportError

__all__ = ["CustomGPTToolError", "ErrorResponse"]
__all__ += transport.__all__


class ErrorResponse:
    """The API's refusal in the form that LangChain's tracer reads."""

    def __init__(self, error: transport.APIError) -> None:
        self.status_code = error.status
        self.text = error.body
        retry_after = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
        self.headers: Mapping[str, str] = MappingProxyType(retry_after)

    def json(self) -> Any:
        """Return the body, parsed. Raises ValueError when it is not JSON."""
        return json.loads(self.text)


class _Face:
    """The attributes that LangChain reads from an error, derived from ours."""

    if TYPE_CHECKING:
        is_retryable: bool  # LangChain's classes have a plain attribute; ours is a property
    else:

        @property
        def is_retryable(self) -> bool:
            """Whether the prompt can be sent again without being billed twice."""
            return self.resend_safe

    @property
    def response(self) -> ErrorResponse | None:
        """The API's refusal; None for an error without one."""
        return ErrorResponse(self) if isinstance(self, transport.APIError) else None

    @property
    def request_id(self) -> str | None:
        """The prompt's `external_id`, which the service stores: the API has no request ids."""
        return getattr(self, "external_id", None)


# `_Face` is the first base everywhere, so that its properties hide LangChain's class attributes.


class ConfigurationError(_Face, transport.ConfigurationError, ModelInvalidRequestError):
    """An argument is missing or cannot work. Nothing was sent."""


class ConnectionFailed(_Face, transport.ConnectionFailed, ModelConnectionError):
    """There was no connection. Nothing was sent."""


class CertificateRefused(_Face, transport.CertificateRefused, ModelConnectionError, RuntimeError):
    """The server's TLS certificate could not be verified. Nothing was sent."""


class ConnectionLost(_Face, transport.ConnectionLost, ModelConnectionError, RuntimeError):
    """The connection broke after the prompt was sent: it may have been answered and billed."""


class StreamInterrupted(_Face, transport.StreamInterrupted, ModelConnectionError, RuntimeError):
    """The answer began and did not finish. `partial_answer` is the text that had arrived."""


class Unresolved(_Face, transport.Unresolved, ModelConnectionError, RuntimeError):
    """The prompt under this key was sent before, or may have been, and no answer is stored."""


class RequestTimeout(_Face, transport.RequestTimeout, ModelTimeoutError, RuntimeError):
    """A wait was too long. `clock` names the wait; `sent` is whether the prompt had been sent."""


class ProtocolError(_Face, transport.ProtocolError, ModelAPIError, RuntimeError):
    """The service answered in a form that its API does not document."""


class APIError(_Face, transport.APIError, ModelAPIError, RuntimeError):
    """The API refused the request with a status that has no class of its own."""


class BadRequest(_Face, transport.BadRequest, ModelInvalidRequestError, RuntimeError):
    """400 or 422: the API does not accept the request."""


class AuthenticationFailed(_Face, transport.AuthenticationFailed, ModelAuthenticationError, RuntimeError):
    """401: the API key is missing or not valid."""


class PermissionDenied(_Face, transport.PermissionDenied, ModelPermissionDeniedError, RuntimeError):
    """403: the key may not do this, or the agent has nothing indexed yet."""


class NotFound(_Face, transport.NotFound, ModelNotFoundError, RuntimeError):
    """404: no such agent or conversation for this key."""


class RateLimited(_Face, transport.RateLimited, ModelRateLimitError):
    """429: too many requests. Wait `retry_after` seconds."""


class CreditsExhausted(_Face, transport.CreditsExhausted, ModelRateLimitError, RuntimeError):
    """429: no query credits are left. Waiting does not help."""


class ServerError(_Face, transport.ServerError, ModelAPIError, RuntimeError):
    """5xx: the service failed. The prompt may have been answered and billed."""


class AnswerFailed(_Face, transport.AnswerFailed, ModelAPIError, RuntimeError):
    """The service reported an error inside the answer. `partial_answer` is the text before it."""


class CustomGPTToolError(ToolException, transport.CustomGPTError, ModelError, RuntimeError):
    """The `ToolException` that `CustomGPTTool` raises. Its `__cause__` is the original error.

    It is also a `ModelError`, because LangChain's tool retry middleware retries any other exception, and a
    retried call is a prompt that is billed again.
    """

    def __init__(self, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(message)
        self.is_retryable = is_retryable

    @property
    def resend_safe(self) -> bool:
        """As in the original error."""
        return self.is_retryable


# By the transport's class, which is the second base of each face.
_FACES: dict[type, type[transport.CustomGPTError]] = {
    face.__bases__[1]: face  # type: ignore[misc]  # every subclass of _Face is an error of ours as well
    for face in _Face.__subclasses__()
}


def as_langchain(error: transport.CustomGPTError) -> transport.CustomGPTError:
    """Return `error` as one of the classes above, with the same message, attributes, cause and traceback.

    An error that already is one of LangChain's, or has no counterpart, is returned as it is.
    """
    if isinstance(error, ModelError):
        return error
    face = next((_FACES[kind] for kind in type(error).__mro__ if kind in _FACES), None)
    if face is None:
        return error
    converted = face.__new__(face)  # not through __init__, which would lose what a subclass added
    converted.args = error.args
    converted.__dict__.update(error.__dict__)
    converted.__cause__ = error.__cause__
    converted.__context__ = error.__context__
    converted.__suppress_context__ = error.__suppress_context__
    return converted.with_traceback(error.__traceback__)


@contextmanager
def langchain_errors() -> Iterator[None]:
    """Convert the transport's errors that leave the `with` block by `as_langchain`."""
    try:
        yield
    except transport.CustomGPTError as error:
        converted = as_langchain(error)
        if converted is error:
            raise
        raise converted from converted.__cause__
