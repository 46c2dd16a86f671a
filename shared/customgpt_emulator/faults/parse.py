"""Faults by name: as text from the command line, as JSON over HTTP."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from customgpt_emulator.faults import Faults, Order, Refusal
from customgpt_emulator.faults.fault import Lossy, Ordering

__all__ = ["order_fault", "parse_fault", "readings", "verbs"]

_WORDS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


def verbs() -> dict[str, dict[str, str]]:
    """Return all verbs with their parameters and types: `{"cut_after": {"events": "int", ...}}`."""
    found: dict[str, dict[str, str]] = {}
    for name, function in inspect.getmembers(Faults, inspect.isfunction):
        if name.startswith("_") or inspect.signature(function).return_annotation not in ("Order", "Refusal"):
            continue
        found[name] = {}
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                found[name][parameter.name] = str(parameter.annotation)
            else:
                more = Lossy if "Lossy" in str(parameter.annotation) else Ordering
                for table in (Ordering, more):
                    found[name] |= {key: _written(kind) for key, kind in table.__annotations__.items()}
    return found


def parse_fault(text: str) -> tuple[str, dict[str, Any]]:
    """Return verb and arguments from `cut_after` or `error:status=503,retry_after=2,times=3`.

    `none` is None. A comma belongs to a value unless a name and `=` follow it. Raises `ValueError` for text
    that names no fault.
    """
    verb, _, rest = text.strip().partition(":")
    types = _types(verb)
    arguments: dict[str, Any] = {}
    for part in re.split(r",(?=\s*\w+\s*=)", rest) if rest.strip() else ():
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals:
            raise ValueError(f"{verb}: {part.strip()!r} is not an argument; write name=value.")
        _check_name(verb, name, types)
        arguments[name] = next(
            (reading for reading in readings(value.strip()) if _fits(reading, types[name])), value.strip()
        )
    return verb, arguments


def readings(text: str) -> Iterator[Any]:
    """Yield what a text may stand for: None, true or false, a number, and last the text itself."""
    word = text.lower()
    if word in ("none", "null"):
        yield None
    if word in _WORDS:
        yield _WORDS[word]
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        yield int(text)
    if re.fullmatch(r"-?[0-9]{0,18}\.?[0-9]{1,18}", text):
        yield float(text)
    yield text


def order_fault(faults: Faults, verb: str, arguments: Mapping[str, Any]) -> Order | Refusal:
    """Order a fault by name. Raises `ValueError` for wrong names and values."""
    types = _types(verb)
    for name, value in arguments.items():
        _check_name(verb, name, types)
        if not _fits(value, types[name]):
            raise ValueError(f"{verb}: {name} must be {types[name].replace(' | ', ' or ')}, not {value!r}.")
    if verb == "refuse" and arguments.get("seconds") is None:
        raise ValueError(
            "refuse: seconds is needed, since a closed port cannot take the request to open it again."
        )
    try:
        made: Order | Refusal = getattr(faults, verb)(**arguments)
    except TypeError as error:  # a required argument is missing
        raise ValueError(f"{verb}: {str(error).partition('() ')[2] or error}.") from error
    return made


def _types(verb: str) -> dict[str, str]:
    known = verbs()
    if verb not in known:
        raise ValueError(f"there is no fault {verb!r}. The faults are: {', '.join(sorted(known))}.")
    return known[verb]


def _check_name(verb: str, name: str, types: Mapping[str, str]) -> None:
    if name not in types:
        raise ValueError(f"{verb} takes no {name!r}; it takes {', '.join(types) or 'nothing'}.")


def _fits(value: Any, kind: str) -> bool:
    """Return whether a JSON value fits a type, given as it is written."""
    for one in kind.split(" | "):
        if one == "None":
            good = value is None
        elif one == "bool":
            good = isinstance(value, bool)
        elif one in ("int", "float"):
            whole = isinstance(value, int) or (one == "float" and isinstance(value, float))
            good = whole and not isinstance(value, bool)
        elif one == "str":
            good = isinstance(value, str)
        else:
            good = one.startswith("Mapping") and isinstance(value, dict)
        if good:
            return True
    return False


def _written(annotation: Any) -> str:
    """Return an annotation as it is written, `int | None`; a TypedDict keeps it as a forward reference."""
    return str(getattr(annotation, "__forward_arg__", annotation))
