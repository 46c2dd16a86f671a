"""Readers of single values as the API writes them; pure, and the same for every resource.

The service has written the same thing in several ways over the years (0, 1, null, true; five forms of date;
ids as numbers and as "12.0"), so every reader takes any JSON value and returns None for what it cannot read.
`Record` keeps in `extra` what could not be read and every field that nobody took.

Source: captured answers of 2023 to 2026 and vendor OpenAPI 1.0.0, which disagree with each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Generic, TypeVar

from customgpt_transport.errors import ProtocolError

T = TypeVar("T")

_INTEGER = re.compile(r"[ \t]*(-?[0-9]{1,18})(?:\.0*)?[ \t]*")
_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9}))?[ ]?(?P<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_DAY_FIRST = re.compile(r"([0-9]{1,2}) ([A-Za-z]{3})[a-z]* ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LARGEST_ID = 2**63
_BOOLEANS = {"1": True, "true": True, "0": False, "false": False, "": False}


def integer(value: object) -> int | None:
    """Return the whole number in `value`: 12, 12.0, "12" or "12.0"; None for anything else, booleans too.

    Nothing that the service counts reaches 2**63: a longer number is none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < _LARGEST_ID else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _LARGEST_ID else None
    match = _INTEGER.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def boolean(value: object) -> bool | None:
    """Return the boolean in `value`: true, 1, "1", "true" and their opposites; None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    return _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None


def text(value: object) -> str | None:
    """Return `value` if it is text, else None."""
    return value if isinstance(value, str) else None


def timestamp(value: object) -> datetime | None:
    """Return the time in `value`, aware and in UTC; None when it is in no form the service is known to use.

    Forms: `2024-05-23T03:12:49.000000Z` (also without the fraction, with an offset, or a space for the T),
    `2023-06-24 21:40:24` and `25 Jun 2023 05:01:11` (both UTC: captured beside ISO dates that tell), and
    epoch seconds. The day-first form has a 12-hour clock without AM or PM: it may be twelve hours early, and
    nothing tells when it is.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_epoch(value)
    if not isinstance(value, str):
        return None
    written = value.strip()
    try:
        if match := _ISO.fullmatch(written):
            return _from_iso(match)
        if match := _DAY_FIRST.fullmatch(written):
            day, month, year, *clock = match.groups()
            hour, minute, second = map(int, clock)
            number = _MONTHS.index(month.lower()) + 1
            return datetime(int(year), number, int(day), hour, minute, second, tzinfo=timezone.utc)
    except (ValueError, OverflowError):  # a 30th of February, an unknown month, the year 0
        return None
    return None


def _from_iso(match: re.Match[str]) -> datetime:
    fraction = (match["fraction"] or "").ljust(6, "0")[:6]
    zone = match["zone"] or "Z"
    if zone in "Zz":
        zone = "+00:00"
    elif ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    return datetime.fromisoformat(f"{match['date']}T{match['time']}.{fraction}{zone}").astimezone(
        timezone.utc
    )


def _from_epoch(seconds: float) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):  # beyond the year 9999, infinite, not a number
        return None


def citation_ids(value: object) -> tuple[int, ...]:
    """Return the page ids of a `citations` member, in the order listed, each once; empty for null.

    Elements seen: 12, 12.0, "12", "12.0", and (described, never captured) objects with `id` or `page_id`.
    Anything else is skipped: a citation that cannot be read must not cost the answer.
    """
    if not isinstance(value, (list, tuple)):
        return ()
    found = (_citation_id(element) for element in value)
    return tuple(dict.fromkeys(number for number in found if number is not None and number > 0))


def _citation_id(element: object) -> int | None:
    if isinstance(element, Mapping):
        number = integer(element.get("id"))
        return integer(element.get("page_id")) if number is None else number
    return integer(element)


class Record:
    """One JSON object, read field by field; `extra` is whatever was not taken, or could not be read."""

    def __init__(self, data: object, what: str) -> None:
        """Raise `ProtocolError` naming `what` was expected when `data` is not an object."""
        if not isinstance(data, Mapping):
            raise ProtocolError(f"the service sent no {what} where one was expected", excerpt=repr(data))
        self._what = what
        self.extra: dict[str, Any] = dict(data)

    def take(self, name: str, read: Callable[[object], T | None]) -> T | None:
        """Return field `name`, read by `read`; None when missing, null, or unreadable (kept in `extra`)."""
        if name not in self.extra:
            return None
        raw = self.extra[name]
        value = read(raw)
        if value is not None or raw is None:
            del self.extra[name]
        return value

    def require(self, name: str, read: Callable[[object], T | None]) -> T:
        """Return field `name`; raise `ProtocolError` when it is missing, null or unreadable."""
        value = self.take(name, read)
        if value is None:
            raise ProtocolError(
                f"{self._what}: the service sent no usable {name!r}", excerpt=repr(self.extra)
            )
        return value


@dataclass(frozen=True, slots=True)
class Paginated(Generic[T]):
    """One page of a list: its rows, the next page's number (None on the last), and the rows in all pages."""

    rows: tuple[T, ...]
    next_page: int | None
    total: int | None


def paginated(data: object, what: str, read: Callable[[object], T]) -> Paginated[T]:
    """Read Laravel's paginator, each row with `read`; `what` names the list in errors.

    The next page is counted, never taken from `next_page_url`: that address may name another host. A page
    without rows is the last one, whatever else it says. Raises `ProtocolError` for anything else.
    """
    record = Record(data, what)
    rows = tuple(read(row) for row in record.require("data", items))
    page, last = record.take("current_page", integer), record.take("last_page", integer)
    more = page < last if page is not None and last is not None else bool(record.extra.get("next_page_url"))
    return Paginated(rows, (page or 1) + 1 if more and rows else None, record.take("total", integer))


def items(value: object) -> tuple[object, ...] | None:
    """Return the elements of `value` if it is a list, else None."""
    return tuple(value) if isinstance(value, list) else None
