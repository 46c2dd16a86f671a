"""The vendor's Python SDK, `customgpt-client` 1.2.8 from PyPI, unmodified, drives the emulator.

The flows are ours, in the order of the vendor's public tests (customgpt-cookbook, `tests/`). What the SDK
parses wrongly or not at all is read from its `content`.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import requests
from customgpt_client.models import SendMessageCacheControl
from customgpt_client.types import File

from tests.conftest import DOCUMENTS
from tests.contract.conftest import Sdk

SITEMAP = "https://shop.example/sitemap.xml"
QUESTION = "How do refunds work?"
STATS = (
    "pages_found pages_crawled pages_indexed crawl_credits_used "
    "query_credits_used total_queries total_words_indexed"
)


def data(response: Any, status: int = 200) -> Any:
    """The body's `data`; the SDK must have parsed what has this status."""
    assert (status, True) == (response.status_code, response.parsed is not None), response.content
    return json.loads(response.content)["data"]


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as it holds; the test's own time limit ends the wait."""
    while not (found := condition()):
        time.sleep(0.01)
    return found


def make_agent(sdk: Sdk, **fields: Any) -> int:
    """An agent that is active, waited for as the vendor's tests wait."""
    made = sdk("Project", "create", **{"project_name": "Example agent", "sitemap_path": SITEMAP, **fields})
    number = data(made, 201)["id"]
    assert number == made.parsed.data.id
    until(lambda: sdk("Project", "get", project_id=number).parsed.data.is_chat_active)
    return int(number)


def make_conversation(sdk: Sdk, project_id: int) -> str:
    made = sdk("Conversation", "create", project_id=project_id, name="Test conversation")
    assert "Test conversation" == data(made, 201)["name"]
    assert isinstance(made.parsed.data.session_id, str)
    return str(made.parsed.data.session_id)


def converse(sdk: Sdk, project_id: int, session_id: str) -> int:
    """A question and its answer; gives the prompt's id."""
    here = {"project_id": project_id, "session_id": session_id}
    sent = sdk("Conversation", "send", **here, prompt=QUESTION, external_id="mine", custom_persona="Be brief")
    message = sent.parsed.data
    assert (200, QUESTION, "mine") == (sent.status_code, message.user_query, message.metadata.external_id)
    assert "refund" in message.openai_response.lower()
    assert message.created_at.tzinfo is not None
    assert message.citations
    assert all(isinstance(number, int) for number in message.citations)
    return int(message.id)


def stream(sdk: Sdk, project_id: int, session_id: str) -> dict[str, Any]:
    """The same question, streamed; gives what the finish event says."""
    events = sdk.stream(project_id=project_id, session_id=session_id, prompt=QUESTION)
    read = [json.loads(event.data) for event in events]
    assert [event.event for event in events] == [each["status"] for each in read]
    assert ["start", "finish"] == [read[0]["status"], read[-1]["status"]]
    assert {"progress"} == {each["status"] for each in read[1:-1]}
    assert {"status": "start", "prompt": QUESTION} == read[0]
    finish = read[-1]
    listed = data(sdk("Conversation", "messages", project_id=project_id, session_id=session_id))
    newest = listed["messages"]["data"][0]
    assert newest["openai_response"] == "".join(each["message"] for each in read[1:-1])
    assert (newest["id"], newest["citations"]) == (finish["id"], finish["citations"])
    return dict(finish)


def list_messages(sdk: Sdk, project_id: int, session_id: str, *prompt_ids: int) -> None:
    listed = sdk("Conversation", "messages", project_id=project_id, session_id=session_id, order="desc")
    rows = listed.parsed.data.messages.data
    assert list(reversed(prompt_ids)) == [row.id for row in rows]
    assert session_id == listed.parsed.data.conversation.session_id
    assert (1, 20, len(prompt_ids)) == (
        listed.parsed.data.messages.current_page,
        listed.parsed.data.messages.per_page,
        listed.parsed.data.messages.total,
    )


def read_citations(sdk: Sdk, project_id: int, citations: list[int]) -> None:
    for number in citations:
        found = sdk("Citation", "get", project_id=project_id, citation_id=number)
        assert {"id", "url", "title", "description", "image"} == set(data(found))
        assert number == found.parsed.data.id
        preview = sdk("Page", "preview", id=str(number))
        assert (200, True) == (preview.status_code, len(preview.content) > 0)


