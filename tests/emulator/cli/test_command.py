"""The command `customgpt-emulator`, run as users run it: in a process of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from customgpt_emulator import Emulator
from customgpt_emulator.cli.command import command

COMMAND = [sys.executable, "-m", "customgpt_emulator"]


class Running:
    """A running command, its output so far, and what it said about itself."""

    def __init__(self, process: subprocess.Popen[str], output: str) -> None:
        self.process = process
        self.output = output

    def fact(self, name: str) -> str:
        (value,) = re.findall(rf"^export {name}='?([^'\n]*)'?$", self.output, re.MULTILINE)
        return str(value)

    def get(self, path: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.fact('CUSTOMGPT_API_KEY')}"}
        return requests.get(self.fact("CUSTOMGPT_BASE_URL") + "/api/v1" + path, headers=headers, timeout=20)

    def post(self, path: str, body: dict[str, object]) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.fact('CUSTOMGPT_API_KEY')}"}
        url = self.fact("CUSTOMGPT_BASE_URL") + "/api/v1" + path
        return requests.post(url, json=body, headers=headers, timeout=20)

    def stop(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        rest, errors = self.process.communicate(timeout=60)
        assert "Traceback" not in errors
        return self.process.returncode, rest + errors


@contextmanager
def running(*args: str | Path) -> Iterator[Running]:
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            lines = []
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if line.startswith("Ready"):
                    break
            assert lines, process.communicate(timeout=60)[1]
            yield Running(process, "".join(lines))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_how_to_reach_it_serves_and_stops_cleanly(handbook: Path, number: int):
    with running("--documents", handbook) as it:
        assert "Indexed 3 documents in" in it.output
        assert "\x1b" not in it.output  # plain lines: this is no terminal
        assert it.get(f"/projects/{it.fact('CUSTOMGPT_PROJECT_ID')}").json()["data"]["is_chat_active"] is True
        (page,) = re.findall(r"^Page: (.*)$", it.output, re.MULTILINE)
        assert requests.get(page, headers={"Accept": "text/html"}, timeout=20).status_code == 200
        code, rest = it.stop(number)
        assert (code, rest) == (0, "Stopped after 1 request.\n")


def test_documents_are_watched_and_changes_told(handbook: Path):
    with running("--documents", handbook) as it:
        (handbook / "zebras.md").write_text("# Zebras\n\nZebras eat grass.")
        assert it.process.stderr is not None
        assert it.process.stderr.readline().endswith("Documents: zebras.md added\n")
        (handbook / "nothing.xyz").write_text("not a document")
        assert it.stop(signal.SIGINT)[0] == 0


def test_the_options_reach_the_emulator(handbook: Path):
    options = [
        "--api-key",
        "my key",
        "--switch",
        "unknown_session=create",
        "--switch",
        "stats_keys=7",
        "--no-watch",
    ]
    with running("--documents", handbook, *options) as it:
        assert it.fact("CUSTOMGPT_API_KEY") == "my key"
        assert "watched" not in it.output
        agent = f"/projects/{it.fact('CUSTOMGPT_PROJECT_ID')}"
        session = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
        sent = it.post(f"{agent}/conversations/{session}/messages", {"prompt": "How are refunds paid?"})
        assert sent.status_code == 200
        assert len(it.get(f"{agent}/stats").json()["data"]) == 7


def test_quotas_and_pace_hold_from_the_start(handbook: Path):
    options = ["--rpm", "3", "--credits", "1", "--concurrency", "5", "--tps", "10000", "--ttft", "0.001"]
    with running(
        "--documents", handbook, *options, "--jitter", "0.5", "--switch", "unknown_session=create"
    ) as it:
        path = f"/projects/{it.fact('CUSTOMGPT_PROJECT_ID')}/conversations"
        path += "/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/messages"
        statuses = [it.post(path, {"prompt": "How are refunds paid?"}) for _ in range(4)]
        assert [answer.status_code for answer in statuses] == [200, 429, 429, 429]
        assert statuses[0].headers["X-RateLimit-Limit"] == "3"
        assert "credits" in statuses[1].text
        assert "credits" not in statuses[3].text


@pytest.mark.parametrize(("option", "status"), [("--control", 200), ("--no-control", 403)])
def test_the_controls_are_open_or_not(handbook: Path, option: str, status: int):
    with running("--documents", handbook, option) as emulator:
        headers = {"Authorization": f"Bearer {emulator.fact('CUSTOMGPT_API_KEY')}"}
        url = emulator.fact("CUSTOMGPT_BASE_URL") + "/_emulator/journal"
        assert status == requests.get(url, headers=headers, timeout=20).status_code


@pytest.mark.parametrize(("times", "code"), [(1, 0), (2, 1)])
def test_at_the_end_it_says_what_the_clients_did_wrong(handbook: Path, times: int, code: int):
    """A prompt that is sent once more after its answer was lost may be billed twice."""
    with running("--documents", handbook, "--verdict", "--fault", "drop_before_answer") as emulator:
        agent = f"/projects/{emulator.fact('CUSTOMGPT_PROJECT_ID')}"
        session = emulator.post(f"{agent}/conversations", {"name": "x"}).json()["data"]["session_id"]
        for _ in range(times):
            with suppress(requests.ConnectionError):
                emulator.post(
                    f"{agent}/conversations/{session}/messages", {"prompt": "When are refunds paid?"}
                )
        returned, said = emulator.stop(signal.SIGINT)
        assert code == returned
        assert ("prompt_sent_twice" in said) == bool(code)


def test_faults_are_met_in_their_order(handbook: Path):
    faults = ["--fault", "error:status=503,times=1,on=agents.list", "--fault", "null_answer:times=1"]
    with running("--documents", handbook, *faults, "--switch", "unknown_session=create") as it:
        path = f"/projects/{it.fact('CUSTOMGPT_PROJECT_ID')}/conversations"
        path += "/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/messages"
        assert [it.get("/projects").status_code for _ in range(2)] == [503, 200]
        answers = [it.post(path, {"prompt": "How are refunds paid?"}).json()["data"] for _ in range(2)]
        assert [answer["openai_response"] is None for answer in answers] == [True, False]


def test_on_every_address_it_warns_and_names_one_that_leads_to_it(handbook: Path):
    with running("--documents", handbook, "--host", "0.0.0.0") as it:
        assert it.fact("CUSTOMGPT_BASE_URL").startswith("http://127.0.0.1:")
        assert it.get("/projects").status_code == 200
        code, rest = it.stop(signal.SIGINT)
        assert code == 0
        assert (
            "Listening on 0.0.0.0: anyone who reaches this machine and has the key can use the emulator."
            in rest
        )


def test_a_state_file_outlives_the_command_until_it_is_reset(handbook: Path, tmp_path: Path):
    state = tmp_path / "state.db"

    def conversations(it: Running) -> int:
        path = f"/projects/{it.fact('CUSTOMGPT_PROJECT_ID')}/conversations"
        return int(it.get(path).json()["data"]["total"])

    with running("-d", handbook, "--state", state) as it:
        it.post(f"/projects/{it.fact('CUSTOMGPT_PROJECT_ID')}/conversations", {"name": "kept"})
        assert it.stop(signal.SIGTERM)[0] == 0
    assert not list(tmp_path.glob("state.db-*"))  # everything is in the one file
    with running("-d", handbook, "--state", state) as it:
        assert conversations(it) == 1
        assert "Indexed" not in it.output
        it.stop(signal.SIGINT)
    with running("-d", handbook, "--state", state, "--reset") as it:
        assert conversations(it) == 0


def test_on_a_terminal_there_is_a_bar_and_a_panel(handbook: Path):
    for number in range(200):
        (handbook / f"{number}.md").write_text(f"# Title {number}\n\nText.")
    main, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "90"}
    with subprocess.Popen(
        [*COMMAND, "-p", "0", "-d", str(handbook)], stdout=end, stderr=end, stdin=end, env=environment
    ) as process:
        os.close(end)
        shown = ""
        try:
            while "Ready" not in shown:
                assert select.select([main], [], [], 60)[0], shown
                shown += os.read(main, 65536).decode()
            process.send_signal(signal.SIGINT)
            while "Stopped" not in shown:
                assert select.select([main], [], [], 60)[0], shown
                shown += os.read(main, 65536).decode()
            assert process.wait(60) == 0
        finally:
            process.kill()
            os.close(main)
    assert "/203" in shown  # the bar counts
    assert "╭─ CustomGPT emulator" in shown
    assert re.search(r"http://127\.0\.0\.1:\d+/\?key=[0-9a-f]{24} ", shown)  # whole, to be clicked
    assert re.search(r"^export CUSTOMGPT_API_KEY='\S+'\r?$", shown, re.MULTILINE)  # no border beside it


def test_it_can_be_stopped_while_it_indexes(tmp_path: Path):
    text = "\n\n".join(f"Paragraph {number} has words and more words." for number in range(300))
    for number in range(400):
        (tmp_path / f"{number}.md").write_text(f"# Title {number}\n\n{text}")
    main, end = pty.openpty()
    with subprocess.Popen([*COMMAND, "-p", "0", "-d", str(tmp_path)], stdout=end, stderr=end) as process:
        os.close(end)
        shown = b""
        try:
            while b"Indexing" not in shown:
                assert select.select([main], [], [], 60)[0], shown
                shown += os.read(main, 65536)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            with suppress(OSError):  # the other end is closed, and all is read
                while True:
                    shown += os.read(main, 65536)
        finally:
            process.kill()
            os.close(main)
    assert b"Stopped after 0 requests." in shown
    assert b"Ready" not in shown
    assert b"Traceback" not in shown


class TestMistakes:
    """Each is answered in one sentence that says what to do."""

    def run(self, *args: str | Path) -> Result:
        result = CliRunner().invoke(command, [str(arg) for arg in args])
        assert result.exit_code in (1, 2), result.output
        assert "Traceback" not in result.output
        return result

    def test_the_folder_is_missing(self, tmp_path: Path):
        said = self.run("-d", tmp_path / "nowhere").output
        assert said.startswith(
            f"Error: The documents folder {tmp_path / 'nowhere'} does not exist: create it"
        )

    def test_the_folder_is_a_file(self, handbook: Path):
        assert "is a file: name the folder" in self.run("-d", handbook / "refunds.md").output

    def test_no_folder_is_named(self):
        assert "Missing option '-d' / '--documents'" in self.run().output

    def test_the_port_is_taken(self, handbook: Path):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            said = self.run("-d", handbook, "-p", port).output  # type: ignore[arg-type]  # str() is applied
        assert f"Error: Port {port} is in use. Choose another with --port" in said

    def test_the_address_is_not_of_this_machine(self, handbook: Path):
        said = self.run("-d", handbook, "-p", "0", "-H", "192.0.2.1").output
        assert "Listening on 192.0.2.1: anyone who reaches this machine and has the key" in said
        assert "Error: Cannot listen on 192.0.2.1" in said

    def test_the_state_file_is_something_else(self, handbook: Path, tmp_path: Path):
        other = tmp_path / "thesis.txt"
        other.write_text("nothing that SQLite knows " * 40)
        assert f"The state file {other} cannot be used" in self.run("-d", handbook, "--state", other).output
        assert other.read_text().startswith("nothing that SQLite knows")

    @pytest.mark.parametrize(
        ("switch", "said"),
        [
            ("nope=1", "nope is not a switch. The switches are unknown_session"),
            ("unknown_session=maybe", "unknown_session must be '404' or 'create', not 'maybe'"),
            ("strict_name=perhaps", "strict_name must be True or False"),
            ("readiness_delay=soon", "readiness_delay must be a number"),
        ],
    )
    def test_a_switch_is_misspelt(self, handbook: Path, switch: str, said: str):
        assert said in " ".join(self.run("-d", handbook, "--switch", switch).output.split())

    def test_pace_or_quota_makes_no_sense(self, handbook: Path):
        assert "tokens_per_second" in self.run("-d", handbook, "--tps", "-3").output
        assert "requests_per_minute" in self.run("-d", handbook, "--rpm", "0").output

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("halp", "The faults are: bad_chunk_size, "),
            ("cut_after:event=3", "cut_after takes no 'event'; it takes events, "),
            ("cut_after:events=soon", "cut_after: events must be int, not 'soon'."),
        ],
    )
    def test_a_fault_is_misspelt(self, handbook: Path, fault: str, said: str):
        assert said in " ".join(self.run("-d", handbook, "-p", "0", "--fault", fault).output.split())

    def test_watchfiles_is_not_installed(self, handbook: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "watchfiles", None)
        said = self.run("-d", handbook, "-p", "0").output
        assert 'pip install "customgpt-adapters[emulator]"' in said
        assert "--no-watch" in said

    @pytest.mark.parametrize("missing", ["click", "rich"])
    def test_the_extra_is_not_installed(self, missing: str):
        program = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            "from customgpt_emulator.__main__ import main\n"
            "main()"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 1
        assert (
            done.stderr == f'customgpt-emulator needs {missing}: pip install "customgpt-adapters[emulator]"\n'
        )


def test_fault_help_is_a_table_of_the_verbs_and_needs_no_folder():
    from customgpt_emulator.faults.parse import verbs

    result = CliRunner().invoke(command, ["--fault", "help"])
    assert result.exit_code == 0
    first, *lines = result.output.splitlines()
    assert first == "--fault VERB:name=value,name=value"
    assert [line.split(" ", 1)[0] for line in lines] == ["any", *sorted(verbs())]
    (cut,) = [line.split(None, 1)[1] for line in lines if line.startswith("cut_after ")]
    assert cut == "events: int, persist: bool | None, visible_after: int | str | None"
    assert "times: int | None" in lines[0]


def test_the_second_interrupt_kills_what_the_first_one_cannot_end():
    program = """
import time
from customgpt_emulator.cli.command import _Interrupt
with _Interrupt():
    try:
        print("begun", flush=True)
        time.sleep(100)
    except KeyboardInterrupt:
        print("first", flush=True)
        time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for word in ("begun", "first"):
                assert process.stdout.readline().strip() == word
                process.send_signal(signal.SIGINT)
            assert process.wait(60) == -signal.SIGINT
        finally:
            process.kill()


def test_help_names_every_option():
    said = CliRunner().invoke(command, ["--help"]).output
    for option in (
        "--documents",
        "--port",
        "--host",
        "--api-key",
        "--state",
        "--seed",
        "--watch / --no-watch",
        "--control / --no-control",
        "--verdict",
    ):
        assert option in said


def test_every_switch_can_be_given(handbook: Path):
    from customgpt_emulator.cli.options import SWITCHES, parse_switch

    defaults = vars(Emulator().switches)
    assert set(SWITCHES) == set(defaults)
    for name, value in defaults.items():
        assert parse_switch(f"{name}={value}") == (name, value)
        assert parse_switch(f"{name.replace('_', '-')} = {value}") == (name, value)
