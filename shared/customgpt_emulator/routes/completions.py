"""Chat completions in OpenAI's format, as the OpenAI SDK calls them."""

from __future__ import annotations

import sqlite3
from typing import Any

from aiohttp import web

from customgpt_emulator.knowledge.answering import REMEMBERED
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
from customgpt_emulator.wire.errors import ApiError, Invalid
from customgpt_emulator.wire.events import fresh_tokens
from customgpt_emulator.wire.settings import DEFAULTS
from customgpt_emulator.wire.shapes import dump

__all__ = ["ROUTES"]

# Vendor clients send `session_id`, which is not documented: it is accepted, without effect.
_KNOWN = frozenset(
    {"messages", "model", "stream", "lang", "external_id", "is_inline_citation", "labels", "labels_exclusive"}
    | {"session_id"}
)
_ROLES = ("system", "user", "assistant")


async def complete(call: Call) -> web.StreamResponse:
    """Answer the last user message, in a new conversation. Earlier messages are context for a follow-up.

    OpenAI's other arguments are refused with 501, in the documented words.
    """
    agent = call.agent()
    check_active(call, agent)
    check_labels(call)
    for name, value in call.body.fields.items():
        if name not in _KNOWN and value is not None:
            raise ApiError(
                501, f"{name} is not yet supported. Please remove them from your request and try again."
            )
    prompts = _user_prompts(call)
    name = external_id(call)
    store = call.context.store
    session_id = call.context.clock.session_id(store.next_id("conversations"))
    conversation = store.add_conversation(agent["id"], session_id, f"OpenAI-{prompts[0][:31]}", call.now)
    marks = call.flag("is_inline_citation")
    accepted = AcceptedPrompt(
        prompts[0], conversation, name, "api-openai", prompts[1 : 1 + REMEMBERED], inline_marks=marks
    )
    call.entry.accepted = True
    found = find_answer(call, accepted)
    model: str = (DEFAULTS | store.settings(agent["id"]))["chatbot_model"]
    if call.flag("stream"):
        shown = f"chatcmpl-{conversation['id']}"
        created = int(call.now)

        def frame(delta: dict[str, str], reason: str | None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            data = {"id": shown, "object": "chat.completion.chunk", "created": created, "model": model}
            ascii_only = call.context.switches.escape_unicode
            return b"data: " + dump({**data, "choices": [choice]}, ascii_only=ascii_only) + b"\n\n"

        frames = [frame({"content": token}, None) for token in fresh_tokens(found.text) if token]
        ending = [frame({}, "stop"), b"data: [DONE]\n\n"]
        return await stream_out(call, frames, lambda: keep(call, accepted, found), lambda _: ending)
    tokens = len(fresh_tokens(found.text))
    row = await answer_whole(call, tokens, lambda: keep(call, accepted, found))
    return call.json(_completion(row, model), call.context.switches.completions_status)


def _user_prompts(call: Call) -> list[str]:
    """Return the user's messages, newest first. Raises 422 for invalid messages, or none of the user."""
    messages = call.body.fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Invalid(messages="The messages field is required.")
    found: list[str] = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise Invalid(**{f"messages.{index}.role": f"The selected messages.{index}.role is invalid."})
        if not isinstance(content, str):
            raise Invalid(**{f"messages.{index}.content": f"The messages.{index}.content must be a string."})
        if role == "user" and content.strip():
            found.insert(0, content.strip())
    if not found:
        raise Invalid(messages="The messages must contain a user message.")
    return found


def _completion(row: sqlite3.Row, model: str) -> dict[str, Any]:
    """Return the keys of the documented example. This API counts no tokens."""
    details = {"reasoning_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    return {
        "id": str(row["id"]),
        "object": "chat.completion",
        "created": int(row["created_at"]),
        "model": model,
        "usage": {
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "total_tokens": 0,
            "completion_tokens_details": details,
        },
        "choices": [
            {
                "message": {"role": "assistant", "content": row["answer"]},
                "logprobs": None,
                "finish_reason": "stop",
                "index": 0,
            }
        ],
    }


ROUTES = (
    Route(
        "completions.create",
        "POST",
        "/projects/{project_id}/chat/completions",
        complete,
        "OpenAPI and its examples, streamed and not; 201 met by vendor bots is a switch",
    ),
)
