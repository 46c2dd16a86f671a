"""Debug logging and the caller's hooks. Never the key, and never a prompt unless asked."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from typing import Any

from customgpt_transport._flows import Send
from customgpt_transport._version import __version__
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions, RequestInfo, ResponseInfo, RetryInfo

logger = logging.getLogger("customgpt_transport")
logger.addHandler(logging.NullHandler())

_PYTHON = platform.python_version()


def user_agent(options: ClientOptions, library: str) -> str:
    """Return the User-Agent: this package, Python, the HTTP library, and the adapter where there is one."""
    words = [f"customgpt-adapters/{__version__}", f"python/{_PYTHON}", library]
    if options.adapter:
        words.append("".join(c for c in options.adapter if c.isascii() and c.isprintable()))
    return " ".join(words)


def began(options: ClientOptions, send: Send) -> None:
    """Report that an attempt is about to be sent."""
    request = send.request
    if options.log_prompts and request.kind == "prompt" and isinstance(request.json, dict):
        logger.debug("%s %s prompt=%r", request.method, request.template, request.json.get("prompt"))
    if options.on_request is not None:
        _call(options.on_request, RequestInfo(request.method, request.template, send.attempt))


def ended(
    options: ClientOptions,
    send: Send,
    began_at: float,
    *,
    status: int | None = None,
    error: CustomGPTError | None = None,
) -> None:
    """Report that an attempt was answered, or failed."""
    request, seconds = send.request, options.clock() - began_at
    if logger.isEnabledFor(logging.DEBUG):
        outcome = status if error is None else type(error).__name__
        logger.debug(
            "%s %s -> %s in %.3f s, attempt %d",
            request.method,
            request.template,
            outcome,
            seconds,
            send.attempt,
        )
    if options.on_response is not None:
        info = ResponseInfo(request.method, request.template, send.attempt, seconds, status, error)
        _call(options.on_response, info)


def retrying(options: ClientOptions, info: RetryInfo) -> None:
    """Report that the next attempt comes after a pause."""
    logger.debug(
        "%s %s failed (%s), attempt %d; again in %.3f s",
        info.method,
        info.path,
        type(info.error).__name__,
        info.attempt,
        info.delay,
    )
    if options.on_retry is not None:
        _call(options.on_retry, info)


def _call(hook: Callable[[Any], object], info: object) -> None:
    try:
        hook(info)
    except Exception as error:  # a hook only observes: it must not cost the answer
        logger.warning("A hook of ClientOptions raised %s; it is ignored.", type(error).__name__)