def use_pages(sdk: Sdk, project_id: int) -> None:
    """Pages are listed, described, re-indexed and deleted."""
    pages = sdk("Page", "get", project_id=project_id).parsed.data
    assert project_id == pages.project.id
    page = pages.pages.data[0].id
    here = {"project_id": project_id, "page_id": page}
    before = data(sdk("PageMetadata", "get", **here))
    assert {"id", "url", "title", "description", "image"} == set(before)
    image = "https://shop.example/lamp.png"
    changed = data(sdk("PageMetadata", "update", **here, title="Test2", url=before["url"], image=image))
    assert ("Test2", image) == (changed["title"], changed["image"])
    assert {**before, "title": "Test2", "image": image} == data(sdk("PageMetadata", "get", **here))
    assert {"updated": True} == data(sdk("Page", "reindex", **here))
    assert {"deleted": True} == data(sdk("Page", "delete", **here))
    assert 404 == sdk("PageMetadata", "get", **here).status_code
    assert pages.pages.total - 1 == sdk("Page", "get", project_id=project_id).parsed.data.pages.total


def use_settings(sdk: Sdk, project_id: int) -> None:
    """Settings change, pictures among them, and the rest stays."""
    before = data(sdk("ProjectSettings", "get", project_id=project_id))
    assert "Ask Me Anything ..." == before["default_prompt"]
    picture = File(io.BytesIO(b"\x89PNG\r\n"), "me.png", "image/png")
    changes = {"default_prompt": "Example", "response_source": "default", "chatbot_msg_lang": "ur"}
    changed = sdk(
        "ProjectSettings",
        "update",
        project_id=project_id,
        **changes,
        example_questions=["Test1", "Test2"],
        remove_branding=True,
        enable_citations=2,
        chat_bot_avatar=picture,
    )
    assert {"updated": True} == data(changed)
    after = data(sdk("ProjectSettings", "get", project_id=project_id))
    assert changes.items() <= after.items()
    assert (["Test1", "Test2"], True, 2) == (
        after["example_questions"],
        after["remove_branding"],
        after["enable_citations"],
    )
    assert after["chatbot_avatar"] != before["chatbot_avatar"]
    told = {*changes, "example_questions", "remove_branding", "enable_citations", "chatbot_avatar"}
    assert {k: v for k, v in before.items() if k not in told} == {
        k: v for k, v in after.items() if k not in told
    }


def use_sources(sdk: Sdk, project_id: int) -> None:
    """A sitemap and a file are added, changed, synchronized and deleted."""
    sitemap = sdk("Source", "create", project_id=project_id, sitemap_path=SITEMAP)
    assert "sitemap" == data(sitemap, 201)["type"]
    with (DOCUMENTS / "refunds.md").open("rb") as file:
        upload = sdk(
            "Source", "create", project_id=project_id, file=File(file, "refunds.md", "text/markdown")
        )
    assert ("upload", "refunds.md") == (data(upload, 201)["type"], data(upload, 201)["pages"][0]["filename"])
    listed = data(sdk("Source", "list", project_id=project_id))
    number = sitemap.parsed.data.id
    assert number in [source["id"] for source in listed["sitemaps"]]
    assert "refunds.md" in [page["filename"] for page in listed["uploads"]["pages"]]
    here = {"project_id": project_id, "source_id": number}
    changed = sdk("Source", "update", **here, data_refresh_frequency="daily", create_new_pages=False)
    assert "daily" == data(changed, 201)["settings"]["data_refresh_frequency"]
    assert 201 == sdk("Source", "synchronize", **here).status_code
    assert {"deleted": True} == data(sdk("Source", "delete", **here))
    assert number not in [row["id"] for row in data(sdk("Source", "list", project_id=project_id))["sitemaps"]]
    own = {"project_id": project_id, "source_id": upload.parsed.data.id}
    assert {"deleted": True} == data(sdk("Source", "delete", **own))
    data(sdk("Source", "list", project_id=project_id))


def use_account(sdk: Sdk) -> None:
    before = data(sdk("User", "get"))
    photo = File(io.BytesIO(b"\x89PNG"), "me.png", "image/png")
    after = data(sdk("User", "update", name="Somebody", profile_photo=photo))
    assert ("Somebody", before["id"]) == (after["name"], after["id"])
    usage = data(sdk("Limit", "get"))
    assert usage["current_queries"] >= 2
    assert usage["current_projects_num"] >= 2


