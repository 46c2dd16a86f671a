"""`customgpt ask`, run as a process against the emulator."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from customgpt_emulator import Emulator
from tests.cli.conftest import DOCUMENTS, Shell, interrupted

QUESTION = "When are refunds paid?"
ANSWER = "Refunds are paid within five working days"


class TestTheAnswer:
    def test_it_comes_with_its_sources_as_a_numbered_list_of_links(self, shell: Shell, emulator: Emulator):
        done = shell.run("ask", QUESTION)
        assert done.returncode == 0, done.stderr
        answer, _, sources = done.stdout.partition("\n\nSources\n")
        assert answer.startswith(ANSWER)
        title, link = sources.splitlines()[:2]
        assert title == " 1. Refunds"
        assert link.strip().startswith(f"{emulator.base_url}/api/v1/preview/")
        assert "\x1b" not in done.stdout  # this is no terminal
        assert done.stderr == ""

    def test_the_words_of_the_question_need_no_quotes(self, shell: Shell, emulator: Emulator):
        shell.call("ask", "When", "are", "refunds", "paid?", "-q")
        assert [QUESTION] == [entry.prompt for entry in emulator.journal.prompts()]

    def test_the_question_can_come_from_standard_input(self, shell: Shell, emulator: Emulator):
        assert shell.call("ask", "--quiet", say=f"{QUESTION}\n").stdout.startswith(ANSWER)
        assert shell.call("ask", "--quiet", "-", say=f"{QUESTION}\n").stdout.startswith(ANSWER)
        assert [QUESTION] * 2 == [entry.prompt for entry in emulator.journal.prompts()]

    def test_it_is_printed_as_it_comes(self, shell: Shell, emulator: Emulator):
        """The first word is there although the second one never comes."""
        emulator.faults.stall(after_events=3)
        with shell.started("ask", QUESTION) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == "R"

    @pytest.mark.parametrize("option", ["--no-stream", "--json"])
    def test_without_a_stream_it_is_one_request_that_is_not_streamed(
        self, shell: Shell, emulator: Emulator, option: str
    ):
        done = shell.call("ask", option, QUESTION)
        assert ANSWER in done.stdout
        assert [False] == [entry.streamed for entry in emulator.journal.prompts()]

    def test_quiet_is_the_text_alone_and_looks_nothing_up(self, shell: Shell, emulator: Emulator):
        done = shell.call("ask", "-q", QUESTION)
        assert done.stdout.startswith(ANSWER)
        assert "Sources" not in done.stdout
        assert not [entry for entry in emulator.journal if entry.endpoint == "citations.get"]

    def test_json_is_one_object_with_everything(self, shell: Shell, emulator: Emulator):
        done = shell.call("ask", QUESTION, "--json")
        answer = json.loads(done.stdout)
        assert done.stdout.count("\n") == 1
        assert answer["answer"].startswith(ANSWER)
        assert (QUESTION, emulator.project_id) == (answer["prompt"], answer["project_id"])
        assert {"session_id", "prompt_id", "external_id", "created_at", "recovered", "retries"} <= set(answer)
        (source,) = answer["citations"]
        assert ("Refunds", True) == (source["title"], source["resolved"])
        assert source["url"].endswith(f"/preview/{source['id']}")


class TestWithWhat:
    def test_persona_language_and_files_go_along(self, shell: Shell, emulator: Emulator, tmp_path: Path):
        for name, text in (
            ("moon.txt", "The moon is 384,400 kilometres away."),
            ("sun.txt", "The sun is hot."),
        ):
            (tmp_path / name).write_text(text)
        options = ("--file", "moon.txt", "-f", "sun.txt", "--persona", "An astronomer", "--lang", "de")
        assert "384,400" in shell.call("ask", "How far away is the moon?", *options).stdout
        assert "The sun is hot" in shell.call("ask", "Is the sun hot?", *options).stdout
        entry = emulator.journal.prompts()[0]
        assert ("An astronomer", "de") == (entry.fields["custom_persona"], entry.query["lang"])

    def test_a_file_that_is_not_there_is_wrong_use_and_nothing_is_sent(
        self, shell: Shell, emulator: Emulator
    ):
        done = shell.call("ask", "What is this?", "--file", "nowhere.pdf")
        assert done.returncode == 2
        assert "nowhere.pdf" in done.stderr
        assert not emulator.journal.prompts()


class TestConversations:
    def test_each_question_is_a_new_one_and_continue_goes_on_with_the_last(
        self, shell: Shell, emulator: Emulator
    ):
        for options in ((), (), ("--continue",)):
            assert shell.call("ask", "-q", QUESTION, *options).returncode == 0
        first, second, third = (entry.session_id for entry in emulator.journal.prompts())
        assert first != second == third

    def test_a_conversation_can_be_named(self, shell: Shell, emulator: Emulator):
        session_id = json.loads(shell.call("ask", "--json", QUESTION).stdout)["session_id"]
        shell.call("ask", "-q", QUESTION)
        shell.call("ask", "-q", "--conversation", session_id, "And for gift cards?")
        assert session_id == emulator.journal.prompts()[-1].session_id

    def test_the_last_one_is_kept_for_each_agent(self, shell: Shell, emulator: Emulator):
        shell.call("ask", "-q", QUESTION)
        done = shell.call("ask", "-q", "--agent", str(emulator.project_id + 1), "--continue", QUESTION)
        assert done.returncode == 2
        assert f"no last conversation with agent {emulator.project_id + 1}" in done.stderr

    def test_what_is_remembered_is_for_this_user_alone(self, shell: Shell):
        shell.call("ask", "-q", QUESTION)
        (file,) = (path for path in shell.home.rglob("conversations.json"))
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0


class TestPipes:
    def test_json_goes_to_another_program(self, shell: Shell):
        done = shell.pipe(f"set -o pipefail; customgpt ask --json '{QUESTION}' | python3 -m json.tool")
        assert done.returncode == 0, done.stderr
        assert ANSWER in json.loads(done.stdout)["answer"]

    def test_a_reader_that_has_enough_ends_it_without_a_word(self, shell: Shell, emulator: Emulator):
        emulator.pacing.change(tokens_per_second=200)
        done = shell.pipe(f"set -o pipefail; customgpt ask '{QUESTION}' | head -c 1")
        assert (0, "R", "") == (done.returncode, done.stdout, done.stderr)

    def test_the_first_line_of_json(self, shell: Shell):
        done = shell.pipe(f"set -o pipefail; customgpt ask --json '{QUESTION}' | head -1")
        assert (0, "") == (done.returncode, done.stderr)
        assert json.loads(done.stdout)

    def test_a_terminal_that_knows_no_umlauts_gets_question_marks(self, shell: Shell, tmp_path: Path):
        (tmp_path / "moon.txt").write_text("Der Mond ist schön.", encoding="utf-8")
        arguments = ("ask", "Wie ist der Mond?", "-f", "moon.txt")
        done = shell.run(*arguments, PYTHONIOENCODING="ascii")
        assert (0, "") == (done.returncode, done.stderr)
        assert "sch?n" in done.stdout
        as_json = json.loads(shell.run(*arguments, "--json", PYTHONIOENCODING="ascii").stdout)
        assert "schön" in as_json["answer"]


class TestHowItEnds:
    """The exit codes, by cause."""

    def ends(self, shell: Shell, code: int, *arguments: str, **variables: str) -> str:
        done = shell.call("ask", *(arguments or ("-q", QUESTION)), **variables)
        assert code == done.returncode, done.stderr
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    def test_2_for_wrong_use(self, shell: Shell, alone: Shell, emulator: Emulator):
        assert "CUSTOMGPT_API_KEY" in self.ends(alone, 2)
        assert "No such option '--nonsense'" in self.ends(shell, 2, "--nonsense", QUESTION)
        assert "prompt is empty" in self.ends(shell, 2, " ")
        assert "Give one of them" in self.ends(shell, 2, "--continue", "-c", "x", QUESTION)
        assert "--agent" in self.ends(shell, 2, QUESTION, CUSTOMGPT_PROJECT_ID="")
        assert not list(emulator.journal)

    def test_3_for_a_key_that_is_refused(self, shell: Shell):
        assert "CUSTOMGPT_API_KEY" in self.ends(shell, 3, CUSTOMGPT_API_KEY="1|wrong")

    def test_4_without_credits(self, shell: Shell, emulator: Emulator):
        emulator.quotas.credits = 0
        assert "credits" in self.ends(shell, 4)

    def test_5_when_throttled_for_longer_than_is_worth_waiting(self, shell: Shell, emulator: Emulator):
        emulator.faults.rate_limit(retry_after=600)
        self.ends(shell, 5)

    def test_6_for_an_agent_that_is_not_there(self, shell: Shell):
        assert "4711" in self.ends(shell, 6, QUESTION, "--agent", "4711")

    def test_7_without_a_network(self, shell: Shell):
        with socket.socket() as taken:  # bound and not listening: a port that refuses
            taken.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{taken.getsockname()[1]}"
            assert address.removeprefix("http://") in self.ends(shell, 7, CUSTOMGPT_BASE_URL=address)

    def test_1_when_the_service_says_that_it_failed(self, shell: Shell, emulator: Emulator):
        emulator.faults.error_event()
        self.ends(shell, 1)

    def test_8_for_an_answer_that_broke_off_and_is_not_found(
        self, shell: Shell, emulator: Emulator, tmp_path: Path
    ):
        """What had come is on standard output; the line is ended before the sentence."""
        emulator.faults.cut_after(events=4, persist=False)
        emulator.faults.error(status=403, on="messages.list")  # ends the search for it at once
        done = shell.run("ask", QUESTION)
        assert done.returncode == 8
        assert done.stdout.startswith("Refunds")
        assert done.stdout.endswith("\n")
        assert done.stderr.startswith("Error: ")
        assert shell.call("ask", "-q", "--continue", QUESTION).returncode == 0  # it is known where that was

    def test_0_for_an_answer_that_broke_off_and_is_found(self, shell: Shell, emulator: Emulator):
        emulator.faults.cut_after(events=4, times=1)
        done = shell.call("ask", QUESTION)
        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout.startswith(ANSWER)

    def test_130_within_a_second_after_an_interrupt_and_the_service_is_hung_up_on(
        self, shell: Shell, emulator: Emulator, until: Callable[[Callable[[], object]], None]
    ):
        emulator.faults.stall(after_events=3)
        with shell.started("ask", QUESTION) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == "R"
            assert interrupted(process) < 1
            rest, errors = process.communicate()
            assert (130, "") == (process.returncode, errors)
            assert rest.endswith("\n")
        until(lambda: emulator.journal.prompts()[0].disconnected)


class TestTheKey:
    def test_it_is_read_from_a_file(self, shell: Shell, emulator: Emulator, tmp_path: Path):
        (tmp_path / "key").write_text(f"{emulator.api_key}\n")
        for arguments, variables in (
            (("--api-key-file", "key"), {"CUSTOMGPT_API_KEY": "1|wrong"}),
            ((), {"CUSTOMGPT_API_KEY": "", "CUSTOMGPT_API_KEY_FILE": str(tmp_path / "key")}),
        ):
            assert shell.call("ask", "-q", QUESTION, *arguments, **variables).returncode == 0

    def test_a_file_without_a_key_is_said(self, shell: Shell, tmp_path: Path):
        (tmp_path / "empty").touch()
        assert "is empty" in shell.call("ask", QUESTION, "--api-key-file", "empty").stderr
        assert "No such file" in shell.call("ask", QUESTION, "--api-key-file", "nowhere").stderr

    def test_as_an_argument_it_is_refused_and_not_repeated(self, shell: Shell, emulator: Emulator):
        done = shell.call("ask", QUESTION, "--api-key", emulator.api_key)
        assert done.returncode == 2
        assert "shell's history" in done.stderr
        assert not list(emulator.journal)


class TestEmulating:
    """Every command can be tried over a folder, without a key and without a network."""

    def test_what_one_command_began_the_next_one_continues(self, alone: Shell):
        first = json.loads(alone.call("ask", "--json", "--emulate", DOCUMENTS, QUESTION).stdout)
        done = alone.call(
            "ask", "--json", "--continue", "And for gift cards?", CUSTOMGPT_EMULATE=str(DOCUMENTS)
        )
        second = json.loads(done.stdout)
        assert first["answer"].startswith(ANSWER)
        assert first["session_id"] == second["session_id"]
        assert second["prompt_id"] == first["prompt_id"] + 1

    def test_what_the_environment_says_of_the_service_does_not_count(self, alone: Shell):
        done = alone.call(
            *("--emulate", DOCUMENTS, "ask", "-q", QUESTION),
            **{
                "CUSTOMGPT_API_KEY": "1|other",
                "CUSTOMGPT_PROJECT_ID": "4711",
                "CUSTOMGPT_BASE_URL": "nonsense",
            },
        )
        assert done.stdout.startswith(ANSWER), done.stderr

    def test_its_key_and_its_conversations_are_for_this_user_alone(self, alone: Shell):
        alone.call("ask", "-q", "--emulate", DOCUMENTS, QUESTION)
        (home,) = (alone.home / "state" / "customgpt" / "emulated").iterdir()
        assert home.stat().st_mode & 0o077 == 0
        assert (home / "api-key").stat().st_mode & 0o077 == 0

    def test_two_commands_in_a_pipe_take_turns(self, alone: Shell):
        ask = f"customgpt ask -q --emulate '{DOCUMENTS}'"
        done = alone.pipe(f"set -o pipefail; echo '{QUESTION}' | {ask} | {ask} --json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["prompt"].startswith(ANSWER)

    def test_a_folder_that_is_not_there_is_wrong_use(self, alone: Shell):
        done = alone.call("ask", QUESTION, "--emulate", "nowhere")
        assert (2, 1) == (done.returncode, done.stderr.count("\n"))
        assert "nowhere does not exist" in done.stderr


def test_it_loads_the_blocking_client_and_nothing_that_it_does_not_need(shell: Shell):
    """No framework, no aiohttp; rich only where there is a terminal."""
    done = shell.pipe(
        f"python -X importtime \"$(command -v customgpt)\" ask -q '{QUESTION}' 2>imports; cat imports"
    )
    assert done.stdout.startswith(ANSWER)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stdout.splitlines()}
    assert {"click", "requests", "customgpt_transport"} <= loaded
    assert not {"aiohttp", "rich", "langchain_core", "llama_index", "pydantic", "customgpt_emulator"} & loaded
