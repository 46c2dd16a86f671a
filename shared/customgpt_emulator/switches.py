"""Named switches for what is uncertain about the API; each default follows documented and captured facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Switches"]


@dataclass
class Switches:
    """How the emulator behaves where the service is unknown, has changed, or differs between captures.

    A switch may be turned while the emulator runs: it is read at each request.
    """

    unknown_session: Literal["404", "create"] = "404"
    """A prompt sent to an unknown UUID: refused, or the conversation is made (vendor clients count on it)."""

    same_prompt_cache: bool = False
    """True: a prompt repeated in its conversation gets the same message again, as captured in 2023;
    the request header `Cache-Control: no-cache` asks for a fresh one."""

    strict_name: bool = False
    """True: a conversation without a name is refused with 422."""

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
