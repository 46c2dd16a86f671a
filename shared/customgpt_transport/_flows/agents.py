"""What can be done with agents; in several steps: made from many files, waited for until they can answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from customgpt_transport._flows import Flow, Sleep
from customgpt_transport._flows.exchange import fetch
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import project_of
from customgpt_transport._wire import agents, pages, sources
from customgpt_transport._wire.agents import SettingValue
from customgpt_transport._wire.done import parse_done
from customgpt_transport._wire.multipart import FieldValue, Progress, Upload
from customgpt_transport.errors import ConfigurationError, CustomGPTError, RequestTimeout
from customgpt_transport.models import Agent, AgentSettings, AgentStats, Page
from customgpt_transport.options import ClientOptions, project_number

StatsProgress: TypeAlias = Callable[[AgentStats], object]
Order: TypeAlias = Literal["asc", "desc"]

_PENDING = frozenset({"queued", None})


def get(options: ClientOptions, project_id: int | None) -> Flow[Agent]:
    """Give one agent."""
    return fetch(agents.get(project_of(project_id, options)), options, agents.parse_agent)


def walk(options: ClientOptions, *, order: Order, order_by: str, name: str | None) -> Pages[Agent]:
    """Give the walk over all agents of the account."""
    return Pages(
        lambda page: agents.list_page(page, order=order, order_by=order_by, name=name),
        agents.parse_agents,
        options,
    )


def update(options: ClientOptions, project_id: int | None, fields: Mapping[str, FieldValue]) -> Flow[Agent]:
    """Give the agent after the change of every field that is not None."""
    given = {name: value for name, value in fields.items() if value is not None}
    if not given:
        raise ConfigurationError("nothing to update: give name=... or another field")
    if "project_name" in given:
        agents.checked_name(given["project_name"])
    return fetch(agents.update(project_of(project_id, options), given), options, agents.parse_agent)


def delete(options: ClientOptions, project_id: int) -> Flow[None]:
    """Delete an agent; never the client's own by default, so the id is asked for."""
    return fetch(agents.delete(project_number(project_id)), options, parse_done)


def replicate(options: ClientOptions, project_id: int | None) -> Flow[Agent]:
    """Give the copy of an agent."""
    return fetch(agents.replicate(project_of(project_id, options)), options, agents.parse_agent)


def stats(options: ClientOptions, project_id: int | None) -> Flow[AgentStats]:
    """Give an agent's counts."""
    return fetch(agents.stats(project_of(project_id, options)), options, agents.parse_stats)


def settings(options: ClientOptions, project_id: int | None) -> Flow[AgentSettings]:
    """Give an agent's settings."""
    return fetch(agents.settings(project_of(project_id, options)), options, agents.parse_settings)


def update_settings(
    options: ClientOptions, project_id: int | None, fields: Mapping[str, SettingValue]
) -> Flow[None]:
    """Change the settings in `fields`."""
    return fetch(agents.update_settings(project_of(project_id, options), fields), options, parse_done)


def create(
    options: ClientOptions,
    name: str,
    *,
    sitemap_path: str | None,
    uploads: Sequence[Upload],
    settings: Mapping[str, FieldValue],
    on_progress: Progress | None,
) -> Flow[Agent]:
    """Give the new agent. The call takes one sitemap or one file: further files are added as sources.

    `on_progress` hears the bytes of all files together. When adding a file fails, the error says which agent
    exists by then, and how many of the files it has.
    """
    agents.checked_name(name)
    if sitemap_path is not None:
        agents.checked_sitemap(sitemap_path)
    first, rest = (
        (None, list(uploads)) if sitemap_path is not None else (next(iter(uploads), None), uploads[1:])
    )
    tell = _Together(on_progress, uploads)
    request = agents.create(
        name,
        sitemap_path=sitemap_path,
        upload=first,
        settings=settings,
        on_progress=tell.part(first) if first is not None else None,
    )
    agent: Agent = yield from fetch(request, options, agents.parse_agent)
    for upload in rest:
        request = sources.add(
            agent.id, sitemap_path=None, upload=upload, settings=settings, on_progress=tell.part(upload)
        )
        try:
            yield from fetch(request, options, sources.parse_source)
        except CustomGPTError as error:
            error.args = (
                f"{error.args[0] if error.args else error!r} Agent {agent.id} was created and exists, but "
                f"not all of its files arrived: {upload.name!r} was being added.",
            )
            raise
    return agent


