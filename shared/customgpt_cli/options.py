"""The options that every command takes, before or after its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from customgpt_transport import __version__

__all__ = ["Given", "common_options", "local_options", "pass_given"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Given:
    """What was said on the command line about where to go and how to print."""

    agent: int | None = None
    api_key_file: Path | None = None
    emulate: Path | None = None
    as_json: bool = False


pass_given = click.make_pass_decorator(Given, ensure=True)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    given = ctx.ensure_object(Given)
    if value is not None and value is not False:  # what stands nearer to the end of the line wins
        setattr(given, param.name or "", value)


def _refuse(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None:
        raise click.UsageError(
            "The API key is no argument: it would stand in the shell's history and in the list of processes. "
            "Set CUSTOMGPT_API_KEY, or name a file with --api-key-file."
        )


def local_options(function: F) -> F:
    """Add the options of a command that speaks to no service: `--json` and `--version`."""
    version = click.version_option(
        __version__, "--version", prog_name="customgpt", message="%(prog)s %(version)s"
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, expose_value=False, callback=_keep, help="Print JSON."
    )
    return as_json(version(function))


def common_options(function: F) -> F:
    """Add what every command takes. Its values are in the command's `Given`."""
    own = (
        click.option(
            "-a",
            "--agent",
            type=click.IntRange(min=1),
            metavar="ID",
            expose_value=False,
            callback=_keep,
            help="The agent's number; CUSTOMGPT_PROJECT_ID unless given.",
        ),
        click.option(
            "--api-key-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_keep,
            help="Read the API key from FILE; there is no option for the key itself, "
            "since arguments can be read by others (ps) and stay in the shell's history.",
        ),
        click.option(
            "--emulate",
            type=click.Path(path_type=Path),
            metavar="DIR",
            expose_value=False,
            callback=_keep,
            help="Use an emulator over the documents in DIR: no key, no network, no cost. "
            "CUSTOMGPT_EMULATE does the same.",
        ),
        click.option("--api-key", expose_value=False, callback=_refuse, hidden=True),
    )
    for option in reversed(own):
        function = option(function)
    return local_options(function)
