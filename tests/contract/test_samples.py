"""Every captured or documented answer, against the emulator's: status, keys, types, and the order of events.

`samples/README.md` says where each came from. Where captures differ from each other or from the documents,
the switch that is named beside the sample makes the emulator answer in its way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from tests.contract.shapes_compared import Shape
from tests.contract.things import Things

SAMPLES = Path(__file__).with_name("samples")
SITEMAP = {"sitemap_path": "https://shop.example/sitemap.xml"}
QUESTION = {"prompt": "How do refunds work?"}
MESSAGES = "/conversations/{session_id}/messages"
METADATA = "/pages/{page_id}/metadata"

# Keys that are documented, and younger than the captures of 2023.
AGENT = frozenset({"team_id", "are_licenses_allowed"})
CONVERSATION = frozenset({"deleted_at"})
MESSAGE = frozenset({"conversation_id", "metadata", "response_feedback"})
PAGE = frozenset({"project_id", "is_refreshable", "deleted_at"})
SOURCE = frozenset({"create_new_pages", "remove_unexist_pages", "refresh_existing_pages", "refresh_schedule"})
FIVE = frozenset({"id", "url", "title", "description", "image"})
# Keys of a citation in 2023; five are documented, and were seen live in 2026.
CITATION = frozenset({"page_url", "image_width", "image_height", "favicon", "site_name"})
SETTINGS_OF_2023 = frozenset(json.loads((SAMPLES / "settings.get.200.json").read_text())["data"])


@dataclass(frozen=True)
class Sample:
    """A sample, the request that it answers, and what may differ."""

    file: str
    method: str
    path: str
    status: int = 200
    body: Any = None
    form: bool = False
    switches: tuple[tuple[str, Any], ...] = ()
    more: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    loose: frozenset[str] = frozenset()
    first: Callable[[Things], Any] = lambda things: None

    def __str__(self) -> str:
        return self.file


def with_settings(things: Things) -> None:
    pictures = dict.fromkeys(("chat_bot_avatar", "chat_bot_bg"), ("me.jpg", b"\xff\xd8\xff"))
    changes = {"example_questions[0]": "Test1", "example_questions[1]": "Test2", "chatbot_msg_lang": "ur"}
    assert things.call("POST", "/settings", data=changes, files=pictures).ok


def described(things: Things) -> None:
    things.only_a_sitemap()
    assert things.call("PUT", METADATA, json={"image": "https://shop.example/a.jpg"}).ok


def ten_agents_more(things: Things) -> None:
    for _ in range(10):
        assert things.call("POST", "/projects", json={"project_name": "a"}).ok


def asked_twice(things: Things) -> None:
    assert things.call("POST", MESSAGES, json=QUESTION).ok


OLD = (("old_dates", True),)
IN_BETWEEN = frozenset({"/data/project/updated_at"})  # two formats for it among the captures of one summer
FLOATS = (("citation_type", "float_string"),)
BODIES = [
    Sample(
        "projects.create.201.json", "POST", "/projects", 201, {"project_name": "a", **SITEMAP}, more=AGENT
    ),
    Sample("projects.update.200.json", "POST", "", 200, {"project_name": "b"}, more=AGENT),
    Sample("projects.update.share.200.json", "POST", "", 200, {"is_shared": "1"}, form=True, more=AGENT),
    Sample(
        "projects.list.200.json",
        "GET",
        "/projects?page=1&duration=90&order=desc&width=100%25&height=auto",
        switches=OLD,
        more=AGENT,
        first=ten_agents_more,
    ),
    Sample("projects.delete.200.json", "DELETE", ""),
    Sample("projects.stats.200.json", "GET", "/stats", switches=(("stats_keys", 7),)),
    Sample("settings.get.200.json", "GET", "/settings", more=frozenset("*")),
    Sample(
        "settings.get.after-update.200.json", "GET", "/settings", more=frozenset("*"), first=with_settings
    ),
    Sample("settings.update.200.json", "POST", "/settings", 200, {"default_prompt": "a"}, form=True),
    Sample("conversations.create.201.json", "POST", "/conversations", 201, {"name": "a"}, more=CONVERSATION),
    Sample(
        "conversations.create.201.nested-project.json",
        "POST",
        "/conversations",
        201,
        {"name": "a"},
        more=CONVERSATION,
        gone=frozenset({"project"}),  # in this one capture alone
    ),
    Sample(
        "conversations.update.200.json",
        "PUT",
        "/conversations/{session_id}",
        200,
        {"name": "b"},
        more=CONVERSATION,
    ),
    Sample("conversations.delete.200.json", "DELETE", "/conversations/{session_id}"),
    Sample("messages.send.200.int-citations.json", "POST", MESSAGES, 200, QUESTION, more=MESSAGE),
    Sample(
        "messages.send.200.string-citations.json",
        "POST",
        MESSAGES,
        200,
        {**QUESTION, "stream": 0},
        switches=FLOATS,
        more=MESSAGE,
    ),
    Sample(
        "messages.send.200.metadata-nulls.json",
        "POST",
        MESSAGES,
        200,
        QUESTION,
        switches=FLOATS,
        more=MESSAGE,
        filled=frozenset({"user_ip", "user_agent", "external_id", "request_source"}),
    ),
    Sample("messages.send.200.docs-2024.json", "POST", MESSAGES, 200, {"prompt": "Hello!"}, more=MESSAGE),
    Sample(
        "messages.send.200.repeated-prompt.json",
        "POST",
        MESSAGES,
        200,
        QUESTION,
        switches=(*FLOATS, ("same_prompt_cache", True)),
        more=MESSAGE,
        first=asked_twice,
    ),
    Sample(
        "messages.list.200.json",
        "GET",
        MESSAGES + "?page=1&order=desc",
        switches=FLOATS,
        more=MESSAGE | CONVERSATION,
    ),
    Sample(
        "messages.list.200.odd-dates.json",
        "GET",
        MESSAGES,
        switches=(*FLOATS, *OLD),
        more=MESSAGE | CONVERSATION,
    ),
    Sample(
        "citations.get.200.web.json",
        "GET",
        "/citations/{citation_id}",
        gone=CITATION,
        first=described,
    ),
    Sample(
        "citations.get.200.file.json",
        "GET",
        "/citations/{citation_id}",
        gone=CITATION,
        more=FIVE,
    ),
    Sample(
        "pages.list.200.queued.json",
        "GET",
        "/pages",
        switches=(*OLD, ("readiness_delay", 1000.0)),
        more=AGENT | PAGE,
        loose=IN_BETWEEN,
        first=Things.only_a_sitemap,
    ),
    Sample(
        "pages.list.200.ok.json",
        "GET",
        "/pages",
        switches=OLD,
        more=AGENT | PAGE,
        loose=IN_BETWEEN,
        first=Things.only_a_sitemap,
    ),
    Sample("pages.delete.200.json", "DELETE", "/pages/{page_id}"),
    Sample("pages.metadata.update.200.json", "PUT", METADATA, 200, {"title": "Test2"}, first=described),
    Sample("sources.create.201.sitemap.json", "POST", "/sources", 201, SITEMAP, more=SOURCE),
    Sample(
        "sources.create.201.upload.json",
        "POST",
        "/sources",
        201,
        {"file": ("a.pdf", b"%PDF-1.4 broken")},
        form=True,
        switches=(("upload_settings", "list"),),
        more=PAGE,
    ),
    Sample(
        "openai.chat.completion.docs-example.json",
        "POST",
        "/chat/completions",
        200,
        {"messages": [{"role": "user", "content": "Hello!"}]},
        filled=frozenset({"model"}),
    ),
]


@pytest.fixture
def things(emulator: Emulator) -> Iterator[Things]:
    with Things(emulator) as made:
        yield made


def answer(emulator: Emulator, things: Things, sample: Sample) -> requests.Response:
    for name, value in sample.switches:
        setattr(emulator.switches, name, value)
    sample.first(things)
    if sample.form:
        fields = {
            name: value if isinstance(value, tuple) else (None, value) for name, value in sample.body.items()
        }
        return things.call(sample.method, sample.path, files=fields)
    return things.call(sample.method, sample.path, json=sample.body)


@pytest.mark.parametrize("sample", BODIES, ids=str)
def test_a_body_has_the_keys_and_types_of_the_capture(emulator: Emulator, things: Things, sample: Sample):
    response = answer(emulator, things, sample)
    published = (SAMPLES / sample.file).read_text().replace("REDACTED_SLUG", "0" * 32)
    body, captured = response.json(), json.loads(published)
    more = set(body["data"]) if "*" in sample.more else sample.more
    assert sample.status == response.status_code, response.text
    assert [] == Shape(captured, more, sample.gone, sample.filled, sample.loose).differences(body)


@pytest.mark.parametrize("sample", BODIES, ids=str)
def test_its_bytes_are_written_like_the_captured_ones(emulator: Emulator, things: Things, sample: Sample):
    """No spaces, escaped slashes, ASCII, and `data` before `status`."""
    raw = answer(emulator, things, sample).content
    captured = (SAMPLES / sample.file).read_bytes().strip()
    for written in (raw, captured) if captured.count(b"\n") == 0 else (raw,):
        assert written == written.decode("ascii").encode()
        assert not re.search(rb"(?<!\\)/", written)
        assert written == php(json.loads(written))
    assert list(json.loads(captured)) == list(json.loads(raw))


def php(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()


@pytest.mark.parametrize(
    ("file", "method", "path", "body"),
    [
        ("projects.create.201.headers.json", "POST", "/projects", {"project_name": "a"}),
        ("messages.send.200.repeated-prompt.headers.json", "POST", MESSAGES, QUESTION),
        ("stream.headers.json", "POST", MESSAGES, {**QUESTION, "stream": 1}),
    ],
)
def test_the_headers_are_the_captured_ones(
    things: Things, file: str, method: str, path: str, body: dict[str, Any]
):
    """Except the server's name, and what says how this connection goes on."""
    captured = {name.lower(): value for name, value in json.loads((SAMPLES / file).read_text()).items()}
    answered = {name.lower(): value for name, value in things.call(method, path, json=body).headers.items()}
    for name in ("server", "date", "connection", "x-ratelimit-remaining"):
        captured.pop(name)
        assert name == "connection" or name in answered
    assert captured.items() <= {"content-encoding": "gzip", **answered}.items()
    assert re.fullmatch(r"\d+", answered["x-ratelimit-remaining"])


