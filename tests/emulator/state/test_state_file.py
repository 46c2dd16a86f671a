"""A state file keeps everything across restarts, and loses no finished message to a killed process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from tests.emulator.conftest import Raw

SERVE = """
import sys, time
from customgpt_emulator import Emulator
emulator = Emulator(sys.argv[1], state=sys.argv[2], api_key="k").start()
print(emulator.base_url, emulator.project_id, flush=True)
time.sleep(100)
"""


def messages(raw: Raw, session: str) -> dict[int, str]:
    found: dict[int, str] = {}
    url: str | None = f"conversations/{session}/messages"
    while url is not None:
        answer = raw.call("GET", url).json()["data"]["messages"]
        found |= {row["id"]: row["openai_response"] for row in answer["data"]}
        url = answer["next_page_url"] and f"{url.partition('?')[0]}?page={answer['current_page'] + 1}"
    return found


def test_everything_is_there_after_a_restart(handbook: Path, tmp_path: Path):
    told: list[object] = []
    for _ in range(2):
        with (
            Emulator(handbook, state=tmp_path / "state.db", api_key="k") as emulator,
            requests.Session() as http,
        ):
            http.headers["Authorization"] = "Bearer k"
            raw = Raw(emulator, http)
            if not told:
                session = raw.session()
                raw.send("Aurora", session)
                raw.call("POST", "sources", files={"file": ("a.txt", b"alpha beta")})
            listed = raw.call("GET", "pages").json()["data"]["pages"]["data"]
            pages = [(page["id"], page["filename"]) for page in listed]
            told.append((emulator.project_id, messages(raw, session), pages))
    assert told[0] == told[1]


def test_documents_that_changed_meanwhile_are_read_again(handbook: Path, tmp_path: Path):
    state = tmp_path / "state.db"
    with Emulator(handbook, state=state):
        pass
    (handbook / "refunds.md").unlink()
    (handbook / "new.md").write_text("# Kettles\n\nThe Vesuvius kettle costs 60 euros.")
    with Emulator(handbook, state=state, api_key="k") as emulator, requests.Session() as http:
        http.headers["Authorization"] = "Bearer k"
        listed = Raw(emulator, http).call("GET", "pages?order=asc").json()["data"]["pages"]["data"]
        assert "60 euros" in Raw(emulator, http).send("Vesuvius").json()["data"]["openai_response"]
    assert [page["filename"] for page in listed] == ["cleaning.txt", "prices.html", "new.md"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
@pytest.mark.parametrize("stream", ["0", "1"])
def test_a_killed_process_loses_no_finished_message(handbook: Path, tmp_path: Path, stream: str):
    arguments = [sys.executable, "-c", SERVE, str(handbook), str(tmp_path / "state.db")]
    with (
        subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process,
        requests.Session() as http,
    ):
        http.headers["Authorization"] = "Bearer k"
        try:
            assert process.stdout is not None
            base, project = process.stdout.readline().split()
            url = f"{base}/api/v1/projects/{project}/conversations"
            session = http.post(url, json={"name": "x"}, timeout=20).json()["data"]["session_id"]
            finished: list[int] = []
            for number in range(30):
                with http.post(
                    f"{url}/{session}/messages?stream={stream}",
                    json={"prompt": f"Aurora {number}"},
                    timeout=20,
                ) as answer:
                    lines = answer.text.splitlines()
                data = json.loads(lines[-2].removeprefix("data: ") if stream == "1" else lines[0])
                finished.append(data["id"] if stream == "1" else data["data"]["id"])
            # One more prompt is on its way when the process dies.
            with (
                pytest.raises(requests.RequestException),
                http.post(
                    f"{url}/{session}/messages?stream=1", json={"prompt": "Aurora"}, timeout=20, stream=True
                ) as answer,
            ):
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                answer.close()
                http.get(url, timeout=20)
        finally:
            process.kill()
    with Emulator(handbook, state=tmp_path / "state.db", api_key="k") as emulator, requests.Session() as http:
        http.headers["Authorization"] = "Bearer k"
        kept = messages(Raw(emulator, http), session)
    assert set(finished) <= set(kept)
    assert len(finished) == 30
    assert all(kept.values())


def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(handbook: Path, tmp_path: Path):
    file = tmp_path / "state.db"
    file.write_text("precious notes " * 100)
    with pytest.raises(OSError, match="not the state file"):
        Emulator(handbook, state=file).start()
    assert file.read_text() == "precious notes " * 100


def test_a_file_that_is_in_use_is_refused(handbook: Path, tmp_path: Path):
    with (
        Emulator(handbook, state=tmp_path / "state.db"),
        pytest.raises(OSError, match="another emulator uses it"),
    ):
        Emulator(handbook, state=tmp_path / "state.db").start()


class TestASeed:
    """The same requests, the same bytes: in every run, and a state file goes on where it ended."""

    def talk(self, emulator: Emulator) -> tuple[str, str, str]:
        with requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {emulator.api_key}"
            raw = Raw(emulator, http)
            made = raw.call("POST", "conversations", json={"name": "x"})
            assert made.status_code == 201, made.text
            session = made.json()["data"]
            answer = raw.send("Aurora", session["session_id"]).json()["data"]
            completion = raw.call(
                "POST", "chat/completions", json={"messages": [{"role": "user", "content": "Aurora"}]}
            )
            assert completion.status_code == 200, completion.text
            return session["session_id"], session["created_at"], answer["created_at"]

    def test_goes_on_in_a_state_file(self, handbook: Path, tmp_path: Path):
        seen = []
        for _ in range(3):
            with Emulator(handbook, seed=3, state=tmp_path / "state.db") as emulator:
                seen.append(self.talk(emulator))
        sessions = [session for session, _, _ in seen]
        dates = [date for _, made, answered in seen for date in (made, answered)]
        assert len(set(sessions)) == 3
        assert dates == sorted(set(dates))

    def test_begins_again_when_the_emulator_does(self, handbook: Path):
        emulator = Emulator(handbook, seed=3)
        emulator.faults.error(500, on="agents.list", chance=0.5, times=None)

        def run() -> Any:
            with emulator:
                headers = {"Authorization": f"Bearer {emulator.api_key}"}
                url = f"{emulator.base_url}/api/v1/projects"
                met = [requests.get(url, headers=headers, timeout=20).status_code for _ in range(12)]
                return self.talk(emulator), met

        assert run() == run()
