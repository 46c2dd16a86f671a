"""`customgpt limits`."""

from __future__ import annotations

import click

from customgpt_cli.connecting import service
from customgpt_cli.options import Given, common_options, pass_given
from customgpt_cli.tables import print_record

__all__ = ["limits"]


@click.command()
@common_options
@pass_given
def limits(given: Given) -> None:
    """Show what the account may use, and what is used of it: queries, agents, storage."""
    with service(given) as at, at.client() as client:
        found = client.limits.get()
        facts = {
            "Queries": _used(found.current_queries, found.max_queries),
            "Agents": _used(found.current_projects, found.max_projects),
            "Storage": _used(found.current_storage_credits, found.max_storage_credits),
        }
        print_record(given, found, facts)


def _used(current: int | None, most: int | None) -> str:
    if current is None or most is None:
        return "not told"
    return f"{current:,} of {most:,} used, {max(0, most - current):,} left"
