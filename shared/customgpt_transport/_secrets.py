"""Text that must not be shown by accident."""

from __future__ import annotations

from urllib.parse import quote


class Secret(str):
    """A string whose `repr` hides it: what shows locals, dataclasses or dictionaries shows `'***'`.

    It stays a `str` and formats as itself, so it can go into a header; never put one into a message.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (str(self),)


def redact(text: str, key: str) -> str:
    """Give `text` without the key, for bodies that echo what was sent."""
    if not key:
        return text
    for shown in {key, key.replace("/", "\\/"), quote(key, safe=""), quote(key)}:
        text = text.replace(shown, "***")
    return text


def redact_bytes(body: bytes, key: str) -> bytes:
    """As `redact`, for a body as it came."""
    if not key:
        return body
    for shown in {key, key.replace("/", "\\/"), quote(key, safe=""), quote(key)}:
        body = body.replace(shown.encode(), b"***")
    return body
