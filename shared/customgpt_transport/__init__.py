"""The CustomGPT.ai API for Python: one logic, a blocking client and an asynchronous one.

    with Client(api_key=..., project_id=...) as client:      # each falls back to the environment
        message = client.ask("How do refunds work?")
        with client.stream("And for gift cards?", session_id=message.session_id) as answer:
            for event in answer: ...
        client.citations(message)

Importing this loads no HTTP library: each name is looked up when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from customgpt_transport._async.client import AsyncClient
    from customgpt_transport._async.stream import AsyncMessageStream
    from customgpt_transport._sync.client import Client
    from customgpt_transport._sync.stream import MessageStream
    from customgpt_transport._version import __version__
    from customgpt_transport.errors import (
        AnswerFailed,
        APIError,
        AuthenticationFailed,
        BadRequest,
        CertificateRefused,
        ConfigurationError,
        ConnectionFailed,
        ConnectionLost,
        CreditsExhausted,
        CustomGPTError,
        NotFound,
        PermissionDenied,
        ProtocolError,
        RateLimited,
        RequestTimeout,
        ServerError,
        StreamInterrupted,
        TransportError,
    )
    from customgpt_transport.models import (
        Agent,
        AgentSettings,
        AgentStats,
        AnswerDelta,
        AnswerFinished,
        Citation,
        Conversation,
        FileInput,
        Message,
        MessageEvent,
        Page,
        PageMetadata,
        Source,
        Sources,
        UsageLimits,
        User,
    )
    from customgpt_transport.options import ClientOptions, PromptSettings, RetryPolicy

_HOMES = {
    "_sync.client": ("Client",),
    "_async.client": ("AsyncClient",),
    "_sync.stream": ("MessageStream",),
    "_async.stream": ("AsyncMessageStream",),
    "options": ("ClientOptions", "PromptSettings", "RetryPolicy"),
    "_version": ("__version__",),
    "models": (
        "Agent",
        "AgentSettings",
        "AgentStats",
        "AnswerDelta",
        "AnswerFinished",
        "Citation",
        "Conversation",
        "FileInput",
        "Message",
        "MessageEvent",
        "Page",
        "PageMetadata",
        "Source",
        "Sources",
        "UsageLimits",
        "User",
    ),
    "errors": (
        "APIError",
        "AnswerFailed",
        "AuthenticationFailed",
        "BadRequest",
        "CertificateRefused",
        "ConfigurationError",
        "ConnectionFailed",
        "ConnectionLost",
        "CreditsExhausted",
        "CustomGPTError",
        "NotFound",
        "PermissionDenied",
        "ProtocolError",
        "RateLimited",
        "RequestTimeout",
        "ServerError",
        "StreamInterrupted",
        "TransportError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Client",
    "AsyncClient",
    "MessageStream",
    "AsyncMessageStream",
    "ClientOptions",
    "PromptSettings",
    "RetryPolicy",
    "__version__",
    "Agent",
    "AgentSettings",
    "AgentStats",
    "AnswerDelta",
    "AnswerFinished",
    "Citation",
    "Conversation",
    "FileInput",
    "Message",
    "MessageEvent",
    "Page",
    "PageMetadata",
    "Source",
    "Sources",
    "UsageLimits",
    "User",
    "APIError",
    "AnswerFailed",
    "AuthenticationFailed",
    "BadRequest",
    "CertificateRefused",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "CreditsExhausted",
    "CustomGPTError",
    "NotFound",
    "PermissionDenied",
    "ProtocolError",
    "RateLimited",
    "RequestTimeout",
    "ServerError",
    "StreamInterrupted",
    "TransportError",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
