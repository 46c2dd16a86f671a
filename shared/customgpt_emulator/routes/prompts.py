"""What sending a prompt means, whether it came natively or in OpenAI's form."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from customgpt_emulator.knowledge.answering import Answer, answer
from customgpt_emulator.knowledge.documents import Document
from customgpt_emulator.serving.call import Call
from customgpt_emulator.serving.connections import Gone
from customgpt_emulator.wire.bodies import without_surrogates
from customgpt_emulator.wire.errors import ApiError, Invalid, conversation_not_found
from customgpt_emulator.wire.settings import DEFAULTS

__all__ = ["Question", "answer_whole", "check_active", "external_id", "find_answer", "keep", "stream_out"]

LONGEST_EXTERNAL_ID = 128


@dataclass(frozen=True)
class Question:
    """A prompt that passed validation, with all that its answer depends on."""

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
    """403 for an agent without anything indexed: a client reads it so; the text is unknown."""
    if not call.context.library.is_active(agent["id"], call.real):
        raise ApiError(403, "Agent is not active")


def external_id(call: Call) -> str:
    """The client's own name for the prompt; '' when it has none."""
    value = call.text("external_id") or ""
    if len(value) > LONGEST_EXTERNAL_ID:
        raise Invalid(
            external_id=f"The external id may not be greater than {LONGEST_EXTERNAL_ID} characters."
        )
    return value


def find_answer(call: Call, question: Question) -> Answer:
    """Answer from the agent's pages, as its settings want it."""
    project_id = question.conversation["project_id"]
    settings: dict[str, Any] = DEFAULTS | call.context.store.settings(project_id)
    hidden = bool(settings["hide_sources_from_responses"])
    marks = (
        question.inline_marks or settings["enable_inline_citations_api"] or call.context.switches.inline_marks
    )
    found = answer(
        call.context.library,
        project_id,
        question.prompt,
        earlier=question.earlier,
        attached=question.attached,
        now=call.real,
        no_answer=settings["no_answer_message"] or DEFAULTS["no_answer_message"],
        marks=bool(marks) and not hidden,
    )
    return Answer(found.text) if hidden else found


def keep(call: Call, question: Question, found: Answer) -> sqlite3.Row:
    """Store the message; committed when this returns.

    Raises 404 when the conversation was deleted, or all was reset, while the answer was on its way.
    """
    conversation = question.conversation
    known = call.context.store.conversation(conversation["project_id"], conversation["session_id"])
    if known is None or known["id"] != conversation["id"]:
        raise conversation_not_found(conversation["session_id"])
    values = {
        "conversation_id": conversation["id"],
        "prompt": question.prompt,
        "answer": found.text,
        "citations": json.dumps(found.page_ids),
        "external_id": question.external_id,
        "user_ip": call.request.remote,
        "user_agent": without_surrogates(call.request.headers.get("User-Agent")),
        "request_source": question.source,
    }
    call.stored = call.context.store.add_message(values, call.context.clock.now())
    return call.stored


async def stream_out(
    call: Call,
    frames: Sequence[bytes],
    store: Callable[[], sqlite3.Row],
    ending: Callable[[sqlite3.Row], list[bytes]],
) -> web.StreamResponse:
    """Stream an answer: `frames`, then it is stored, then the `ending` that tells of what was stored.

    When the client leaves before the ending, the switch `on_disconnect` (or the fault that cut it off) says
    whether it is stored all the same, once the time is over that the rest would have taken.
    """
    writer = call.writer()
    try:
        await writer.open()
        await writer.send(frames)
    except Gone:
        if call.keeps_answer:
            await writer.live_on(len(frames))
            with suppress(ApiError):  # nobody is there to be told that the conversation is gone, too
                store()
        raise
    try:
        row = store()
    except ApiError as error:  # the status has been sent: all that is left is to break off
        call.entry.reason = error.message
        call.connection.hang_up()
        raise Gone from error
    await writer.finish(ending(row))
    return writer.response


async def answer_whole(call: Call, tokens: int, store: Callable[[], sqlite3.Row]) -> sqlite3.Row:
    """The stored answer, when the time is over that so many tokens take; for leavers as in `stream_out`."""
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
