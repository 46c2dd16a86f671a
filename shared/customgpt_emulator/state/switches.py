"""Switches for what is uncertain about the API. The defaults follow documented and captured facts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["Switches", "what_it_takes"]


@dataclass
class Switches:
    """Choices where the behaviour of the service is unknown, has changed, or differs between captures.

    A switch may be changed while the emulator runs; each request reads it. Raises `ValueError` for a value
    that a switch does not take, and `AttributeError` for a switch that does not exist.
    """

    unknown_session: Literal["404", "create"] = "404"
    """A prompt to an unknown UUID is refused, or creates the conversation (vendor clients rely on that)."""

    labels: Literal["refuse", "ignore"] = "refuse"
    """A prompt with labels: refused with 501, as labels are not emulated, or answered from all documents."""

    same_prompt_cache: bool = False
    """True: a prompt repeated in its conversation gets the same message again, as captured in 2023.
    The request header `Cache-Control: no-cache` asks for a new one."""

    strict_name: bool = False
    """True: a conversation without a name is refused with 422."""

    name_filter: Literal["exact", "contains", "ignored"] = "contains"
    """`name` in the list of conversations is the whole name, a part of it in any case, or has no effect."""

    external_id_echo: bool = True
    """True: messages have the `external_id` that they were sent with, as documented; False: null."""

    citation_type: Literal["int", "float_string", "null"] = "int"
    """`citations` as `[12]`, as `["12.0"]` (captured 2023), or always null."""

    on_disconnect: Literal["persist", "abort"] = "persist"
    """If the client leaves in mid-stream, its answer is stored, or dropped."""

    keep_alive_seconds: float | None = None
    """Seconds between comment lines while a paced stream is silent; None: no comments, as captured."""

    inline_marks: bool = False
    """True: answers have `:cit[n/m]` marks even if the agent's settings do not ask for them."""

    stats_keys: Literal[7, 8] = 8
    """Eight keys as documented, or seven as captured and as in the vendor's tests."""

    upload_settings: Literal["object", "list"] = "object"
    """`settings` of a source of uploads: an object as documented, or the empty list captured in 2023, which
    the vendor's SDK (1.2.8) cannot read."""

    old_dates: bool = False
    """True: the date formats of June 2023, `25 Jun 2023 05:01:11` for messages, no zone in `updated_at`."""

    readiness_delay: float = 0.0
    """Seconds until a page that was added to an agent is indexed."""

    completions_status: Literal[200, 201] = 200
    """chat/completions answers 200 as documented, or 201 as some vendor bots expect."""

    escape_unicode: bool = True
    """True: JSON in ASCII, as PHP writes it; False: JSON in UTF-8."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _kinds():
            raise AttributeError(f"there is no switch {name!r}; the switches are {', '.join(_kinds())}.")
        wanted = what_it_takes(name, value)
        if wanted is not None:
            raise ValueError(f"{name} must be {wanted}, not {value!r}.")
        super().__setattr__(name, value)


@lru_cache(maxsize=1)
def _kinds() -> dict[str, Any]:
    return get_type_hints(Switches)


def what_it_takes(name: str, value: Any) -> str | None:
    """Return what a switch takes instead of a value; None when it takes the value."""
    kind = _kinds()[name]
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        good = any(value == choice and type(value) is type(choice) for choice in choices)
        return None if good else " or ".join(repr(choice) for choice in choices)
    if kind is bool:
        return None if isinstance(value, bool) else "True or False"
    if value is None and type(None) in get_args(kind):
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if name == "keep_alive_seconds":
        return None if number and value > 0 else "a number of seconds above 0, or None"
    return None if number and value >= 0 else "a number of seconds, 0 or more"
