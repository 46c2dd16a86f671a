"""What can be done with an agent's sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from customgpt_transport._flows import Flow
from customgpt_transport._flows.exchange import fetch
from customgpt_transport._flows.prompts import project_of
from customgpt_transport._wire import sources
from customgpt_transport._wire.agents import checked_sitemap
from customgpt_transport._wire.done import parse_done
from customgpt_transport._wire.multipart import FieldValue, Progress, Upload
from customgpt_transport._wire.sources import RefreshFrequency, RefreshPages
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Source, Sources
from customgpt_transport.options import ClientOptions


def add(
    options: ClientOptions,
    project_id: int | None,
    *,
    sitemap_path: str | None,
    upload: Upload | None,
    settings: Mapping[str, FieldValue],
    on_progress: Progress | None,
) -> Flow[Source]:
    """Give the new source."""
    if (sitemap_path is None) == (upload is None):
        raise ConfigurationError("give either sitemap_path=... or file=..., one of them and not both")
    if sitemap_path is not None:
        checked_sitemap(sitemap_path)
    request = sources.add(
        project_of(project_id, options),
        sitemap_path=sitemap_path,
        upload=upload,
        settings=settings,
        on_progress=on_progress,
    )
    return fetch(request, options, sources.parse_source)


def list_all(options: ClientOptions, project_id: int | None) -> Flow[Sources]:
    """Give all sources of an agent."""
    return fetch(sources.list_all(project_of(project_id, options)), options, sources.parse_sources)


def update(
    options: ClientOptions,
    project_id: int | None,
    source_id: int,
    *,
    execute_js: bool | None,
    refresh_frequency: RefreshFrequency | None,
    create_new_pages: bool | None,
    remove_missing_pages: bool | None,
    refresh_existing_pages: RefreshPages | None,
    refresh_schedule: Mapping[str, Any] | None,
) -> Flow[Source]:
    """Give the sitemap after the change of every setting that is not None."""
    request = sources.update(
        project_of(project_id, options),
        source_id,
        execute_js=execute_js,
        refresh_frequency=refresh_frequency,
        create_new_pages=create_new_pages,
        remove_missing_pages=remove_missing_pages,
        refresh_existing_pages=refresh_existing_pages,
        refresh_schedule=refresh_schedule,
    )
    return fetch(request, options, sources.parse_source)


def delete(options: ClientOptions, project_id: int | None, source_id: int) -> Flow[None]:
    """Delete a source with its pages."""
    return fetch(sources.delete(project_of(project_id, options), source_id), options, parse_done)


def sync(options: ClientOptions, project_id: int | None, source_id: int) -> Flow[None]:
    """Have a sitemap read again now."""
    return fetch(sources.sync(project_of(project_id, options), source_id), options, parse_done)
