"""Whatever comes over the socket is answered, and never with a 500: bytes that no decent client sends."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator, Switches
from customgpt_emulator.knowledge.retrieval import greeting
from customgpt_emulator.serving.pacing import Pacing
from tests.emulator.conftest import Raw

PROMPT = "How much does the Aurora cost?"


def talk(server: Emulator, head: bytes, body: bytes = b"", *, key: bool = True) -> bytes:
    """Everything that comes until the connection ends."""
    port = int(server.base_url.rpartition(":")[2])
    lines = [head, b"Host: 127.0.0.1:%d" % port, b"Connection: close"]
    if key:
        lines.append(b"Authorization: Bearer " + server.api_key.encode())
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        got = b""
        while chunk := client.recv(65536):
            got += chunk
        return got


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def form(field: bytes, filename: bytes) -> bytes:
    return (
        b'--x\r\nContent-Disposition: form-data; name="' + field + b'"; filename="' + filename + b'"\r\n'
        b"Content-Type: text/plain\r\n\r\nTulips are red.\r\n--x--\r\n"
    )


DEEP = b'{"prompt":' + b"[" * 600 + b"]" * 600 + b"}"
MULTIPART = b"Content-Type: multipart/form-data; boundary=x"
JSON = b"Content-Type: application/json"


class TestAStrangeRequest:
    @pytest.mark.parametrize(
        ("head", "body", "expected"),
        [
            (b"POST {messages} HTTP/1.1\r\nUser-Agent: \xff\r\n" + JSON, b'{"prompt":"Aurora"}', 200),
            (b"POST {messages} HTTP/1.1\r\n" + JSON, DEEP, 422),
            (b"POST {messages} HTTP/1.1\r\n" + JSON, b'{"prompt":"a","x":' + DEEP + b"}", 422),
            (b"POST {messages} HTTP/1.1\r\nContent-Encoding: gzip\r\n" + JSON, b'{"prompt":"a"}', 400),
            (b"POST {messages} HTTP/1.1\r\nContent-Encoding: deflate\r\n" + JSON, b'{"prompt":"a"}', 400),
            (b"POST {sources} HTTP/1.1\r\n" + MULTIPART, form(b"file", b"\xff.txt"), 201),
            (b"POST {sources} HTTP/1.1\r\n" + MULTIPART, form(b"\xff", b"a.txt"), 400),
            (b"POST {messages} HTTP/1.1\r\n" + MULTIPART, form(b"file", b"\xff.txt"), 422),
            (b"GET / HTTP/1.1\r\nAccept: text/html\r\nCookie: customgpt_emulator_{port}=\xff", b"", 401),
            (b"GET /?key=%FF HTTP/1.1\r\nAccept: text/html", b"", 401),
            (b"GET {project}/conversations/%FF/messages HTTP/1.1", b"", 404),
            (b"POST {settings} HTTP/1.1\r\n" + JSON, b'{"enable_citations":NaN}', 400),
            (b"POST {settings} HTTP/1.1\r\n" + JSON, b'{"enable_citations":1e999}', 400),
            (b"POST {settings} HTTP/1.1\r\n" + JSON, b'{"enable_citations":2.7}', 400),
            (b"POST {settings} HTTP/1.1\r\n" + JSON, b'{"enable_citations":2.0}', 200),
            (b"POST {settings} HTTP/1.1\r\n" + JSON, b'{"conversation_retention_days":-1e999}', 400),
            (
                b"POST {settings} HTTP/1.1\r\n" + JSON,
                b'{"conversation_retention_days":"' + b"9" * 5000 + b'"}',
                400,
            ),
        ],
    )
    def test_is_answered(self, raw: Raw, head: bytes, body: bytes, expected: int):
        server = raw.emulator
        project = f"/api/v1/projects/{server.project_id}"
        words = {
            "project": project,
            "messages": f"{project}/conversations/{raw.session()}/messages",
            "sources": f"{project}/sources",
            "settings": f"{project}/settings",
            "port": server.base_url.rpartition(":")[2],
        }
        for name, value in words.items():
            head = head.replace(b"{%s}" % name.encode(), value.encode())
        assert status(talk(server, head, body)) == expected


class TestAnHttp10Client:
    def test_gets_json_that_ends_with_the_connection(self, server: Emulator):
        answer = talk(server, b"GET /api/v1/projects HTTP/1.0")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status(answer) == 200
        assert b"chunked" not in head
        assert json.loads(body)["status"] == "success"

    def test_gets_a_refusal_without_a_key(self, server: Emulator):
        assert status(talk(server, b"GET /api/v1/projects HTTP/1.0", key=False)) == 401

    @pytest.mark.parametrize("fault", [False, True])
    def test_gets_a_stream_that_ends_with_the_connection(self, raw: Raw, fault: bool):
        if fault:
            raw.emulator.faults.unknown_fields()
        path = f"/api/v1/projects/{raw.emulator.project_id}/conversations/{raw.session()}/messages?stream=1"
        head = f"POST {path} HTTP/1.0\r\n".encode() + JSON
        answer = talk(raw.emulator, head, json.dumps({"prompt": PROMPT}).encode())
        shown, _, body = answer.partition(b"\r\n\r\n")
        assert b"chunked" not in shown
        assert body.startswith(b"event: start\n")
        assert body.endswith(b"}\n\n")
        assert b"event: finish" in body
        assert raw.emulator.journal.prompts()[0].complete


class TestWhatGoesAwayMeanwhile:
    """A paced answer is on its way; its conversation, or its agent, is deleted, or all is reset."""

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("what", ["conversation", "agent", "all"])
    def test_is_not_a_crash(self, raw: Raw, stream: bool, what: str):
        session = raw.session()
        raw.emulator.faults.stall(1 if stream else 0) if stream else None
        answers: list[Any] = []
        done = self.ask_elsewhere(raw, session, stream, answers)
        raw.emulator.journal.wait_for(lambda entry: entry.prompt == PROMPT)
        if what == "conversation":
            raw.call("DELETE", f"conversations/{session}")
        elif what == "agent":
            raw.call("DELETE", f"/projects/{raw.emulator.project_id}")
        else:
            raw.emulator.reset()
        raw.emulator.faults.release()
        done()
        assert answers in ([404], ["broken off"])
        assert (answers == ["broken off"]) is stream

    def ask_elsewhere(self, raw: Raw, session: str, stream: bool, answers: list[Any]) -> Callable[[], None]:
        from threading import Thread

        if not stream:
            raw.emulator.pacing.change(time_to_first_token=0.3)
        url = f"{raw.project}/conversations/{session}/messages"

        def ask() -> None:
            headers = {"Authorization": f"Bearer {raw.emulator.api_key}"}
            with requests.Session() as http:
                try:
                    answer = http.post(
                        url, json={"prompt": PROMPT, "stream": stream}, headers=headers, timeout=20
                    )
                    answers.append(answer.status_code)
                except requests.exceptions.ChunkedEncodingError:
                    answers.append("broken off")

        thread = Thread(target=ask)
        thread.start()
        return lambda: thread.join(20)


def test_eight_prompts_with_files_to_one_new_conversation_are_all_answered(handbook: Path):
    from concurrent.futures import ThreadPoolExecutor

    with Emulator(handbook, switches=Switches(unknown_session="create")) as emulator:
        url = f"{emulator.base_url}/api/v1/projects/{emulator.project_id}/conversations"
        url += "/0b7f1b9c-5c39-4a7c-9f0c-6a3a5f1d2e11/messages"

        def ask(_: int) -> int:
            answer = requests.post(
                url,
                data={"prompt": PROMPT},
                files={"file": ("a.txt", b"Tulips are red.")},
                headers={"Authorization": f"Bearer {emulator.api_key}"},
                timeout=20,
            )
            return answer.status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(8))) == {200}


class TestWhatNoFaultCanDo:
    @pytest.mark.parametrize(
        ("verb", "arguments"),
        [
            ("rate_limit", {"retry_after": "1\r\nX: y"}),
            ("error", {"retry_after": "1\n"}),
            ("error", {"content_type": "a\nb"}),
            ("wrong_content_type", {"content_type": "a\rb"}),
            ("redirect", {"location": "http://x/\n"}),
            ("huge_event", {"size": 10**12}),
            ("delay", {"seconds": 1e308}),
            ("refuse", {"seconds": float("inf")}),
            ("slow", {"seconds": float("nan")}),
        ],
    )
    def test_is_refused_when_it_is_ordered(self, server: Emulator, verb: str, arguments: dict[str, Any]):
        with pytest.raises(ValueError, match=f"^{verb}: "):
            getattr(server.faults, verb)(**arguments)
        assert not server.faults.pending

    @pytest.mark.parametrize(
        "values",
        [
            {"tokens_per_second": 5e-324},
            {"tokens_per_second": float("inf")},
            {"time_to_first_token": 1e308},
        ],
    )
    def test_nor_the_pace(self, values: dict[str, float]):
        with pytest.raises(ValueError, match="must be a number"):
            Pacing(**values)


class TestASwitch:
    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("unknown_session", "creat", "must be '404' or 'create', not 'creat'"),
            ("keep_alive_seconds", 0, "above 0, or None"),
            ("keep_alive_seconds", float("nan"), "above 0, or None"),
            ("readiness_delay", -1, "0 or more"),
            ("readiness_delay", None, "0 or more"),
            ("stats_keys", True, "7 or 8"),
            ("same_prompt_cache", "no", "True or False"),
        ],
    )
    def test_has_values_of_its_own(self, name: str, value: Any, words: str):
        with pytest.raises(ValueError, match=words):
            Switches(**{name: value})
        with pytest.raises(ValueError, match=words):
            setattr(Switches(), name, value)

    def test_that_does_not_exist_cannot_be_turned(self):
        with pytest.raises(
            AttributeError, match="there is no switch 'strict_names'; the switches are unknown_session"
        ):
            Switches().strict_names = True  # type: ignore[attr-defined]  # the mistake that is tested


class TestSmallPrint:
    @pytest.mark.parametrize("accepted", ["gzip;q=0", "identity, GZIP; q=0.0", "br"])
    def test_gzip_that_is_not_wanted_does_not_come(self, raw: Raw, accepted: str):
        answer = raw.call("GET", "conversations", headers={"Accept-Encoding": accepted})
        assert "Content-Encoding" not in answer.headers

    def test_a_stream_of_null_in_the_body_does_not_hide_the_one_in_the_query(self, raw: Raw):
        url = f"conversations/{raw.session()}/messages"
        answer = raw.call("POST", url, params={"stream": "true"}, json={"prompt": PROMPT, "stream": None})
        assert answer.text.startswith("event: start")

    def test_a_padded_greeting_is_read_at_once(self):
        # In linear time: in quadratic time this would outlast the test's time limit.
        assert greeting("hello" + " " * 300_000 + "x") is None
        assert greeting(" Hello there ! ") is not None

    def test_a_browser_may_ask_what_it_may_send(self, raw: Raw):
        answer = requests.options(
            f"{raw.project}/conversations",
            headers={
                "Origin": "http://app.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
            timeout=20,
        )
        assert answer.status_code == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert len(raw.emulator.journal) == 0

    def test_any_other_options_need_the_key(self, raw: Raw):
        assert requests.options(f"{raw.project}/conversations", timeout=20).status_code == 401
        control = {"Origin": "http://app.example", "Access-Control-Request-Method": "POST"}
        url = f"{raw.emulator.base_url}/_emulator/reset"
        assert requests.options(url, headers=control, timeout=20).status_code == 401


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such files")
class TestAnOddFolder:
    def test_a_name_that_is_not_utf_8_is_skipped_and_named(self, handbook: Path):
        Path(os.fsdecode(os.fsencode(handbook) + b"/caf\xe9.md")).write_text("# Coffee")
        with Emulator(handbook) as emulator:
            assert [(each.path, each.reason) for each in emulator.skipped] == [
                ("caf\N{REPLACEMENT CHARACTER}.md", "its name is not UTF-8")
            ]

    def test_a_pipe_is_not_waited_for(self, handbook: Path):
        os.mkfifo(handbook / "pipe.md")
        with Emulator(handbook) as emulator:
            assert emulator.skipped == []
