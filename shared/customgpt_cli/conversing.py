"""What `chat` and `conversations` both do with a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from customgpt_cli.exporting import Exchange
from customgpt_transport import Client
from customgpt_transport.models import Message

__all__ = ["find_name", "read_exchange"]

NEWEST = 50
"""Conversations among which a name is looked for: the API has no call for a single one."""


def find_name(client: Client, session_id: str) -> str | None:
    """Return a conversation's name, or None when it is not among the newest."""
    for conversation in islice(client.conversations.list(), NEWEST):
        if conversation.session_id == session_id:
            return conversation.name
    return None


def read_exchange(
    client: Client,
    session_id: str,
    *,
    name: str | None = None,
    with_sources: bool = True,
    messages: Sequence[Message] | None = None,
) -> Exchange:
    """Read a conversation. Raises `NotFound` when the agent has none with this session id."""
    if messages is None:
        messages = list(client.messages.list(session_id, order="asc"))
    ids = dict.fromkeys(number for message in messages for number in message.citation_ids)
    found = client.citations(list(ids)) if with_sources else []
    return Exchange(session_id, name, messages, {source.id: source for source in found})
