"""What a bulk run is about, as plain typed records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from customgpt_transport import CustomGPTError

__all__ = ["STATES", "Estimate", "LedgerInUse", "Row", "State", "Stop", "Summary"]

State: TypeAlias = Literal["new", "sending", "answered", "refused", "unresolved"]
"""Where a row stands: `sending` may have left already; `unresolved` left, and no answer was found."""

STATES: tuple[State, ...] = ("new", "sending", "answered", "refused", "unresolved")

Stop: TypeAlias = Literal["interrupted", "max_prompts", "max_credits", "credits", "key", "service"]
"""What ended a run early: Ctrl-C, a budget, no credits left, a key that is refused, a service that cannot be
reached or keeps refusing."""


class LedgerInUse(CustomGPTError):
    """Another process runs on this ledger. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question. `settings` are the `PromptSettings` it is asked with, `extra` the columns passed through.

    `id` is None where the row has none. `place` says where the row was read, for messages.
    """

    id: str | None
    question: str
    project_id: int
    conversation: str | None
    settings: Mapping[str, Any]
    extra: Mapping[str, Any]
    place: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Where a ledger stands: how many rows are in each state, and what was sent so far.

    `prompts` counts those that were billed or may have been, over all starts; `recovered` the answers that
    were found again after their connection or their process was lost. `credits` is what `/limits/usage` says
    was used meanwhile, None where no `max_credits` asked for it. `seconds` is this start alone. `stopped`
    says what ended it early, and `error` the failure behind that; both are None when nothing did.
    """

    rows: int = 0
    new: int = 0
    sending: int = 0
    answered: int = 0
    refused: int = 0
    unresolved: int = 0
    prompts: int = 0
    recovered: int = 0
    credits: float | None = None
    seconds: float = 0.0
    stopped: Stop | None = None
    error: CustomGPTError | None = None

    @property
    def complete(self) -> bool:
        """Whether every row is answered."""
        return self.answered == self.rows

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {state}" for state in STATES[::-1] if (n := getattr(self, state)))
        text = f"{self.rows} rows: {counts or 'none'}; {self.prompts} prompts billed or possibly billed"
        if self.credits is not None:
            text += f", {self.credits:g} credits used by the account meanwhile"
        if self.stopped is not None:
            text += f". Stopped early ({self.stopped}){f': {self.error}' if self.error else ''}"
        return text + "."


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a start would do. `requests` are creates and prompts, without citations and retries.

    `credits_left` is the account's, None where nothing is left to send or the service does not say; the
    account's other users draw on them, too.
    """

    rows: int
    answered: int
    to_send: int
    requests: int
    credits_left: int | None = None

    def __str__(self) -> str:
        left = "" if self.credits_left is None else f"; the account has {self.credits_left} credits left"
        return (
            f"{self.rows} rows, {self.answered} answered already, {self.to_send} prompts to send in "
            f"{self.requests} requests{left}."
        )
