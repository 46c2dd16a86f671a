"""`customgpt demo`: the command `customgpt-demo`, over the folder of `--emulate` where one is named."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import click

from customgpt_cli.connecting import emulated_folder
from customgpt_cli.options import Given
from customgpt_demo.cli import demo as command

__all__ = ["demo"]


def _show(documents: Path | None, **options: Any) -> None:
    given = click.get_current_context().find_object(Given) or Given()
    assert command.callback is not None  # noqa: S101 - it is made from a function
    command.callback(documents=documents or emulated_folder(given), **options)


demo = copy(command)
demo.callback = _show
