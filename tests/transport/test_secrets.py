"""The key is in one header to one host and nowhere else, and no argument can change where it goes."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import pickle
import traceback
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.traceback import Traceback

from customgpt_transport import AsyncClient, Client, ConfigurationError, CustomGPTError, ProtocolError
from customgpt_transport._wire import conversations, messages
from customgpt_transport._wire.http import path_segment
from tests.transport.scripted import Answer

PROMPT = "When are refunds paid?"
ECHO = {"recovery_patience": 0}
FAULTS = {
    "401 that echoes the key": lambda s: s.faults.error(401, message=f"No such key: {s.api_key}"),
    "500 in HTML that echoes the key": lambda s: s.faults.error(
        500, f"<title>{s.api_key}</title>", content_type="text/html", times=None
    ),
    "422 that echoes the key, escaped for a URL": lambda s: s.faults.error(
        422, {"message": "No.", "errors": {"key": [quote(s.api_key, safe="")]}}
    ),
    "200 of something else that echoes the key": lambda s: s.faults.error(200, f"[key {s.api_key}"),
    "200 in HTML that echoes the key": lambda s: s.faults.error(200, f"<html>{s.api_key}", times=None),
    "error event that echoes the key": lambda s: s.faults.error_event(message=f"Bad key {s.api_key}"),
    "event that echoes the key": lambda s: s.faults.error(200, f'data: {{"key": {s.api_key}\n\n'),
    "cut": lambda s: s.faults.cut_after(events=4),
    "silence": lambda s: s.faults.stall(after_events=4),
    "a redirect that names the key": lambda s: s.faults.redirect(f"https://example.com/?key={s.api_key}"),
    "dropped": lambda s: s.faults.drop_before_answer(),
}


@pytest.mark.parametrize("way", ["ask", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_error_shows_the_key_in_any_way(service, open_door, caplog, fault, way):
    caplog.set_level(logging.DEBUG)
    door = open_door(service, idle_timeout=0.2, **ECHO)
    session = door.call("conversations.create", "x").session_id
    FAULTS[fault](service)
    error = failure(door, way, session)
    assert service.api_key not in everything_about(error)
    assert service.api_key.encode() not in pickle.dumps(error)
    assert service.api_key not in everything_about(pickle.loads(pickle.dumps(error)))
    assert service.api_key not in said(caplog)
    assert "POST /projects/{project_id}/conversations/{session_id}/messages" in said(caplog)


def test_a_crash_reporter_that_renders_locals_does_not_show_the_key(service, open_door):
    with service.faults.refuse():
        error = failure(open_door(service, new_session="uuid"), "ask", None)
    rendered = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    console = Console(file=io.StringIO(), width=400)
    console.print(rendered)
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    assert "options" in shown
    assert service.api_key not in shown + everything_about(error)


def test_clients_and_streams_show_no_key(service, open_door):
    door = open_door(service)
    stream = door.client.stream(PROMPT)
    for shown in (
        door.client,
        door.client.options,
        stream,
        vars(door.client),
        vars(door.client.options),
        vars(stream),
    ):
        assert service.api_key not in repr(shown)
        console = Console(file=io.StringIO(), width=200)
        console.print(shown)
        assert service.api_key not in console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO


def test_nobodys_log_has_the_key_or_the_prompt(service, open_door, caplog):
    caplog.set_level(logging.DEBUG)
    door = open_door(service)
    door.stream(PROMPT)
    message = door.ask(PROMPT)
    door.citations(message)
    assert len(caplog.records) > 4
    assert service.api_key not in said(caplog)
    assert PROMPT not in said(caplog)
    assert message.answer not in said(caplog)


def test_prompts_are_logged_for_who_asks_for_it(service, open_door, caplog):
    caplog.set_level(logging.DEBUG, "customgpt_transport")
    open_door(service, log_prompts=True).ask(PROMPT)
    assert PROMPT in said(caplog)


def test_the_service_finds_the_key_where_it_belongs_only(service, open_door):
    door = open_door(service)
    message = door.ask(PROMPT, files=[("a.txt", b"words")])
    door.citations(message)
    door.call("agents.list")
    assert all(entry.keyed and not entry.leaks for entry in service.journal)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_look_up_is_not_led_to_another_host(service, open_door, status):
    service.faults.redirect(on="agents.get", status=status)
    with pytest.raises(ProtocolError, match="localhost"):
        open_door(service).call("agents.get")
    assert 1 == len(service.journal)


def test_a_look_up_is_led_on_within_its_host(service, open_door):
    there = f"/api/v1/projects/{service.project_id}/stats"
    service.faults.redirect(there, on="agents.get")
    with pytest.raises(CustomGPTError):  # the statistics are no agent
        open_door(service).call("agents.get")
    assert there == list(service.journal)[-1].path
    assert all(entry.keyed for entry in service.journal)


def test_a_circle_of_redirects_ends(service, open_door):
    service.faults.redirect(f"/api/v1/projects/{service.project_id}", on="agents.get", times=None)
    with pytest.raises(ProtocolError, match="302"):
        open_door(service).call("agents.get")
    assert len(service.journal) < 10


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login somebody password else\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def test_a_netrc_entry_does_not_replace_the_key(service, open_door, netrc):
    door = open_door(service)
    assert door.ask(PROMPT).answer
    assert door.stream(PROMPT).error is None
    assert all(entry.keyed for entry in service.journal)


async def test_a_netrc_entry_does_not_replace_the_key_in_a_session_of_the_callers(service, netrc):
    settings = {"api_key": service.api_key, "base_url": service.base_url, "project_id": service.project_id}
    with requests.Session() as session:
        assert Client(session=session, **settings).ask(PROMPT).answer
    async with aiohttp.ClientSession(trust_env=True) as own:  # aiohttp takes the two for a mistake: so do we
        with pytest.raises(ConfigurationError, match="netrc"):
            await AsyncClient(session_factory=lambda: own, **settings).ask(PROMPT)
    assert all(entry.keyed for entry in service.journal)


def test_cookies_are_not_kept(api, open_door):
    answer = Answer(200, b'{"data":{"openai_response":"So.","id":1}}', {"Set-Cookie": "who=you; Path=/"})
    api.on("POST /projects/7/conversations/s/messages", answer)
    door = open_door(api)
    for _ in range(2):
        door.ask(PROMPT, session_id="s")
    assert 2 == len(api.seen)
    assert not any("cookie" in seen.headers for seen in api.seen)


FIT = [
    "a?x=1",
    "a#b",
    "%2e%2e",
    "%2F",
    "a b",
    "a;b=c",
    "a&b",
    "ä",
    "...",
    "~",
    "a:b",
    "@",
    "{project_id}",
    "s" * 512,
]
UNFIT = ["", ".", "..", "../x", "a/b", "a\\b", "a\nb", "a\r\nX: y", "a\0", "\u2028", "\ud800", "s" * 513]


@pytest.mark.parametrize("session_id", FIT, ids=range(len(FIT)))
def test_an_odd_session_id_is_one_segment_of_the_path(api, open_door, session_id):
    door = open_door(api, **ECHO)
    door.stream(PROMPT, session_id=session_id)
    with pytest.raises(CustomGPTError):
        door.ask(PROMPT, session_id=session_id)
    with pytest.raises(CustomGPTError):
        door.call("messages.list", session_id)
    assert 3 == len(api.seen)
    for seen in api.seen:
        assert ["", "projects", "7", "conversations", session_id, "messages"] == [
            unquote(part) for part in seen.path.split("/")
        ]
        assert {"external_id", "stream", "page", "order"} >= set(seen.query)


@pytest.mark.parametrize("session_id", UNFIT, ids=range(len(UNFIT)))
def test_an_unfit_session_id_is_refused_before_any_request(api, open_door, session_id):
    door = open_door(api)
    with pytest.raises(ConfigurationError):
        door.ask(PROMPT, session_id=session_id)
    with pytest.raises(ConfigurationError):
        door.client.stream(PROMPT, session_id=session_id)
    for path, more in (("messages.list", ()), ("conversations.delete", ()), ("conversations.rename", ("x",))):
        with pytest.raises(ConfigurationError):
            door.call(path, session_id, *more)
    assert [] == api.seen


def test_an_external_id_is_one_value_of_the_query(service, open_door):
    from customgpt_transport import PromptSettings

    odd = "a&stream=true#?x=/../ ä%00+\n"
    open_door(service).ask(PROMPT, settings=PromptSettings(external_id=odd, lang="e&n"))
    sent = service.journal.prompts()[0]
    assert {"external_id": odd, "lang": "e&n"} == sent.query
    assert not sent.streamed


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=600) | st.integers() | st.sampled_from(UNFIT + FIT))
def test_any_value_is_one_segment_of_the_path_or_refused(value):
    try:
        segment = path_segment("id", value)
    except ConfigurationError:
        return
    assert unquote(segment) == str(value)
    assert segment.isascii()
    assert not set(segment) & set("/\\?#;&=+ ")
    assert unquote(segment) not in ("", ".", "..")


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_value_changes_the_shape_of_an_address(session_id, text):
    for make, slashes in (
        (lambda: messages.send(1, session_id, "q", {"lang": text}, external_id=text, stream=True), 7),
        (lambda: conversations.rename(1, session_id, text), 6),
        (lambda: conversations.list_page(1, 1, order="asc", name=text), 5),
    ):
        with contextlib.suppress(ConfigurationError):
            parts = urlsplit(make().url("https://app.customgpt.ai/api/v1"))
            assert ("https", "app.customgpt.ai", "") == (parts.scheme, parts.netloc, parts.fragment)
            assert slashes == parts.path.count("/")
            assert parts.path.startswith("/api/v1/projects/1/conversations")


def failure(door, way, session):
    if way == "stream":
        error = door.stream(PROMPT, session_id=session).error
        assert error is not None
        return error
    with pytest.raises(CustomGPTError) as raised:
        door.ask(PROMPT, session_id=session)
    return raised.value


def everything_about(error: BaseException) -> str:
    """Return all that a log, a debugger or a crash reporter can show of an error and its causes."""
    shown, met = io.StringIO(), set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in met:
            continue
        met.add(id(one))
        shown.write(f"{one}\n{one!r}\n{one.args!r}\n{vars(one)!r}\n{json.dumps(vars(one), default=str)}\n")
        shown.writelines(traceback.TracebackException.from_exception(one, capture_locals=True).format())
        waiting += [one.__cause__, one.__context__]
    return shown.getvalue()


def said(caplog) -> str:
    return "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
