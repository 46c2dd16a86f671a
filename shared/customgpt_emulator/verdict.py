"""What the client under test did wrong, as far as a server can tell."""

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from customgpt_emulator.connections import Connections
from customgpt_emulator.journal import Entry, Journal

__all__ = ["Finding", "Verdict", "judge", "judge_now"]

CLOSING = 1.0  # seconds that are waited for connections to be closed
REMEMBERED = 50  # of equal requests, those with which the next one is compared
EARLY = 0.05  # seconds that a retry may come before `Retry-After` is over: clocks and rounding
_TRANSIENT = frozenset({408, 425, 429})  # of the refusals, those that may be tried again


@dataclass(frozen=True)
class Finding:
    """One thing that was done wrong."""

    rule: str
    """`retry_after_ignored`, `retried_final`, `prompt_sent_twice`, `truncated_answer_accepted`,
    `connection_leaked`, `key_misplaced`, `key_sent_elsewhere`, `prompt_sent_elsewhere`."""
    text: str
    requests: tuple[int, ...]
    """The journal's numbers of the requests that show it."""


@dataclass
class Verdict:
    """What was done wrong; nothing, when it is empty. `str` of it is a report."""

    findings: list[Finding] = field(default_factory=list)
    requests: dict[int, str] = field(default_factory=dict)
    """The requests that the findings name, in words."""
    dropped: int = 0
    """Requests that the journal had no more room for: nothing is known of them."""

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def rules(self) -> list[str]:
        """The rules that were broken, in order, each once."""
        return list(dict.fromkeys(finding.rule for finding in self.findings))

    def as_dict(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        found = [{"rule": f.rule, "text": f.text, "requests": list(f.requests)} for f in self.findings]
        return {"well_behaved": not found, "findings": found, "dropped": self.dropped}

    def __str__(self) -> str:
        if not self.findings:
            told = "The client did nothing wrong that can be seen from here."
        else:
            plural = "s" if len(self.findings) > 1 else ""
            told = f"The client did {len(self.findings)} thing{plural} wrong:"
        for finding in self.findings:
            told += f"\n  {finding.rule}: {finding.text}"
            for number in finding.requests:
                told += f"\n    {self.requests.get(number, f'#{number}')}"
        if self.dropped:
            told += f"\n  ({self.dropped} older requests are no longer in the journal.)"
        return told


def judge_now(journal: Journal, connections: Connections, *, clients_closed: bool = False) -> Verdict:
    """Judge all that the journal knows.

    Idle connections may be as many as there ever were requests at once, for each name of this host; with
    `clients_closed` none may be open. Waits a moment for those that are just being closed: not to be called
    on the emulator's own loop.
    """
    deadline = time.monotonic() + CLOSING
    while True:
        entries = journal.entries()
        known = {entry.connection: entry.headers.get("Host") for entry in entries}
        numbers = connections.open_numbers if clients_closed else connections.idle_numbers
        opened = [number for number in numbers if number in known]
        hosts = len({known[number] for number in opened})
        allowed = 0 if clients_closed else connections.most_busy * hosts
        if len(opened) <= allowed or time.monotonic() > deadline:
            return judge(entries, open_connections=opened, allowed=allowed, dropped=journal.dropped)
        time.sleep(0.005)


def judge(
    entries: Sequence[Entry],
    *,
    open_connections: Sequence[int] = (),
    allowed: int | None = None,
    dropped: int = 0,
) -> Verdict:
    """Judge what a client did by the journal's entries, oldest first.

    `open_connections` are the numbers of those of which `allowed` may be open (None: any number).
    Two requests are taken for the same one, tried again, when method, path, query and body are equal; prompts
    when their external id is, or their text.
    """
    findings = [finding for rule in _RULES for finding in rule(entries)]
    findings += _leaked(entries, open_connections, allowed)
    named = {number for finding in findings for number in finding.requests}
    return Verdict(findings, {e.number: str(e) for e in entries if e.number in named}, dropped)


def _again(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Each request with the next one that is the same and came when the first had its end."""
    chains: dict[object, deque[Entry]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for entry in entries:
        chain = chains[_identity(entry)]
        before = [e for e in reversed(chain) if e.answered is not None and e.answered <= entry.arrived]
        if before:
            yield next((e for e in before if _same_talk(e, entry)), before[0]), entry
        chain.append(entry)


def _same_talk(first: Entry, second: Entry) -> bool:
    """Whether two equal prompts belong together for certain."""
    return first.session_id == second.session_id or first.external_id == second.external_id is not None


def _identity(entry: Entry) -> object:
    if entry.prompt is not None:
        return "prompt", entry.prompt
    digest = hashlib.sha256(repr((sorted(entry.query.items()), entry.body)).encode()).digest()
    return entry.method, entry.path, digest, repr(entry.fields) if not entry.body else ""


def _retry_after_ignored(entries: Sequence[Entry]) -> Iterator[Finding]:
    for first, second in _again(entries):
        wait = _seconds(first)
        if wait is None or first.answered is None:
            continue
        waited = second.arrived - first.answered
        if waited < wait - EARLY:
            text = f"tried again after {waited:.2f} s, although Retry-After said {first.retry_after}"
            yield Finding("retry_after_ignored", text, (first.number, second.number))


def _retried_final(entries: Sequence[Entry]) -> Iterator[Finding]:
    for first, second in _again(entries):
        why = _final(first)
        if why is not None:
            yield Finding("retried_final", f"tried again after {why}", (first.number, second.number))


def _prompt_sent_twice(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Twice, when the first may have been answered and paid for.

    Either its answer was lost, or a fault was played on it and the same external id came again.
    """
    by_id: dict[str, Entry] = {}
    for entry in entries:
        if entry.prompt is None or entry.external_id is None:
            continue
        earlier = by_id.get(entry.external_id)
        odd = earlier is not None and earlier.fault is not None and earlier.prompt == entry.prompt
        if earlier is not None and odd and _may_be_processed(earlier):
            text = (
                f"sent the prompt with external_id {entry.external_id!r} again, which may have been answered"
            )
            yield Finding("prompt_sent_twice", text, (earlier.number, entry.number))
        by_id[entry.external_id] = entry
    for first, second in _again(entries):
        if first.prompt is None or not (_may_be_processed(first) and _lost(first)):
            continue
        if first.external_id is not None and first.external_id == second.external_id:
            continue  # told above
        text = "sent a prompt again whose answer was lost: it may have been answered"
        yield Finding("prompt_sent_twice", text, (first.number, second.number))


def _truncated_answer_accepted(entries: Sequence[Entry]) -> Iterator[Finding]:
    """The conversation went on after an answer that broke off, without a look at its messages.

    Only that can be seen from here: a client that asks nothing more may or may not have noticed.
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
                text = "went on after an answer that broke off, without looking for the rest of it"
                yield Finding("truncated_answer_accepted", text, (earlier.number, entry.number))
            if entry.status == 200 and not entry.complete and not entry.disconnected:
                broken[session_id] = entry


def _key_misplaced(entries: Sequence[Entry]) -> Iterator[Finding]:
    for entry in entries:
        if entry.leaks:
            yield Finding("key_misplaced", f"sent the key in: {', '.join(entry.leaks)}", (entry.number,))


def _followed(entries: Sequence[Entry]) -> Iterator[Finding]:
    """What was sent to another host because a redirect said so."""
    for position, first in enumerate(entries):
        if first.redirected_to is None:
            continue
        here = f"http://{first.headers.get('Host', '')}{first.path}"
        target = urlsplit(urljoin(here, first.redirected_to))
        if target.netloc == urlsplit(here).netloc:
            continue
        for second in entries[position + 1 :]:
            if second.path != target.path or second.headers.get("Host") != target.netloc:
                continue
            numbers = (first.number, second.number)
            if second.keyed or second.leaks:
                yield Finding(
                    "key_sent_elsewhere", f"sent the key to {target.netloc}, a redirect's target", numbers
                )
            if second.prompt is not None:
                yield Finding(
                    "prompt_sent_elsewhere",
                    f"sent the prompt to {target.netloc}, a redirect's target",
                    numbers,
                )
            break


def _leaked(entries: Sequence[Entry], idle: Sequence[int], allowed: int | None) -> Iterator[Finding]:
    if allowed is None or len(idle) <= allowed:
        return
    text = f"{len(idle)} idle connections are open, where {allowed} would do"
    last = {entry.connection: entry.number for entry in entries if entry.connection in idle}
    yield Finding("connection_leaked", text, tuple(sorted(last.values())))


_RULES: tuple[Callable[[Sequence[Entry]], Iterator[Finding]], ...] = (
    _retry_after_ignored,
    _retried_final,
    _prompt_sent_twice,
    _truncated_answer_accepted,
    _key_misplaced,
    _followed,
)


def _seconds(entry: Entry) -> float | None:
    """What the answer's `Retry-After` asked for, in seconds from the answer; None: nothing."""
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
    """Why a request must not be tried again; None when it may, or when that is not known."""
    if entry.fault == "error_event":
        return "an error event, which is the service's last word"
    if entry.status == 429 and "query credits" in (entry.reason or ""):
        return "the credits were used up"
    if entry.status is None or not 400 <= entry.status < 500 or entry.status in _TRANSIENT:
        return None
    if entry.method == "GET" and entry.status == 404:
        return None  # to ask whether something is there by now is no retry
    return f"{entry.status}, which is final"


def _may_be_processed(entry: Entry) -> bool:
    """Whether the server may have answered the prompt, as its client must see it."""
    if entry.status is None:
        return True
    if 300 <= entry.status < 500:
        return False
    return not (entry.status == 503 and entry.retry_after is not None)


def _lost(entry: Entry) -> bool:
    """Whether the client has no whole answer, and did not leave a stream that went well."""
    if entry.streamed and entry.disconnected and entry.events_sent and entry.fault is None:
        return False
    if entry.fault == "error_event":
        return False  # told as a retry of what is final
    return not entry.complete or (entry.status or 0) >= 500 or entry.fault in _WORTHLESS


# Whole for HTTP, and yet no answer.
_WORTHLESS = frozenset({"empty_body", "html_instead", "null_answer", "malformed_event"})
