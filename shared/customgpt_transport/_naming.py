"""The errors for what happens on the wire, worded the same in both clients."""

from __future__ import annotations

import re

from customgpt_transport.errors import (
    CertificateRefused,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ProtocolError,
    RequestTimeout,
)
from customgpt_transport.options import ClientOptions

_CLOCKS = {
    "connect": ("No connection after {:g} s", "connect_timeout"),
    "first_byte": ("No answer began within {:g} s", "first_byte_timeout"),
    "idle": ("No byte came for {:g} s", "idle_timeout"),
    "events": ("No event came for {:g} s", "event_timeout"),
}

_MAY_BE_DONE = "The service may have done what was asked: look before you repeat it."
_PASSWORD = re.compile(r"://[^/?#\s]+@")  # of a proxy, in a library's message


def could_not_connect(options: ClientOptions, detail: object) -> ConnectionFailed:
    """Return the error for a connection that could not be made: nothing was sent."""
    return ConnectionFailed(
        f"Could not connect to {options.base_url}: {_short(detail)}. Nothing was sent. "
        "Check base_url, the network and the proxy."
    )


def certificate_refused(options: ClientOptions, detail: object) -> CertificateRefused:
    """Return the error for a refused certificate: nothing was sent, and retrying will not help."""
    return CertificateRefused(
        f"The certificate of {options.base_url} was refused: {_short(detail)}. Nothing was sent. "
        "If a proxy of yours signs it, name its CA file with ClientOptions(verify=...) or REQUESTS_CA_BUNDLE."
    )


def dropped(detail: object) -> ConnectionLost:
    """Return the error for a connection lost after sending, without a complete answer."""
    return ConnectionLost(
        f"The connection was lost before the answer was complete: {_short(detail)}. {_MAY_BE_DONE}"
    )


def silent(clock: str, seconds: float) -> RequestTimeout:
    """Return the error for a clock that ran out: connect, first_byte, idle or events."""
    words, option = _CLOCKS[clock]
    sent = clock != "connect"
    rest = _MAY_BE_DONE if sent else "Nothing was sent."
    return RequestTimeout(f"{words.format(seconds)} (ClientOptions.{option}). {rest}", clock=clock, sent=sent)


def session_busy(seconds: float, session_id: str) -> RequestTimeout:
    """Return the error for a wait for another prompt in the same conversation."""
    sentence = (
        f"The conversation was still busy with another prompt of this process after {seconds:g} s "
        "(ClientOptions.session_wait). Nothing was sent: ask again, or use another session_id."
    )
    return RequestTimeout(sentence, clock="session", sent=False, session_id=session_id)


def slots_busy(options: ClientOptions, session_id: str) -> RequestTimeout:
    """Return the error for a wait for one of `max_concurrent_prompts`."""
    sentence = (
        f"All max_concurrent_prompts={options.max_concurrent_prompts} were still under way after "
        f"{options.session_wait:g} s (ClientOptions.session_wait). Nothing was sent: ask again later."
    )
    return RequestTimeout(sentence, clock="session", sent=False, session_id=session_id)


def garbled(detail: object) -> ProtocolError:
    """Return the error for bytes that are not HTTP, or a body that cannot be decoded."""
    return ProtocolError(
        f"What came back is not a valid HTTP answer: {_short(detail)}. "
        "Check that base_url is the API's address."
    )


def too_large(most: int) -> ProtocolError:
    """Return the error for an answer that is no stream, and was not read to its end."""
    return ProtocolError(
        f"The answer is larger than {most} bytes. "
        "Raise ClientOptions(max_event_bytes=...) if answers of that size are expected."
    )


def unfit_address(detail: object) -> ConfigurationError:
    """Return the error for an address that the HTTP library refuses though our checks let it pass."""
    return ConfigurationError(f"The address cannot be used: {_short(detail)}. Correct base_url or proxy.")


def _short(detail: object) -> str:
    name = type(detail).__name__
    said = _PASSWORD.sub("://***@", " ".join(str(detail).split()))
    text = f"{name}: {said}" if isinstance(detail, BaseException) and said else said or name
    return text[:300].rstrip(".")
