"""From an accepted prompt to its stored answer, for messages and for chat completions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from customgpt_emulator.knowledge.answering import Extract, answer
from customgpt_emulator.knowledge.documents import Document
from customgpt_emulator.serving.call import Call
from customgpt_emulator.serving.connections import Gone
from customgpt_emulator.wire.bodies import without_surrogates
from customgpt_emulator.wire.errors import ApiError, Invalid, conversation_not_found, labels_refused
from customgpt_emulator.wire.settings import DEFAULTS

__all__ = [
    "AcceptedPrompt",
    "answer_whole",
    "check_active",
    "external_id",
    "find_answer",
    "keep",
    "stream_out",
]

LONGEST_EXTERNAL_ID = 128


@dataclass(frozen=True)
class AcceptedPrompt:
    """A prompt that passed validation, with everything that its answer depends on."""

    prompt: str
    conversation: sqlite3.Row
    external_id: str
    source: str
    """`request_source` of the stored message."""
    earlier: Sequence[str] = ()
    """Earlier prompts, newest first."""
    attached: Sequence[Document] = ()
    """Texts that came with the prompt."""
    inline_marks: bool = False


def check_active(call: Call, agent: sqlite3.Row) -> None:
    """Raise 403 if the agent has nothing indexed, as a vendor client expects. The text is unknown."""
    if not call.context.library.is_active(agent["id"], call.real):
        raise ApiError(403, "Agent is not active")


def check_labels(call: Call) -> None:
    """Raise 501 for a prompt with labels, unless the switch `labels` says otherwise."""
    grouped = any(name.startswith("labels[") for name in call.body.fields)  # as a form has lists of lists
    if (grouped or call.field("labels")) and call.context.switches.labels == "refuse":
        raise labels_refused()


def external_id(call: Call) -> str:
    """Return the client's own id for the prompt; '' if it sent none."""
    value = call.text("external_id") or ""
    if len(value) > LONGEST_EXTERNAL_ID:
        raise Invalid(
            external_id=f"The external id may not be greater than {LONGEST_EXTERNAL_ID} characters."
        )
    return value


def find_answer(call: Call, accepted: AcceptedPrompt) -> Extract:
    """Return the answer from the agent's pages, according to its settings."""
    project_id = accepted.conversation["project_id"]
    settings: dict[str, Any] = DEFAULTS | call.context.store.settings(project_id)
    hidden = bool(settings["hide_sources_from_responses"])
    marks = (
        accepted.inline_marks or settings["enable_inline_citations_api"] or call.context.switches.inline_marks
    )
    found = answer(
        call.context.library,
        project_id,
        accepted.prompt,
        earlier=accepted.earlier,
        attached=accepted.attached,
        now=call.real,
        no_answer=settings["no_answer_message"] or DEFAULTS["no_answer_message"],
        marks=bool(marks) and not hidden,
    )
    return Extract(found.text) if hidden else found


def keep(call: Call, accepted: AcceptedPrompt, found: Extract) -> sqlite3.Row:
    """Store the message and return it. It is committed when this returns.

    Raises 404 if the conversation was deleted, or everything was reset, while the answer was on its way.
    """
    conversation = accepted.conversation
    known = call.context.store.conversation(conversation["project_id"], conversation["session_id"])
    if known is None or known["id"] != conversation["id"]:
        raise conversation_not_found(conversation["session_id"])
    values = {
        "conversation_id": conversation["id"],
        "prompt": accepted.prompt,
        "answer": found.text,
        "citations": json.dumps(found.page_ids),
        "external_id": accepted.external_id,
        "user_ip": call.request.remote,
        "user_agent": without_surrogates(call.request.headers.get("User-Agent")),
        "request_source": accepted.source,
    }
    call.stored = call.context.store.add_message(values, call.context.clock.now())
    return call.stored


async def stream_out(
    call: Call,
    frames: Sequence[bytes],
    store: Callable[[], sqlite3.Row],
    ending: Callable[[sqlite3.Row], list[bytes]],
) -> web.StreamResponse:
    """Stream `frames`, store the answer, and stream the `ending`, which depends on what was stored.

    If the client leaves before the ending, the switch `on_disconnect` (or the fault that cut it off) says
    whether the answer is stored, after the time that the rest would have taken.
    """
    writer = call.writer()
    try:
        await writer.open()
        await writer.send(frames)
    except Gone:
        if call.keeps_answer:
            await writer.live_on(len(frames))
            with suppress(ApiError):  # nobody is left to hear that the conversation is gone, too
                store()
        raise
    try:
        row = store()
    except ApiError as error:  # too late for another status: break off
        call.entry.reason = error.message
        call.connection.hang_up()
        raise Gone from error
    await writer.finish(ending(row))
    return writer.response


async def answer_whole(call: Call, tokens: int, store: Callable[[], sqlite3.Row]) -> sqlite3.Row:
    """Wait as long as `tokens` tokens take and return the stored answer. Leaving is as in `stream_out`."""
    seconds = call.context.pacing.whole(tokens)
    if seconds:
        try:
            await call.connection.pause(seconds)
        except Gone:
            if call.keeps_answer:
                with suppress(ApiError):  # as in `stream_out`
                    store()
            raise
    return store()
