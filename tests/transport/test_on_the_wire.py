"""What goes over the wire, and what never does, through both clients."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace

import pytest

from customgpt_transport import (
    AsyncClient,
    Client,
    ConfigurationError,
    CustomGPTError,
    PromptSettings,
    ProtocolError,
    ServerError,
)
from customgpt_transport._wire.http import path_segment, request
from tests.transport.scripted import Answer, Call, ScriptedAPI

SEND = "POST /projects/7/conversations/s/messages"
MESSAGE = {"id": 9, "user_query": "Why?", "openai_response": "Because.", "citations": None}


def use(call: Call, **options: object) -> None:
    """Change the client's options, except for its clock."""
    call.client.options = replace(call.client.options, **options)


class TestWhatIsSent:
    def test_a_prompt_is_json_with_only_what_was_given(self, api: ScriptedAPI, call: Call):
        api.data(SEND, MESSAGE)
        settings = PromptSettings(lang="de", custom_persona="Curt.", external_id="x")
        call(lambda c: c.ask("Wieso? ü\ud83d", session_id="s", settings=settings))
        sent = api.seen[0]
        assert {"prompt": "Wieso? ü\ud83d", "custom_persona": "Curt."} == sent.json
        assert {"lang": "de", "external_id": "x"} == sent.query
        assert "application/json" == sent.headers["content-type"] == sent.headers["accept"]
        assert "cache-control" not in sent.headers
        assert "cookie" not in sent.headers

    def test_labels_are_a_list_in_json_and_numbered_fields_in_a_form(self, api: ScriptedAPI, call: Call):
        settings = PromptSettings(labels=["a", ("b", "c")])
        for files in ((), [("note.txt", b"Note.")]):
            api.data(SEND, MESSAGE)
            call(lambda c, f=files: c.ask("Why?", session_id="s", settings=settings, files=f))
        assert ["a", ["b", "c"]] == api.seen[0].json["labels"]
        form = api.seen[1].fields
        assert ["a", "b", "c"] == [form[name] for name in ("labels[0]", "labels[1][0]", "labels[1][1]")]
        with pytest.raises(ConfigurationError, match="labels"):
            call(lambda c: c.ask("Why?", session_id="s", settings=PromptSettings(labels="a")))

    def test_the_user_agent_names_package_python_library_and_adapter(self, api: ScriptedAPI, call: Call):
        use(call, adapter="langchain-customgpt/0.1.0")
        api.data("GET /user", {"id": 1})
        call(lambda c: c.user.get())
        library = "requests/" if call._loop is None else "aiohttp/"
        words = api.seen[0].headers["user-agent"].split()
        assert ["customgpt-adapters/", "python/3.", library] == [
            word[: len(start)]
            for word, start in zip(words, ("customgpt-adapters/", "python/3.", library), strict=False)
        ]
        assert "langchain-customgpt/0.1.0" == words[-1]

    def test_the_key_goes_in_one_header_whatever_netrc_says(self, api, call, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password pw\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        api.data("GET /user", {"id": 1})
        call(lambda c: c.user.get())
        assert f"Bearer {api.api_key}" == api.seen[0].headers["authorization"]

    def test_cookies_are_not_kept(self, api: ScriptedAPI, call: Call):
        api.on(
            "GET /user", Answer(200, b'{"data":{"id":1},"status":"success"}', {"Set-Cookie": "a=b; Path=/"})
        )
        call(lambda c: c.user.get())
        call(lambda c: c.user.get())
        assert "cookie" not in api.seen[1].headers

    def test_with_uuids_a_new_conversation_costs_no_call(self, api: ScriptedAPI, call: Call):
        use(call, new_session="uuid")
        with pytest.raises(CustomGPTError):
            call(lambda c: c.ask("Why?"))
        (line,) = api.lines()
        assert line.startswith("POST /projects/7/conversations/")
        assert line.endswith("/messages")


class TestValuesFromCallers:
    @pytest.mark.parametrize(
        "value", ["", ".", "..", "../x", "a/b", "a\\b", "a\nb", "a\x00", "a\u2028", "x" * 513]
    )
    def test_what_could_change_the_path_is_refused_before_any_request(self, api, call, value):
        with pytest.raises(ConfigurationError):
            call(lambda c: c.messages.get(value, 5))
        with pytest.raises(ConfigurationError):
            call(lambda c: c.ask("Why?", session_id=value))
        assert [] == api.lines()

    @pytest.mark.parametrize("value", ["a?b=c", "a#b", "a b", "%2e%2e", "%2F..", "é", "a;b", "a%", "a&b"])
    def test_anything_else_stays_one_segment(self, api: ScriptedAPI, call: Call, value):
        with pytest.raises(CustomGPTError):
            call(lambda c: c.messages.get(value, 5))
        assert f"/projects/7/conversations/{path_segment('session_id', value)}/messages/5" == api.seen[0].path
        assert {} == api.seen[0].query

    @pytest.mark.parametrize("value", ["a&order=asc", "a#b", "../x", "a\nb: c", "é=?"])
    def test_a_query_value_stays_one_value(self, api: ScriptedAPI, call: Call, value):
        api.data("GET /projects/7/conversations", {"data": [], "current_page": 1, "last_page": 1})
        call(lambda c: c.conversations.list(name=value))
        assert {"page": "1", "order": "desc", "name": value} == api.seen[0].query

    def test_none_is_left_out_and_booleans_are_words(self):
        made = request("GET", "/x", query={"a": None, "b": True, "c": 0})
        assert "https://h/x?b=true&c=0" == made.url("https://h")


class TestRedirects:
    def test_a_get_is_led_on_within_its_origin(self, api: ScriptedAPI, call: Call):
        api.on("GET /user", Answer(302, b"", {"Location": "/api/v1/me"}))
        api.data("GET /me", {"id": 3})
        assert 3 == call(lambda c: c.user.get()).id
        assert all("authorization" in seen.headers for seen in api.seen)

    @pytest.mark.parametrize(
        "target", ["http://localhost:1/x", "https://elsewhere.test/", "//elsewhere.test/x"]
    )
    def test_a_get_is_not_led_elsewhere(self, api: ScriptedAPI, call: Call, target):
        api.on("GET /user", Answer(302, b"", {"Location": target}))
        with pytest.raises(ProtocolError, match="points to"):
            call(lambda c: c.user.get())
        assert 1 == len(api.seen)

    def test_a_get_is_not_led_to_an_address_with_user_info(self, api: ScriptedAPI, call: Call):
        api.on(
            "GET /user", Answer(302, b"", {"Location": api.base_url.replace("//", "//u:p@") + "/api/v1/me"})
        )
        with pytest.raises(ProtocolError, match="points to"):
            call(lambda c: c.user.get())
        assert 1 == len(api.seen)

    def test_a_get_is_not_led_in_circles(self, api: ScriptedAPI, call: Call):
        api.on("GET /user", Answer(302, b"", {"Location": "/api/v1/user"}))
        with pytest.raises(ProtocolError):
            call(lambda c: c.user.get())
        assert 5 == len(api.seen)


class TestRepeating:
    def test_a_delete_that_was_repeated_takes_404_for_success(self, api: ScriptedAPI, call: Call):
        line = "DELETE /projects/7/conversations/s"
        api.on(line, Answer(drop=True), Answer(404, b"{}"))
        call(lambda c: c.conversations.delete("s"))
        assert [line, line] == api.lines()

    def test_a_delete_of_what_never_was_is_not_found(self, api: ScriptedAPI, call: Call):
        with pytest.raises(CustomGPTError, match="404"):
            call(lambda c: c.conversations.delete("s"))

    def test_a_create_is_not_repeated_and_the_error_names_what_may_exist(self, api: ScriptedAPI, call: Call):
        api.on("POST /projects", Answer(500, b""))
        with pytest.raises(ServerError, match="may have been carried out"):
            call(lambda c: c.agents.create(name="x", sitemap_path="https://h.test/sitemap.xml"))
        assert 1 == len(api.seen)

    def test_the_retries_are_counted_on_the_message(self, api: ScriptedAPI, call: Call):
        api.on(SEND, Answer(429, b"{}", {"Retry-After": "3"}))
        api.data(SEND, MESSAGE)
        assert 1 == call(lambda c: c.ask("Why?", session_id="s")).retries
        assert [3] == call.naps


class TestHooksAndLogs:
    def test_hooks_hear_of_every_attempt(self, api: ScriptedAPI, call: Call):
        heard: list[object] = []
        use(call, on_request=heard.append, on_response=heard.append, on_retry=heard.append)
        api.on("GET /user", Answer(503, b""))
        api.data("GET /user", {"id": 1})
        call(lambda c: c.user.get())
        assert ["RequestInfo", "ResponseInfo", "RetryInfo", "RequestInfo", "ResponseInfo"] == [
            type(one).__name__ for one in heard
        ]
        assert [503, 200] == [one.status for one in heard if hasattr(one, "status")]
        assert [1, 1, 1, 2, 2] == [one.attempt for one in heard]
        assert {"/user"} == {one.path for one in heard}

    def test_a_hook_that_raises_does_not_cost_the_answer(self, api, call, caplog):
        use(call, on_request=lambda info: 1 / 0)
        api.data("GET /user", {"id": 1})
        assert 1 == call(lambda c: c.user.get()).id
        assert "ZeroDivisionError" in caplog.text

    def test_debug_lines_have_no_key_and_no_prompt_unless_asked(self, api, call, caplog):
        caplog.set_level(logging.DEBUG)
        api.data(SEND, MESSAGE)
        call(lambda c: c.ask("My secret question", session_id="s"))
        assert "POST /projects/{project_id}/conversations/{session_id}/messages -> 200" in caplog.text
        assert "attempt 1" in caplog.text
        assert "secret question" not in caplog.text
        use(call, log_prompts=True)
        call(lambda c: c.ask("My secret question", session_id="s"))
        assert "secret question" in caplog.text
        assert api.api_key not in caplog.text

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(drop=True), Answer(500, b"key: 1|scripted"), Answer(401, b'{"message":"1|scripted no"}'),
            Answer(200, b"<html>1|scripted</html>"), Answer(302, b"", {"Location": "https://x.test/?k=1"}),
            Answer(200, b'{"data":', cut_after=4),
        ],
    )  # fmt: skip
    def test_the_key_is_in_no_error_even_with_the_locals_of_every_frame(self, api, call, answer):
        use(call, recovery_patience=0)
        api.on(SEND, answer)
        with pytest.raises(CustomGPTError) as caught:
            call(lambda c: c.ask("Why?", session_id="s"))
        error: BaseException | None = caught.value
        while error is not None:
            assert api.api_key not in ours(error)
            assert api.api_key not in f"{error} {error!r} {vars(error)}"
            error = error.__cause__ or error.__context__

    @pytest.mark.parametrize("client", [Client, AsyncClient])
    def test_the_key_is_not_among_the_locals_of_a_client_that_could_not_be_made(self, client):
        with pytest.raises(ConfigurationError) as caught:
            client(api_key="1|SeCrEt", base_url="nonsense")
        assert "SeCrEt" not in ours(caught.value)


def ours(error: BaseException) -> str:
    """Return every frame of an error with its locals, as crash reporters show them, but the tests' own."""
    frames = traceback.StackSummary.extract(
        ((f, n) for f, n in traceback.walk_tb(error.__traceback__) if "/tests/" not in f.f_code.co_filename),
        capture_locals=True,
    )
    assert frames
    return "".join(frames.format())
