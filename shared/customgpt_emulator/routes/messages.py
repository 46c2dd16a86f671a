"""Messages: prompts and their answers."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from functools import partial

from aiohttp import web

from customgpt_emulator.knowledge.answering import REMEMBERED, Extract
from customgpt_emulator.knowledge.documents import Document, Unreadable, read_document
from customgpt_emulator.routes.prompts import (
    AcceptedPrompt,
    answer_whole,
    check_active,
    check_labels,
    external_id,
    find_answer,
    keep,
    stream_out,
)
from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.errors import Invalid, message_not_found, session_unknown
from customgpt_emulator.wire.events import encode_event, fresh_tokens, progress_event, replay_tokens

__all__ = ["ROUTES"]

PER_PAGE = 20
REACTIONS = ("liked", "disliked", "neutral")
ATTACHABLE = ("pdf", "docx", "doc", "odt", "txt", "jpg", "jpeg", "png", "webp")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def send_message(call: Call) -> web.StreamResponse:
    """Answer a prompt: 200 with a message, or with a stream if body or query has `stream`."""
    accepted = await _accept(call)
    call.entry.accepted = True
    cached = _cached(call, accepted)
    if cached is not None:
        found, tokens = Extract(cached["answer"]), replay_tokens(cached["answer"])
    else:
        found = find_answer(call, accepted)
        tokens = fresh_tokens(found.text)

    def stored() -> sqlite3.Row:
        return keep(call, accepted, found) if cached is None else cached

    if not call.flag("stream"):
        return call.success(call.shapes.message(await answer_whole(call, len(tokens), stored)))
    ascii_only = call.context.switches.escape_unicode
    frames = [encode_event("start", {"status": "start", "prompt": accepted.prompt}, ascii_only=ascii_only)]
    frames += [progress_event(token, ascii_only) for token in tokens]
    session_id = accepted.conversation["session_id"]
    return await stream_out(
        call,
        frames,
        stored,
        lambda row: [encode_event("finish", call.shapes.finish(row, session_id), ascii_only=ascii_only)],
    )


async def _accept(call: Call) -> AcceptedPrompt:
    agent = call.agent()
    conversation = _conversation(call, agent)
    check_active(call, agent)
    check_labels(call)
    prompt = call.field("prompt")
    if prompt is None:
        raise Invalid(prompt="The prompt field is required.")
    if not isinstance(prompt, str):
        raise Invalid(prompt="The prompt must be a string.")
    name = external_id(call)
    attached = await _attached(call)
    if call.body.files:  # anything may have happened while they were read
        agent = call.agent()
        conversation = _conversation(call, agent)
    store = call.context.store
    if conversation is None:
        session_id = call.request.match_info["session_id"]
        conversation = store.add_conversation(agent["id"], session_id, prompt[:31], call.now)
    earlier = store.prompts(conversation["id"], REMEMBERED)
    return AcceptedPrompt(prompt, conversation, name, "api", earlier, attached)


def _conversation(call: Call, agent: sqlite3.Row) -> sqlite3.Row | None:
    """Return the conversation; None if the switch `unknown_session` allows to create it."""
    session_id = call.request.match_info["session_id"]
    row = call.context.store.conversation(agent["id"], session_id)
    if row is not None:
        return row
    foreign = call.context.store.one("SELECT 1 FROM conversations WHERE session_id = ?", session_id)
    if call.context.switches.unknown_session == "404" or foreign or not _UUID.fullmatch(session_id):
        raise session_unknown(session_id)
    return None


async def _attached(call: Call) -> list[Document]:
    """Return files and `custom_context`, which the answer may quote. Pictures are accepted and ignored."""
    found = []
    context = call.text("custom_context")
    if context is not None:
        found.append(Document("Context", context))
    for upload in call.body.files:
        suffix = upload.filename.rpartition(".")[2].lower()
        if suffix not in ATTACHABLE:
            raise Invalid(file=f"The file must be a file of type: {', '.join(ATTACHABLE)}.")
        try:
            found.append(await asyncio.to_thread(read_document, upload.filename, upload.data))
        except Unreadable:
            continue
    return found


def _cached(call: Call, accepted: AcceptedPrompt) -> sqlite3.Row | None:
    """Return an earlier message with the same prompt, if `same_prompt_cache` is on and the client agrees."""
    if not call.context.switches.same_prompt_cache:
        return None
    if "no-cache" in call.request.headers.get("Cache-Control", "").lower():
        return None
    return call.context.store.one(
        "SELECT * FROM messages WHERE conversation_id = ? AND prompt = ? ORDER BY id DESC LIMIT 1",
        accepted.conversation["id"],
        accepted.prompt,
    )


async def list_messages(call: Call) -> web.StreamResponse:
    """List the messages of a conversation, newest first unless `order=asc`."""
    conversation = call.conversation()
    rows, total = call.context.store.listed(
        "messages",
        "conversation_id = ?",
        [conversation["id"]],
        page=call.page_number(),
        per_page=PER_PAGE,
        order=call.order(),
    )
    messages = call.listing(call.shapes.each(rows, call.shapes.message), total, PER_PAGE)
    return call.success({"conversation": call.shapes.conversation(conversation), "messages": messages})


async def get_message(call: Call) -> web.StreamResponse:
    """Answer with one message."""
    return call.success(call.shapes.message(_message(call)))


async def give_feedback(call: Call) -> web.StreamResponse:
    """Set the reaction. Null removes it; a vendor client relies on that."""
    message = _message(call)
    if "reaction" not in call.body.fields:
        raise Invalid(reaction="The reaction field is required.")
    reaction = call.field("reaction")
    if reaction is not None and reaction not in REACTIONS:
        raise Invalid(reaction="The selected reaction is invalid.")
    first = message["feedback_at"] if message["feedback_at"] is not None else call.now
    values = {
        "reaction": reaction,
        "feedback_at": None if reaction is None else first,
        "feedback_updated_at": None if reaction is None else call.now,
    }
    call.context.store.update("messages", message["id"], values)
    return call.success(call.shapes.message(_message(call)))


def _message(call: Call) -> sqlite3.Row:
    conversation = call.conversation()
    store = call.context.store
    return call.found("prompt_id", partial(store.message, conversation["id"]), message_not_found)


_PATH = "/projects/{project_id}/conversations/{session_id}/messages"
_ONE = _PATH + "/{prompt_id}"
ROUTES = (
    Route("messages.send", "POST", _PATH, send_message, "OpenAPI; captured 2023 and 2024, streamed and not"),
    Route("messages.list", "GET", _PATH, list_messages, "OpenAPI; captured 2023"),
    Route("messages.get", "GET", _ONE, get_message, "OpenAPI"),
    Route("messages.feedback", "PUT", _ONE + "/feedback", give_feedback, "OpenAPI; null by a vendor client"),
)
