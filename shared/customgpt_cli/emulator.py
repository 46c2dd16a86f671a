"""`customgpt emulator`: the command `customgpt-emulator`, which says itself what Ctrl-C does."""

from __future__ import annotations

from copy import copy
from typing import Any

from customgpt_cli.interrupts import interrupts
from customgpt_emulator.cli.command import command

__all__ = ["emulator"]


def _serve(**options: Any) -> None:
    with interrupts.answered_by_the_command():
        assert command.callback is not None  # noqa: S101 - it is made from a function
        command.callback(**options)


emulator = copy(command)
emulator.callback = _serve
