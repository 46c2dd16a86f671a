"""The vendor's published answers, played through requests and through aiohttp: both read them alike.

`cassettes/README.md` says where each came from. The expected values are read from the published bodies here,
with nothing of the transport's own.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import vcr

from customgpt_transport import (
    AnswerDelta,
    AnswerFinished,
    APIError,
    AsyncClient,
    AuthenticationFailed,
    BadRequest,
    Client,
    ClientOptions,
    CreditsExhausted,
    NotFound,
    PermissionDenied,
    RetryPolicy,
    ServerError,
)
from tests.cassettes import LIBRARY, vcr_settings
from tests.contract import record
from tests.contract.transcribe import SESSION, TRANSCRIPTS

SAMPLES = Path(__file__).with_name("samples")
OPTIONS = ClientOptions(
    api_key="1|made-up", project_id=1, retry=RetryPolicy(max_retries=0), recovery_patience=0
)


def published(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())["data"]


async def _listed(rows: Any) -> list[Any]:
    return [row async for row in rows]


async def _events(client: AsyncClient, prompt: str) -> list[Any]:
    async with client.stream(prompt, session_id=SESSION) as answer:
        return [*[event async for event in answer], answer.message]


def _sync_events(client: Client, prompt: str) -> list[Any]:
    with client.stream(prompt, session_id=SESSION) as answer:
        return [*answer, answer.message]


CALLS: dict[str, tuple[Callable[[Client], Any], Callable[[AsyncClient], Awaitable[Any]]]] = {
    "create": (
        lambda c: c.conversations.create("Example ChatBot using Sitemap", project_id=529),
        lambda c: c.conversations.create("Example ChatBot using Sitemap", project_id=529),
    ),
    "hello": (
        lambda c: c.ask("Hello!", session_id=SESSION),
        lambda c: c.ask("Hello!", session_id=SESSION),
    ),
    "tom": (
        lambda c: c.ask("Who is Tom", session_id=SESSION),
        lambda c: c.ask("Who is Tom", session_id=SESSION),
    ),
    "vanka": (
        lambda c: c.ask("Who is vanka", session_id=SESSION),
        lambda c: c.ask("Who is vanka", session_id=SESSION),
    ),
    "stream hello": (lambda c: _sync_events(c, "Hello!"), lambda c: _events(c, "Hello!")),
    "stream moisture": (
        lambda c: _sync_events(c, "Who is Professor Mois ture"),
        lambda c: _events(c, "Who is Professor Mois ture"),
    ),
    "stream brady": (
        lambda c: _sync_events(c, "Who is Tom Brady"),
        lambda c: _events(c, "Who is Tom Brady"),
    ),
    "list": (
        lambda c: list(c.messages.list(SESSION)),
        lambda c: _listed(c.messages.list(SESSION)),
    ),
    "message": (lambda c: c.messages.get(SESSION, 1), lambda c: c.messages.get(SESSION, 1)),
    "delete": (lambda c: c.conversations.delete(SESSION), lambda c: c.conversations.delete(SESSION)),
    "citation 12050": (lambda c: c.citations([12050]), lambda c: c.citations([12050])),
    "citation 16334": (lambda c: c.citations([16334]), lambda c: c.citations([16334])),
    "citation 1": (lambda c: c.citations([1]), lambda c: c.citations([1])),
}

Play = Callable[[str, str], Any]


@pytest.fixture(params=["requests", "aiohttp"])
def play(request: pytest.FixtureRequest) -> Play:
    """Make a call of `CALLS` against a cassette, through one of the two clients."""
    recorder = vcr.VCR(**vcr_settings())

    async def asynchronously(call: str) -> Any:
        async with AsyncClient(options=OPTIONS) as client:
            return await CALLS[call][1](client)

    def played(cassette: str, call: str) -> Any:
        with recorder.use_cassette(cassette) as tape:
            try:
                if request.param == "aiohttp":
                    return asyncio.run(asynchronously(call))
                with Client(options=OPTIONS) as client:
                    return CALLS[call][0](client)
            finally:
                assert tape.play_count == 1, "the request differs from the one on the cassette"

    return played


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def test_a_conversation_is_created(play: Play) -> None:
    conversation, body = play("vendor/create", "create"), published("conversations.create.201.json")
    assert body["session_id"] == conversation.session_id
    assert (body["id"], body["name"], body["created_by"]) == (
        conversation.id,
        conversation.name,
        conversation.created_by,
    )
    assert at(body["created_at"]) == conversation.created_at


@pytest.mark.parametrize(
    ("cassette", "call", "sample", "citation_ids"),
    [
        ("send-2024", "hello", "messages.send.200.docs-2024.json", ()),
        ("send-integer-citations", "tom", "messages.send.200.int-citations.json", (12050,)),
        (
            "send-string-citations", "tom", "messages.send.200.string-citations.json",
            (12061, 12055, 12054, 12062, 12057),
        ),
        ("send-null-metadata", "vanka", "messages.send.200.metadata-nulls.json", (16334,)),
    ],
)  # fmt: skip
def test_a_message_in_every_published_form(
    play: Play, cassette: str, call: str, sample: str, citation_ids: tuple[int, ...]
) -> None:
    message, body = play(f"vendor/{cassette}", call), published(sample)
    assert body["openai_response"] == message.answer
    assert (body["id"], body["user_query"]) == (message.prompt_id, message.prompt)
    assert citation_ids == message.citation_ids
    assert at(body["created_at"]) == message.created_at


@pytest.mark.parametrize(
    ("cassette", "call", "answer", "prompt_id", "citation_ids"),
    [
        ("stream-2024", "stream hello", "Hello! How can I assist you today?", 2495484, ()),
        (
            "stream-2023-data-only", "stream moisture",
            "Professor Mois Ture is a character in the book who teaches about water, rain, hail, sleet, "
            "and the water cycle.",
            433, (12074,),
        ),
        (
            "stream-2023-repeated", "stream brady",
            published("messages.send.200.repeated-prompt.json")["openai_response"] + " ",
            546, (16331, 16332, 16325),
        ),
    ],
)  # fmt: skip
def test_a_stream_in_every_published_form(
    play: Play, cassette: str, call: str, answer: str, prompt_id: int, citation_ids: tuple[int, ...]
) -> None:
    """The repeated answer's stream ends in a space that its stored twin lacks: both are the vendor's."""
    *deltas, finished, message = play(f"vendor/{cassette}", call)
    assert all(isinstance(delta, AnswerDelta) and delta.text for delta in deltas)
    assert len(deltas) > 5
    assert answer == "".join(delta.text for delta in deltas) == message.answer
    assert isinstance(finished, AnswerFinished)
    assert (prompt_id, citation_ids) == (finished.prompt_id, finished.citation_ids)
    assert (prompt_id, citation_ids) == (message.prompt_id, message.citation_ids)


@pytest.mark.parametrize(
    ("cassette", "sample", "created_at"),
    [
        ("list", "messages.list.200.json", datetime(2023, 7, 12, 20, 24, 45, tzinfo=timezone.utc)),
        (
            "list-odd-dates",
            "messages.list.200.odd-dates.json",
            datetime(2023, 6, 25, 5, 1, 11, tzinfo=timezone.utc),
        ),
    ],
)
def test_messages_are_listed(play: Play, cassette: str, sample: str, created_at: datetime) -> None:
    (message,) = play(f"vendor/{cassette}", "list")
    (row,) = published(sample)["messages"]["data"]
    assert (row["id"], row["openai_response"]) == (message.prompt_id, message.answer)
    assert created_at == message.created_at
    assert tuple(int(float(c)) for c in row["citations"]) == message.citation_ids


def test_a_web_pages_citation_goes_by_the_id_that_was_asked_for(play: Play) -> None:
    """The captured body has another id, of the metadata row."""
    (citation,), body = play("vendor/citation-web", "citation 12050"), published("citations.get.200.web.json")
    assert (12050, True) == (citation.id, citation.resolved)
    assert (body["title"], body["url"]) == (citation.title, citation.url)
    assert (body["description"], body["image"]) == (citation.description, citation.image_url)


def test_a_files_citation_points_to_its_preview(play: Play) -> None:
    (citation,), body = (
        play("vendor/citation-file", "citation 16334"),
        published("citations.get.200.file.json"),
    )
    assert (16334, "Yes", body["page_url"]) == (citation.id, citation.title, citation.url)


def test_a_dead_citation_is_a_stub_that_says_why(play: Play) -> None:
    (citation,) = play("vendor/error-404-page", "citation 1")
    assert (1, False) == (citation.id, citation.resolved)
    assert "Page with id 1 not found" in str(citation.problem)


@pytest.mark.parametrize(
    ("cassette", "call", "kind", "words"),
    [
        ("error-400", "hello", BadRequest, "Agent id must be integer"),
        ("error-401", "hello", AuthenticationFailed, "API Token is either missing or invalid"),
        ("error-403", "delete", PermissionDenied, "This action is unauthorized."),
        ("error-404-agent", "hello", NotFound, "Agent with id 1 not found"),
        ("error-404-message", "message", NotFound, "Conversation message with id 1 not found"),
        ("error-429-credits", "hello", CreditsExhausted, "exhausted your current query credits"),
        ("error-500", "hello", ServerError, "Internal Server Error"),
        ("error-501", "hello", ServerError, "audio is not yet supported"),
    ],
)
def test_each_published_refusal_has_its_type_and_the_vendors_words(
    play: Play, cassette: str, call: str, kind: type[APIError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        play(f"vendor/{cassette}", call)
    assert words in caught.value.message
    assert words in str(caught.value)
    assert kind is type(caught.value)
    assert not caught.value.resend_safe


@pytest.fixture(params=["requests", "aiohttp"])
def flow(request: pytest.FixtureRequest) -> record.Flow:
    """The recorded conversation, played through one of the two clients."""
    tape = (LIBRARY / f"{record.CASSETTE}.yaml").read_text()
    (project_id,) = set(re.findall(r"/api/v1/projects/(\d+)/", tape))
    return record.replay(request.param, int(project_id))


def test_the_recorded_conversation_plays_from_beginning_to_end(flow: record.Flow) -> None:
    assert [record.SECOND, record.FIRST] == [message.prompt for message in flow.listed]
    assert [flow.streamed.answer, flow.asked.answer] == [message.answer for message in flow.listed]
    assert flow.streamed.answer == "".join(e.text for e in flow.events if isinstance(e, AnswerDelta))
    assert flow.asked.citation_ids == tuple(citation.id for citation in flow.citations)
    assert all(citation.resolved and citation.title for citation in flow.citations)
    assert flow.asked.citation_ids


def test_every_transcribed_cassette_is_what_the_script_writes() -> None:
    """Nobody edits a cassette by hand: the published body stays as it is."""
    written = {transcript.cassette for transcript in TRANSCRIPTS}
    assert written == {path.stem for path in (LIBRARY / "vendor").glob("*.yaml")}
    for transcript in TRANSCRIPTS:
        tape = vcr.VCR(**vcr_settings()).use_cassette(f"vendor/{transcript.cassette}")
        with tape as cassette:
            (response,) = cassette.responses
            assert transcript.body.encode() == response["body"]["string"]


def test_no_cassette_holds_a_key_and_every_request_names_the_vendor() -> None:
    for path in LIBRARY.rglob("*.yaml"):
        text = path.read_text()
        assert "authorization" not in text.lower(), path
        assert "bearer" not in text.lower(), path
        uris = re.findall(r"(?m)^    uri: (.*)$", text)
        assert uris
        assert all(uri.startswith("https://app.customgpt.ai/api/v1/") for uri in uris), path
