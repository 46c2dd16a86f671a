"""`customgpt chat`, on a terminal and from a pipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from customgpt_emulator import Emulator
from tests.cli.conftest import Shell
from tests.cli.terminal import terminal

QUESTION = "When are refunds paid?"
ANSWER = "Refunds are paid within five working days"


class TestOnATerminal:
    def test_it_answers_and_shows_sources_in_one_conversation(self, shell: Shell, emulator: Emulator):
        with terminal(shell, "chat") as it:
            it.until("> ")
            it.type(f"{QUESTION}\r")
            it.until(ANSWER)
            it.until("1 source: /sources")
            it.until("> ")
            it.type("/sources\r")
            it.until(" 1. Refunds")
            it.until(f"{emulator.base_url}/api/v1/preview/")
            it.type("And for gift cards?\r")
            it.until("Unused gift cards")
            it.until("> ")
            it.type("\x04")
            assert it.end() == 0
            shell.keeps_its_secrets(it.screen)
        first, second = emulator.journal.prompts()
        assert first.session_id == second.session_id

    def test_ctrl_c_leaves_the_answer_and_not_the_chat(
        self, shell: Shell, emulator: Emulator, until: Callable[[Callable[[], object]], None]
    ):
        emulator.faults.stall(after_events=3)
        with terminal(shell, "chat") as it:
            it.until("> ")
            it.type(f"{QUESTION}\r")
            it.until("Refunds")
            it.type("\x03")
            it.until("Left this answer.")
            until(lambda: emulator.journal.prompts()[0].disconnected)
            it.until("> ")
            it.type("And for gift cards?\r")
            it.until("Unused gift cards")
            it.until("> ")
            it.type("\x03")
            it.until("Ctrl-C once more")
            it.type("\x03")
            assert it.end() == 130
        first, second = emulator.journal.prompts()
        assert first.session_id == second.session_id

    def test_lines_can_be_edited_completed_and_recalled_the_next_time(self, shell: Shell, emulator: Emulator):
        (shell.home / "moon.txt").write_text("The moon is 384,400 kilometres away.")
        with terminal(shell, "chat") as it:
            it.until("> ")
            it.type("When were refunds paid?" + "\x1b[D" * len(" refunds paid?") + "\x7f" * 4 + "are\r")
            it.until(ANSWER)
            it.until("> ")
            it.type("/fi\t moo\t\r")
            it.until("moon.txt goes along with the next question.")
            it.type("/quit\r")
            assert it.end() == 0
        assert [QUESTION] == [entry.prompt for entry in emulator.journal.prompts()]
        with terminal(shell, "chat", "--continue") as it:
            it.until("> ")
            it.type("\x1b[A" * 3 + "\r")  # arrow up
            it.until(ANSWER)
            it.type("/quit\r")
            assert it.end() == 0
        assert [QUESTION] * 2 == [entry.prompt for entry in emulator.journal.prompts()]
        (history,) = shell.home.rglob("chat-history")
        assert history.stat().st_mode & 0o077 == 0


class TestFromAPipe:
    """Each line is a question; there is no prompt and no colour."""

    def test_the_answers_come_one_after_the_other(self, shell: Shell, emulator: Emulator):
        done = shell.run("chat", say=f"{QUESTION}\n\nAnd for gift cards?\n")
        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout.startswith(ANSWER)
        assert "> " not in done.stdout
        assert "\x1b" not in done.stdout
        assert [QUESTION, "And for gift cards?"] == [entry.prompt for entry in emulator.journal.prompts()]

    def test_json_is_one_object_a_line(self, shell: Shell):
        done = shell.call("chat", "--json", say=f"{QUESTION}\nAnd for gift cards?\n")
        first, second = map(json.loads, done.stdout.splitlines())
        assert first["session_id"] == second["session_id"]
        assert first["citations"][0]["title"] == "Refunds"

    def test_a_failure_is_said_the_chat_goes_on_and_the_exit_code_remembers_it(
        self, shell: Shell, emulator: Emulator
    ):
        emulator.faults.error(status=403, on="messages.send", times=1)
        done = shell.call("chat", say=f"{QUESTION}\n{QUESTION}\n")
        assert done.stdout.startswith(ANSWER)
        assert done.stderr.startswith("Error: ")
        assert done.returncode == 1

    def test_a_broken_line_is_recovered_and_said(self, shell: Shell, emulator: Emulator):
        emulator.faults.cut_after(events=4, times=1)
        done = shell.call("chat", say=f"{QUESTION}\n")
        assert done.stdout.startswith(ANSWER)
        assert (0, "The line broke; the answer was read back from the conversation.\n") == (
            done.returncode,
            done.stderr,
        )

    def test_a_broken_line_that_cannot_be_recovered_is_said(self, shell: Shell, emulator: Emulator):
        emulator.faults.cut_after(events=4, persist=False)
        emulator.faults.error(status=403, on="messages.list")  # ends the search for it at once
        done = shell.call("chat", say=f"{QUESTION}\n/sources\n")
        assert done.stdout.startswith("Refunds")
        assert [8, 2] == [done.returncode, done.stderr.count("Error: ")]
        assert "no answer yet" in done.stderr


class TestCommands:
    def said(self, shell: Shell, *lines: str) -> tuple[str, str]:
        done = shell.call("chat", say="\n".join((*lines, "")))
        return done.stdout, done.stderr

    def test_new_begins_a_new_conversation(self, shell: Shell, emulator: Emulator):
        self.said(shell, QUESTION, "/new", QUESTION)
        first, second = emulator.journal.prompts()
        assert first.session_id != second.session_id

    def test_resume_lists_the_newest_and_goes_on_with_one(self, shell: Shell, emulator: Emulator):
        self.said(shell, QUESTION, "/new", "Which lamps are there?")
        said, _ = self.said(shell, "/resume", "/resume 2", "And for gift cards?")
        listed = said.splitlines()
        assert listed[0].startswith(" 1. ")
        assert listed[0].endswith("Which lamps are there?")
        assert listed[1].endswith(QUESTION)
        assert listed[2] == f"> {QUESTION}"  # where it stands
        assert ANSWER in said
        first, _, third = (entry.session_id for entry in emulator.journal.prompts())
        assert first == third
        self.said(shell, f"/resume {first}", QUESTION)
        assert first == emulator.journal.prompts()[-1].session_id

    def test_what_cannot_be_resumed_changes_nothing(self, shell: Shell, emulator: Emulator):
        _, errors = self.said(shell, QUESTION, "/resume 7", "/resume 0f0f", "And for gift cards?")
        assert "lists the conversations to choose from" in errors
        assert errors.count("Error: ") == 2
        first, second = emulator.journal.prompts()
        assert first.session_id == second.session_id

    def test_file_sends_a_file_with_the_next_question_alone(self, shell: Shell, emulator: Emulator):
        (shell.home / "moon.txt").write_text("The moon is 384,400 kilometres away.")
        question = "How far away is the moon?"
        said, errors = self.said(
            shell, "/file", "/file moon.txt", "/file", question, question, "/file no.txt"
        )
        assert "No file waits" in said
        assert said.splitlines()[1] == "moon.txt"
        assert said.count("384,400") == 1
        assert "There is no file no.txt" in errors

    def test_export_writes_the_conversation_and_never_over_a_file(self, shell: Shell):
        said, errors = self.said(
            *(shell, "/export", QUESTION, "/export", "/export it.md", "/export it.json"),
            *("/export it.jsonl", "/export it.md", "/export it.doc"),
        )
        assert "nothing to export yet" in errors
        assert "it.md: File exists" in errors
        assert "it.doc must end in .md, .json, .jsonl" in errors
        document = (shell.home / "it.md").read_text()
        assert document in said
        assert f"> {QUESTION}" in document
        assert json.loads((shell.home / "it.json").read_text())["messages"][0]["prompt"] == QUESTION
        (turn,) = map(json.loads, (shell.home / "it.jsonl").read_text().splitlines())
        assert ["user", "assistant"] == [message["role"] for message in turn["messages"]]

    def test_help_names_all_commands_and_what_is_none_is_said(self, shell: Shell, emulator: Emulator):
        said, errors = self.said(shell, "/help", "/nonsense", "/quit", QUESTION)
        for name in ("/sources", "/new", "/resume", "/file", "/export", "/help", "/quit"):
            assert f"\n{name} " in f"\n{said}"
        assert "There is no /nonsense; /help lists the commands." in errors
        assert not emulator.journal.prompts()

    def test_a_path_is_a_question(self, shell: Shell, emulator: Emulator):
        self.said(shell, "/etc/hosts is what?")
        assert ["/etc/hosts is what?"] == [entry.prompt for entry in emulator.journal.prompts()]


def test_persona_and_language_hold_for_every_question(shell: Shell, emulator: Emulator, tmp_path: Path):
    shell.call("chat", "--persona", "A clerk", "--lang", "de", say=f"{QUESTION}\n{QUESTION}\n")
    sent = [(entry.fields["custom_persona"], entry.query["lang"]) for entry in emulator.journal.prompts()]
    assert [("A clerk", "de")] * 2 == sent
