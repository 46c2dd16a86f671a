"""The pages behind an answer: in order, each looked up once, and never at the cost of the answer."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from customgpt_transport import AsyncClient, Citation, ConfigurationError, RetryPolicy
from tests.transport.conftest import wait_until
from tests.transport.scripted import Answer

PROMPT = "When are refunds paid?"


def asked(service) -> list[int]:
    """Return the ids that were looked up, in the order of the requests."""
    return [int(entry.path.split("/")[-1]) for entry in service.journal.entries("citations.*")]


@pytest.fixture
def ids(service, open_door):
    """Return the page ids of the service's agent."""
    return [page.id for page in open_door(service).call("pages.list")]


def test_citations_come_in_the_order_of_the_message_each_once(service, open_door):
    door = open_door(service)
    message = door.ask(PROMPT)
    found = door.citations(message)
    assert list(message.citation_ids) == [citation.id for citation in found]
    assert found
    assert all(citation.resolved and citation.title and citation.url for citation in found)
    assert sorted(message.citation_ids) == sorted(asked(service))


def test_ids_may_be_given_in_any_form_and_more_than_once(service, open_door, ids):
    first, second, *_ = ids
    given = [second, str(first), float(second), f"{first}.0", {"id": second}, None, "x", True, -1]
    found = open_door(service).citations(given)
    assert [second, first] == [citation.id for citation in found]
    assert sorted([first, second]) == sorted(asked(service))


def test_what_was_looked_up_is_not_asked_for_again_within_the_hour(service, open_door, ids):
    now = [0.0]
    door = open_door(service, clock=lambda: now[0])
    before = door.citations(ids[:3])
    assert before == door.citations(reversed(ids[:3]))[::-1]
    assert 3 == len(asked(service))
    now[0] = 3601
    assert before == door.citations(ids[:3])
    assert 6 == len(asked(service))


def test_agents_do_not_share_what_was_looked_up(service, open_door, ids):
    door = open_door(service)
    door.citations(ids[:1])
    door.citations(ids[:1], project_id=99)
    assert 2 == len(asked(service))


def test_a_message_knows_its_own_agent(service, open_door):
    message = open_door(service).ask(PROMPT)
    elsewhere = open_door(service, project_id=99)
    assert all(citation.resolved for citation in elsewhere.citations(message))


def test_what_is_not_there_is_a_stub_that_says_so_and_is_asked_for_again(service, open_door, ids):
    door = open_door(service)
    found = door.citations([ids[0], 999_999, ids[1]])
    assert [(ids[0], True), (999_999, False), (ids[1], True)] == [(c.id, c.resolved) for c in found]
    assert "404" in str(found[1].problem)
    assert (None, None) == (found[1].title, found[1].url)
    door.citations([999_999])
    assert 2 == asked(service).count(999_999)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda f: f.error(500, on="citations", times=None), "500"),
        (lambda f: f.drop_before_answer(on="citations", times=None), "lost"),
        (lambda f: f.unauthorized(on="citations", times=None), "401"),
        (lambda f: f.html_instead(on="citations", times=None), "not its JSON"),
        (lambda f: f.redirect(on="citations", times=None), "localhost"),
        (lambda f: f.rate_limit(retry_after=3600, on="citations", times=None), "3600"),
    ],
    ids=["500", "dropped", "401", "HTML", "redirect", "429"],
)
def test_a_look_up_that_fails_never_raises(service, open_door, ids, fault, words):
    fault(service.faults)
    found = open_door(service).citations(ids[:2])
    assert [False, False] == [citation.resolved for citation in found]
    assert all(words in str(citation.problem) for citation in found)


def test_a_look_up_that_fails_once_is_tried_again(service, open_door, ids):
    service.faults.error(500, on="citations")
    service.faults.drop_before_answer(on="citations")
    door = open_door(service)
    assert all(citation.resolved for citation in door.citations(ids[:2]))
    assert 4 == len(asked(service))
    assert 2 == len(door.naps)


@pytest.mark.parametrize("count", [1, 3])
def test_all_look_ups_share_one_deadline(service, open_door, ids, count):
    service.faults.slow_first_byte(on="citations", times=None)
    found = open_door(service, citation_timeout=0.2).citations(ids[:count])
    assert [False] * count == [citation.resolved for citation in found]
    assert {"not back within 0.2 s (citation_timeout)"} == {citation.problem for citation in found}
    service.journal.wait_for(lambda entry: entry.disconnected)
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("customgpt-citations")])


def test_those_that_are_back_in_time_are_kept_when_others_are_not(service, open_door, ids):
    service.faults.slow_first_byte(on="citations")
    found = open_door(service, citation_timeout=0.3).citations(ids[:4])
    assert [False, True, True, True] == sorted(citation.resolved for citation in found)


def test_no_pause_before_another_try_reaches_beyond_the_deadline(service, open_door, ids):
    service.faults.error(500, on="citations", times=None)
    door = open_door(service, citation_timeout=5, retry=RetryPolicy(backoff_base=6, random=lambda: 1.0))
    assert not door.citations(ids[:1])[0].resolved
    assert [] == door.naps


def test_many_are_fetched_at_once_but_not_all(service, open_door):
    service.faults.delay(0.05, on="citations", times=None)
    open_door(service).citations(range(1, 31))
    assert 30 == len(asked(service))
    assert 8 == service._connections.most_busy


def test_an_answer_without_citations_asks_for_nothing(service, open_door):
    door = open_door(service)
    assert [] == door.citations([])
    assert 0 == len(service.journal)


@pytest.mark.parametrize("given", ["12", b"12", 12, None])
def test_what_is_no_message_and_no_ids_is_a_mistake_that_is_named(service, open_door, given):
    with pytest.raises(ConfigurationError, match="Message or its citation_ids"):
        open_door(service).citations(given)


@pytest.mark.parametrize("body", [{}, [], None, {"url": 7, "title": ["x"]}, "text", {"citation": 1}])
def test_a_citation_in_an_odd_form_is_never_an_error(api, open_door, body):
    api.on(
        "GET /projects/7/citations/5", Answer(200, json.dumps({"status": "success", "data": body}).encode())
    )
    assert [5] == [citation.id for citation in open_door(api).citations([5])]


async def test_looking_up_does_not_block_the_loop_and_ends_when_cancelled(service):
    settings = {"api_key": service.api_key, "base_url": service.base_url, "project_id": service.project_id}
    service.faults.slow_first_byte(on="citations", times=None)
    async with AsyncClient(**settings) as client:
        pages = [page.id async for page in client.pages.list()]
        task = asyncio.create_task(client.citations(pages[:3]))
        await asyncio.to_thread(wait_until, lambda: len(asked(service)) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert {task} | {asyncio.current_task()} >= asyncio.all_tasks()
    await asyncio.to_thread(wait_until, lambda: service.open_connections == 0)


@pytest.mark.parametrize(
    ("citation", "summary", "source"),
    [
        (Citation(1, "Refunds", "https://x/", "Paid."), "Refunds\n\nPaid.", "https://x/"),
        (Citation(1, "Refunds", description=""), "Refunds", "Refunds"),
        (Citation(1, description="Paid."), "Paid.", "Citation 1"),
        (Citation(1, "", "https://x/"), "https://x/", "https://x/"),
        (Citation(13, resolved=False, problem="404"), "Citation 13", "Citation 13"),
    ],
)
def test_a_page_has_a_text_and_a_source_whatever_is_known_of_it(
    citation: Citation, summary: str, source: str
) -> None:
    assert (citation.summary, citation.source) == (summary, source)