def read_events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, data) of each event; of the data alone where only that was published."""
    if text.startswith("{"):
        read = [json.loads(line) for line in text.splitlines()]
        return [(each["status"], each) for each in read]
    blocks = [block.split("\n") for block in text.strip("\n").split("\n\n")]
    assert all(len(block) == 2 for block in blocks)
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


@pytest.mark.parametrize(
    ("file", "switches"),
    [
        ("stream.docs-2024.sse", {}),
        ("stream.fresh.1.sse-data.jsonl", {}),
        ("stream.fresh.2.sse-data.jsonl", {}),
        (
            "stream.repeated-prompt.sse-data.jsonl",
            {"same_prompt_cache": True, "citation_type": "float_string"},
        ),
    ],
)
def test_a_stream_has_the_events_of_the_capture(
    emulator: Emulator, things: Things, file: str, switches: dict[str, Any]
):
    """One start, then progress, then one finish; fresh pieces lead with a space, repeated ones end in one."""
    for name, value in switches.items():
        setattr(emulator.switches, name, value)
    captured = read_events((SAMPLES / file).read_text())
    body = {"prompt": "Hello!" if file == "stream.docs-2024.sse" else QUESTION["prompt"], "stream": 1}
    answered = read_events(things.call("POST", MESSAGES, json=body).text)
    for events in (captured, answered):
        names = [name for name, _ in events]
        assert ["start", *["progress"] * (len(names) - 2), "finish"] == names
        assert names == [data["status"] for _, data in events]
    for index in (0, 1, -1):
        assert [] == Shape(captured[index][1]).differences(answered[index][1])
        assert list(captured[index][1]) == list(answered[index][1])
    for events in (captured, answered):
        pieces = [data["message"] for _, data in events[1:-1]]
        fresh = not switches
        assert fresh == (pieces[0] == "")
        assert all(piece == piece.rstrip(" ") for piece in pieces) if fresh else pieces[0].endswith(" ")


def test_the_documented_stream_is_answered_byte_for_byte(things: Things):
    """Except the id, the date and the session of its own."""
    text = things.call("POST", MESSAGES, json={"prompt": "Hello!", "stream": True}).text
    documented = (SAMPLES / "stream.docs-2024.sse").read_text()
    own = r'"id":\d+,"created_at":"[^"]+","session_id":"[^"]+"'
    assert re.sub(own, "", documented.rstrip("\n")) + "\n\n" == re.sub(own, "", text)


def test_the_documented_chunks_are_answered_in_their_shape(things: Things):
    body = {"messages": [{"role": "user", "content": "Hello!"}], "stream": True}
    text = things.call("POST", "/chat/completions", json=body).text
    documented = (SAMPLES / "openai.chat.completion.chunk.docs-example.sse").read_text()
    first = json.loads(documented.split("\n")[0].removeprefix("data: "))
    *chunks, done, empty = text.split("\n\n")
    assert (["data: [DONE]"], "") == ([done], empty)
    read = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]
    assert all(
        [] == Shape(first, filled={"finish_reason"}, gone={"content"}).differences(each) for each in read
    )
    assert [*[None] * (len(read) - 1), "stop"] == [each["choices"][0]["finish_reason"] for each in read]


ERRORS = json.loads((SAMPLES / "errors.docs-examples.json").read_text())
CREDITS = "429.credits"


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_a_refusal_has_the_documented_words(emulator: Emulator, things: Things, name: str):
    method, path, body = {
        "400": ("GET", "/projects/one", None),
        "401": ("GET", "", None),
        "404.agent": ("GET", "/projects/1", None),
        "404.message": ("GET", MESSAGES + "/1", None),
        "404.page": ("GET", "/citations/1", None),
        CREDITS: ("POST", MESSAGES, QUESTION),
        "501": ("POST", "/chat/completions", {"messages": [{"role": "user", "content": "a"}], "audio": {}}),
        "500": ("GET", "", None),
    }[name]
    if name == "401":
        things.http.headers["Authorization"] = "Bearer wrong"
    elif name == CREDITS:
        emulator.quotas.change(credits=0)
    elif name == "500":
        emulator.faults.error(500, on=None)
    refused = things.call(method, path, json=body)
    assert int(name.partition(".")[0]) == refused.status_code
    assert {**ERRORS[name], "url": refused.url} == refused.json()
    assert list(ERRORS[name]) == list(refused.json())


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "message"),
    [
        ("POST", "/projects", {"json": {}}, 400, "Agent name can't be empty"),
        (
            "POST",
            "/projects",
            {"json": {"project_name": "a", "sitemap_path": ""}},
            400,
            "Sitemap path can't be empty",
        ),
        ("POST", "/sources", {"json": {}}, 400, "Sitemap URL is empty"),
        ("PUT", "/sources/1", {"json": {}}, 404, "Agent source with id 1 not found"),
        ("PUT", "/sources/{upload_id}/instant-sync", {}, 403, "Agent source can't be synced"),
        ("PUT", METADATA, {"json": {"image": "none"}}, 400, "Image must be valid url."),
        (
            "POST",
            "/settings",
            {"files": {"chat_bot_avatar": ("a.txt", b"none")}},
            400,
            "Please upload a valid image file for avatar",
        ),
        (
            "POST",
            "/settings",
            {"files": {"chat_bot_bg": ("a.txt", b"none")}},
            400,
            "Please upload a valid image file for background",
        ),
        ("POST", "/settings", {"data": {"chatbot_msg_lang": ""}}, 400, "Language Proficiency is required."),
        (
            "POST",
            "/pages/{lost_id}/reindex",
            {},
            403,
            "The Document with the id {lost_id} couldn't have been updated",
        ),
    ],
)
def test_what_an_endpoint_refuses_it_refuses_in_the_documented_words(
    things: Things, method: str, path: str, options: dict[str, Any], status: int, message: str
):
    """The vendor's OpenAPI document gives them; a file that was not kept cannot be indexed again."""
    lost = {"file_data_retension": (None, "false"), "file": ("a.md", b"# A\n\nText.")}
    upload = things.call("POST", "/sources", files=lost).json()["data"]
    things.ids |= {"upload_id": upload["id"], "lost_id": upload["pages"][0]["id"]}
    refused = things.call(method, path, **options)
    expected = {"code": status, "message": message.format(**things.ids)}
    assert (status, "error", expected) == (
        refused.status_code,
        refused.json()["status"],
        refused.json()["data"],
    )


