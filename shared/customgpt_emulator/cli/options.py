"""Option values of the command line that need reading."""

from __future__ import annotations

import types
import typing
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from customgpt_emulator.faults.parse import parse_fault, verbs
from customgpt_emulator.state.switches import Switches

__all__ = ["SWITCHES", "parse_fault_option", "parse_switch"]

_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_HINTS = get_type_hints(Switches)
SWITCHES = {field.name: _HINTS[field.name] for field in fields(Switches)}


def parse_switch(value: str) -> tuple[str, Any]:
    """`name=value` of one of the emulator's switches, as (name, value); `name` alone means true.

    Raises `click.BadParameter`, naming the switches there are or the values that one takes.
    """
    name, sign, text = value.partition("=")
    name = name.strip().replace("-", "_")
    if name not in SWITCHES:
        raise click.BadParameter(f"{name} is no switch; there are {', '.join(SWITCHES)}.")
    try:
        return name, _read(SWITCHES[name], text.strip() if sign else "true")
    except ValueError:
        raise click.BadParameter(f"{name} takes {_choices(SWITCHES[name])}, not {text!r}.") from None


def parse_fault_option(value: str) -> tuple[str, dict[str, Any]]:
    """`verb:name=value,...` as (verb, arguments). Raises `click.BadParameter` for what is no fault.

    `help` prints the verbs with what they take, and ends the command with success.
    """
    if value.strip() == "help":
        click.echo(_table_of_verbs())
        raise click.exceptions.Exit(0)
    try:
        return parse_fault(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _table_of_verbs() -> str:
    """A line for each verb, `VERB  name: type, ...`, after what all of them take."""
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


def _read(hint: Any, text: str) -> Any:
    """The value that the text means for a switch of this type; raises `ValueError` when it means none."""
    if get_origin(hint) is Literal:
        for choice in get_args(hint):
            if str(choice) == text:
                return choice
        raise ValueError(text)
    if get_origin(hint) in (types.UnionType, typing.Union):
        if text.lower() in ("none", "null", ""):
            return None
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    if hint is bool:
        if text.lower() not in _WORDS:
            raise ValueError(text)
        return _WORDS[text.lower()]
    return hint(text)


def _choices(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in get_args(hint))
    return "true or false" if hint is bool else "a number"
