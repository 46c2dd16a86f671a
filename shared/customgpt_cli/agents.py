"""`customgpt agents`."""

from __future__ import annotations

import click

from customgpt_cli.connecting import service
from customgpt_cli.deleting import delete_each, yes_option
from customgpt_cli.options import Given, common_options, pass_given
from customgpt_cli.output import as_data, note, print_json, say
from customgpt_cli.progress import bar
from customgpt_cli.tables import limit_option, print_list, print_record
from customgpt_cli.waiting import every_option, timeout_option
from customgpt_transport import Client
from customgpt_transport.models import Agent, AgentStats

__all__ = ["agents"]


@click.group()
@common_options
def agents() -> None:
    """List, show, create, delete agents, and wait until one can answer."""


@agents.command("list")
@click.option("--name", help="Only agents with this in their name.")
@limit_option
@common_options
@pass_given
def list_(given: Given, name: str | None, limit: int) -> None:
    """List your agents, newest first: number, name, whether it can answer, date."""
    columns = {
        "id": lambda agent: agent.id,
        "name": lambda agent: agent.name,
        "active": lambda agent: agent.is_chat_active,
        "created": lambda agent: agent.created_at,
    }
    with service(given) as at, at.client() as client:
        print_list(given, columns, client.agents.list(name=name), limit)


@agents.command()
@click.argument("project_id", metavar="[ID]", type=click.IntRange(1), required=False)
@common_options
@pass_given
def show(given: Given, project_id: int | None) -> None:
    """Show an agent and what it has read."""
    with service(given) as at, at.client() as client:
        number = project_id or at.project_id
        agent, stats = client.agents.get(number), client.agents.stats(number)
        print_record(given, {**as_data(agent), "stats": as_data(stats)}, _facts(agent) | _counts(stats))


@agents.command()
@click.argument("name")
@click.option("--sitemap", metavar="URL", help="Read the pages of this sitemap.")
@click.option("-f", "--file", "files", metavar="PATH", multiple=True, help="Read this file; repeatable.")
@click.option("--wait", is_flag=True, help="Come back when the agent can answer.")
@timeout_option
@every_option
@common_options
@pass_given
def create(
    given: Given,
    name: str,
    sitemap: str | None,
    files: tuple[str, ...],
    wait: bool,
    timeout: float,
    every: float,
) -> None:
    """Create an agent and print its number."""
    with service(given) as at, at.client() as client:
        with bar("Sending", in_bytes=True) as advance:
            agent = client.agents.create(name, sitemap_path=sitemap, files=files, on_progress=advance)
        if wait:
            note(f"Created agent {agent.id}.", dim=True)
            agent = _wait(client, agent.id, timeout, every)
        print_json(agent) if given.as_json else say(str(agent.id))


@agents.command()
@click.argument("project_id", metavar="[ID]", type=click.IntRange(1), required=False)
@timeout_option
@every_option
@common_options
@pass_given
def wait(given: Given, project_id: int | None, timeout: float, every: float) -> None:
    """Come back when an agent can answer, which it can as soon as something is indexed."""
    with service(given) as at, at.client() as client:
        agent = _wait(client, project_id or at.project_id, timeout, every)
        print_record(given, agent, _facts(agent))


def _wait(client: Client, project_id: int, timeout: float, every: float) -> Agent:
    with bar(f"Agent {project_id} reads its pages") as advance:

        def on_progress(stats: AgentStats) -> None:
            advance(stats.pages_indexed or 0, stats.pages_found or None)

        return client.agents.wait_until_ready(
            project_id, timeout=timeout, poll_every=every, on_progress=on_progress
        )


@agents.command()
@click.argument("project_ids", metavar="ID...", type=click.IntRange(1), nargs=-1, required=True)
@yes_option
@common_options
@pass_given
def delete(given: Given, project_ids: tuple[int, ...], yes: bool) -> None:
    """Delete agents with all their pages and conversations."""
    with service(given) as at, at.client() as client:
        delete_each(given, "agent", project_ids, client.agents.delete, yes=yes)


def _facts(agent: Agent) -> dict[str, object]:
    return {
        "Agent": agent.id,
        "Name": agent.name,
        "Active": agent.is_chat_active,
        "Created": agent.created_at,
    }


def _counts(stats: AgentStats) -> dict[str, object]:
    return {
        "Pages found": stats.pages_found,
        "Pages crawled": stats.pages_crawled,
        "Pages indexed": stats.pages_indexed,
        "Words indexed": stats.total_words_indexed,
        "Queries": stats.total_queries,
    }
