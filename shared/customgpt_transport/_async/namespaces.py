"""Conversations and messages, asynchronous."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

from customgpt_transport._flows import calls
from customgpt_transport._flows.prompts import project_of
from customgpt_transport.models import Conversation, Message

if TYPE_CHECKING:
    from customgpt_transport._async.client import AsyncClient

Order = Literal["asc", "desc"]


class Conversations:
    """`client.conversations`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def create(self, name: str | None = None, *, project_id: int | None = None) -> Conversation:
        """Open a conversation and give it; `session_id` is what prompts want."""
        options = self._client.options
        return await self._client.run(
            calls.create_conversation(options, project_of(project_id, options), name)
        )

    def list(
        self, *, project_id: int | None = None, order: Order = "desc", name: str | None = None
    ) -> AsyncIterator[Conversation]:
        """Give the agent's conversations, newest first unless `order` is "asc"; `name` filters."""
        options = self._client.options
        project = project_of(project_id, options)
        return self._client.walk(calls.walk_conversations(options, project, order=order, name=name))

    async def rename(self, session_id: str, name: str, *, project_id: int | None = None) -> Conversation:
        """Give the conversation its new name."""
        options = self._client.options
        project = project_of(project_id, options)
        return await self._client.run(calls.rename_conversation(options, project, session_id, name))

    async def delete(self, session_id: str, *, project_id: int | None = None) -> None:
        """Delete a conversation with its messages."""
        options = self._client.options
        project = project_of(project_id, options)
        await self._client.run(calls.delete_conversation(options, project, session_id))


class Messages:
    """`client.messages`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def list(
        self, session_id: str, *, project_id: int | None = None, order: Order = "desc"
    ) -> AsyncIterator[Message]:
        """Give the conversation's messages, newest first unless `order` is "asc"."""
        options = self._client.options
        project = project_of(project_id, options)
        return self._client.walk(calls.walk_messages(options, project, session_id, order=order))

    async def get(self, session_id: str, prompt_id: int, *, project_id: int | None = None) -> Message:
        """Give one message."""
        options = self._client.options
        project = project_of(project_id, options)
        return await self._client.run(calls.get_message(options, project, session_id, prompt_id))

    async def feedback(
        self,
        session_id: str,
        prompt_id: int,
        reaction: Literal["liked", "disliked", "neutral"] | None,
        *,
        project_id: int | None = None,
    ) -> Message:
        """Like or dislike a message, None clears; give the message as it then is."""
        options = self._client.options
        project = project_of(project_id, options)
        return await self._client.run(calls.give_feedback(options, project, session_id, prompt_id, reaction))
