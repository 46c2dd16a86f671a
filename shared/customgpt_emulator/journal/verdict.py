"""The verdict: what the clients under test did wrong, as far as a server can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from customgpt_emulator.journal.entries import Entry
from customgpt_emulator.journal.rules import RULES, Finding

__all__ = ["Finding", "Verdict", "judge"]


@dataclass
class Verdict:
    """What clients did wrong; empty if nothing. `str` of it is a report."""

    findings: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)
    """What looks odd but may be right. Nothing fails because of it."""
    requests: dict[int, str] = field(default_factory=dict)
    """The requests that the findings name, each as a line of text."""
    dropped: int = 0
    """How many requests the journal has dropped. Nothing is known about those."""

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def rules(self) -> list[str]:
        """The rules that were broken, each once, in order."""
        return list(dict.fromkeys(finding.rule for finding in self.findings))

    def as_dict(self) -> dict[str, Any]:
        """Return all values, ready for JSON."""
        found = [{"rule": f.rule, "text": f.text, "requests": list(f.requests)} for f in self.findings]
        remarks = [{"rule": f.rule, "text": f.text, "requests": list(f.requests)} for f in self.remarks]
        return {
            "well_behaved": not found,
            "findings": found,
            "remarks": remarks,
            "dropped": self.dropped,
        }

    def __str__(self) -> str:
        if not self.findings:
            told = "The client did nothing wrong that a server can see."
        else:
            plural = "s" if len(self.findings) > 1 else ""
            told = f"The client did {len(self.findings)} thing{plural} wrong:"
        for finding in [*self.findings, *self.remarks]:
            told += f"\n  {'(remark) ' if finding.remark else ''}{finding.rule}: {finding.text}"
            for number in finding.requests:
                told += f"\n    {self.requests.get(number, f'#{number}')}"
        if self.dropped:
            told += f"\n  ({self.dropped} older requests are no longer in the journal.)"
        return told


def judge(
    entries: Sequence[Entry],
    *,
    open_connections: Sequence[int] = (),
    allowed: int | None = None,
    dropped: int = 0,
) -> Verdict:
    """Return the verdict on the journal's entries, oldest first.

    `open_connections` are the numbers of the open connections, of which `allowed` may be open (None: any
    number). A request counts as a retry if an earlier one had the same method, path, query and body; a prompt
    if an earlier one had the same text, key and agent. Too many open connections are a finding if none may be
    open, else a remark: several clients may have one each.
    """
    findings = [finding for rule in RULES for finding in rule(entries)]
    findings += _leaked(entries, open_connections, allowed)
    named = {number for finding in findings for number in finding.requests}
    named_requests = {e.number: str(e) for e in entries if e.number in named}
    wrong, odd = [f for f in findings if not f.remark], [f for f in findings if f.remark]
    return Verdict(wrong, odd, named_requests, dropped)


def _leaked(entries: Sequence[Entry], idle: Sequence[int], allowed: int | None) -> Iterator[Finding]:
    if allowed is None or len(idle) <= allowed:
        return
    text = f"{len(idle)} idle connections are open, where {allowed} would do"
    last = {entry.connection: entry.number for entry in entries if entry.connection in idle}
    yield Finding("connection_leaked", text, tuple(sorted(last.values())), remark=allowed > 0)