def rename_and_delete(sdk: Sdk, project_id: int, session_id: str) -> None:
    here = {"project_id": project_id, "session_id": session_id}
    assert "Second name" == data(sdk("Conversation", "update", **here, name="Second name"))["name"]
    listed = data(sdk("Conversation", "get", project_id=project_id))
    assert "Second name" == listed["data"][0]["name"]
    assert {"deleted": True} == data(sdk("Conversation", "delete", **here))
    assert 404 == sdk("Conversation", "messages", **here).status_code


def use_agent(sdk: Sdk, project_id: int) -> None:
    """The agent is renamed, shared, counted, listed, copied; the copy is deleted."""
    updated = sdk("Project", "update", project_id=project_id, project_name="test2", is_shared=True)
    assert ("test2", True) == (data(updated)["project_name"], updated.parsed.data.is_shared)
    assert updated.parsed.data.shareable_slug in updated.parsed.data.embed_code
    assert "test2" == sdk("Project", "get", project_id=project_id).parsed.data.project_name
    assert project_id in [agent.id for agent in sdk("Project", "list").parsed.data.data]
    copy = data(sdk("Project", "replicate", project_id=project_id), 201)
    assert copy["id"] != project_id
    assert {"deleted": True} == data(sdk("Project", "delete", project_id=copy["id"]))


def is_refused(sdk: Sdk, project_id: int) -> None:
    """What the emulator does not cover says so."""
    plugin = {"model_name": "plants", "human_name": "Plants", "keywords": "k", "description": "d"}
    filters = {"project_id": project_id, "filters": ["sources"]}
    answers = [
        sdk("ProjectPlugins", "get", project_id=project_id),
        sdk("ProjectPlugins", "create", project_id=project_id, **plugin, is_active=True),
        sdk("ProjectPlugins", "update", project_id=project_id, **plugin, is_active=True),
        *(
            sdk("ReportsAnalytics", name, **filters)
            for name in ("traffic", "queries", "conversations", "analysis")
        ),
    ]
    assert {501} == {answer.status_code for answer in answers}
    assert all(b"not covered by the emulator" in answer.content for answer in answers)


def test_the_sdk_is_the_published_one():
    assert "1.2.8" == version("customgpt-client")


def test_everything_that_the_sdk_can_call(sdk: Sdk):
    """One agent's life, in the order of the vendor's tests; no call of the SDK is left out."""
    sdk.emulator.switches.readiness_delay = 0.05
    project_id = make_agent(sdk, file=File(io.BytesIO((DOCUMENTS / "refunds.md").read_bytes()), "refunds.md"))
    session_id = make_conversation(sdk, project_id)
    sdk.emulator.switches.readiness_delay = 0.0
    prompt_id = converse(sdk, project_id, session_id)
    finish = stream(sdk, project_id, session_id)
    list_messages(sdk, project_id, session_id, prompt_id, finish["id"])
    read_citations(sdk, project_id, finish["citations"])
    stats = data(sdk("Project", "stats", project_id=project_id))
    assert {*STATS.split(), "total_storage_credits_used"} == set(stats)
    assert 2 == stats["total_queries"]
    use_pages(sdk, project_id)
    use_settings(sdk, project_id)
    use_sources(sdk, project_id)
    use_account(sdk)
    rename_and_delete(sdk, project_id, session_id)
    use_agent(sdk, project_id)
    is_refused(sdk, project_id)
    assert {"deleted": True} == data(sdk("Project", "delete", project_id=project_id))
    assert 404 == sdk("Project", "get", project_id=project_id).status_code
    assert Sdk.everything() == sdk.called


def test_feedback_is_given_to_what_the_sdk_sent(sdk: Sdk):
    """The SDK has no call for it: it goes over plain HTTP with the SDK's key, as the vendor's widget does."""
    project_id = sdk.emulator.project_id
    session_id = make_conversation(sdk, project_id)
    prompt_id = converse(sdk, project_id, session_id)
    url = f"{sdk.emulator.base_url}/api/v1/projects/{project_id}/conversations/{session_id}/messages"
    key = {"Authorization": f"Bearer {sdk.emulator.api_key}"}
    liked = requests.put(f"{url}/{prompt_id}/feedback", json={"reaction": "liked"}, headers=key, timeout=20)
    assert "liked" == liked.json()["data"]["response_feedback"]["reaction"]
    listed = sdk("Conversation", "messages", project_id=project_id, session_id=session_id)
    assert "liked" == data(listed)["messages"]["data"][0]["response_feedback"]["reaction"]


