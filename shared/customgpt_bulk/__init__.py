"""Many questions, each asked once: runs that can be killed and started again without paying twice.

    summary = run("questions.csv", "eval.sqlite", options=ClientOptions(...), max_prompts=500)
    export("eval.sqlite", "answers.jsonl")
    print(compare("before.sqlite", "eval.sqlite"))

The ledger, one SQLite file, is the run: whatever ends the process, the next start goes on from it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from customgpt_bulk._commands import arun, cleanup, estimate, retry, run, status
    from customgpt_bulk._comparing import Comparison, compare
    from customgpt_bulk._engines import AnswerRows
    from customgpt_bulk._exporting import export, records
    from customgpt_bulk.models import Estimate, LedgerInUse, State, Summary

_HOMES = {
    "_commands": ("run", "arun", "estimate", "status", "retry", "cleanup"),
    "_comparing": ("compare", "Comparison"),
    "_engines": ("AnswerRows",),
    "_exporting": ("export", "records"),
    "models": ("Estimate", "LedgerInUse", "State", "Summary"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "run",
    "arun",
    "estimate",
    "status",
    "export",
    "records",
    "compare",
    "retry",
    "cleanup",
    "AnswerRows",
    "Comparison",
    "Estimate",
    "LedgerInUse",
    "State",
    "Summary",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
