"""`customgpt completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from customgpt_cli.options import local_options
from customgpt_cli.output import say

__all__ = ["completion"]

HOW = """\
Completion of commands and options in your shell. Put this into its start file:

\b
  bash  ~/.bashrc                          eval "$(customgpt completion bash)"
  zsh   ~/.zshrc                           eval "$(customgpt completion zsh)"
  fish  ~/.config/fish/config.fish         customgpt completion fish | source
"""


@click.command(help=f"Print the script for the completion in a shell.\n\n{HOW}")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@local_options
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete this command."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    say(kind(ctx.find_root().command, {}, "customgpt", "_CUSTOMGPT_COMPLETE").source())
