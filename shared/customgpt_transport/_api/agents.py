"""`client.agents`: agents, also created from many files, and awaited until they can answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeAlias

from customgpt_transport._api.calls import Colour, Resource, call, walk
from customgpt_transport._flows import Disk, Flow, Sleep
from customgpt_transport._flows.exchange import fetch
from customgpt_transport._flows.paging import Pages
from customgpt_transport._wire import agents, pages, sources
from customgpt_transport._wire.agents import SettingValue
from customgpt_transport._wire.http import Order
from customgpt_transport._wire.multipart import Progress, Upload, open_uploads
from customgpt_transport._wire.problems import parse_done
from customgpt_transport.errors import ConfigurationError, CustomGPTError, RequestTimeout
from customgpt_transport.models import Agent, AgentSettings, AgentStats, FileInput, Page
from customgpt_transport.options import ClientOptions, project_number

StatsProgress: TypeAlias = Callable[[AgentStats], object]

_PENDING = frozenset({"queued", None})


class AgentsResource(Resource[Colour]):
    """The account's agents. Where `project_id` may be left out, it is the client's own agent."""

    @call
    def create(
        self,
        name: str,
        *,
        sitemap_path: str | None = None,
        files: Iterable[FileInput] = (),
        file_data_retention: bool | None = None,
        is_ocr_enabled: bool | None = None,
        is_anonymized: bool | None = None,
        on_progress: Progress | None = None,
    ) -> Flow[Agent]:
        """Create an agent from a sitemap's address, from files, or both, and return it before it is indexed.

        The API takes one file with the call. The others are added as sources after it, and so are all files
        when there is a sitemap. Files are paths or (name, bytes), and stream from disk.
        `on_progress(bytes_sent, total)` counts all files together. `file_data_retention` keeps files for
        previews. Wait with `wait_until_ready(agent.id)`.

        Nothing here is sent twice: when an answer is lost, the error says what may exist. Raises
        `ConfigurationError` before any request for an empty or long name or a file that cannot be read.
        """
        agents.checked_name(name)
        if sitemap_path is not None:
            agents.checked_sitemap(sitemap_path)
        uploads: tuple[Upload, ...] = yield Disk(partial(open_uploads, files))
        settings = agents.intake(
            file_data_retention=file_data_retention,
            is_ocr_enabled=is_ocr_enabled,
            is_anonymized=is_anonymized,
        )
        told = _ProgressOfAll(on_progress, uploads)
        first = uploads[0] if uploads and sitemap_path is None else None
        request = agents.create(
            name,
            sitemap_path=sitemap_path,
            upload=first,
            settings=settings,
            on_progress=told.part(first) if first is not None else None,
        )
        agent = yield from fetch(request, self._options, agents.parse_agent)
        for upload in uploads if first is None else uploads[1:]:
            request = sources.add(
                agent.id, sitemap_path=None, upload=upload, settings=settings, on_progress=told.part(upload)
            )
            try:
                yield from fetch(request, self._options, sources.parse_source)
            except CustomGPTError as error:
                error.args = (
                    f"{error.args[0] if error.args else error!r} Agent {agent.id} was created and exists, "
                    f"but not all of its files arrived: {upload.name!r} was being added.",
                )
                raise
        return agent

    @walk
    def list(self, *, name: str | None = None, order: Order = "desc", order_by: str = "id") -> Pages[Agent]:
        """Iterate over the agents, newest first; `name` filters, `order_by` is "id" or "created_at".

        Pages are counted by offset: deleting while iterating skips rows. Collect first.
        """
        page = partial(agents.list_page, order=order, order_by=order_by, name=name)
        return Pages(page, agents.parse_agents, self._options)

    @call
    def get(self, project_id: int | None = None) -> Flow[Agent]:
        """Return one agent."""
        return fetch(agents.get(self._agent(project_id)), self._options, agents.parse_agent)

    @call
    def update(
        self,
        project_id: int | None = None,
        *,
        name: str | None = None,
        is_shared: bool | None = None,
        are_licenses_allowed: bool | None = None,
    ) -> Flow[Agent]:
        """Change what is given and return the agent; a shared one has its link and embed code in `extra`."""
        request = agents.update(
            self._agent(project_id), name=name, is_shared=is_shared, are_licenses_allowed=are_licenses_allowed
        )
        return fetch(request, self._options, agents.parse_agent)

    @call
    def delete(self, project_id: int) -> Flow[None]:
        """Delete an agent with all its pages and conversations. Never the client's own by default."""
        return fetch(agents.delete(project_number(project_id)), self._options, parse_done)

    @call
    def replicate(self, project_id: int | None = None) -> Flow[Agent]:
        """Copy an agent and return the copy. Never sent twice: the error for a lost answer says so."""
        return fetch(agents.replicate(self._agent(project_id)), self._options, agents.parse_agent)

    @call
    def stats(self, project_id: int | None = None) -> Flow[AgentStats]:
        """Return an agent's statistics: pages found, crawled and indexed; queries; credits."""
        return fetch(agents.stats(self._agent(project_id)), self._options, agents.parse_stats)

    @call
    def settings(self, project_id: int | None = None) -> Flow[AgentSettings]:
        """Return an agent's settings; those without an attribute of their own are in `extra`."""
        return fetch(agents.settings(self._agent(project_id)), self._options, agents.parse_settings)

    @call
    def update_settings(self, /, project_id: int | None = None, **fields: SettingValue) -> Flow[None]:
        """Change settings by the API's names: `default_prompt="Hi", example_questions=["Why?"]`.

        Values are text, numbers, booleans and lists of texts; None or an empty list clears a setting. Any
        name is sent: the service knows more settings than any list of them, and answers 400 to a wrong value.
        Images (avatars, backgrounds) cannot be set here.
        """
        request = agents.update_settings(self._agent(project_id), fields)
        return fetch(request, self._options, parse_done)

    @call
    def wait_until_ready(
        self,
        project_id: int | None = None,
        *,
        timeout: float = 600.0,
        poll_every: float = 5.0,
        on_progress: StatsProgress | None = None,
    ) -> Flow[Agent]:
        """Wait until the agent can answer, which it can once something is indexed, and return it.

        Checks every `poll_every` seconds, and calls `on_progress(stats)` each time. Other pages may still be
        in progress then: see `stats()`. Raises `RequestTimeout` (clock "ready") after `timeout` seconds, and
        `CustomGPTError` as soon as every page has failed.
        """
        if not timeout > 0 or not poll_every > 0:
            raise ConfigurationError("timeout and poll_every must be seconds above 0")
        options, agent_id = self._options, self._agent(project_id)
        started = options.clock()
        while True:
            agent = yield from fetch(agents.get(agent_id), options, agents.parse_agent)
            stats = yield from fetch(agents.stats(agent_id), options, agents.parse_stats)
            if on_progress is not None:
                on_progress(stats)
            if agent.is_chat_active:
                return agent
            if stats.pages_found and not stats.pages_indexed:
                yield from _raise_when_hopeless(options, agent_id)
            left = timeout - (options.clock() - started)
            if left <= 0:
                raise RequestTimeout(
                    f"Agent {agent_id} is not ready after {timeout:g} s ({_progress(stats)}). The service "
                    f"goes on indexing: call wait_until_ready({agent_id}, timeout=...) again to wait longer.",
                    clock="ready",
                )
            yield Sleep(min(poll_every, left))


