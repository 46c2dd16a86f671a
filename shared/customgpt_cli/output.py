"""How things reach the user: plain text, JSON, and colours where a terminal shows them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

__all__ = [
    "as_data",
    "complain",
    "hint",
    "is_terminal",
    "note",
    "print_json",
    "safe",
    "say",
    "style",
    "write",
]

# Everything that moves a terminal's cursor, changes its colours or its title; line feed and tab stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def is_terminal(error: bool = False) -> bool:
    """Return whether a person is looking at standard output, or at standard error."""
    return (sys.stderr if error else sys.stdout).isatty()


def safe(text: str) -> str:
    """Return text from elsewhere without what would command the terminal; as it is where none is."""
    return _CONTROLS.sub("", text) if is_terminal() else text


def style(text: str, **look: Any) -> str:
    """Return the text in a colour or weight, where there is a terminal that NO_COLOR does not keep plain."""
    return click.style(text, **look) if is_terminal() and not os.environ.get("NO_COLOR") else text


def say(text: str = "") -> None:
    """Print a line on standard output."""
    write(text + "\n")


def write(text: str) -> None:
    """Print at once, so that whoever reads the other end of a pipe has it."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:  # an old terminal or LC_ALL=C
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def complain(sentence: str) -> None:
    """Print what went wrong on standard error."""
    note(f"Error: {sentence}", fg="red")


def note(sentence: str, **look: Any) -> None:
    """Print a line on standard error, which is for people."""
    plain = not is_terminal(error=True) or os.environ.get("NO_COLOR")
    text = _CONTROLS.sub("", sentence)
    click.echo(text if plain else click.style(text, **look), err=True)


def hint(sentence: str) -> None:
    """Print a line that helps a person, where one is looking."""
    if is_terminal() and is_terminal(error=True):
        note(sentence, dim=True)


def print_json(data: Any) -> None:
    """Print one JSON value, indented for a person and on one line for a program."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    say(json.dumps(as_data(data), ensure_ascii=not unicode, indent=2 if is_terminal() else None))


def as_data(value: Any) -> Any:
    """Return records as what JSON has: fields by name, dates in ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_data(member) for name, member in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_data(member) for member in value]
    return value
