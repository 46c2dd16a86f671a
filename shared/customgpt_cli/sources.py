"""`customgpt sources`."""

from __future__ import annotations

import click

from customgpt_cli.connecting import agent_client
from customgpt_cli.deleting import delete_each, yes_option
from customgpt_cli.options import Given, common_options, pass_given
from customgpt_cli.output import note, print_json, say
from customgpt_cli.progress import bar
from customgpt_cli.tables import print_list
from customgpt_cli.waiting import every_option, timeout_option, wait_until_read
from customgpt_transport import Client
from customgpt_transport.models import Page, Source

__all__ = ["sources"]


@click.group()
@common_options
def sources() -> None:
    """List, add, sync, delete what an agent reads: sitemaps and files."""


@sources.command("list")
@common_options
@pass_given
def list_(given: Given) -> None:
    """List an agent's sources: number, kind, address, pages."""
    columns = {
        "id": lambda source: source.id,
        "type": lambda source: source.type,
        "address": lambda source: source.sitemap_path,
        "pages": lambda source: len(source.pages),
    }
    with agent_client(given) as client:
        found = client.sources.list()
        print_list(given, columns, [*found.sitemaps, *([found.uploads] if found.uploads else [])])


@sources.command()
@click.argument("what", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Come back when the service has read it.")
@click.option("--ocr", is_flag=True, default=None, help="Read the text in pictures, too.")
@timeout_option
@every_option
@common_options
@pass_given
def add(
    given: Given, what: tuple[str, ...], wait: bool, ocr: bool | None, timeout: float, every: float
) -> None:
    """Add files, or a sitemap's address (http://..., https://...), and print the number of each source."""
    addresses = [each for each in what if each.startswith(("http://", "https://"))]
    if addresses and len(what) > 1:
        raise click.UsageError("Add one address at a time; several files can be added at once.")
    with agent_client(given) as client:
        added = []
        for each in what:
            with bar(f"Sending {each}", in_bytes=True) as advance:
                source = (
                    client.sources.add(sitemap_path=each, is_ocr_enabled=ocr)
                    if addresses
                    else client.sources.add(file=each, is_ocr_enabled=ocr, on_progress=advance)
                )
            added.append(source)
            if not given.as_json:
                say(str(source.id))
        if wait:
            _wait(client, added, timeout, every)
        if given.as_json:
            print_json(added)


def _wait(client: Client, added: list[Source], timeout: float, every: float) -> None:
    ids = {page.id for source in added for page in source.pages}
    numbers = {source.id for source in added}

    def look() -> list[Page]:
        found = client.sources.list()
        if ids:  # files: all of an agent's belong to one source
            return [page for page in (found.uploads.pages if found.uploads else ()) if page.id in ids]
        return [page for source in found.sitemaps if source.id in numbers for page in source.pages]

    with bar("The service reads") as advance:
        pages = wait_until_read(look, advance, timeout=timeout, every=every)
    failed = [page for page in pages if page.index_status != "ok"]
    for page in failed:
        note(f"Not read: {page.filename or page.url} ({page.index_status}).", fg="yellow")


@sources.command()
@click.argument("source_id", metavar="ID", type=click.IntRange(1))
@common_options
@pass_given
def sync(given: Given, source_id: int) -> None:
    """Have a sitemap read again now."""
    with agent_client(given) as client:
        client.sources.sync(source_id)
        print_json({"syncing": source_id}) if given.as_json else say(f"Source {source_id} is read again.")


@sources.command()
@click.argument("source_ids", metavar="ID...", type=click.IntRange(1), nargs=-1, required=True)
@yes_option
@common_options
@pass_given
def delete(given: Given, source_ids: tuple[int, ...], yes: bool) -> None:
    """Delete sources with their pages."""
    with agent_client(given) as client:
        delete_each(given, "source", source_ids, client.sources.delete, yes=yes)
