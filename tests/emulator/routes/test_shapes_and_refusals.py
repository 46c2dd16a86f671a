"""One question, asked over plain HTTP: the shapes, headers and refusals that were documented or captured."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path

import aiohttp
import pytest
import requests

from customgpt_emulator import Emulator
from tests.emulator.conftest import Raw


def events(body: str) -> list[tuple[str, dict[str, object]]]:
    blocks = [block.split("\n") for block in body.removesuffix("\n\n").split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


class TestTheKey:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/projects"),
            ("POST", "/api/v1/projects"),
            ("GET", "/"),
            ("GET", "/api/v1/preview/12001"),
        ],
    )
    @pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic x", "Bearer ", "Bearer é"])
    def test_is_asked_for_everywhere(
        self, server: Emulator, method: str, path: str, authorization: str | None
    ):
        headers = {"Authorization": authorization.encode()} if authorization else {}
        answer = requests.request(method, server.base_url + path, headers=headers, timeout=20)
        assert answer.status_code == 401
        assert answer.json() == {
            "status": "error",
            "url": server.base_url + path,
            "data": {"code": 401, "message": "API Token is either missing or invalid"},
        }

    def test_is_not_kept_in_the_journal(self, server: Emulator, raw: Raw):
        raw.call("GET", "/projects")
        assert server.journal.entries()[-1].headers["Authorization"] == "[redacted]"
        assert server.api_key not in repr(server.journal.entries())


class TestAnswering:
    def test_an_answer_quotes_the_documents_and_cites_their_pages(self, raw: Raw):
        message = raw.send("How much does the Aurora cost?").json()["data"]
        assert "| Aurora | 120 euros |" in message["openai_response"]
        (citation,) = message["citations"]
        assert raw.call("GET", f"citations/{citation}").json()["data"] == {
            "id": citation,
            "url": "https://shop.example/prices",
            "title": "Prices",
            "description": "What our lamps cost.",
            "image": None,
        }

    def test_a_file_without_an_address_is_cited_by_its_preview(self, raw: Raw, handbook: Path):
        message = raw.send("How are purchases with a gift card refunded?").json()["data"]
        citation = raw.call("GET", f"citations/{message['citations'][0]}").json()["data"]
        assert citation["url"] == f"{raw.emulator.base_url}/api/v1/preview/{citation['id']}"
        assert raw.http.get(citation["url"], timeout=20).content == (handbook / "refunds.md").read_bytes()

    def test_what_is_in_no_document_is_not_known(self, raw: Raw):
        message = raw.send("zebra quagga").json()["data"]
        assert message["openai_response"] == "I'm sorry, I don't know the answer"
        assert message["citations"] is None

    def test_a_follow_up_leans_on_the_prompt_before(self, raw: Raw):
        session = raw.session()
        first = raw.send("How much does the Comet cost?", session).json()["data"]
        second = raw.send("And why is that?", session).json()["data"]
        assert first["citations"] == second["citations"]
        assert raw.send("And why is that?").json()["data"]["citations"] is None

    def test_a_prompt_of_its_own_does_not_lean_on_the_one_before(self, raw: Raw):
        session = raw.session()
        raw.send("How much does the Comet cost?", session)
        assert raw.send("zebra quagga", session).json()["data"]["citations"] is None

    @pytest.mark.parametrize(
        "prompt",
        ['"', "NEAR(a b)", "text:lamp OR *", "a" * 100_000, "\x00\ud800", "^lamp -shade", "💡", "'); --"],
    )
    def test_no_prompt_is_read_as_query_syntax(self, raw: Raw, prompt: str):
        session = raw.session()
        body = json.dumps({"prompt": prompt}).encode()
        answer = raw.call("POST", f"conversations/{session}/messages", data=body)
        assert answer.status_code == 200, answer.text


class TestStreaming:
    @pytest.mark.parametrize("value", ["true", "1", "True", "on"])
    def test_is_asked_for_in_the_query(self, raw: Raw, value: str):
        answer = raw.send("Aurora", params={"stream": value})
        assert answer.headers["Content-Type"] == "text/event-stream; charset=UTF-8"

    @pytest.mark.parametrize("value", [True, 1, "1", "true"])
    def test_is_asked_for_in_the_body(self, raw: Raw, value: object):
        path = f"conversations/{raw.session()}/messages"
        answer = raw.call("POST", path, json={"prompt": "Aurora", "stream": value})
        assert events(answer.text)[0] == ("start", {"status": "start", "prompt": "Aurora"})

    @pytest.mark.parametrize("value", ["false", "0", ""])
    def test_is_not_asked_for_by_a_no(self, raw: Raw, value: str):
        answer = raw.send("Aurora", params={"stream": value}, headers={"Accept": "text/event-stream"})
        assert answer.headers["Content-Type"] == "application/json"

    def test_a_greeting_is_streamed_as_the_vendor_documents_it(self, raw: Raw):
        session = raw.session()
        body = raw.send("Hello!", session, params={"stream": "true"}).text
        message = raw.call("GET", f"conversations/{session}/messages").json()["data"]["messages"]["data"][0]
        tokens = ["", "Hello", "!", " How", " can", " I", " assist", " you", " today", "?"]
        expected = 'event: start\ndata: {"status":"start","prompt":"Hello!"}\n\n'
        for token in tokens:
            expected += f'event: progress\ndata: {{"status":"progress","message":"{token}"}}\n\n'
        expected += (
            f'event: finish\ndata: {{"status":"finish","id":{message["id"]},'
            f'"created_at":"{message["created_at"]}","session_id":"{session}","citations":null}}\n\n'
        )
        assert body == expected

    def test_the_pieces_make_the_stored_answer(self, raw: Raw):
        session = raw.session()
        streamed = events(raw.send("May I use water to clean the shade?", session, params={"stream": 1}).text)
        stored = raw.call("GET", f"conversations/{session}/messages/{streamed[-1][1]['id']}").json()["data"]
        assert "".join(str(data.get("message", "")) for _, data in streamed) == stored["openai_response"]
        assert streamed[-1][1]["citations"] == stored["citations"]

    def test_each_event_is_a_chunk_of_its_own(self, raw: Raw):
        answer = raw.send("Hello!", params={"stream": "true"}, stream=True)
        chunks = list(answer.iter_content(None))
        assert all(chunk.startswith(b"event: ") and chunk.endswith(b"\n\n") for chunk in chunks)
        assert len(chunks) == 12

    async def test_from_a_loop_of_the_callers_own(self, server: Emulator):
        headers = {"Authorization": f"Bearer {server.api_key}"}
        project = f"{server.base_url}/api/v1/projects/{server.project_id}"
        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.post(f"{project}/conversations", json={"name": "a"}) as made:
                session = (await made.json())["data"]["session_id"]
            url = f"{project}/conversations/{session}/messages?stream=true"
            async with http.post(url, json={"prompt": "Aurora"}) as answer:
                assert events(await answer.text())[-1][0] == "finish"


class TestHeadersAndBytes:
    def test_json_has_escaped_slashes_and_no_spaces(self, raw: Raw):
        body = raw.call("GET", "/projects").text
        assert '"path":"http:\\/\\/127.0.0.1' in body
        assert body.endswith('},"status":"success"}')

    def test_the_captured_headers_are_there(self, raw: Raw):
        for answer in (raw.call("GET", "/projects"), raw.send("Aurora", params={"stream": 1})):
            assert answer.headers["Cache-Control"] == "no-cache, private"
            assert answer.headers["X-RateLimit-Limit"] == "60"
            assert answer.headers["X-RateLimit-Remaining"] == "59"
            assert answer.headers["Transfer-Encoding"] == "chunked"

    def test_json_is_gzipped_for_those_who_take_it(self, raw: Raw):
        assert raw.call("GET", "/projects").headers["Content-Encoding"] == "gzip"
        plain = raw.call("GET", "/projects", headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers

    def test_dates_are_as_captured(self, raw: Raw):
        created = raw.call("GET", "").json()["data"]["created_at"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000Z", created)


class TestConversations:
    def test_are_created_listed_renamed_and_deleted(self, raw: Raw):
        session = raw.session("first")
        renamed = raw.call("PUT", f"conversations/{session}", json={"name": "second"})
        assert renamed.status_code == 200
        listed = raw.call("GET", "conversations").json()["data"]
        assert [row["name"] for row in listed["data"]] == ["second"]
        assert raw.call("DELETE", f"conversations/{session}").json()["data"] == {"deleted": True}
        assert raw.call("GET", f"conversations/{session}/messages").status_code == 404

    def test_messages_are_listed_newest_first_twenty_to_a_page(self, raw: Raw):
        session = raw.session()
        for number in range(21):
            raw.send(f"prompt {number}", session)
        data = raw.call("GET", f"conversations/{session}/messages?page=1&order=desc").json()["data"]
        assert data["conversation"]["session_id"] == session
        first = data["messages"]
        assert first["data"][0]["user_query"] == "prompt 20"
        assert (first["total"], first["per_page"], first["last_page"], first["to"]) == (21, 20, 2, 20)
        assert first["next_page_url"].endswith("/messages?page=2&order=desc")
        oldest = raw.http.get(first["next_page_url"], timeout=20).json()["data"]["messages"]
        assert [row["user_query"] for row in oldest["data"]] == ["prompt 0"]
        assert oldest["next_page_url"] is None

    def test_an_external_id_is_given_back(self, raw: Raw):
        message = raw.send("Aurora", params={"external_id": "mine"}).json()["data"]
        assert message["metadata"]["external_id"] == "mine"


class TestRefusals:
    def test_an_unknown_agent(self, raw: Raw):
        answer = raw.call("GET", "/projects/7")
        assert (answer.status_code, answer.json()["data"]["message"]) == (404, "Agent with id 7 not found")

    def test_an_agent_id_that_is_no_integer(self, raw: Raw):
        answer = raw.call("GET", "/projects/seven/conversations")
        assert (answer.status_code, answer.json()["data"]["message"]) == (400, "Agent id must be integer")

    def test_an_unknown_conversation(self, raw: Raw):
        assert raw.send("x", "0a6b9b3c-0000-4000-8000-000000000000").status_code == 404

    @pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"prompt": "  "}, {"message": "hello"}])
    def test_a_missing_prompt(self, raw: Raw, body: dict[str, str]):
        answer = raw.call("POST", f"conversations/{raw.session()}/messages", json=body)
        assert answer.status_code == 422
        text = "The prompt field is required."
        assert answer.json() == {"message": text, "errors": {"prompt": [text]}}

    def test_what_is_not_covered_says_so(self, raw: Raw):
        answer = raw.call("GET", "/somewhere/else")
        assert answer.status_code == 501
        assert "not covered" in answer.json()["data"]["message"]

    def test_a_method_that_a_path_does_not_have(self, raw: Raw):
        assert raw.call("PATCH", "/projects").status_code == 405


class TestTheServerInItsThread:
    def test_a_missing_folder_is_named(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
            Emulator(documents=tmp_path / "nowhere").start()

    def test_a_file_in_place_of_a_folder_is_named(self, handbook: Path):
        with pytest.raises(NotADirectoryError, match=r"refunds\.md is a file"):
            Emulator(documents=handbook / "refunds.md").start()

    def test_what_was_skipped_is_listed_with_the_reason(self, handbook: Path):
        (handbook / "logo.png").write_bytes(b"\x89PNG")
        (handbook / "empty.md").write_text("")
        with Emulator(documents=handbook) as emulator:
            skipped = {item.path: item.reason for item in emulator.skipped}
        assert skipped == {"empty.md": "it has no text", "logo.png": ".png is not supported"}

    def test_starting_and_closing_twice_is_the_same_as_once(self, handbook: Path):
        emulator = Emulator(documents=handbook)
        assert emulator.start() is emulator
        address = emulator.base_url
        emulator.start()
        assert emulator.base_url == address
        emulator.close()
        emulator.close()
        assert "customgpt-emulator" not in [thread.name for thread in threading.enumerate()]
        with pytest.raises(RuntimeError, match="not running"):
            _ = emulator.base_url

    def test_a_taken_port_is_an_error_of_start(self, handbook: Path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            emulator = Emulator(documents=handbook, port=taken.getsockname()[1])
            with pytest.raises(OSError, match="address already in use"):
                emulator.start()
        assert "customgpt-emulator" not in [thread.name for thread in threading.enumerate()]

    def test_a_reset_leaves_only_the_documents(self, raw: Raw):
        session = raw.session()
        before = raw.send("Aurora", session).json()["data"]
        raw.emulator.reset()
        assert len(raw.emulator.journal) == 0
        assert raw.call("GET", "conversations").json()["data"]["total"] == 0
        again = raw.send("Aurora").json()["data"]
        assert (before["id"], before["citations"]) == (again["id"], again["citations"])

    def test_the_journal_keeps_prompts_in_order(self, raw: Raw):
        raw.send("one")
        raw.send("two", params={"stream": 1})
        assert [entry.prompt for entry in raw.emulator.journal.prompts()] == ["one", "two"]
        assert [entry.status for entry in raw.emulator.journal.prompts()] == [200, 200]
