"""`client.sources` and `client.pages`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from customgpt_transport._api.calls import Colour, Resource, call, walk
from customgpt_transport._flows import Disk, Flow
from customgpt_transport._flows.exchange import exchange, fetch
from customgpt_transport._flows.paging import Pages
from customgpt_transport._wire import pages, sources
from customgpt_transport._wire.agents import checked_sitemap, intake
from customgpt_transport._wire.download import Received, Target, open_target
from customgpt_transport._wire.http import Order, Sink
from customgpt_transport._wire.multipart import Progress, Upload, open_upload
from customgpt_transport._wire.pages import MetadataText, Status
from customgpt_transport._wire.problems import parse_done
from customgpt_transport._wire.sources import RefreshFrequency, RefreshPages
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import FileInput, Page, PageMetadata, Source, Sources


class SourcesResource(Resource[Colour]):
    """An agent's sources. A source id is not a page id. `project_id` defaults to the client's own agent."""

    @call
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
    ) -> Flow[Source]:
        """Add a sitemap's address or a file (a path, or (name, bytes)) and return the source.

        A file streams from disk, and `on_progress(bytes_sent, total)` is called as it is sent, from 0 again
        when the service was too busy to take it. Never sent twice: when the answer is lost, the error says
        that the source may exist.
        """
        if (sitemap_path is None) == (file is None):
            raise ConfigurationError("give either sitemap_path=... or file=..., one of them and not both")
        if sitemap_path is not None:
            checked_sitemap(sitemap_path)
        upload: Upload | None = None if file is None else (yield Disk(partial(open_upload, file)))
        settings = intake(
            file_data_retention=file_data_retention,
            is_ocr_enabled=is_ocr_enabled,
            is_anonymized=is_anonymized,
        )
        request = sources.add(
            self._agent(project_id),
            sitemap_path=sitemap_path,
            upload=upload,
            settings=settings,
            on_progress=on_progress,
        )
        return (yield from fetch(request, self._options, sources.parse_source))

    @call
    def list(self, *, project_id: int | None = None) -> Flow[Sources]:
        """Return all sources: `.sitemaps`, and `.uploads`, the one that all files belong to."""
        return fetch(sources.list_all(self._agent(project_id)), self._options, sources.parse_sources)

    @call
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
    ) -> Flow[Source]:
        """Change how a sitemap is refreshed, and return it.

        `refresh_schedule` goes with the frequency "advanced": `{"days": [1, 3], "hours": ["08:00"]}`.
        """
        request = sources.update(
            self._agent(project_id),
            source_id,
            execute_js=execute_js,
            refresh_frequency=refresh_frequency,
            create_new_pages=create_new_pages,
            remove_missing_pages=remove_missing_pages,
            refresh_existing_pages=refresh_existing_pages,
            refresh_schedule=refresh_schedule,
        )
        return fetch(request, self._options, sources.parse_source)

    @call
    def delete(self, source_id: int, *, project_id: int | None = None) -> Flow[None]:
        """Delete a source with its pages."""
        return fetch(sources.delete(self._agent(project_id), source_id), self._options, parse_done)

    @call
    def sync(self, source_id: int, *, project_id: int | None = None) -> Flow[None]:
        """Sync a sitemap now. Raises `PermissionDenied` where the plan forbids it, or it is too soon."""
        return fetch(sources.sync(self._agent(project_id), source_id), self._options, parse_done)


class PagesResource(Resource[Colour]):
    """An agent's pages: its documents. Citation ids are page ids. `project_id` defaults to the client's."""

    @walk
    def list(
        self,
        *,
        project_id: int | None = None,
        crawl_status: Status | None = None,
        index_status: Status | None = None,
        limit: int | None = None,
        order: Order = "desc",
    ) -> Pages[Page]:
        """Iterate over all pages, newest first; `limit` is the number of rows that one request gets (20).

        Pages are counted by offset: deleting while iterating skips rows. Collect first.
        """
        page = partial(
            pages.list_page,
            self._agent(project_id),
            limit=limit,
            order=order,
            crawl_status=crawl_status,
            index_status=index_status,
        )
        return Pages(page, pages.parse_pages, self._options)

    @call
    def delete(self, page_id: int, *, project_id: int | None = None) -> Flow[None]:
        """Delete a page."""
        return fetch(pages.delete(self._agent(project_id), page_id), self._options, parse_done)

    @call
    def reindex(self, page_id: int, *, project_id: int | None = None) -> Flow[None]:
        """Reindex a page. Never sent twice. Raises `PermissionDenied` when the page cannot be refreshed."""
        return fetch(pages.reindex(self._agent(project_id), page_id), self._options, parse_done)

    @call
    def metadata(self, page_id: int, *, project_id: int | None = None) -> Flow[PageMetadata]:
        """Return the metadata of a page, which its citations show."""
        request = pages.metadata(self._agent(project_id), page_id)
        return fetch(request, self._options, partial(pages.parse_metadata, page_id=page_id))

    @call
    def update_metadata(
        self,
        page_id: int,
        *,
        project_id: int | None = None,
        title: MetadataText = ...,
        url: MetadataText = ...,
        description: MetadataText = ...,
        image_url: MetadataText = ...,
    ) -> Flow[PageMetadata]:
        """Change the metadata of a page, which its citations show, and return it.

        None clears a field; one that is left out stays. Raises `ConfigurationError` for more than 255, 2000,
        500 and 2000 characters.
        """
        fields = {"title": title, "url": url, "description": description, "image": image_url}
        request = pages.update_metadata(self._agent(project_id), page_id, fields)
        return fetch(request, self._options, partial(pages.parse_metadata, page_id=page_id))

    @call
    def preview(self, page_id: int, *, to: Target, on_progress: Received | None = None) -> Flow[int]:
        """Write the stored file behind a page or citation to `to`, and return the number of its bytes.

        `to` is a path, which gets the whole file or stays as it was, or a binary file object.
        `on_progress(bytes_received, total)` gets None for a total that the service does not name. Raises
        `NotFound` also when the agent does not retain its files.
        """
        sink: Sink = yield Disk(partial(open_target, to, on_progress))
        response = yield from exchange(pages.preview(page_id, sink), self._options)
        return response.saved
