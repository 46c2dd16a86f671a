"""Taking the key out of what is kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["REDACTED", "Redactor"]

REDACTED = "[redacted]"
LONGEST = 64 * 1024  # characters of a text that are kept
SHORTEST = 12  # characters; a shorter key is not searched for inside of texts


class Redactor:
    """Replaces a secret, also where it is quoted as in URLs and forms, and tells where it was found.

    A secret of fewer than 12 characters is only replaced where it is a whole value.
    """

    def __init__(self, secret: str) -> None:
        # What follows the number and the bar is the secret part: it must not leak either.
        parts = [secret, secret.rpartition("|")[2]]
        forms = [form(part) for part in parts for form in (str, quote, quote_plus) if len(part) >= SHORTEST]
        self._short = secret if len(secret) < SHORTEST else ""  # "test" occurs in many texts
        self._forms = sorted(set(forms), key=len, reverse=True)
        self._bytes = [form.encode() for form in self._forms]

    def hides(self, text: str) -> bool:
        """Return whether a text contains the secret."""
        whole = bool(self._short) and text.removeprefix("Bearer ") == self._short
        return whole or any(form in text for form in self._forms)

    def text(self, text: str, found: list[str], where: str) -> str:
        """Return the text without the secret, cut at 64 KiB. `where` is added to `found` if it was there."""
        if self.hides(text):
            found.append(where)
            if self._short:
                return REDACTED
            for form in self._forms:
                text = text.replace(form, REDACTED)
        return text[:LONGEST]

    def data(self, data: bytes, found: list[str], where: str) -> bytes:
        """Do the same for bytes."""
        for form in self._bytes:
            if form in data:
                found.append(where)
                data = data.replace(form, REDACTED.encode())
        return data

    def value(self, value: Any, found: list[str], where: str) -> Any:
        """Do the same for all texts inside of lists and objects."""
        if isinstance(value, str):
            return self.text(value, found, where)
        if isinstance(value, list):
            return [self.value(item, found, where) for item in value]
        if isinstance(value, dict):
            return {self.text(k, found, where): self.value(v, found, where) for k, v in value.items()}
        return value