class _Together:
    """Progress of several uploads as one: the bytes of files, without the few that wrap them."""

    def __init__(self, on_progress: Progress | None, uploads: Sequence[Upload]) -> None:
        self._on_progress = on_progress
        self._total = sum(upload.size for upload in uploads)
        self._before = 0

    def part(self, upload: Upload) -> Progress | None:
        """Give the listener for the upload that comes next."""
        tell = self._on_progress
        if tell is None:
            return None
        before = self._before
        self._before += upload.size

        def heard(sent: int, whole: int) -> None:
            wrapping = whole - upload.size
            tell(before + max(0, sent - wrapping), self._total)

        return heard


def wait_until_ready(
    options: ClientOptions,
    project_id: int | None,
    *,
    timeout: float,
    poll_every: float,
    on_progress: StatsProgress | None,
) -> Flow[Agent]:
    """Give the agent as soon as it can chat, which it can once something of it is indexed.

    Raises `RequestTimeout` (clock "ready") when `timeout` seconds were not enough, and `CustomGPTError` as
    soon as every page has failed: then waiting is no use.
    """
    if not timeout > 0 or not poll_every > 0:
        raise ConfigurationError("timeout and poll_every must be seconds above 0")
    project_id = project_of(project_id, options)
    started = options.clock()
    while True:
        agent: Agent = yield from get(options, project_id)
        counts: AgentStats = yield from stats(options, project_id)
        if on_progress is not None:
            on_progress(counts)
        if agent.is_chat_active:
            return agent
        if counts.pages_found and not counts.pages_indexed:
            yield from _raise_when_hopeless(options, project_id)
        left = timeout - (options.clock() - started)
        if left <= 0:
            raise RequestTimeout(
                f"Agent {project_id} is not ready after {timeout:g} s ({_progress(counts)}). The service "
                f"goes on indexing: call wait_until_ready({project_id}, timeout=...) again to wait longer.",
                clock="ready",
            )
        yield Sleep(min(poll_every, left))


def _progress(stats: AgentStats) -> str:
    found, crawled, indexed = (
        "?" if number is None else number
        for number in (stats.pages_found, stats.pages_crawled, stats.pages_indexed)
    )
    return f"{indexed} of {found} pages indexed, {crawled} crawled"


def _raise_when_hopeless(options: ClientOptions, project_id: int) -> Flow[None]:
    """Look whether any page can still become part of the index; the first that can ends the look."""
    all_pages = Pages(
        lambda page: pages.list_page(
            project_id, page, limit=100, order="desc", crawl_status=None, index_status=None
        ),
        pages.parse_pages,
        options,
    )
    ends: Counter[str] = Counter()
    example: Page | None = None
    while all_pages.more:
        rows: tuple[Page, ...] = yield from all_pages.next()
        for page in rows:
            if not _has_failed(page):
                return
            ends[f"crawl {page.crawl_status}, index {page.index_status}"] += 1
            example = page
    if example is not None:
        how = "; ".join(f"{number} with {end}" for end, number in ends.most_common())
        raise CustomGPTError(
            f"Agent {project_id} cannot become ready: every page of it failed ({how}), for instance "
            f"{example.filename or example.url or example.id}. Check that the pages can be reached and hold "
            "text, then reindex them or add other sources."
        )


def _has_failed(page: Page) -> bool:
    """Whether a page is done and not in the index. `n/a` with a page that is crawled was seen to be final."""
    if page.crawl_status in _PENDING:
        return False
    if page.crawl_status == "ok":
        return page.index_status not in _PENDING and page.index_status != "ok"
    return True