class _ProgressOfAll:
    """Progress of several uploads as one: the bytes of the files, without the form around them."""

    def __init__(self, on_progress: Progress | None, uploads: Sequence[Upload]) -> None:
        self._on_progress = on_progress
        self._total = sum(upload.size for upload in uploads)
        self._before = 0

    def part(self, upload: Upload) -> Progress | None:
        """Return the callback for the next upload."""
        tell = self._on_progress
        if tell is None:
            return None
        before = self._before
        self._before += upload.size

        def heard(sent: int, whole: int) -> None:
            wrapping = whole - upload.size
            tell(before + max(0, sent - wrapping), self._total)

        return heard


def _progress(stats: AgentStats) -> str:
    found, crawled, indexed = (
        "?" if number is None else number
        for number in (stats.pages_found, stats.pages_crawled, stats.pages_indexed)
    )
    return f"{indexed} of {found} pages indexed, {crawled} crawled"


def _raise_when_hopeless(options: ClientOptions, agent_id: int) -> Flow[None]:
    """Raise when every page has failed; the first page that has not ends the search."""
    all_pages = Pages(partial(pages.list_page, agent_id, limit=100), pages.parse_pages, options)
    ends: Counter[str] = Counter()
    example: Page | None = None
    while all_pages.more:
        for page in (yield from all_pages.next()):
            if not _has_failed(page):
                return
            ends[f"crawl {page.crawl_status}, index {page.index_status}"] += 1
            example = page
    if example is not None:
        how = "; ".join(f"{number} with {end}" for end, number in ends.most_common())
        raise CustomGPTError(
            f"Agent {agent_id} cannot become ready: every page of it failed ({how}), for instance "
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
