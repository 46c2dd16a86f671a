"""`customgpt ask`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import click

from customgpt_cli.connecting import Service, service
from customgpt_cli.options import Given, common_options, pass_given
from customgpt_cli.output import as_data, hint, print_json, safe, say, style, write
from customgpt_transport import Client, PromptSettings
from customgpt_transport.errors import ConfigurationError, CustomGPTError
from customgpt_transport.models import AnswerDelta, Citation, Message

__all__ = ["Question", "answer_as_data", "ask", "last_session", "source_lines", "stream_answer"]


@dataclass(frozen=True)
class Question:
    """What is asked, where, and with what."""

    prompt: str
    session_id: str | None = None
    settings: PromptSettings = field(default_factory=PromptSettings)
    files: Sequence[str] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """What `Client.ask` and `Client.stream` take besides the prompt."""
        return {"session_id": self.session_id, "settings": self.settings, "files": self.files}


@click.command()
@click.argument("question", nargs=-1)
@click.option("-c", "--conversation", metavar="ID", help="Ask in this conversation.")
@click.option("--continue", "go_on", is_flag=True, help="Ask in the last conversation with this agent.")
@click.option("-f", "--file", "files", metavar="PATH", multiple=True, help="Send a file along; repeatable.")
@click.option("--persona", metavar="TEXT", help="Who answers, instead of the agent's own persona.")
@click.option("--lang", metavar="CODE", help="Language of the answer, such as de.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is whole.")
@click.option("-q", "--quiet", is_flag=True, help="Print the answer's text and nothing else.")
@common_options
@pass_given
def ask(
    given: Given,
    question: tuple[str, ...],
    conversation: str | None,
    go_on: bool,
    files: tuple[str, ...],
    persona: str | None,
    lang: str | None,
    no_stream: bool,
    quiet: bool,
) -> None:
    """Ask one QUESTION, or what standard input holds.

    The answer is printed as it comes, then its sources. One question is one prompt on your bill.
    """
    if conversation and go_on:
        raise click.UsageError("--conversation names one conversation, --continue another. Give one of them.")
    prompt = _prompt(question)
    with service(given) as at, at.client() as client:
        at.project_id  # noqa: B018 - whatever is missing is said before anything is sent
        asked = Question(
            prompt,
            conversation or (last_session(at) if go_on else None),
            PromptSettings(lang=lang, custom_persona=persona),
            files,
        )
        if given.as_json or no_stream:
            message = client.ask(prompt, **asked.arguments)
            at.last.keep(at.project_id, message.session_id)
            if given.as_json:
                print_json(answer_as_data(message, client.citations(message)))
                return
            say(safe(message.answer))
        else:
            message = stream_answer(client, asked, partial(at.last.keep, at.project_id))
        if not quiet:
            _print_sources(client.citations(message), at)


def _prompt(question: Sequence[str]) -> str:
    """Return the question of the command line, or else that of standard input."""
    if question and question != ("-",):
        return " ".join(question)
    if not question and sys.stdin.isatty():
        raise click.UsageError('Ask something: customgpt ask "How do refunds work?"')
    return sys.stdin.read().strip()


def last_session(at: Service) -> str:
    """Return the last conversation with the agent. Raises `ConfigurationError` when there is none."""
    session_id = at.last.of(at.project_id)
    if session_id is None:
        raise ConfigurationError(
            f"There is no last conversation with agent {at.project_id}. Ask without --continue first."
        )
    return session_id


def stream_answer(client: Client, asked: Question, on_begin: Callable[[str], None]) -> Message:
    """Print the answer as it comes and return it. Ends the line whatever happens to the answer.

    `on_begin` is told the session id as soon as the prompt has been sent.
    """
    begun = False
    with client.stream(asked.prompt, **asked.arguments) as answer:
        on_begin(answer.session_id)
        try:
            for event in answer:
                if isinstance(event, AnswerDelta):
                    begun = True
                    write(safe(event.text))
        except (CustomGPTError, KeyboardInterrupt):
            if begun:
                say()
            raise
        say()
        return answer.message


def _print_sources(citations: Sequence[Citation], at: Service) -> None:
    if not citations:
        return
    say()
    say(style("Sources", bold=True))
    for line in source_lines(citations):
        say(safe(line))
    if at.is_embedded:
        hint("The addresses ended with this command, whose emulator they lead to.")


def source_lines(citations: Sequence[Citation]) -> list[str]:
    """Return a numbered list of titles and links."""
    lines = []
    width = len(str(len(citations)))
    for number, source in enumerate(citations, 1):
        title = source.title or source.url or f"page {source.id}"
        problem = "" if source.resolved else f" ({source.problem})"
        lines.append(f"{number:{width + 1}}. {title}{problem}")
        if source.url and source.url != title:
            lines.append(f"{'':{width + 3}}{source.url}")
    return lines


def answer_as_data(message: Message, citations: Sequence[Citation]) -> dict[str, Any]:
    """Return an answer and its sources as one JSON object."""
    fields: dict[str, Any] = as_data(message)
    extra = fields.pop("extra")
    fields.pop("citation_ids")
    return {**fields, "citations": [as_data(source) for source in citations], "extra": extra}
