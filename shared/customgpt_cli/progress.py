"""Bars for what takes long: on a terminal, on standard error, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from customgpt_cli.output import is_terminal

__all__ = ["Advance", "bar"]

Advance = Callable[[float, "float | None"], None]
"""Called with how much is done, and of how much, if that is known."""


@contextmanager
def bar(what: str, *, in_bytes: bool = False) -> Iterator[Advance]:
    """Show a bar while the block runs, and provide what moves it. It is gone afterwards."""
    if not is_terminal(error=True):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if in_bytes else MofNCompleteColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
