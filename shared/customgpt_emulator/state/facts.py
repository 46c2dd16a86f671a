"""Files of facts, which say how a real service was seen to behave: `{"facts": {switch: value or null}}`."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from customgpt_emulator.state.switches import Switches

__all__ = ["read_facts"]


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the switches that a file of facts sets, by name. What was not seen is left out.

    Raises `ValueError` if there is no such file, if it holds no facts, or if it sets a switch that this
    emulator does not have, or to a value that the switch does not take.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"The facts in {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ValueError(f"{path} is no file of facts: it is not JSON ({error}).") from error
    facts = found.get("facts") if isinstance(found, dict) else None
    if not isinstance(facts, dict):
        raise ValueError(f'{path} is no file of facts: it must be {{"facts": {{switch: value}}}}.')
    known = {field.name for field in fields(Switches)}
    unknown = sorted(set(facts) - known)
    if unknown:
        raise ValueError(
            f"{path} tells of {', '.join(unknown)}, which this version of the emulator has no switch for."
        )
    settled = {name: value for name, value in facts.items() if value is not None}
    try:
        Switches(**settled)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return settled
