"""Compare an answer with a captured one by its shape: keys, types, the form of dates, ids and addresses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

FORMS = {
    "date": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000Z",
    "date without zone": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "date in words": r"\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "md5": r"[0-9a-f]{32}",
    "id as float": r"\d+\.0",
    "digits": r"\d+",
    "address": r"https?://\S+",
}
FLAGS = frozenset({"is_chat_active", "is_shared", "remove_branding"})
"""Seen as 0, 1 and null in June 2023, and as booleans since."""


@dataclass(frozen=True)
class Shape:
    """What a captured body demands.

    `more` are keys that the answer may have besides: documented, and younger than the capture. `gone` are
    keys that it need not have: documents and newer captures have them no more. `filled` are keys that were
    null in the capture and have a value here. `loose` are places where captures differ among each other.
    """

    sample: Any
    more: Collection[str] = ()
    gone: Collection[str] = ()
    filled: Collection[str] = ()
    loose: Collection[str] = ()

    def differences(self, answer: Any) -> list[str]:
        """What the answer has otherwise, each with its place; empty when it has the shape."""
        return list(self._compare(self.sample, answer, "", ""))

    def _compare(self, sample: Any, answer: Any, place: str, key: str) -> Iterator[str]:
        if isinstance(sample, dict) and isinstance(answer, dict):
            for name in sample.keys() - answer.keys() - set(self.gone):
                yield f"{place}/{name} is missing"
            for name in answer.keys() - sample.keys() - set(self.more):
                yield f"{place}/{name} is not in the capture"
            for name in sample.keys() & answer.keys():
                yield from self._compare(sample[name], answer[name], f"{place}/{name}", name)
        elif isinstance(sample, list) and isinstance(answer, list):
            if sample and not answer:
                yield f"{place} is empty"
            for index, item in enumerate(answer if sample else ()):
                yield from self._compare(sample[min(index, len(sample) - 1)], item, f"{place}/{index}", key)
        elif key in FLAGS and sample in (0, 1, None) and isinstance(answer, bool | None):
            pass
        elif sample is None:
            if answer is not None and key not in self.filled:
                yield f"{place} is {answer!r} and not null"
        elif form(sample) != form(answer) and sample != "" and place not in self.loose:
            yield f"{place} is {form(answer)} and not {form(sample)}: {answer!r} for {sample!r}"


def form(value: Any) -> str:
    """The kind of a value; of a text, what it looks like."""
    if not isinstance(value, str):
        return type(value).__name__
    return next((name for name, pattern in FORMS.items() if re.fullmatch(pattern, value)), "text")
