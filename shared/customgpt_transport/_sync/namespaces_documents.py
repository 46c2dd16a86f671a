"""`client.sources` and `client.pages`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from customgpt_transport._flows import pages as page_flows
from customgpt_transport._flows import sources as source_flows
from customgpt_transport._flows.agents import Order
from customgpt_transport._wire.agents import intake
from customgpt_transport._wire.download import Received, Target, open_target
from customgpt_transport._wire.multipart import Progress, open_upload
from customgpt_transport._wire.pages import MetadataText, Status
from customgpt_transport._wire.sources import RefreshFrequency, RefreshPages
from customgpt_transport.models import FileInput, Page, PageMetadata, Source, Sources

if TYPE_CHECKING:
    from customgpt_transport._sync.client import Client


class SourcesNamespace:
    """An agent's sources. A source id is not a page id. `project_id` defaults to the client's own agent."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def add(
        self,
        *,
        sitemap_path: str | None = None,
        file: FileInput | None = None,
        project_id: int | None = None,
        file_data_retention: bool | None = None,
        is_ocr_enabled: bool | None = None,
        is_anonymized: bool | None = None,
        on_progress: Progress | None = None,
    ) -> Source:
        """Add a sitemap's address or a file (a path, or (name, bytes)), one of them; give the new source.

        A file streams from disk, and `on_progress(bytes_sent, total)` hears how far it is, from 0 again when
        the service was too busy to take it. Never sent twice: when the answer is lost, the error says that
        the source may exist.
        """
        upload = None if file is None else open_upload(file)
        return self._client.run(
            source_flows.add(
                self._client.options,
                project_id,
                sitemap_path=sitemap_path,
                upload=upload,
                settings=intake(
                    file_data_retention=file_data_retention,
                    is_ocr_enabled=is_ocr_enabled,
                    is_anonymized=is_anonymized,
                ),
                on_progress=on_progress,
            )
        )

    def list(self, *, project_id: int | None = None) -> Sources:
        """Give all sources: `.sitemaps`, and `.uploads`, the one that all files belong to."""
        return self._client.run(source_flows.list_all(self._client.options, project_id))

    def update(
        self,
        source_id: int,
        *,
        project_id: int | None = None,
        execute_js: bool | None = None,
        refresh_frequency: RefreshFrequency | None = None,
        create_new_pages: bool | None = None,
        remove_missing_pages: bool | None = None,
        refresh_existing_pages: RefreshPages | None = None,
        refresh_schedule: Mapping[str, Any] | None = None,
    ) -> Source:
        """Change how a sitemap is refreshed, and give it.

        `refresh_schedule` goes with the frequency "advanced": `{"days": [1, 3], "hours": ["08:00"]}`.
        """
        return self._client.run(
            source_flows.update(
                self._client.options,
                project_id,
                source_id,
                execute_js=execute_js,
                refresh_frequency=refresh_frequency,
                create_new_pages=create_new_pages,
                remove_missing_pages=remove_missing_pages,
                refresh_existing_pages=refresh_existing_pages,
                refresh_schedule=refresh_schedule,
            )
        )

    def delete(self, source_id: int, *, project_id: int | None = None) -> None:
        """Delete a source with its pages."""
        self._client.run(source_flows.delete(self._client.options, project_id, source_id))

    def sync(self, source_id: int, *, project_id: int | None = None) -> None:
        """Have a sitemap read again now. `PermissionDenied` says why not: the plan, too soon, no sitemap."""
        self._client.run(source_flows.sync(self._client.options, project_id, source_id))


class PagesNamespace:
    """An agent's pages: its documents. Citation ids are page ids. `project_id` defaults to the client's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(
        self,
        *,
        project_id: int | None = None,
        crawl_status: Status | None = None,
        index_status: Status | None = None,
        limit: int | None = None,
        order: Order = "desc",
    ) -> Iterator[Page]:
        """Walk over all pages, newest first; `limit` is the number of rows that one request gets (20).

        Pages are counted by offset: deleting while walking skips rows. Collect first: `list(...)`.
        """
        return self._client.walk(
            page_flows.walk(
                self._client.options,
                project_id,
                limit=limit,
                order=order,
                crawl_status=crawl_status,
                index_status=index_status,
            )
        )

    def delete(self, page_id: int, *, project_id: int | None = None) -> None:
        """Delete a page."""
        self._client.run(page_flows.delete(self._client.options, project_id, page_id))

    def reindex(self, page_id: int, *, project_id: int | None = None) -> None:
        """Have a page read again. Never sent twice. `PermissionDenied` when it cannot be refreshed."""
        self._client.run(page_flows.reindex(self._client.options, project_id, page_id))

    def metadata(self, page_id: int, *, project_id: int | None = None) -> PageMetadata:
        """Give what citations of a page show."""
        return self._client.run(page_flows.metadata(self._client.options, project_id, page_id))

    def update_metadata(
        self,
        page_id: int,
        *,
        project_id: int | None = None,
        title: MetadataText = ...,
        url: MetadataText = ...,
        description: MetadataText = ...,
        image_url: MetadataText = ...,
    ) -> PageMetadata:
        """Change what citations of a page show, and give it. None clears a field; one left out stays.

        `ConfigurationError` for more than 255, 2000, 500 and 2000 characters.
        """
        fields = {"title": title, "url": url, "description": description, "image": image_url}
        return self._client.run(page_flows.update_metadata(self._client.options, project_id, page_id, fields))

    def preview(self, page_id: int, *, to: Target, on_progress: Received | None = None) -> int:
        """Write the stored file behind a page or citation to `to`, and give the number of its bytes.

        `to` is a path, which holds the whole file or stays what it was, or a file open for bytes.
        `on_progress(bytes_received, total)` has None for a total that the service does not tell. `NotFound`
        also when the agent does not retain its files.
        """
        sink = open_target(to, on_progress)
        return self._client.run(page_flows.preview(self._client.options, page_id, sink))
