"""Text that must not be shown by accident, and its removal from what echoes it."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from customgpt_transport.errors import ConfigurationError


class Secret(str):
    """A string whose `repr` is `'***'`, so that locals, dataclasses and dictionaries never show it.

    It stays a `str` and formats as itself, so it can go into a header; never put one into a message.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Secret:
        """Raise `ConfigurationError` for what is no `str`: a pydantic SecretStr would become asterisks."""
        if not isinstance(text, str):
            raise ConfigurationError(
                "api_key (and a proxy's address) must be a str; of a SecretStr, pass get_secret_value()."
            )
        return super().__new__(cls, text)

    def __repr__(self) -> str:
        return "'***'" if self else "''"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (str(self),)


def redact(text: str, key: str) -> str:
    """Return `text` with the key masked."""
    for shown in _spellings(key):
        if shown in text:
            text = text.replace(shown, "***")
    return text


def redact_bytes(body: bytes, key: str) -> bytes:
    """Return `body` with the key masked."""
    for shown in _spellings(key):
        body = body.replace(shown.encode(), b"***")
    return body


def redact_headers(headers: Iterable[tuple[str, str]], key: str) -> dict[str, str]:
    """Return headers by lower-case name, with the key masked: a `Location` may echo a request."""
    spellings = _spellings(key)
    return {
        name.lower(): redact(value, key) if any(shown in value for shown in spellings) else value
        for name, value in headers
    }


def _spellings(key: str) -> set[str]:
    return {key, key.replace("/", "\\/"), quote(key, safe=""), quote(key)} if key else set()
