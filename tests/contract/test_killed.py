"""Killed in mid-write and started again on its state file, the emulator has lost no finished message."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.conftest import DOCUMENTS

SERVE = """
import sys
from customgpt_emulator import Emulator
with Emulator(sys.argv[1], state=sys.argv[2], api_key="key") as emulator:
    print(f"{emulator.base_url}/api/v1/projects/{emulator.project_id}", flush=True)
    sys.stdin.read()
"""
WRITERS = 4
ENOUGH = 60  # finished messages before the kill


@contextmanager
def serving(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves, and its agent's address."""
    command = [sys.executable, "-c", SERVE, str(DOCUMENTS), str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


class Writer(threading.Thread):
    """Sends prompts until the line drops; keeps what the server had finished."""

    def __init__(self, project: str, number: int, enough: threading.Semaphore) -> None:
        super().__init__()
        self.project, self.number, self.enough = project, number, enough
        self.session = ""
        self.finished: dict[int, str] = {}

    def run(self) -> None:
        with requests.Session() as http:
            http.headers["Authorization"] = "Bearer key"
            try:
                made = http.post(f"{self.project}/conversations", json={"name": "a"}, timeout=20)
                self.session = made.json()["data"]["session_id"]
                while True:
                    self.send(http)
                    self.enough.release()
            except requests.RequestException:
                return  # killed

    def send(self, http: requests.Session) -> None:
        """One prompt: streamed, or whole, in turn."""
        url = f"{self.project}/conversations/{self.session}/messages"
        body = {"prompt": "How do refunds work?", "stream": (len(self.finished) + self.number) % 2}
        with http.post(url, json=body, stream=True, timeout=20) as answer:
            if answer.headers["Content-Type"] == "application/json":
                message = answer.json()["data"]
                self.finished[message["id"]] = message["openai_response"]
                return
            text = ""
            for line in answer.iter_lines(decode_unicode=True):
                if line.startswith("data: "):
                    data: dict[str, Any] = json.loads(line[6:])
                    text += data.get("message", "")
                    if data["status"] == "finish":
                        self.finished[data["id"]] = text


def test_no_finished_message_is_lost(tmp_path: Path):
    state, enough = tmp_path / "state.sqlite", threading.Semaphore(0)
    with serving(state) as (process, project):
        writers = [Writer(project, number, enough) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for _ in range(ENOUGH):
            assert enough.acquire(timeout=60)
        process.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.join()
    with sqlite3.connect(state) as db:
        assert [("ok",)] == db.execute("PRAGMA integrity_check").fetchall()
    db.close()
    with serving(state) as (_, project), requests.Session() as http:
        http.headers["Authorization"] = "Bearer key"
        for writer in writers:
            found = dict(stored(http, f"{project}/conversations/{writer.session}/messages"))
            assert len(writer.finished) > 1
            assert writer.finished.items() <= found.items()
            assert all(found.values())
        again = http.post(
            f"{project}/conversations/{writers[0].session}/messages", json={"prompt": "Hello!"}, timeout=20
        )
        assert again.json()["data"]["id"] > max(max(writer.finished) for writer in writers)


def stored(http: requests.Session, url: str) -> Iterator[tuple[int, str]]:
    """Every message of a conversation, page by page."""
    page: str | None = url
    while page is not None:
        listed = http.get(page, timeout=20).json()["data"]["messages"]
        yield from ((row["id"], row["openai_response"]) for row in listed["data"])
        page = listed["next_page_url"]
