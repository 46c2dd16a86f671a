"""What the journal says about requests: which, over which connection, with which end; and never the key."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import aiohttp
import pytest
import requests

from customgpt_emulator import Emulator
from customgpt_emulator.journal.redaction import Redactor
from tests.emulator.conftest import Raw


class TestTheKey:
    def test_is_taken_out_of_every_place_and_the_place_is_told(self, raw: Raw):
        key = raw.emulator.api_key
        raw.call("GET", f"/projects?token={quote(key)}")
        raw.call("GET", f"/projects/{quote(key, safe='')}")
        raw.call("POST", "conversations", json={"name": f"key {key}", "deep": [{key: 1}]})
        raw.call("POST", "conversations", data={"name": key})
        raw.call("POST", "sources", files={"file": ("a.md", f"the key is {key}")})
        raw.call("GET", "/projects", headers={"X-Api-Key": key})
        raw.call("GET", "/projects")
        assert [entry.leaks for entry in raw.emulator.journal] == [
            ("query",),
            ("path",),
            ("body",),
            ("body",),
            ("file file",),
            ("header X-Api-Key",),
            (),
        ]
        told = json.dumps([entry.as_dict() for entry in raw.emulator.journal]) + repr(
            raw.emulator.journal.entries()
        )
        for form in (key, quote(key), key.partition("|")[2]):
            assert form not in told

    def test_is_found_without_its_number_too(self, raw: Raw):
        secret = raw.emulator.api_key.partition("|")[2]
        raw.call("GET", f"/projects?token={secret}")
        (entry,) = raw.emulator.journal
        assert (entry.leaks, entry.query) == (("query",), {"token": "[redacted]"})

    def test_may_be_short(self):
        assert Redactor("test").text("test", found := [], "here") == "[redacted]"
        assert found == ["here"]

    def test_that_is_short_is_no_part_of_other_words(self):
        assert Redactor("test").text("my latest tests", found := [], "here") == "my latest tests"
        assert found == []
        assert Redactor("test").hides("Bearer test")

    def test_is_not_in_what_is_noted_later(self, raw: Raw):
        key = raw.emulator.api_key
        raw.emulator.faults.redirect(f"/elsewhere?key={key}", on="conversations")
        raw.call("GET", "conversations", allow_redirects=False)
        raw.call("GET", f"/{key}")
        assert key.rpartition("|")[2] not in str([entry.as_dict() for entry in raw.emulator.journal])

    @pytest.mark.parametrize("form", ["7|a+b/c d=e%f", "7%7Ca%2Bb/c%20d%3De%25f", "7%7Ca%2Bb%2Fc+d%3De%25f"])
    def test_is_found_as_addresses_and_forms_write_it(self, form: str):
        assert Redactor("7|a+b/c d=e%f").text(f"x={form}", [], "here") == "x=[redacted]"

    def test_may_be_missing(self):
        assert Redactor("").text("anything", found := [], "here") == "anything"
        assert found == []

    def test_tells_who_came_with_it(self, server: Emulator):
        url = f"{server.base_url}/api/v1/projects"
        requests.get(url, headers={"Authorization": f"Bearer {server.api_key}"}, timeout=20)
        requests.get(url, headers={"Authorization": "Bearer wrong"}, timeout=20)
        assert [entry.keyed for entry in server.journal] == [True, False]


class TestWhatItKeeps:
    def test_of_a_body_is_bounded(self, raw: Raw):
        many = {f"name{number}": "x" * 50 for number in range(5_000)}
        raw.call("POST", "conversations", json=many)
        turns = [{"role": "user", "content": f"{n} " + "x" * 20_000} for n in range(40)]
        raw.call("POST", "chat/completions", json={"messages": turns})
        first, second = raw.emulator.journal
        assert 100 < len(first.fields) < 5_000
        assert len(repr(first.fields)) < 100_000
        assert len(repr(second.fields)) < 100_000
        assert (second.prompt or "").startswith("39 ")

    def test_of_all_requests_is_bounded(self, raw: Raw, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("customgpt_emulator.journal.entries.ALL_KEPT", 100_000)
        for _ in range(5):
            raw.call("POST", "conversations", json={"name": "x" * 20_000})
        assert [entry.number for entry in raw.emulator.journal] == [4, 5]
        assert raw.emulator.journal.dropped == 3


class TestQueries:
    def test_find_requests_by_what_they_were(self, raw: Raw):
        first, second = raw.session(), raw.session()
        raw.send("one", first)
        raw.send("two", second, params={"stream": 1})
        raw.call("GET", f"conversations/{second}/messages")
        raw.call("GET", "/projects/7")
        journal = raw.emulator.journal
        assert len(journal.entries("conversations.create")) == 2
        assert len(journal.entries("messages.*")) == 3
        assert [e.prompt for e in journal.entries(session_id=first)] == ["one"]
        assert [e.endpoint for e in journal.entries(method="GET", session_id=second)] == ["messages.list"]
        assert [e.path for e in journal.entries(status=404)] == ["/api/v1/projects/7"]
        assert len(journal.entries(path="/projects/7")) == 1
        assert [e.streamed for e in journal.prompts()] == [False, True]

    def test_know_a_prompt_in_every_form(self, raw: Raw):
        url = f"conversations/{raw.session()}/messages"
        raw.call("POST", url, data={"prompt": "form"})
        raw.call("POST", url, files={"prompt": (None, "multipart")})
        raw.call("POST", url, params={"prompt": "query"})
        messages = [{"role": "user", "content": "first"}, {"role": "user", "content": "openai"}]
        raw.call("POST", "chat/completions", json={"messages": messages})
        raw.call("POST", "chat/completions", json={"messages": "nonsense"})
        found = [entry.prompt for entry in raw.emulator.journal.prompts()]
        assert found == ["form", "multipart", "query", "openai"]

    def test_tell_which_prompts_were_accepted(self, raw: Raw):
        session = raw.session()
        raw.send("answered", session)
        raw.send("streamed", session, params={"stream": 1})
        messages = [{"role": "user", "content": "openai"}]
        raw.call("POST", "chat/completions", json={"messages": messages})
        raw.emulator.faults.rate_limit()
        raw.send("throttled", session)
        raw.emulator.faults.bad_gateway(persist=True)
        raw.send("kept by the service, lost by the gateway", session)
        raw.emulator.faults.bad_gateway(persist=False)
        raw.send("lost by the gateway", session)
        raw.emulator.quotas.credits = 0
        raw.send("not paid for", session)
        raw.emulator.quotas.credits = None
        raw.send("to nobody", "00000000-0000-4000-8000-000000000000")
        raw.send("with a long name", session, params={"external_id": "x" * 129})
        accepted = [entry.prompt for entry in raw.emulator.journal.prompts(accepted=True)]
        assert accepted == ["answered", "streamed", "openai", "kept by the service, lost by the gateway"]
        refused = [entry.prompt for entry in raw.emulator.journal.prompts(accepted=False)]
        assert refused == [
            *("throttled", "lost by the gateway", "not paid for", "to nobody", "with a long name"),
        ]

    def test_know_the_external_id(self, raw: Raw):
        raw.send("x", params={"external_id": "mine"})
        assert raw.emulator.journal.prompts()[0].external_id == "mine"


class TestConnections:
    def test_are_counted_by_their_number(self, raw: Raw):
        for _ in range(3):
            raw.call("GET", "/projects")
        headers = {"Authorization": f"Bearer {raw.emulator.api_key}"}
        requests.get(f"{raw.emulator.base_url}/api/v1/projects", headers=headers, timeout=20)
        assert [entry.connection for entry in raw.emulator.journal] == [1, 1, 1, 2]

    def test_that_are_open_are_counted(self, raw: Raw):
        raw.call("GET", "/projects")
        assert raw.emulator.open_connections == 1
        raw.http.close()
        raw.emulator.journal.wait_for(lambda _: raw.emulator.open_connections == 0)


class TestTheEndOfAnAnswer:
    def test_is_told_before_the_client_can_ask(self, raw: Raw):
        for stream in (0, 1):
            raw.send("Aurora", params={"stream": stream})
            entry = raw.emulator.journal.prompts()[-1]
            assert (entry.status, entry.complete, entry.disconnected) == (200, True, False)

    def test_is_told_of_a_client_that_leaves_a_paced_stream(self, raw: Raw):
        raw.emulator.pacing.change(time_to_first_token=60)
        raw.send("Aurora", params={"stream": 1}, stream=True).close()
        entry = raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
        assert (entry.events_sent, entry.complete) == (1, False)

    def test_is_told_of_a_client_that_leaves_before_a_whole_answer(self, raw: Raw):
        raw.emulator.pacing.change(time_to_first_token=60)
        url = f"{raw.project}/conversations/{raw.session()}/messages"
        with pytest.raises(requests.ReadTimeout):
            raw.http.post(url, json={"prompt": "Aurora"}, timeout=0.05)
        entry = raw.emulator.journal.wait_for(lambda entry: entry.disconnected)
        assert (entry.status, entry.complete) == (None, False)

    async def test_is_told_of_a_cancelled_task(self, server: Emulator):
        server.pacing.change(tokens_per_second=0.01)
        headers = {"Authorization": f"Bearer {server.api_key}"}
        url = f"{server.base_url}/api/v1/projects/{server.project_id}/conversations"
        first = asyncio.Event()

        async def ask(http: aiohttp.ClientSession, session: str) -> None:
            async with http.post(f"{url}/{session}/messages?stream=1", json={"prompt": "Aurora"}) as answer:
                async for _ in answer.content.iter_any():
                    first.set()

        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.post(url, json={"name": "a"}) as made:
                session = (await made.json())["data"]["session_id"]
            task = asyncio.ensure_future(ask(http, session))
            await first.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            entry = await asyncio.to_thread(server.journal.wait_for, lambda entry: entry.disconnected)
        assert entry.prompt == "Aurora"

    def test_that_does_not_come_is_told_after_the_time(self, raw: Raw):
        raw.send("Aurora")
        with pytest.raises(TimeoutError, match=r"within 0\.01 s.*\n.*\n.*#2 POST .*'Aurora': 200"):
            raw.emulator.journal.wait_for(lambda entry: entry.disconnected, timeout=0.01)


class TestMemory:
    def test_keeps_the_newest_and_counts_the_dropped(self, raw: Raw):
        assert raw.emulator.journal._entries.maxlen == 10_000
        journal = raw.emulator.journal
        journal._entries = type(journal._entries)(maxlen=3)
        for number in range(5):
            raw.call("GET", f"/projects/{number}")
        assert [entry.path[-1] for entry in journal] == ["2", "3", "4"]
        assert (len(journal), journal.dropped) == (3, 2)

    def test_cuts_long_texts(self, raw: Raw):
        raw.call("POST", "conversations", json={"name": "x" * 200_000})
        (entry,) = raw.emulator.journal
        assert len(entry.body) == len(entry.fields["name"]) == 65_536

    def test_keeps_of_files_their_names_and_sizes(self, raw: Raw):
        raw.call("POST", "sources", files={"file": ("notes.md", "x" * 100)})
        (entry,) = raw.emulator.journal
        assert entry.fields["file"] == "notes.md (100 bytes)"

    def test_says_it_all_as_json(self, raw: Raw):
        raw.send("Aurora")
        told = json.loads(json.dumps(raw.emulator.journal.prompts()[0].as_dict()))
        assert (told["prompt"], told["status"], told["endpoint"]) == ("Aurora", 200, "messages.send")
