"""`customgpt pages`."""

from __future__ import annotations

from typing import Literal, get_args

import click

from customgpt_cli.connecting import agent_client
from customgpt_cli.deleting import delete_each, yes_option
from customgpt_cli.options import Given, common_options, pass_given
from customgpt_cli.output import print_json, say
from customgpt_cli.tables import limit_option, print_list

__all__ = ["pages"]

State = Literal["ok", "failed", "n/a", "queued", "limited"]


@click.group()
@common_options
def pages() -> None:
    """List, read again, delete an agent's pages: the documents that it answers from."""


@pages.command("list")
@click.option("--index-status", type=click.Choice(get_args(State)), help="Only pages in this state.")
@limit_option
@common_options
@pass_given
def list_(given: Given, index_status: State | None, limit: int) -> None:
    """List an agent's pages, newest first: number, state, file or address."""
    columns = {
        "id": lambda page: page.id,
        "state": lambda page: page.index_status,
        "page": lambda page: page.filename or page.url,
    }
    with agent_client(given) as client:
        print_list(given, columns, client.pages.list(index_status=index_status), limit)


@pages.command()
@click.argument("page_ids", metavar="ID...", type=click.IntRange(1), nargs=-1, required=True)
@common_options
@pass_given
def reindex(given: Given, page_ids: tuple[int, ...]) -> None:
    """Have pages read again."""
    with agent_client(given) as client:
        for page_id in page_ids:
            client.pages.reindex(page_id)
            if not given.as_json:
                say(f"Page {page_id} is read again.")
        if given.as_json:
            print_json({"reindexing": page_ids})


@pages.command()
@click.argument("page_ids", metavar="ID...", type=click.IntRange(1), nargs=-1, required=True)
@yes_option
@common_options
@pass_given
def delete(given: Given, page_ids: tuple[int, ...], yes: bool) -> None:
    """Delete pages."""
    with agent_client(given) as client:
        delete_each(given, "page", page_ids, client.pages.delete, yes=yes)
