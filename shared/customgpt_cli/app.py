"""The command `customgpt` itself: its subcommands, loaded when they are run, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping, Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from customgpt_cli.exits import Exit, exit_code
from customgpt_cli.interrupts import interrupts
from customgpt_cli.options import common_options
from customgpt_cli.output import complain
from customgpt_transport.errors import CustomGPTError

__all__ = ["app"]

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# name: (module, attribute, the line in `customgpt --help`). The lines stand here so that help and completion
# import no subcommand: the demo's would load both frameworks.
COMMANDS = {
    "ask": ("customgpt_cli.ask", "ask", "Ask one question: the answer as it comes, then its sources."),
    "chat": ("customgpt_cli.chat", "chat", "Talk with an agent, with line editing and a history."),
    "agents": ("customgpt_cli.agents", "agents", "List, show, create, delete agents, and wait for one."),
    "sources": ("customgpt_cli.sources", "sources", "List, add, sync, delete what an agent reads."),
    "pages": ("customgpt_cli.pages", "pages", "List, read again, delete an agent's documents."),
    "conversations": (
        "customgpt_cli.conversations",
        "conversations",
        "List, show, export, rename, delete conversations.",
    ),
    "limits": ("customgpt_cli.limits", "limits", "Show what is left of the account's quota."),
    "emulator": (
        "customgpt_cli.emulator",
        "emulator",
        "Serve the API over a folder, on this machine.",
    ),
    "demo": ("customgpt_cli.demo", "demo", "One question through LangChain and LlamaIndex, without a key."),
    "completion": ("customgpt_cli.completion", "completion", "Print the completion script for a shell."),
}


class App(click.Group):
    """A group that imports a subcommand when it is run, and turns every error into a sentence and a code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand. Raises `ClickException` when what it needs is not installed."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ImportError as error:
            raise _not_installed(cmd_name, error) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what a subcommand or option that begins so can be."""
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        return [
            CompletionItem(name, help=COMMANDS[name][2]) for name in names
        ] + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand. Raises `Exit` with the code of whatever ended it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            _stop_writing()
            raise click.exceptions.Exit(Exit.OK) from None  # `| head -1`: the reader has what it wanted
        except CustomGPTError as error:
            complain(str(error))
            raise click.exceptions.Exit(exit_code(error)) from None
        except ImportError as error:
            raise _not_installed(ctx.invoked_subcommand or "this", error) from error
        except OSError as error:
            complain(f"{error.filename}: {error.strerror}." if error.filename else f"{error}.")
            raise click.exceptions.Exit(Exit.FAILED) from None

    def main(  # type: ignore[override]  # it never exits by itself, and so has one kind of result
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        extra: MutableMapping[str, Any] | None = None,
    ) -> int:
        """Run the command line and return its exit code. Every error is one sentence on standard error."""
        with interrupts:
            try:
                code = super().main(args, prog_name, standalone_mode=False, **(extra or {}))
                sys.stdout.flush()
            except click.ClickException as error:
                complain(error.format_message())
                code = error.exit_code
            except (click.Abort, KeyboardInterrupt):
                code = Exit.INTERRUPTED
            except BrokenPipeError:
                _stop_writing()
                code = Exit.OK
        return code if isinstance(code, int) else Exit.OK


def _not_installed(name: str, error: ImportError) -> click.ClickException:
    """Return the sentence for a missing extra. Raises the error again where it is a mistake of ours."""
    missing = (error.name or "").partition(".")[0]
    if not missing or missing.startswith(("customgpt_", "click")):
        raise error
    extra = "cli" if missing == "rich" else "all"
    return click.ClickException(
        f'customgpt {name} needs {missing}, which is not installed: pip install "customgpt-adapters[{extra}]"'
    )


def _stop_writing() -> None:
    """Nobody reads standard output any more: what is still in its buffer must not fail at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(cls=App, context_settings=HELP)
@common_options
def app() -> None:
    """Ask and look after your CustomGPT.ai agents.

    The API key is read from CUSTOMGPT_API_KEY, or from the file that CUSTOMGPT_API_KEY_FILE or --api-key-file
    names. It is no argument on purpose: arguments stand in the shell's history and in the list of processes
    (ps), where others can read them.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 key refused, 4 out of credits or budget, 5 throttled,
    6 not found, 7 no network, 8 something is unresolved, 9 some rows were refused, 130 interrupted.
    """
