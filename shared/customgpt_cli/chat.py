"""`customgpt chat`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import click

from customgpt_cli.ask import Question, answer_as_data, last_session, source_lines, stream_answer
from customgpt_cli.connecting import Service, service
from customgpt_cli.conversing import find_name, read_exchange
from customgpt_cli.exits import Exit, exit_code
from customgpt_cli.exporting import SUFFIXES, as_markdown, export
from customgpt_cli.interrupts import interrupts
from customgpt_cli.lines import Lines
from customgpt_cli.options import Given, common_options, pass_given
from customgpt_cli.output import complain, hint, note, print_json, safe, say, style
from customgpt_cli.state import state_folder
from customgpt_transport import Client, PromptSettings
from customgpt_transport.errors import ConfigurationError, CustomGPTError
from customgpt_transport.models import Conversation, Message

__all__ = ["chat"]

COMMANDS = {
    "/sources": "the sources of the last answer",
    "/new": "begin a new conversation",
    "/resume": "list the newest conversations; /resume 2 or /resume ID goes on with one",
    "/file": "/file PATH sends a file along with the next question",
    "/export": "print the conversation as Markdown; /export PATH writes .md, .json or .jsonl (OpenAI)",
    "/help": "this list",
    "/quit": "leave, as Ctrl-D does",
}
_COMMAND = re.compile(r"(/[a-z]+)(?:\s+(.*))?$", re.DOTALL)
LISTED = 10


@click.command()
@click.option("-c", "--conversation", metavar="ID", help="Go on with this conversation.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with the last conversation with this agent.")
@click.option("--persona", metavar="TEXT", help="Who answers, instead of the agent's own persona.")
@click.option("--lang", metavar="CODE", help="Language of the answers, such as de.")
@common_options
@pass_given
def chat(given: Given, conversation: str | None, go_on: bool, persona: str | None, lang: str | None) -> None:
    """Talk with an agent. Each question is one prompt on your bill.

    Ctrl-C leaves an answer, Ctrl-D the chat; /help lists the commands. From a pipe each line is a question,
    and the exit code is that of the first one that failed.
    """
    if conversation and go_on:
        raise click.UsageError("--conversation names one conversation, --continue another. Give one of them.")
    lines = Lines(state_folder() / "chat-history", list(COMMANDS))
    with interrupts.answered_by_the_command(), service(given) as at, at.client() as client, lines:
        talk = Talk(
            client,
            at,
            PromptSettings(lang=lang, custom_persona=persona),
            as_json=given.as_json,
            by_hand=lines.by_hand,
            session_id=conversation or (last_session(at) if go_on else None),
        )
        if lines.by_hand:
            hint(f"Agent {at.project_id}. /help lists the commands, Ctrl-D leaves.")
        talk.until_the_end(lines)
    if talk.failed is not None and not lines.by_hand:
        raise click.exceptions.Exit(talk.failed)


class Leave(Exception):
    """The user wants to leave the chat."""


@dataclass
class Talk:
    """A chat in progress."""

    client: Client
    at: Service
    settings: PromptSettings
    as_json: bool = False
    by_hand: bool = True
    """Somebody types, and an interrupt is for the answer; from a pipe it is for the chat."""
    session_id: str | None = None
    files: list[str] = field(default_factory=list)
    """To go along with the next question."""
    message: Message | None = None
    """The last answer that came whole."""
    listed: Sequence[Conversation] = ()
    failed: Exit | None = None
    """The code of the first question that failed."""

    def until_the_end(self, lines: Lines) -> None:
        """Answer line after line. A failure is said, and the chat goes on."""
        interrupts_in_a_row = 0
        while interrupts_in_a_row < 2:
            try:
                line = lines.next()
                if line is None or not self.survives(line.strip()):
                    return
                interrupts_in_a_row = 0
            except KeyboardInterrupt:  # noqa: PERF203 - not where time is short
                interrupts_in_a_row += 1
                say()
                if not lines.by_hand:
                    break
                hint("Ctrl-C once more, Ctrl-D or /quit leaves the chat.")
        raise KeyboardInterrupt

    def survives(self, line: str) -> bool:
        """Take a line and say what failed; return False when it ends the chat."""
        try:
            self.take(line)
        except Leave:
            return False
        except CustomGPTError as error:
            complain(str(error))
            self.failed = self.failed or exit_code(error)
        except BrokenPipeError:
            raise
        except OSError as error:
            complain(f"{error.filename}: {error.strerror}." if error.filename else f"{error}.")
            self.failed = self.failed or Exit.FAILED
        return True

    def take(self, line: str) -> None:
        """Do what a line says, or ask it."""
        command = _COMMAND.match(line)
        if command is not None:
            name, argument = command[1], (command[2] or "").strip()
            if name not in DOING:
                raise ConfigurationError(f"There is no {name}; /help lists the commands.")
            DOING[name](self, argument)
        elif line:
            self.ask(line)

    def ask(self, prompt: str) -> None:
        """Print the answer. An interrupt leaves the answer; what had come stays on the screen."""
        asked = Question(prompt, self.session_id, self.settings, tuple(self.files))
        self.message = None
        try:
            if self.as_json:
                self.message = self.client.ask(prompt, **asked.arguments)
                print_json(answer_as_data(self.message, self.client.citations(self.message)))
            else:
                self.message = stream_answer(self.client, asked, self._begun)
        except KeyboardInterrupt:
            if not self.by_hand:
                raise
            note("Left this answer. The service may finish and keep it.", dim=True)
            return
        self._begun(self.message.session_id)
        if self.message.recovered:
            note("The line broke; the answer was read back from the conversation.", dim=True)
        count = len(self.message.citation_ids)
        if count:
            hint(f"{count} source{'s' if count > 1 else ''}: /sources")

    def _begun(self, session_id: str) -> None:
        """The question has reached its conversation: the next one goes there, too, and without the files."""
        self.session_id = session_id
        self.files.clear()
        self.at.last.keep(self.at.project_id, session_id)

    def sources(self, _: str) -> None:
        """`/sources`."""
        if self.message is None:
            raise ConfigurationError("There is no answer yet whose sources could be shown.")
        found = self.client.citations(self.message)
        for line in source_lines(found) or ["That answer names no source."]:
            say(safe(line))

    def new(self, _: str) -> None:
        """`/new`."""
        self.session_id, self.message = None, None
        note("The next question begins a new conversation.", dim=True)

    def resume(self, which: str) -> None:
        """`/resume`, `/resume 2`, `/resume ID`."""
        if not which:
            self.listed = list(islice(self.client.conversations.list(), LISTED))
            for number, each in enumerate(self.listed, 1):
                date = f"{each.created_at:%Y-%m-%d %H:%M}" if each.created_at else ""
                say(safe(f"{number:2}. {date}  {each.name or each.session_id}"))
            hint("/resume NUMBER goes on with one." if self.listed else "There is no conversation yet.")
            return
        if which.isdigit() and len(which) < 4:
            if not 0 < int(which) <= len(self.listed):
                raise ConfigurationError("/resume without a number lists the conversations to choose from.")
            which = self.listed[int(which) - 1].session_id
        newest = next(self.client.messages.list(which), None)  # NotFound before anything changes
        self.session_id, self.message = which, newest
        if newest is not None:
            say(style(f"> {safe(newest.prompt)}", dim=True))
            say(safe(newest.answer))

    def file(self, path: str) -> None:
        """`/file PATH`."""
        if not path:
            say("\n".join(self.files) or "No file waits for the next question.")
            return
        found = Path(path).expanduser()
        if not found.is_file():
            raise ConfigurationError(f"There is no file {path}.")
        self.files.append(str(found))
        note(f"{found.name} goes along with the next question.", dim=True)

    def export(self, path: str) -> None:
        """`/export`, `/export PATH`."""
        if self.session_id is None:
            raise ConfigurationError("There is nothing to export yet.")
        form = SUFFIXES.get(Path(path).suffix.lower(), "") if path else "markdown"
        if not form:
            raise ConfigurationError(f"{path} must end in {', '.join(SUFFIXES)}, which says the format.")
        exchange = read_exchange(
            self.client,
            self.session_id,
            name=None if form == "openai" else find_name(self.client, self.session_id),
            with_sources=form != "openai",
        )
        if not path:
            say(safe(as_markdown(exchange)).rstrip("\n"))
            return
        with Path(path).expanduser().open("x", encoding="utf-8") as file:  # never over a file that is there
            file.write(export(form, exchange))
        note(f"Wrote {path}.", dim=True)

    def help(self, _: str) -> None:
        """`/help`."""
        width = max(map(len, COMMANDS))
        for name, what in COMMANDS.items():
            say(f"{name:{width}}  {what}")

    def quit(self, _: str) -> None:
        """`/quit`."""
        raise Leave


DOING: dict[str, Callable[[Talk, str], None]] = {
    "/sources": Talk.sources,
    "/new": Talk.new,
    "/resume": Talk.resume,
    "/file": Talk.file,
    "/export": Talk.export,
    "/help": Talk.help,
    "/quit": Talk.quit,
}
