"""The key, taken out of whatever is to be kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["REDACTED", "Redactor"]

REDACTED = "[redacted]"
LONGEST = 64 * 1024  # characters of a text that are kept
SHORTEST = 12  # characters that a part of a key must have to be taken for it


class Redactor:
    """Replaces a secret, as it is and as it looks in addresses and forms; tells where it was found.

    One of fewer than 12 characters is replaced where it is the whole of a value only.
    """

    def __init__(self, secret: str) -> None:
        # Behind the number and the bar stands what must be kept: it alone is as good as the key.
        parts = [secret, secret.rpartition("|")[2]]
        forms = [form(part) for part in parts for form in (str, quote, quote_plus) if len(part) >= SHORTEST]
        self._short = secret if len(secret) < SHORTEST else ""  # "test" is in many a text
        self._forms = sorted(set(forms), key=len, reverse=True)
        self._bytes = [form.encode() for form in self._forms]

    def hides(self, text: str) -> bool:
        """Whether the secret is in a text."""
        whole = bool(self._short) and text.removeprefix("Bearer ") == self._short
        return whole or any(form in text for form in self._forms)

    def text(self, text: str, found: list[str], where: str) -> str:
        """The text without the secret, cut at 64 KiB; `found` gets `where` if the secret was in it."""
        if self.hides(text):
            found.append(where)
            if self._short:
                return REDACTED
            for form in self._forms:
                text = text.replace(form, REDACTED)
        return text[:LONGEST]

    def data(self, data: bytes, found: list[str], where: str) -> bytes:
        """The same for bytes."""
        for form in self._bytes:
            if form in data:
                found.append(where)
                data = data.replace(form, REDACTED.encode())
        return data

    def value(self, value: Any, found: list[str], where: str) -> Any:
        """The same for all texts within lists and objects."""
        if isinstance(value, str):
            return self.text(value, found, where)
        if isinstance(value, list):
            return [self.value(item, found, where) for item in value]
        if isinstance(value, dict):
            return {self.text(k, found, where): self.value(v, found, where) for k, v in value.items()}
        return value
