"""Faults on command: each one is a verb."""

from __future__ import annotations

from customgpt_emulator.faults.contents import ContentVerbs
from customgpt_emulator.faults.fault import Fault, Order
from customgpt_emulator.faults.losses import LossVerbs
from customgpt_emulator.faults.network import NetworkVerbs, Refusal
from customgpt_emulator.faults.refusals import RefusalVerbs

__all__ = ["Fault", "Faults", "Order", "Refusal"]


class Faults(LossVerbs, ContentVerbs, RefusalVerbs, NetworkVerbs):
    """The faults that requests will meet.

    ```python
    emulator.faults.cut_after(events=3)                    # the next prompt's answer breaks off
    emulator.faults.error(503, retry_after=1, times=2)     # then two prompts are refused
    emulator.faults.error(404, on="citations", times=None)  # and all look-ups of citations, until cleared
    ```

    Each verb orders a fault and returns the `Order`, which counts how often it was `played`. It takes:

    - `times`: how many requests meet it (default 1); None: all of them, until `clear`.
    - `on`: which requests. `"messages"`, the default: those that send a prompt. `"citations"`: all of that
      resource. `"messages.list"`: an endpoint, as the journal names it. `"messages.*"`: a pattern. None: any.
    - `chance`: the probability that a request meets it; the emulator's seed decides.

    Orders are played in the order in which they were given. A request meets at most one. Verbs that lose an
    answer also take:

    - `persist`: whether the lost answer is stored; None: as the switch `on_disconnect` has it. Answers that
      arrive are stored. A slow answer is lost if the client leaves before its end. A useless answer
      (`malformed_event`, `null_answer`, `json_instead_of_stream`) is stored unless `persist=False`.
    - `visible_after`: how many lists of messages still lack it (2), or for how long (`"1.5s"`).

    An answer that is not a stream goes out in eight pieces, which count as events, the last as the finish.
    Verbs that only make sense for streams wait for a stream. Verbs that use the vendor's event format
    (`error_event`, `null_answer`, `json_instead_of_stream`, `unknown_statuses`, `duplicate_finish`,
    `finish_without_blank_line`) skip chat/completions. If a request is refused before its fault can act, for
    example for an unknown conversation, the fault stays for the next request.
    """