def test_seven_keys_of_statistics_as_the_vendors_own_test_wants_them(sdk: Sdk):
    sdk.emulator.switches.stats_keys = 7
    stats = data(sdk("Project", "stats", project_id=sdk.emulator.project_id))
    assert STATS.split() == list(stats)


def test_an_agent_made_from_a_file_alone_answers_from_it(sdk: Sdk):
    story = File(io.BytesIO(b"# Vanka\n\nVanka Zhukov is nine years old."), "vanka.md", "text/markdown")
    made = sdk("Project", "create", project_name="Story", file=story)
    session_id = make_conversation(sdk, data(made, 201)["id"])
    sent = sdk(
        "Conversation", "send", project_id=made.parsed.data.id, session_id=session_id, prompt="Who is Vanka?"
    )
    assert "Vanka Zhukov is nine years old." == sent.parsed.data.openai_response


def test_a_repeated_prompt_is_cached_until_the_sdk_asks_for_a_fresh_answer(sdk: Sdk):
    sdk.emulator.switches.same_prompt_cache = True
    here = {"project_id": sdk.emulator.project_id}
    here["session_id"] = make_conversation(sdk, here["project_id"])  # type: ignore[assignment] # ids of two kinds
    first, again = (sdk("Conversation", "send", **here, prompt=QUESTION) for _ in range(2))
    fresh = sdk(
        "Conversation", "send", **here, prompt=QUESTION, cache_control=SendMessageCacheControl.NO_CACHE
    )
    assert first.parsed.data.id == again.parsed.data.id
    assert first.parsed.data.id != fresh.parsed.data.id
    replayed = [json.loads(event.data) for event in sdk.stream(**here, prompt=QUESTION)]
    assert fresh.parsed.data.id == replayed[-1]["id"]
    assert replayed[1]["message"].endswith(" ")


@pytest.mark.parametrize("kind", ["int", "float_string", "null"])
def test_the_sdk_reads_citations_of_every_kind(sdk: Sdk, kind: str):
    sdk.emulator.switches.citation_type = kind  # type: ignore[assignment] # one of its literals
    session_id = make_conversation(sdk, sdk.emulator.project_id)
    here = {"project_id": sdk.emulator.project_id, "session_id": session_id}
    citations = sdk("Conversation", "send", **here, prompt=QUESTION).parsed.data.citations
    kinds = {"int": int, "float_string": str, "null": type(None)}
    assert isinstance(citations[0] if citations else citations, kinds[kind])


def test_refusals_are_parsed_as_the_sdk_knows_them(sdk: Sdk, monkeypatch: pytest.MonkeyPatch):
    missing = sdk("Project", "get", project_id=7)
    assert (404, 404, "Agent with id 7 not found") == (
        missing.status_code,
        missing.parsed.data.code,
        missing.parsed.data.message,
    )
    odd = sdk("Project", "get", project_id="seven")
    assert (400, "Agent id must be integer") == (odd.status_code, odd.parsed.data.message)
    nameless = sdk("Project", "create", project_name="", sitemap_path=SITEMAP)
    assert (400, "Agent name can't be empty") == (nameless.status_code, nameless.parsed.data.message)
    empty = sdk("Source", "create", project_id=sdk.emulator.project_id, sitemap_path="")
    assert (400, "Sitemap URL is empty") == (empty.status_code, empty.parsed.data.message)
    monkeypatch.setattr("customgpt_client.CustomGPT.api_key", "wrong")
    denied = sdk("User", "get")
    assert (401, "API Token is either missing or invalid") == (denied.status_code, denied.parsed.data.message)


def test_a_refused_stream_is_an_empty_one_to_the_sdk(sdk: Sdk):
    """It does not look at the status; the refusal comes as plain JSON before any event."""
    assert [] == sdk.stream(project_id=sdk.emulator.project_id, session_id="nobody", prompt=QUESTION)


def test_a_session_that_the_client_made_up_becomes_a_conversation_when_the_switch_says_so(sdk: Sdk):
    here = {"project_id": sdk.emulator.project_id, "session_id": "0a6b9b3c-3a5d-4c1e-8f00-7d6f5e4c3b2a"}
    assert 404 == sdk("Conversation", "send", **here, prompt=QUESTION).status_code
    sdk.emulator.switches.unknown_session = "create"
    assert 200 == sdk("Conversation", "send", **here, prompt=QUESTION).status_code
    assert 200 == sdk("Conversation", "messages", **here).status_code
