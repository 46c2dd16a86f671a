"""What holds for every command: JSON, pipes, Ctrl-C, help, and what it never shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from customgpt_cli.app import COMMANDS
from customgpt_emulator import Emulator
from customgpt_transport import Client, __version__
from tests.cli.conftest import Shell, Silence, interrupted

QUESTION = "When are refunds paid?"
# Each command that talks to a service, once. In braces: what the fixture `names` knows.
CALLS = {
    "ask": ["ask", QUESTION],
    "agents list": ["agents", "list"],
    "agents show": ["agents", "show"],
    "agents create": ["agents", "create", "Made here"],
    "agents wait": ["agents", "wait"],
    "agents delete": ["agents", "delete", "{agent}", "--yes"],
    "sources list": ["sources", "list"],
    "sources add": ["sources", "add", "moon.txt"],
    "sources sync": ["sources", "sync", "{sitemap}"],
    "sources delete": ["sources", "delete", "{sitemap}", "--yes"],
    "pages list": ["pages", "list"],
    "pages reindex": ["pages", "reindex", "{page}"],
    "pages delete": ["pages", "delete", "{page}", "--yes"],
    "conversations list": ["conversations", "list"],
    "conversations show": ["conversations", "show", "{session}"],
    "conversations export": ["conversations", "export", "{session}"],
    "conversations rename": ["conversations", "rename", "{session}", "Another name"],
    "conversations delete": ["conversations", "delete", "{session}", "--yes"],
    "limits": ["limits"],
}


@pytest.fixture
def names(shell: Shell, emulator: Emulator) -> dict[str, str]:
    """Something of each kind to be shown, changed and deleted."""
    (shell.home / "moon.txt").write_text("The moon is 384,400 kilometres away.")
    with Client(
        api_key=emulator.api_key, base_url=emulator.base_url, project_id=emulator.project_id
    ) as client:
        agent = client.agents.create("Another")
        source = client.sources.add(sitemap_path="https://shop.example/sitemap.xml")
        pages = [page for page in client.pages.list() if not page.is_file]
        return {
            "agent": str(agent.id),
            "sitemap": str(source.id),
            "page": str(pages[0].id),
            "session": client.ask(QUESTION).session_id,
        }


@pytest.mark.parametrize("name", CALLS)
def test_with_json_it_prints_one_value_that_another_program_reads(
    name: str, shell: Shell, names: dict[str, str]
):
    """As a process, its exit code and standard error included."""
    done = shell.run(*(argument.format(**names) for argument in CALLS[name]), "--json")
    assert (0, "") == (done.returncode, done.stderr)
    assert json.loads(done.stdout)


@pytest.mark.parametrize("name", [*CALLS, "chat"])
def test_ctrl_c_ends_it_within_a_second_and_ps_shows_no_key(
    name: str, alone: Shell, silence: Silence, until: Callable[[Callable[[], object]], None]
):
    """While it waits for a server that never answers."""
    (alone.home / "moon.txt").write_text("The moon is 384,400 kilometres away.")
    key = "1234|a-key-that-must-not-be-seen"
    alone.variables |= {
        "CUSTOMGPT_API_KEY": key,
        "CUSTOMGPT_PROJECT_ID": "1",
        "CUSTOMGPT_BASE_URL": silence.base_url,
    }
    names = {"agent": "1", "sitemap": "1", "page": "1", "session": "0f0f"}
    arguments = [argument.format(**names) for argument in CALLS.get(name, [name])]
    for _ in range(3):  # on a machine with more to do than it can, nothing ends within a second
        silence.taken.clear()
        with alone.started(*arguments) as process:
            assert process.stdin is not None
            if name == "chat":  # from a pipe; on a terminal Ctrl-C leaves the answer
                process.stdin.write(f"{QUESTION}\n")
                process.stdin.flush()
            until(lambda: silence.taken)
            assert key not in Path(f"/proc/{process.pid}/cmdline").read_text()
            seconds = interrupted(process)
            said, errors = process.communicate()
        assert process.returncode == 130, errors
        alone.keeps_its_secrets(said + errors)
        if seconds < 1:
            return
    raise AssertionError(f"It took {seconds:.2f} s, and no less in three times.")


def test_an_agent_that_is_not_there_is_said_in_one_sentence(shell: Shell, names: dict[str, str]):
    for name in set(CALLS) - {"limits", "agents list", "agents create"}:  # these are about no agent
        arguments = [argument.format(**{**names, "agent": "4711"}) for argument in CALLS[name]]
        done = shell.call(*arguments, "--agent", "4711")
        assert (6, "") == (done.returncode, done.stdout), name
        assert done.stderr.startswith("Error: "), name
        assert done.stderr.count("\n") == 1, name


def test_a_key_that_is_refused_is_said_in_one_sentence(shell: Shell, names: dict[str, str]):
    for name, call in CALLS.items():
        done = shell.call(*(argument.format(**names) for argument in call), CUSTOMGPT_API_KEY="1|wrong")
        assert (3, "") == (done.returncode, done.stdout), name
        assert done.stderr.startswith("Error: "), name
        assert done.stderr.count("\n") == 1, name


@pytest.mark.parametrize(
    "line", ["agents list", "pages list", "conversations list", "conversations export --all"]
)
def test_the_first_line_of_a_list_can_be_taken(line: str, shell: Shell, names: dict[str, str]):
    done = shell.pipe(
        f"set -o pipefail; customgpt {line} --limit 1 | head -1".replace("--all --limit 1", "--all")
    )
    assert (0, 1, "") == (
        done.returncode,
        done.stdout.count("\n"),
        done.stderr.partition("There are more")[0],
    )


def test_each_explains_itself_and_knows_its_version(alone: Shell):
    for name in [*(name.split() for name in CALLS), *([name] for name in COMMANDS)]:
        said = alone.call(*name, "-h")
        assert (0, "") == (said.returncode, said.stderr)
        assert said.stdout.startswith(f"Usage: customgpt {' '.join(name)}")
        assert said.stdout == alone.call(*name, "--help").stdout
        if name[0] not in ("emulator", "demo"):
            assert alone.call(*name, "--version").stdout == f"customgpt {__version__}\n"


def test_the_list_of_commands_and_their_completion_load_none_of_them(alone: Shell):
    """Not the demo's frameworks above all."""
    for variables in ("", "_CUSTOMGPT_COMPLETE=bash_complete COMP_WORDS='customgpt ' COMP_CWORD=1 "):
        done = alone.pipe(
            f"{variables}python -X importtime $(command -v customgpt) -h 2>imports; cat imports >&2"
        )
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "customgpt_cli.app" in loaded
        assert not [
            name for name in loaded if name.startswith(("langchain", "llama_index", "customgpt_cli.demo"))
        ]
        assert set(COMMANDS) <= set(done.stdout.replace("plain,", "").split())


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_can_be_had(shell_name: str, alone: Shell):
    done = alone.call("completion", shell_name)
    assert (0, "") == (done.returncode, done.stderr)
    assert "_CUSTOMGPT_COMPLETE" in done.stdout


def test_bash_completes_with_it(alone: Shell):
    done = alone.pipe(
        'eval "$(customgpt completion bash)"; COMP_WORDS=(customgpt agents sh) COMP_CWORD=2; '
        '_customgpt_completion customgpt; echo "${COMPREPLY[@]}"'
    )
    assert (0, "show\n") == (done.returncode, done.stdout), done.stderr
