"""Named switches for what is uncertain about the API; each default follows documented and captured facts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["Switches", "what_it_takes"]


@dataclass
class Switches:
    """How the emulator behaves where the service is unknown, has changed, or differs between captures.

    A switch may be turned while the emulator runs: it is read at each request. Raises `ValueError` for values
    that the switch does not have, and `AttributeError` for a switch that does not exist.
    """

    unknown_session: Literal["404", "create"] = "404"
    """A prompt sent to an unknown UUID: refused, or the conversation is made (vendor clients count on it)."""

    same_prompt_cache: bool = False
    """True: a prompt repeated in its conversation gets the same message again, as captured in 2023;
    the request header `Cache-Control: no-cache` asks for a fresh one."""

    strict_name: bool = False
    """True: a conversation without a name is refused with 422."""

    name_filter: Literal["exact", "contains", "ignored"] = "contains"
    """`name` in the list of conversations: the whole name, a part of it in any case, or without effect."""

    external_id_echo: bool = True
    """Messages tell the `external_id` that they were sent with, as documented; False: null instead."""

    citation_type: Literal["int", "float_string", "null"] = "int"
    """`citations` as `[12]`, as `["12.0"]` (captured 2023), or always null."""

    on_disconnect: Literal["persist", "abort"] = "persist"
    """When the client leaves in mid-stream: the answer is stored all the same, or thrown away."""

    keep_alive_seconds: float | None = None
    """Comment lines during the silences of a paced stream, this far apart; None: none, as captured."""

    inline_marks: bool = False
    """True: answers carry `:cit[n/m]` marks even where the agent's setting does not ask for them."""

    stats_keys: Literal[7, 8] = 8
    """Eight keys as documented, or seven as captured and as the vendor's tests have it."""

    upload_settings: Literal["object", "list"] = "object"
    """`settings` of an uploads source: an object as documented, or the empty list that was captured in 2023,
    at which the vendor's SDK (1.2.8) stumbles."""

    old_dates: bool = False
    """True: the date formats of June 2023: `25 Jun 2023 05:01:11` for messages, no zone in `updated_at`."""

    readiness_delay: float = 0.0
    """Seconds until what was added to an agent is crawled and indexed."""

    completions_status: Literal[200, 201] = 200
    """chat/completions answers 200 as documented, or 201 as some vendor bots expect."""

    escape_unicode: bool = True
    """JSON bodies in ASCII, as PHP writes them; False: UTF-8 on the wire."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _kinds():
            raise AttributeError(f"there is no switch {name!r}; there are {', '.join(_kinds())}.")
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
