"""Options whose values have a syntax of their own: switches and faults."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from customgpt_emulator.faults.parse import parse_fault, readings, verbs
from customgpt_emulator.state.switches import Switches, what_it_takes

__all__ = ["SWITCHES", "parse_fault_option", "parse_switch"]

SWITCHES = [field.name for field in fields(Switches)]


def parse_switch(value: str) -> tuple[str, Any]:
    """Return (name, value) from `name=value`, which sets one of the emulator's switches; `name` means true.

    Raises `click.BadParameter`, which lists the switches or the values that this one takes.
    """
    name, sign, text = value.partition("=")
    name = name.strip().replace("-", "_")
    if name not in SWITCHES:
        raise click.BadParameter(f"{name} is not a switch. The switches are {', '.join(SWITCHES)}.")
    for reading in readings(text.strip() if sign else "true"):
        wanted = what_it_takes(name, reading)
        if wanted is None:
            return name, reading
    raise click.BadParameter(f"{name} must be {wanted}, not {reading!r}.")


def parse_fault_option(value: str) -> tuple[str, dict[str, Any]]:
    """Return (verb, arguments) from `verb:name=value,...`. Raises `click.BadParameter` if it is no fault.

    `help` prints the verbs with their arguments and exits with 0.
    """
    if value.strip() == "help":
        click.echo(_table_of_verbs())
        raise click.exceptions.Exit(0)
    try:
        return parse_fault(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _table_of_verbs() -> str:
    """Return a line per verb, `VERB  name: type, ...`, below the arguments that all of them take."""
    table = verbs()
    common = table["gzip"]  # it takes what all do, and nothing else
    width = max(map(len, table))
    lines = ["--fault VERB:name=value,name=value", f"{'any':{width}}  {_parameters(common)}"]
    for verb, taken in sorted(table.items()):
        own = {name: kind for name, kind in taken.items() if name not in common}
        lines.append(f"{verb:{width}}  {_parameters(own)}")
    return "\n".join(line.rstrip() for line in lines)


def _parameters(taken: dict[str, str]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in taken.items())
