"""The page behind a citation id. Source: vendor OpenAPI 1.0.0, Citations; captured answers of 2023."""

from __future__ import annotations

from customgpt_transport._wire.http import Request, Response, request
from customgpt_transport._wire.problems import read_data
from customgpt_transport._wire.values import Record, integer, text
from customgpt_transport.models import Citation


def get(project_id: int, citation_id: int) -> Request:
    """Ask for the page behind one citation; the answer is read by `parse_citation`."""
    values = {"project_id": project_id, "citation_id": citation_id}
    return request("GET", "/projects/{project_id}/citations/{citation_id}", values)


def parse_citation(response: Response, citation_id: int) -> Citation:
    """Return the citation, named by the id that was asked for: the answer's own `id` may be another row's.

    A web page has `url`; an uploaded file has only `page_url`, its preview address.
    """
    record = Record(read_data(response), "citation")
    if record.extra.get("id") == citation_id:
        record.take("id", integer)
    url, page_url = record.take("url", text), record.take("page_url", text)
    return Citation(
        id=citation_id,
        title=record.take("title", text),
        url=url or page_url,
        description=record.take("description", text),
        image_url=record.take("image", text),
        extra=record.extra,
    )
