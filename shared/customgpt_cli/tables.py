"""Lists and records: a table for a person, tabs for a program, JSON for whoever asked for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import click

from customgpt_cli.options import Given
from customgpt_cli.output import as_data, is_terminal, note, print_json, safe, say, style

__all__ = ["limit_option", "print_list", "print_record"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Columns = Mapping[str, Callable[[T], Any]]
"""The heading of each column, and what stands in it."""

limit_option = click.option(
    "--limit",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="How many to list at most; 0 for all.",
)


def print_list(given: Given, columns: Columns[T], rows: Iterable[T], limit: int = 0) -> None:
    """Print rows as they come, at most `limit` of them; say on standard error when there are more.

    A pipe gets one line a row and a tab between two columns, without headings, as `cut` wants it.
    """
    rows = iter(rows)
    shown = islice(rows, limit or None)
    if given.as_json:
        print_json(list(shown))
    elif is_terminal():
        _print_table(columns, list(shown))
    else:
        for row in shown:
            say("\t".join(re.sub(r"[\t\r\n]+", " ", _text(cell(row))) for cell in columns.values()))
    if limit and next(rows, None) is not None:
        note(f"There are more than these {limit}: --limit 0 lists all.", dim=True)


def _print_table(columns: Columns[T], rows: Sequence[T]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        note("None.", dim=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(_text(cell(row)))) for cell in columns.values()))
    Console(highlight=False).print(table)


def print_record(given: Given, record: Any, facts: Mapping[str, Any]) -> None:
    """Print one thing: its facts a line each, or as JSON all that the service said of it."""
    if given.as_json:
        print_json(as_data(record))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        if value is not None:
            say(f"{style(f'{name:{width}}', bold=True)}  {safe(_text(value))}")


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
    return str(value)
