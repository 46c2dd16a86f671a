"""What the command prints: a panel and a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import shlex
import time
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from customgpt_emulator.emulator import Emulator
from customgpt_emulator.journal.verdict import Verdict

__all__ = ["Screen"]

NAMED = 5  # skipped files listed by name


class Screen:
    """Prints results to standard output and warnings to standard error."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, markup=False, soft_wrap=True)
        self._err = Console(highlight=False, markup=False, soft_wrap=True, stderr=True)
        self._bar: Progress | None = None
        self._began = time.monotonic()
        self._indexed = 0
        self.is_ready = False

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._err.print(text, style="yellow")

    def indexing(self, done: int, total: int) -> None:
        """Show that `done` of `total` documents are indexed. Called in the emulator's thread."""
        self._indexed = total
        if not self._out.is_terminal:
            return
        if self._bar is None:
            columns = (TextColumn("Indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._out, transient=True)
            self._bar.add_task("documents", total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)
        if done == total:
            self.end_of_indexing()

    def end_of_indexing(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def ready(self, emulator: Emulator, documents: Path, *, watched: bool) -> None:
        """Print how to reach the emulator."""
        for skipped in emulator.skipped[:NAMED]:
            self.warn(f"Skipped {skipped.path}: {skipped.reason}.")
        if len(emulator.skipped) > NAMED:
            self.warn(f"Skipped {len(emulator.skipped) - NAMED} more.")
        if self._indexed:
            read = self._indexed - len(emulator.skipped)
            seconds = time.monotonic() - self._began
            self._out.print(f"Indexed {read} document{'s' if read != 1 else ''} in {seconds:.1f} s.")
        facts = {
            "Base URL": emulator.base_url,
            "API key": emulator.api_key,
            "Agent id": str(emulator.project_id),
            "Documents": f"{documents}{', watched for changes' if watched else ''}",
            "Page": emulator.page_url,
        }
        if self._out.is_terminal:
            self._panel(facts)
        else:
            for name, value in facts.items():
                self._out.print(f"{name}: {value}")
        self._out.print("\nCopy and paste into the shell of your program:\n")
        for name, value in (
            ("CUSTOMGPT_BASE_URL", emulator.base_url),
            ("CUSTOMGPT_API_KEY", emulator.api_key),
            ("CUSTOMGPT_PROJECT_ID", str(emulator.project_id)),
        ):
            self._out.print(f"export {name}={shlex.quote(value)}")
        self._out.print("\nReady. Press Ctrl-C to stop.")
        self.is_ready = True

    def stopped(self, emulator: Emulator) -> None:
        """Print how many requests there were."""
        requests = len(emulator.journal) + emulator.journal.dropped
        self._out.print(f"Stopped after {requests} request{'s' if requests != 1 else ''}.")

    def judged(self, verdict: Verdict) -> None:
        """Print the verdict."""
        self._out.print(str(verdict), markup=False, highlight=False, soft_wrap=True)

    def follow_log(self) -> None:
        """Print the emulator's log: documents that changed, errors of its own."""
        log = logging.getLogger("customgpt_emulator")
        log.setLevel(logging.INFO)
        log.propagate = False
        log.handlers = [_Lines(self._err)]

    def _panel(self, facts: dict[str, str]) -> None:
        table = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            table.add_row(Text(name, style="bold"), Text(value, overflow="fold"))
        self._out.print(
            Panel(table, title="CustomGPT emulator", title_align="left", expand=False), soft_wrap=False
        )


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record))
