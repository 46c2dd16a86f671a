"""Agents, sources, pages, conversations, limits: what the commands show and change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from customgpt_emulator import Emulator
from tests.cli.conftest import Shell
from tests.cli.terminal import terminal

QUESTION = "When are refunds paid?"
MOON = "The moon is 384,400 kilometres away."


def lines(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


class TestAgents:
    def test_they_are_listed_newest_first_with_a_tab_between_columns(self, shell: Shell, emulator: Emulator):
        made = shell.call("agents", "create", "Another").stdout.strip()
        listed = lines(shell.call("agents", "list").stdout)
        assert [made, "Another", "no"] == listed[0][:3]
        assert [str(emulator.project_id), "documents", "yes"] == listed[1][:3]
        assert [made] == [row[0] for row in lines(shell.call("agents", "list", "--name", "anoth").stdout)]

    def test_a_list_that_was_cut_off_says_so(self, shell: Shell):
        shell.call("agents", "create", "Another")
        cut, whole = (shell.call("agents", "list", "--limit", number) for number in ("1", "0"))
        assert (1, "There are more than these 1: --limit 0 lists all.\n") == (
            len(lines(cut.stdout)),
            cut.stderr,
        )
        assert (2, "") == (len(lines(whole.stdout)), whole.stderr)

    def test_one_is_shown_with_what_it_has_read(self, shell: Shell):
        assert "Pages indexed  4" in shell.call("agents", "show").stdout
        shown = json.loads(shell.call("agents", "show", "--json").stdout)
        assert (True, 4) == (shown["is_chat_active"], shown["stats"]["pages_indexed"])

    def test_it_is_made_from_a_file_waited_for_and_asked(self, shell: Shell, emulator: Emulator):
        emulator.switches.readiness_delay = 0.3
        (shell.home / "moon.txt").write_text(MOON)
        done = shell.call("agents", "create", "Moon", "--file", "moon.txt", "--wait", "--every", "0.05")
        number = done.stdout.strip()
        assert done.stderr == f"Created agent {number}.\n"
        assert MOON in shell.call("ask", "-q", "--agent", number, "How far away is the moon?").stdout
        assert "yes" in shell.call("agents", "wait", number).stdout

    def test_one_that_is_not_ready_in_time_is_a_failure(self, shell: Shell, emulator: Emulator):
        emulator.switches.readiness_delay = 600
        (shell.home / "moon.txt").write_text(MOON)
        number = shell.call("agents", "create", "Moon", "--file", "moon.txt").stdout.strip()
        done = shell.call("agents", "wait", number, "--timeout", "0.1", "--every", "0.05")
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")


class TestDeleting:
    def test_nothing_is_deleted_unless_somebody_says_yes(self, shell: Shell, emulator: Emulator):
        done = shell.call("agents", "delete", str(emulator.project_id))
        assert done.returncode == 2
        assert "Say --yes" in done.stderr
        assert not [entry for entry in emulator.journal if entry.method == "DELETE"]

    def test_on_a_terminal_it_asks(self, shell: Shell, emulator: Emulator):
        for answer, code in (("n", 1), ("y", 0)):
            with terminal(shell, "agents", "delete", str(emulator.project_id)) as it:
                it.until(f"Delete agent {emulator.project_id}? [y/N]: ")
                it.type(f"{answer}\r")
                assert it.end() == code
        assert len([entry for entry in emulator.journal if entry.method == "DELETE"]) == 1

    def test_several_at_once_stop_at_the_first_that_fails(self, shell: Shell, emulator: Emulator):
        first, second, third = sorted(int(row[0]) for row in lines(shell.call("pages", "list").stdout))[:3]
        done = shell.call("pages", "delete", str(first), "999", str(second), "--yes")
        assert (6, f"Deleted page {first}.\n") == (done.returncode, done.stdout)
        as_json = shell.call("pages", "delete", str(second), "999", str(third), "--yes", "--json")
        assert {"deleted": [second]} == json.loads(as_json.stdout)


class TestSources:
    def test_a_file_is_added_waited_for_and_answered_from(self, shell: Shell, emulator: Emulator):
        emulator.switches.readiness_delay = 0.3
        (shell.home / "moon.txt").write_text(MOON)
        done = shell.call("sources", "add", "moon.txt", "--wait", "--every", "0.05")
        assert (0, "") == (done.returncode, done.stderr)
        assert MOON in shell.call("ask", "-q", "How far away is the moon?").stdout
        assert "moon.txt" in [
            row[2] for row in lines(shell.call("pages", "list", "--index-status", "ok").stdout)
        ]

    def test_a_sitemap_is_added_waited_for_read_again_and_deleted(self, shell: Shell, emulator: Emulator):
        emulator.switches.readiness_delay = 0.2
        address = "https://shop.example/sitemap.xml"
        number = shell.call("sources", "add", address, "--wait", "--every", "0.05").stdout.strip()
        row = next(row for row in lines(shell.call("sources", "list").stdout) if row[0] == number)
        assert ["sitemap", address] == row[1:3]
        assert int(row[3]) > 0
        assert f"Source {number} is read again.\n" == shell.call("sources", "sync", number).stdout
        assert f"Deleted source {number}.\n" == shell.call("sources", "delete", number, "--yes").stdout

    def test_what_cannot_be_read_is_a_failure_that_names_it(self, shell: Shell):
        (shell.home / "broken.pdf").write_bytes(b"no PDF")
        done = shell.call("sources", "add", "broken.pdf", "--wait", "--every", "0.05")
        assert done.returncode == 1
        assert "No page could be read: broken.pdf (failed)" in done.stderr

    def test_of_several_files_those_that_cannot_be_read_are_named(self, shell: Shell):
        (shell.home / "broken.pdf").write_bytes(b"no PDF")
        (shell.home / "moon.txt").write_text(MOON)
        done = shell.call("sources", "add", "broken.pdf", "moon.txt", "--wait", "--every", "0.05")
        assert (0, "Not read: broken.pdf (failed).\n") == (done.returncode, done.stderr)

    def test_a_file_that_is_not_there_is_wrong_use(self, shell: Shell, emulator: Emulator):
        assert shell.call("sources", "add", "nowhere.txt").returncode == 2
        assert shell.call("sources", "add", "https://a.example", "https://b.example").returncode == 2
        assert not list(emulator.journal)

    def test_waiting_ends(self, shell: Shell, emulator: Emulator):
        emulator.switches.readiness_delay = 600
        (shell.home / "moon.txt").write_text(MOON)
        done = shell.call("sources", "add", "moon.txt", "--wait", "--timeout", "0.1", "--every", "0.05")
        assert done.returncode == 1
        assert "0 of 1 pages have been read" in done.stderr


class TestPages:
    def test_they_are_listed_with_their_states(self, shell: Shell):
        rows = lines(shell.call("pages", "list").stdout)
        assert {"refunds.md", "lamps.txt", "shipping.html", "gift-cards.md"} == {row[2] for row in rows}
        assert {"ok"} == {row[1] for row in rows}
        assert "" == shell.call("pages", "list", "--index-status", "queued").stdout

    def test_they_are_read_again(self, shell: Shell):
        first, second = (row[0] for row in lines(shell.call("pages", "list").stdout)[:2])
        assert shell.call("pages", "reindex", first, second).stdout.splitlines() == [
            f"Page {first} is read again.",
            f"Page {second} is read again.",
        ]


@pytest.fixture
def session(shell: Shell) -> str:
    """A conversation of two questions."""
    first = json.loads(shell.call("ask", "--json", QUESTION).stdout)
    shell.call("ask", "-q", "--continue", "And for gift cards?")
    return str(first["session_id"])


class TestConversations:
    def test_they_are_listed_shown_and_renamed(self, shell: Shell, session: str):
        assert [session, QUESTION] == lines(shell.call("conversations", "list").stdout)[0][::2]
        shown = shell.call("conversations", "show", session).stdout
        assert shown.startswith(f"> {QUESTION}\nRefunds are paid")
        assert "\n\n> And for gift cards?\n" in shown
        assert "Refund story" in shell.call("conversations", "rename", session, "Refund story").stdout
        assert "Refund story" in shell.call("conversations", "list", "--name", "story").stdout

    def test_markdown_has_the_questions_the_answers_and_linked_sources(
        self, shell: Shell, session: str, emulator: Emulator
    ):
        text = shell.call("conversations", "export", session).stdout
        assert text.startswith(f"# {QUESTION}\n\nConversation `{session}`\n\n**Asked** 20")
        assert f"\n\n> {QUESTION}\n\nRefunds are paid" in text
        assert f"\n\n1. [Refunds](<{emulator.base_url}/api/v1/preview/" in text

    def test_json_has_everything_with_its_sources(self, shell: Shell, session: str):
        exported = json.loads(shell.call("conversations", "export", session, "--format", "json").stdout)
        assert exported == json.loads(shell.call("conversations", "show", session, "--json").stdout)
        first, second = exported["messages"]
        assert (QUESTION, "And for gift cards?") == (first["prompt"], second["prompt"])
        assert "Refunds" == first["citations"][0]["title"]

    def test_openai_lines_are_a_conversation_each(self, shell: Shell, session: str, emulator: Emulator):
        shell.call("ask", "-q", "Which lamps are there?")
        done = shell.call("conversations", "export", "--all", "--format", "openai", "--output", "set.jsonl")
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
        first, second = map(json.loads, (shell.home / "set.jsonl").read_text().splitlines())
        assert {"messages"} == set(first)
        assert ["user", "assistant"] * 2 == [message["role"] for message in first["messages"]]
        assert QUESTION == first["messages"][0]["content"]
        assert "Which lamps are there?" == second["messages"][0]["content"]

    def test_an_export_names_something(self, shell: Shell, session: str):
        assert shell.call("conversations", "export").returncode == 2
        assert shell.call("conversations", "export", session, "--all").returncode == 2


def test_limits_say_what_is_left(shell: Shell, emulator: Emulator):
    emulator.quotas.credits = 7
    shell.call("ask", "-q", QUESTION)
    assert "Queries  1 of 7 used, 6 left" in shell.call("limits").stdout
    assert (1, 7) == tuple(
        json.loads(shell.call("limits", "--json").stdout)[name] for name in ("current_queries", "max_queries")
    )


class TestOnATerminal:
    def test_lists_are_tables_and_long_waits_have_a_bar(self, shell: Shell, emulator: Emulator):
        emulator.switches.readiness_delay = 1
        (shell.home / "moon.txt").write_text(MOON)
        with terminal(shell, "sources", "add", "moon.txt", "--wait", "--every", "0.1") as it:
            it.until("The service reads")
            assert it.end() == 0
        with terminal(shell, "pages", "list") as it:
            it.until("moon.txt")
            assert it.end() == 0
        assert it.screen.split()[:3] == ["id", "state", "page"]

    def test_text_from_elsewhere_does_not_command_it(self, shell: Shell, emulator: Emulator, tmp_path: Path):
        """A title with escape sequences is shown without them; in a pipe it stays what it is."""
        name = "red \x1b[31m and \x07 bell"
        shell.call("agents", "create", name)
        with terminal(shell, "agents", "list") as it:
            assert it.end() == 0
        assert "red [31m and  bell" in it.screen
        assert "\x1b[31m" not in it.raw
        assert "\x07" not in it.raw
        assert name in shell.call("agents", "list").stdout
