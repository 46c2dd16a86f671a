"""What can be done with an agent's pages, and with the file behind one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from customgpt_transport._flows import Flow
from customgpt_transport._flows.exchange import exchange, fetch
from customgpt_transport._flows.paging import Pages
from customgpt_transport._flows.prompts import project_of
from customgpt_transport._wire import pages
from customgpt_transport._wire.done import parse_done
from customgpt_transport._wire.http import Response, Sink
from customgpt_transport._wire.pages import MetadataText, Status
from customgpt_transport.models import Page, PageMetadata
from customgpt_transport.options import ClientOptions


def walk(
    options: ClientOptions,
    project_id: int | None,
    *,
    limit: int | None,
    order: Literal["asc", "desc"],
    crawl_status: Status | None,
    index_status: Status | None,
) -> Pages[Page]:
    """Give the walk over an agent's pages."""
    agent = project_of(project_id, options)
    return Pages(
        lambda page: pages.list_page(
            agent, page, limit=limit, order=order, crawl_status=crawl_status, index_status=index_status
        ),
        pages.parse_pages,
        options,
    )


def delete(options: ClientOptions, project_id: int | None, page_id: int) -> Flow[None]:
    """Delete a page."""
    return fetch(pages.delete(project_of(project_id, options), page_id), options, parse_done)


def reindex(options: ClientOptions, project_id: int | None, page_id: int) -> Flow[None]:
    """Have a page read again."""
    return fetch(pages.reindex(project_of(project_id, options), page_id), options, parse_done)


def metadata(options: ClientOptions, project_id: int | None, page_id: int) -> Flow[PageMetadata]:
    """Give what citations of a page show."""
    request = pages.metadata(project_of(project_id, options), page_id)
    return fetch(request, options, lambda response: pages.parse_metadata(response, page_id))


def update_metadata(
    options: ClientOptions, project_id: int | None, page_id: int, fields: Mapping[str, MetadataText]
) -> Flow[PageMetadata]:
    """Give the metadata after the change."""
    request = pages.update_metadata(project_of(project_id, options), page_id, fields)
    return fetch(request, options, lambda response: pages.parse_metadata(response, page_id))


def preview(options: ClientOptions, page_id: int, sink: Sink) -> Flow[int]:
    """Have the stored file written to `sink`; give the number of its bytes."""
    response: Response = yield from exchange(pages.preview(page_id, sink), options)
    return response.saved
