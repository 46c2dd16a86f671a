"""Deletes ask first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from customgpt_cli.exits import Exit
from customgpt_cli.options import Given
from customgpt_cli.output import note, print_json, say

__all__ = ["delete_each", "yes_option"]

T = TypeVar("T", int, str)

yes_option = click.option("-y", "--yes", is_flag=True, help="Delete without asking.")


def delete_each(
    given: Given, what: str, ids: Sequence[T], delete: Callable[[T], object], *, yes: bool
) -> None:
    """Ask, then delete one after the other and say so. Stops at the first that cannot be deleted."""
    named = f"{what}{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"Nobody can be asked here whether to delete {named}. Say --yes.")
        if not click.confirm(f"Delete {named}?", err=True):
            note("Nothing was deleted.")
            raise click.exceptions.Exit(Exit.FAILED)
    deleted: list[T] = []
    try:
        for each in ids:
            delete(each)
            deleted.append(each)
            if not given.as_json:
                say(f"Deleted {what} {each}.")
    finally:
        if given.as_json:
            print_json({"deleted": deleted})
