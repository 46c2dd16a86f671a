"""Prompts and their answers: the endpoint that everything else is there for."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from customgpt_emulator.answering import REMEMBERED, Answer, answer
from customgpt_emulator.call import Call, Route
from customgpt_emulator.errors import ApiError, Invalid, conversation_not_found, message_not_found
from customgpt_emulator.streaming import EventWriter, Gone, event, fresh_tokens

__all__ = ["ROUTES"]

PER_PAGE = 20
LONGEST_EXTERNAL_ID = 128
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Prompt:
    """A prompt that passed validation."""

    text: str
    external_id: str
    conversation: sqlite3.Row
    agent: sqlite3.Row


async def send_message(call: Call) -> web.StreamResponse:
    """Answer a prompt: 200 with a message, or with a stream when `stream` says so in body or query."""
    prompt = _accept(call)
    found = answer(
        call.context.library,
        prompt.agent["id"],
        prompt.text,
        earlier=call.context.store.prompts(prompt.conversation["id"], REMEMBERED),
        now=call.now,
        no_answer="I'm sorry, I don't know the answer",
    )
    if call.flag("stream"):
        return await _stream(call, prompt, found)
    return call.success(call.shapes.message(_store(call, prompt, found)))


async def _stream(call: Call, prompt: Prompt, found: Answer) -> web.StreamResponse:
    """start, progress x n, finish. The answer is stored before `finish` is sent, never after."""
    ascii_only = call.context.switches.escape_unicode
    frames = [event("start", {"status": "start", "prompt": prompt.text}, ascii_only=ascii_only)]
    frames += [
        event("progress", {"status": "progress", "message": token}, ascii_only=ascii_only)
        for token in fresh_tokens(found.text)
    ]
    writer = EventWriter(call)
    try:
        await writer.open()
        await writer.send(frames)
    except Gone:
        if call.context.switches.on_disconnect == "persist":
            _store(call, prompt, found)
        return writer.response
    row = _store(call, prompt, found)
    finish = call.shapes.finish(row, prompt.conversation["session_id"])
    try:
        await writer.send([event("finish", finish, ascii_only=ascii_only)])
        await writer.close()
    except Gone:
        pass  # stored, as after any other cut at the very end
    return writer.response


def _accept(call: Call) -> Prompt:
    agent = call.agent()
    conversation = _conversation(call, agent)
    if not call.context.library.is_active(agent["id"], call.now):
        raise ApiError(403, "Agent is not active")
    text = call.field("prompt")
    if text is None:
        raise Invalid(prompt="The prompt field is required.")
    if not isinstance(text, str):
        raise Invalid(prompt="The prompt must be a string.")
    external_id = call.text("external_id") or ""
    if len(external_id) > LONGEST_EXTERNAL_ID:
        limit = f"The external id may not be greater than {LONGEST_EXTERNAL_ID} characters."
        raise Invalid(external_id=limit)
    if conversation is None:
        session_id = call.request.match_info["session_id"]
        conversation = call.context.store.add_conversation(agent["id"], session_id, text[:31], call.now)
    return Prompt(text, external_id, conversation, agent)


def _conversation(call: Call, agent: sqlite3.Row) -> sqlite3.Row | None:
    """The conversation; None when it is yet to be made, as the switch `unknown_session` allows."""
    session_id = call.request.match_info["session_id"]
    row = call.context.store.conversation(agent["id"], session_id)
    if row is not None:
        return row
    foreign = call.context.store.one("SELECT 1 FROM conversations WHERE session_id = ?", session_id)
    if call.context.switches.unknown_session == "404" or foreign or not _UUID.fullmatch(session_id):
        raise conversation_not_found(session_id)
    return None


def _store(call: Call, prompt: Prompt, found: Answer) -> sqlite3.Row:
    values: dict[str, Any] = {
        "conversation_id": prompt.conversation["id"],
        "prompt": prompt.text,
        "answer": found.text,
        "citations": json.dumps(found.page_ids),
        "external_id": prompt.external_id,
        "user_ip": call.request.remote,
        "user_agent": call.request.headers.get("User-Agent"),
        "request_source": "api",
    }
    return call.context.store.add_message(values, call.context.clock.now())


async def list_messages(call: Call) -> web.StreamResponse:
    """The conversation and one page of its messages, newest first unless `order=asc`."""
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
    """One message."""
    return call.success(call.shapes.message(_message(call)))


def _message(call: Call) -> sqlite3.Row:
    conversation = call.conversation()
    number = call.number("prompt_id", message_not_found)
    row = call.context.store.message(conversation["id"], number)
    if row is None:
        raise message_not_found(number)
    return row


_PATH = "/projects/{project_id}/conversations/{session_id}/messages"
ROUTES = (
    Route("messages.send", "POST", _PATH, send_message, "OpenAPI; captured 2023 and 2024, streamed and not"),
    Route("messages.list", "GET", _PATH, list_messages, "OpenAPI; captured 2023"),
    Route("messages.get", "GET", _PATH + "/{prompt_id}", get_message, "OpenAPI"),
)
