"""The rules by which clients are judged. Pure functions from the journal's entries to findings."""

from __future__ import annotations

import hashlib
import math
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from customgpt_emulator.journal.entries import Entry

__all__ = ["RULES", "Finding"]

REMEMBERED = 50  # equal requests with which the next one is compared
EARLY = 0.05  # seconds that a retry may be early for `Retry-After`, for clocks and rounding
SOON = 30.0  # seconds within which a prompt without id in another conversation counts as a retry
_TRANSIENT = frozenset({408, 425, 429})  # refusals that may be retried


@dataclass(frozen=True)
class Finding:
    """One thing that a client did wrong."""

    rule: str
    """`retry_after_ignored`, `retried_final`, `prompt_sent_twice`, `truncated_answer_accepted`,
    `created_twice`, `connection_leaked`, `key_misplaced`, `key_sent_elsewhere`, `prompt_sent_elsewhere`,
    `answered_prompt_repeated`."""
    text: str
    requests: tuple[int, ...]
    """The requests that show it, by their numbers in the journal."""
    remark: bool = False
    """It may be right. It is reported, but nothing fails because of it."""


def _again(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Yield each request with its first retry: an equal request after the first one had ended."""
    chains: dict[object, deque[Entry]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for entry in entries:
        chain = chains[_identity(entry)]
        before = [e for e in reversed(chain) if e.answered is not None and e.answered <= entry.arrived]
        first = next((e for e in before if _belong_together(e, entry)), None)
        first = first or next((e for e in before if _may_belong_together(e, entry)), None)
        if first is not None:
            yield first, entry
        chain.append(entry)


def _belong_together(first: Entry, second: Entry) -> bool:
    """Return whether two equal requests certainly belong together."""
    return first.session_id == second.session_id or first.external_id == second.external_id is not None


def _may_belong_together(first: Entry, second: Entry) -> bool:
    """Return whether a prompt may be the retry of one in another conversation; users may ask the same."""
    nameless = first.external_id is None and second.external_id is None
    return nameless and first.answered is not None and second.arrived - first.answered <= SOON


def _identity(entry: Entry) -> object:
    agent = re.match(r".*?/projects/([^/]+)", entry.path)
    if entry.prompt is not None:
        return "prompt", entry.prompt.strip(), entry.credentials, agent and agent[1]
    digest = hashlib.sha256(repr((sorted(entry.query.items()), entry.body)).encode()).digest()
    fields = repr(entry.fields) if not entry.body else ""
    return entry.method, entry.path, entry.credentials, digest, fields


def _retry_after_ignored(entries: Sequence[Entry]) -> Iterator[Finding]:
    for first, second in _again(entries):
        wait = _seconds(first)
        if wait is None or first.answered is None:
            continue
        waited = second.arrived - first.answered
        if waited < wait - EARLY:
            text = f"retried after {waited:.2f} s, although Retry-After said {first.retry_after}"
            yield Finding("retry_after_ignored", text, (first.number, second.number))


def _retried_final(entries: Sequence[Entry]) -> Iterator[Finding]:
    changes = [e.arrived for e in entries if _changes_something(e)]
    for first, second in _again(entries):
        why = _final(first)
        if why is None or first.session_id != second.session_id or first.answered is None:
            continue
        if first.fault is None and second.status != first.status:
            continue  # the reason for the refusal is gone: somebody removed it
        if bisect_right(changes, second.arrived) > bisect_left(changes, first.answered):
            continue
        yield Finding("retried_final", f"retried after {why}", (first.number, second.number))


def _changes_something(entry: Entry) -> bool:
    """Return whether a request may have removed the reason for an earlier refusal."""
    asking = entry.prompt is not None or entry.endpoint == "conversations.create"
    return entry.method not in ("GET", "HEAD") and not asking and 200 <= (entry.status or 0) < 300


def _created_twice(entries: Sequence[Entry]) -> Iterator[Finding]:
    for first, second in _again(entries):
        if first.endpoint in _CREATING and _may_be_processed(first) and _lost(first):
            text = "repeated a request that creates something: the first may have created it"
            yield Finding("created_twice", text, (first.number, second.number))


def _answered_prompt_repeated(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Find a prompt that repeats the one which its conversation has just answered."""
    last: dict[str | None, Entry] = {}
    for entry in entries:
        first = last.get(entry.session_id)
        last[entry.session_id] = entry
        if first is None or entry.session_id is None or first.prompt is None or first.fault is not None:
            continue
        whole = first.status == 200 and first.complete and not first.disconnected
        if whole and first.external_id is None and _identity(first) == _identity(entry):
            text = "sent a prompt again that had just been answered"
            yield Finding("answered_prompt_repeated", text, (first.number, entry.number), remark=True)


def _prompt_sent_twice(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Find a prompt that was sent again although the first may have been answered, and billed.

    Either the first answer was lost, or the first met a fault and its external id came again.
    """
    by_id: dict[str, Entry] = {}
    for entry in entries:
        if entry.prompt is None or entry.external_id is None:
            continue
        earlier = by_id.get(entry.external_id)
        odd = earlier is not None and earlier.fault is not None and earlier.prompt == entry.prompt
        if earlier is not None and odd and _may_be_processed(earlier):
            prompt = f"the prompt with external_id {entry.external_id!r}"
            text = f"sent {prompt} again, although it may have been answered"
            yield Finding("prompt_sent_twice", text, (earlier.number, entry.number))
        by_id[entry.external_id] = entry
    for first, second in _again(entries):
        if first.prompt is None or not (_may_be_processed(first) and _lost(first)):
            continue
        if first.external_id is not None and first.external_id == second.external_id:
            continue  # reported above
        text = "sent a prompt again whose answer was lost, although it may have been answered"
        yield Finding("prompt_sent_twice", text, (first.number, second.number))


def _truncated_answer_accepted(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Find a conversation that continued after a broken answer, without a look at its messages.

    A server sees no more: a client that asks nothing else may or may not have noticed.
    """
    broken: dict[str, Entry] = {}
    for entry in entries:
        session_id = entry.session_id
        if session_id is None:
            continue
        if entry.endpoint in ("messages.list", "messages.get"):
            broken.pop(session_id, None)
        elif entry.prompt is not None:
            earlier = broken.pop(session_id, None)
            ended = earlier is not None and earlier.answered is not None and earlier.answered <= entry.arrived
            if earlier is not None and ended and earlier.prompt != entry.prompt:
                text = "continued after an answer that broke off, without looking for the rest of it"
                numbers = (earlier.number, entry.number)
                yield Finding("truncated_answer_accepted", text, numbers, remark=True)
            if entry.status == 200 and not entry.complete and not entry.disconnected:
                broken[session_id] = entry


def _key_misplaced(entries: Sequence[Entry]) -> Iterator[Finding]:
    for entry in entries:
        if entry.leaks:
            yield Finding("key_misplaced", f"sent the key in: {', '.join(entry.leaks)}", (entry.number,))


def _followed(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Find what was sent to another host because of a redirect."""
    told: dict[tuple[str | None, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        for first in told.pop((entry.headers.get("Host"), entry.path), ()):
            yield from _sent_elsewhere(first, entry)
        if entry.redirected_to is not None:
            here = urlsplit(f"http://{entry.headers.get('Host', '')}{entry.path}")
            target = urlsplit(urljoin(here.geturl(), entry.redirected_to))
            if target.netloc != here.netloc:
                told[target.netloc, target.path].append(entry)


def _sent_elsewhere(first: Entry, second: Entry) -> Iterator[Finding]:
    host, numbers = second.headers.get("Host"), (first.number, second.number)
    if second.keyed or second.leaks:
        yield Finding("key_sent_elsewhere", f"sent the key to {host}, a redirect's target", numbers)
    if second.prompt is not None:
        yield Finding("prompt_sent_elsewhere", f"sent the prompt to {host}, a redirect's target", numbers)


def _seconds(entry: Entry) -> float | None:
    """Return the seconds that `Retry-After` asked for, counted from the answer; None if it did not."""
    if entry.status not in (429, 503) or entry.retry_after is None or entry.answered is None:
        return None
    try:
        seconds = float(entry.retry_after)
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(entry.retry_after).timestamp() - entry.answered)
        except (ValueError, OverflowError):
            return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _final(entry: Entry) -> str | None:
    """Return why a request must not be retried; None if it may be, or if that is unknown."""
    if entry.fault == "error_event":
        return "an error event, which is final"
    if entry.status == 429 and "query credits" in (entry.reason or ""):
        return "the credits were used up"
    if entry.status is None or not 400 <= entry.status < 500 or entry.status in _TRANSIENT:
        return None
    if entry.method == "GET" and entry.status == 404:
        return None  # asking whether something exists by now is not a retry
    return f"{entry.status}, which is final"


def _may_be_processed(entry: Entry) -> bool:
    """Return whether the server may have answered the prompt, as far as its client knows."""
    if entry.status is None:
        return True
    if 300 <= entry.status < 500:
        return False
    return not (entry.status == 503 and entry.retry_after is not None)


def _lost(entry: Entry) -> bool:
    """Return whether the client has no whole answer and did not leave a good stream by itself."""
    if entry.streamed and entry.disconnected and entry.events_sent and entry.fault is None:
        return False
    if entry.fault == "error_event":
        return False  # reported as a retry of what is final
    return not entry.complete or (entry.status or 0) >= 500 or entry.fault in _WORTHLESS


# Complete for HTTP, but not an answer.
_WORTHLESS = frozenset(
    {
        "empty_body",
        "html_instead",
        "json_instead_of_stream",
        "malformed_event",
        "null_answer",
        "wrong_content_type",
    }
)
_CREATING = frozenset({"agents.create", "agents.replicate", "sources.create"})

RULES: tuple[Callable[[Sequence[Entry]], Iterator[Finding]], ...] = (
    _retry_after_ignored,
    _retried_final,
    _prompt_sent_twice,
    _created_twice,
    _answered_prompt_repeated,
    _truncated_answer_accepted,
    _key_misplaced,
    _followed,
)
