"""The conversations of an agent."""

from __future__ import annotations

from aiohttp import web

from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.errors import Invalid

__all__ = ["ROUTES"]

PER_PAGE = 10
LONGEST_NAME = 255


async def list_conversations(call: Call) -> web.StreamResponse:
    """List the conversations, newest first; the switch `name_filter` says how `name` filters them."""
    agent = call.agent()
    name, how = call.request.query.get("name", ""), call.context.switches.name_filter
    where, values = "project_id = ?", [agent["id"]]
    if name and how != "ignored":
        where += " AND name = ?" if how == "exact" else " AND instr(lower(name), lower(?)) > 0"
        values.append(name)
    if call.request.query.get("userFilter") == "anonymous":
        where += " AND 0"
    by = "created_at" if call.request.query.get("orderBy") == "created_at" else "id"
    rows, total = call.context.store.listed(
        "conversations", where, values, page=call.page_number(), per_page=PER_PAGE, order=call.order(), by=by
    )
    return call.success(call.listing(call.shapes.each(rows, call.shapes.conversation), total, PER_PAGE))


async def create_conversation(call: Call) -> web.StreamResponse:
    """Create a conversation: 201. It is unknown whether it needs a name; with `strict_name` it does."""
    agent = call.agent()
    name = _name(call, required=call.context.switches.strict_name)
    store = call.context.store
    session_id = call.context.clock.session_id(store.next_id("conversations"))
    row = store.add_conversation(agent["id"], session_id, name or "Untitled", call.now)
    return call.success(call.shapes.conversation(row), 201)


async def rename_conversation(call: Call) -> web.StreamResponse:
    """Rename a conversation: 200 with the conversation."""
    row = call.conversation()
    name = _name(call, required=True)
    call.context.store.update("conversations", row["id"], {"name": name, "updated_at": call.now})
    return call.success(call.shapes.conversation(call.conversation()))


async def delete_conversation(call: Call) -> web.StreamResponse:
    """Delete a conversation with its messages."""
    row = call.conversation()
    call.context.store.db.execute("DELETE FROM conversations WHERE id = ?", (row["id"],))
    return call.success({"deleted": True})


def _name(call: Call, *, required: bool) -> str | None:
    value = call.field("name")
    if value is None:
        if required:
            raise Invalid(name="The name field is required.")
        return None
    if not isinstance(value, str):
        raise Invalid(name="The name must be a string.")
    if len(value) > LONGEST_NAME:
        raise Invalid(name=f"The name may not be greater than {LONGEST_NAME} characters.")
    return value


_PATH = "/projects/{project_id}/conversations"
ROUTES = (
    Route("conversations.list", "GET", _PATH, list_conversations, "OpenAPI; captured 2025"),
    Route("conversations.create", "POST", _PATH, create_conversation, "OpenAPI; captured 2023"),
    Route(
        "conversations.rename", "PUT", _PATH + "/{session_id}", rename_conversation, "OpenAPI; captured 2023"
    ),
    Route(
        "conversations.delete",
        "DELETE",
        _PATH + "/{session_id}",
        delete_conversation,
        "OpenAPI; captured 2023",
    ),
)