def test_a_refusal_without_the_envelope_can_be_ordered(emulator: Emulator, things: Things):
    """The captured refusal to delete somebody else's agent; here there is nobody else."""
    captured = json.loads((SAMPLES / "projects.delete.unauthorized.json").read_text())
    emulator.faults.error(403, body=captured, on=None)
    refused = things.call("DELETE", "")
    assert (403, captured) == (refused.status_code, refused.json())


def test_no_sample_is_left_out():
    apart = {
        "projects.create.201.headers.json",
        "messages.send.200.repeated-prompt.headers.json",
        "stream.headers.json",
        "stream.docs-2024.sse",
        "stream.fresh.1.sse-data.jsonl",
        "stream.fresh.2.sse-data.jsonl",
        "stream.repeated-prompt.sse-data.jsonl",
        "openai.chat.completion.chunk.docs-example.sse",
        "errors.docs-examples.json",
        "projects.delete.unauthorized.json",
    }
    published = {path.name for path in SAMPLES.iterdir()} - {"README.md"}
    assert published == apart | {sample.file for sample in BODIES}


def test_a_repeated_prompt_gets_the_same_message_in_both_forms(emulator: Emulator, things: Things):
    """Captured in 2023: the id of the JSON answer is the stream's."""
    emulator.switches.same_prompt_cache = True
    whole = things.call("POST", MESSAGES, json=QUESTION).json()["data"]
    streamed = read_events(things.call("POST", MESSAGES, json={**QUESTION, "stream": 1}).text)
    assert (whole["id"], whole["created_at"]) == (streamed[-1][1]["id"], streamed[-1][1]["created_at"])
    assert whole["openai_response"] == "".join(data["message"] for _, data in streamed[1:-1])
