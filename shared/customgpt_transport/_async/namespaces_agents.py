"""`client.agents` of the asynchronous client; as its twin under `_sync`, which says more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from customgpt_transport._flows import agents as flows
from customgpt_transport._flows.agents import Order, StatsProgress
from customgpt_transport._wire.agents import SettingValue, intake
from customgpt_transport._wire.multipart import Progress, open_uploads
from customgpt_transport.models import Agent, AgentSettings, AgentStats, FileInput

if TYPE_CHECKING:
    from customgpt_transport._async.client import AsyncClient


class AsyncAgentsNamespace:
    """The account's agents. Where `project_id` may be left out, it is the client's own agent."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(
        self,
        name: str,
        *,
        sitemap_path: str | None = None,
        files: Iterable[FileInput] = (),
        file_data_retention: bool | None = None,
        is_ocr_enabled: bool | None = None,
        is_anonymized: bool | None = None,
        on_progress: Progress | None = None,
    ) -> Agent:
        """Make an agent from a sitemap's address, from files, or both; give it before anything is indexed.

        The API takes one file with the call: the others are added as sources after it, and so are all of
        them when there is a sitemap. Files are paths or (name, bytes), and stream from disk.
        `on_progress(bytes_sent, total)` hears of all files together. `file_data_retention` keeps files for
        previews. Wait with `wait_until_ready(agent.id)`.

        Nothing here is sent twice: when an answer is lost, the error says what may exist. Raises
        `ConfigurationError` before any request for an empty or long name or a file that cannot be read.
        """
        uploads = await asyncio.to_thread(open_uploads, files)  # looks at the disk
        return await self._client.run(
            flows.create(
                self._client.options,
                name,
                sitemap_path=sitemap_path,
                uploads=uploads,
                settings=intake(
                    file_data_retention=file_data_retention,
                    is_ocr_enabled=is_ocr_enabled,
                    is_anonymized=is_anonymized,
                ),
                on_progress=on_progress,
            )
        )

    def list(
        self, *, name: str | None = None, order: Order = "desc", order_by: str = "id"
    ) -> AsyncIterator[Agent]:
        """Walk over the agents, newest first, page by page; `name` filters, `order_by` is id or created_at.

        Pages are counted by offset: deleting while walking skips rows. Collect first.
        """
        return self._client.walk(flows.walk(self._client.options, order=order, order_by=order_by, name=name))

    async def get(self, project_id: int | None = None) -> Agent:
        """Give one agent."""
        return await self._client.run(flows.get(self._client.options, project_id))

    async def update(
        self,
        project_id: int | None = None,
        *,
        name: str | None = None,
        is_shared: bool | None = None,
        are_licenses_allowed: bool | None = None,
    ) -> Agent:
        """Change what is given and give the agent; a shared one has its link and embed code in `extra`."""
        fields = {
            "project_name": name,
            "is_shared": is_shared,
            "are_licenses_allowed": are_licenses_allowed,
        }
        return await self._client.run(flows.update(self._client.options, project_id, fields))

    async def delete(self, project_id: int) -> None:
        """Delete an agent with all its pages and conversations."""
        await self._client.run(flows.delete(self._client.options, project_id))

    async def replicate(self, project_id: int | None = None) -> Agent:
        """Copy an agent and give the copy. Never sent twice: a lost answer's error says so."""
        return await self._client.run(flows.replicate(self._client.options, project_id))

    async def stats(self, project_id: int | None = None) -> AgentStats:
        """Give an agent's counts: pages found, crawled, indexed, queries, credits."""
        return await self._client.run(flows.stats(self._client.options, project_id))

    async def settings(self, project_id: int | None = None) -> AgentSettings:
        """Give an agent's settings; those without an attribute of their own are in `extra`."""
        return await self._client.run(flows.settings(self._client.options, project_id))

    async def update_settings(self, project_id: int | None = None, **fields: SettingValue) -> None:
        """Change settings by the API's names: `default_prompt="Hi", example_questions=["Why?"]`.

        Values are text, numbers, booleans and lists of texts; None or an empty list clears a setting. Any
        name is sent: the service knows more settings than any list of them, and answers 400 to a wrong value.
        Images (avatars, backgrounds) cannot be set here.
        """
        await self._client.run(flows.update_settings(self._client.options, project_id, fields))

    async def wait_until_ready(
        self,
        project_id: int | None = None,
        *,
        timeout: float = 600.0,
        poll_every: float = 5.0,
        on_progress: StatsProgress | None = None,
    ) -> Agent:
        """Wait until the agent can answer, which it can once something is indexed, and give it.

        Looks every `poll_every` seconds, and calls `on_progress(stats)` each time. Other pages may still be
        on their way then: `stats()` tells. Raises `RequestTimeout` (clock "ready") after `timeout` seconds,
        and `CustomGPTError` as soon as every page has failed.
        """
        return await self._client.run(
            flows.wait_until_ready(
                self._client.options,
                project_id,
                timeout=timeout,
                poll_every=poll_every,
                on_progress=on_progress,
            )
        )
