"""The CustomGPT.ai API for Python: one logic, a blocking client and an asynchronous one.

    with Client(api_key=..., project_id=...) as client:      # each falls back to the environment
        message = client.ask("How do refunds work?")
        with client.stream("And for gift cards?", session_id=message.session_id) as answer:
            for event in answer: ...
        client.citations(message)

Importing this loads no HTTP library: the clients and streams are looked up when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from customgpt_transport import errors, models
from customgpt_transport.errors import *  # noqa: F403 - their __all__ is the list
from customgpt_transport.models import *  # noqa: F403 - as above
from customgpt_transport.options import ClientOptions, PromptSettings, RetryPolicy

if TYPE_CHECKING:
    from customgpt_transport._async.client import AsyncClient
    from customgpt_transport._async.stream import AsyncMessageStream
    from customgpt_transport._sync.client import Client
    from customgpt_transport._sync.stream import MessageStream
    from customgpt_transport._version import __version__

_LAZY = {
    "Client": "_sync.client",
    "AsyncClient": "_async.client",
    "MessageStream": "_sync.stream",
    "AsyncMessageStream": "_async.stream",
    "__version__": "_version",  # reading a distribution's metadata is slow
}

__all__ = [
    "Client",
    "AsyncClient",
    "MessageStream",
    "AsyncMessageStream",
    "ClientOptions",
    "PromptSettings",
    "RetryPolicy",
    "__version__",
]
__all__ += errors.__all__
__all__ += models.__all__


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
