"""Walking a list that comes in pages, without any client."""

from __future__ import annotations

import json

import pytest

from customgpt_transport._flows.paging import Pages
from customgpt_transport._wire import agents
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.options import ClientOptions


def walk(answers: dict[int, object], order: str = "desc") -> tuple[list[int], list[int]]:
    """Return the ids found and the pages requested, when page n answers `answers[n]`."""
    pages = Pages(
        lambda page: agents.list_page(page, order=order, order_by="id", name=None),
        agents.parse_agents,
        ClientOptions(),
    )
    found, asked = [], []
    while pages.more:
        flow = pages.next()
        asked.append(int(dict(next(flow).request.query)["page"]))
        with pytest.raises(StopIteration) as done:
            flow.send(Response(200, body=json.dumps({"data": answers[asked[-1]]}).encode()))
        found += [agent.id for agent in done.value.value]
    return found, asked


def page(number: int, last: int, *ids: int) -> dict[str, object]:
    return {"current_page": number, "last_page": last, "data": [{"id": each} for each in ids]}


def test_every_page_is_asked_for_once_in_order():
    assert walk({1: page(1, 3, 9, 8), 2: page(2, 3, 7), 3: page(3, 3, 6)}) == ([9, 8, 7, 6], [1, 2, 3])


def test_a_list_that_shrank_ends_early():
    assert walk({1: page(1, 3, 9), 2: page(2, 3)}) == ([9], [1, 2])


def test_a_service_that_always_answers_page_one_does_not_loop_for_ever():
    assert walk({1: page(1, 3, 9), 2: page(1, 3, 9)}) == ([9, 9], [1, 2])


def test_bad_input_is_refused_before_the_first_step():
    with pytest.raises(ConfigurationError, match="order"):
        walk({}, order="up")
