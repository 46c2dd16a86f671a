"""`customgpt conversations`."""

from __future__ import annotations

from pathlib import Path

import click

from customgpt_cli.connecting import agent_client
from customgpt_cli.conversing import find_name, read_exchange
from customgpt_cli.deleting import delete_each, yes_option
from customgpt_cli.exporting import FORMATS, as_json, export
from customgpt_cli.options import Given, common_options, pass_given
from customgpt_cli.output import print_json, safe, say, style, write
from customgpt_cli.tables import limit_option, print_list

__all__ = ["conversations"]


@click.group()
@common_options
def conversations() -> None:
    """List, show, export, rename, delete the conversations with an agent."""


@conversations.command("list")
@click.option("--name", help="Only conversations with this name, as the service filters them.")
@limit_option
@common_options
@pass_given
def list_(given: Given, name: str | None, limit: int) -> None:
    """List conversations, newest first: session id, date, name."""
    columns = {
        "session id": lambda each: each.session_id,
        "created": lambda each: each.created_at,
        "name": lambda each: each.name,
    }
    with agent_client(given) as client:
        print_list(given, columns, client.conversations.list(name=name), limit)


@conversations.command()
@click.argument("session_id", metavar="ID")
@common_options
@pass_given
def show(given: Given, session_id: str) -> None:
    """Print a conversation, oldest question first."""
    with agent_client(given) as client:
        if given.as_json:
            exchange = read_exchange(client, session_id, name=find_name(client, session_id))
            write(as_json(exchange))
            return
        for number, message in enumerate(client.messages.list(session_id, order="asc")):
            if number:
                say()
            say(style("\n".join(f"> {line}" for line in safe(message.prompt).splitlines()), bold=True))
            say(safe(message.answer))


@conversations.command("export")
@click.argument("session_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Export every conversation with the agent.")
@click.option(
    "-F",
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="markdown; json, a line a conversation; openai, a line of OpenAI's chat data set a conversation, "
    "for evaluation sets.  [default: markdown, with --json json]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@common_options
@pass_given
def export_(
    given: Given, session_ids: tuple[str, ...], everything: bool, form: str | None, output: Path | None
) -> None:
    """Export conversations, to standard output unless --output names a file."""
    if bool(session_ids) == everything:
        raise click.UsageError("Name the conversations to export, or say --all.")
    form = form or ("json" if given.as_json else "markdown")
    with agent_client(given) as client:
        if everything:
            names = {each.session_id: each.name for each in client.conversations.list(order="asc")}
        else:
            names = {each: None if form == "openai" else find_name(client, each) for each in session_ids}
        parts = (
            export(form, read_exchange(client, session_id, name=name, with_sources=form != "openai"))
            for session_id, name in names.items()
        )
        if output is None:
            for part in parts:
                write(part)
            return
        with output.open("w", encoding="utf-8") as file:
            file.writelines(parts)


@conversations.command()
@click.argument("session_id", metavar="ID")
@click.argument("name")
@common_options
@pass_given
def rename(given: Given, session_id: str, name: str) -> None:
    """Rename a conversation."""
    with agent_client(given) as client:
        renamed = client.conversations.rename(session_id, name)
        print_json(renamed) if given.as_json else say(
            safe(f"Conversation {session_id} is now {renamed.name!r}.")
        )


@conversations.command()
@click.argument("session_ids", metavar="ID...", nargs=-1, required=True)
@yes_option
@common_options
@pass_given
def delete(given: Given, session_ids: tuple[str, ...], yes: bool) -> None:
    """Delete conversations with their messages."""
    with agent_client(given) as client:
        delete_each(given, "conversation", session_ids, client.conversations.delete, yes=yes)
