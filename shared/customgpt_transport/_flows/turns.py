"""What a prompt holds while it runs: its turn in the conversation and its slot in flight."""

from __future__ import annotations

from dataclasses import dataclass

from customgpt_transport import _environment, _naming
from customgpt_transport._flows import Flow, Wait
from customgpt_transport._pacing import Gate, Slot, pacing
from customgpt_transport._sessions import Ticket, sessions
from customgpt_transport.options import ClientOptions


@dataclass
class Turn:
    """One prompt's turn; `seen` is the greatest prompt id known in the conversation when it began."""

    ticket: Ticket
    gate: Gate
    slot: Slot
    seen: int

    def end(self, prompt_id: int | None = None) -> None:
        """Let the next prompt go."""
        sessions.note(self.ticket.key, prompt_id)
        self.gate.release(self.slot)
        sessions.leave(self.ticket)


def take_turn(options: ClientOptions, session_id: str, *, blocking: bool) -> Flow[Turn]:
    """Wait until no other prompt of this process runs in the conversation, and a slot is free.

    `blocking` says that waiting blocks the thread, and not just a task. Raises `RequestTimeout` after
    `session_wait` seconds, with nothing sent.
    """
    wait = options.session_wait
    ticket = sessions.join((_environment.origin(options.base_url or ""), session_id), blocking=blocking)
    try:
        if not (yield Wait(ticket.granted, wait)) and ticket.granted.cancel():
            raise _naming.session_busy(wait, session_id)
        gate = pacing.gate(options)
        slot = gate.take(options.max_concurrent_prompts, blocking=blocking)
        try:
            if not (yield Wait(slot.granted, wait)) and slot.granted.cancel():
                raise _naming.slots_busy(options, session_id)
        except BaseException:
            slot.granted.cancel()
            gate.release(slot)
            raise
    except BaseException:
        ticket.granted.cancel()
        sessions.leave(ticket)
        raise
    return Turn(ticket, gate, slot, sessions.seen(ticket.key))
