"""Misbehaviour on command: each fault is a verb."""

from __future__ import annotations

from customgpt_emulator.faults.contents import ContentVerbs
from customgpt_emulator.faults.fault import Fault, Order
from customgpt_emulator.faults.losses import LossVerbs
from customgpt_emulator.faults.network import NetworkVerbs, Refusal
from customgpt_emulator.faults.refusals import RefusalVerbs

__all__ = ["Fault", "Faults", "Order", "Refusal"]


class Faults(LossVerbs, ContentVerbs, RefusalVerbs, NetworkVerbs):
    """What shall go wrong.

    ```python
    emulator.faults.cut_after(events=3)                    # the next prompt's answer breaks off
    emulator.faults.error(503, retry_after=1, times=2)     # then two prompts are refused
    emulator.faults.error(404, on="citations", times=None)  # and all look-ups of citations, until cleared
    ```

    Every verb orders a fault and gives the `Order`, which tells how often it was `played`. It takes:

    - `times`: how many requests meet it (1); None: all that come, until `clear`.
    - `on`: which requests. `"messages"`, the default, are those that send a prompt; `"citations"` all of that
      resource; `"messages.list"` one endpoint, as the journal names it; `"messages.*"` a pattern; None any.
    - `chance`: a request meets it with this probability only, by the emulator's seed.

    Orders are served in the order in which they were given; a request meets one at most. Verbs that lose an
    answer also take:

    - `persist`: whether it was stored all the same; None: as the switch `on_disconnect` has it. A complete
      answer is stored: one that is only slow counts as lost when the client leaves before its end; one of no
      use (`malformed_event`, `null_answer`, `json_instead_of_stream`) is stored unless `persist=False`.
    - `visible_after`: how many times the list of messages comes without it (2), or for how long (`"1.5s"`).

    An answer that is no stream goes out in eight pieces, which then count as events, the last as the finish.
    Verbs that have a meaning for streams only wait for a stream; those that speak the vendor's own form
    (`error_event`, `null_answer`, `json_instead_of_stream`, `unknown_statuses`, `duplicate_finish`,
    `finish_without_blank_line`) leave chat/completions alone. A request that is refused before its fault can
    act, say for an unknown conversation, leaves the fault to the next one.
    """
