"""The exit codes, and which error ends in which: the only place that decides it."""

from __future__ import annotations

from enum import IntEnum

from customgpt_transport.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    CreditsExhausted,
    CustomGPTError,
    NotFound,
    ProtocolError,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
)

__all__ = ["Exit", "exit_code"]


class Exit(IntEnum):
    """What a script can tell from how the command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    KEY_REFUSED = 3
    OUT_OF_CREDITS = 4
    THROTTLED = 5
    NOT_FOUND = 6
    NO_NETWORK = 7
    UNRESOLVED = 8
    ROWS_REFUSED = 9
    INTERRUPTED = 130


def exit_code(error: CustomGPTError) -> Exit:
    """Return the code of an error.

    A prompt that left and has no answer is unresolved, whatever broke: it may have been answered and billed.
    """
    match error:
        case ConfigurationError():
            return Exit.USAGE
        case AuthenticationFailed():
            return Exit.KEY_REFUSED
        case CreditsExhausted():
            return Exit.OUT_OF_CREDITS
        case RateLimited():
            return Exit.THROTTLED
        case NotFound():
            return Exit.NOT_FOUND
        case ConnectionFailed():
            return Exit.NO_NETWORK
        case TransportError() | ProtocolError() | ServerError() if _may_be_answered(error):
            return Exit.UNRESOLVED
        case RequestTimeout(clock="ready"):
            return Exit.FAILED  # the network is there; what was waited for has not come
        case ConnectionLost() | RequestTimeout():
            return Exit.NO_NETWORK
    return Exit.FAILED


def _may_be_answered(error: CustomGPTError) -> bool:
    """Whether the error is about a prompt, which has an external id, and not one that may be sent again."""
    return getattr(error, "external_id", None) is not None and not error.resend_safe
