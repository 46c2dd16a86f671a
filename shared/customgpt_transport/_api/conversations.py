"""`client.conversations` and `client.messages`."""

from __future__ import annotations

from functools import partial
from typing import Literal

from customgpt_transport._api.calls import Colour, Resource, call, walk
from customgpt_transport._flows import Flow
from customgpt_transport._flows.exchange import exchange, fetch
from customgpt_transport._flows.paging import Pages
from customgpt_transport._wire import conversations, messages
from customgpt_transport._wire.http import Order
from customgpt_transport.models import Conversation, Message


class ConversationsResource(Resource[Colour]):
    """An agent's conversations. `project_id` defaults to the client's own agent."""

    @call
    def create(self, name: str | None = None, *, project_id: int | None = None) -> Flow[Conversation]:
        """Create a conversation and return it. Prompts take its `session_id`."""
        request = conversations.create(self._agent(project_id), name)
        return fetch(request, self._options, conversations.parse_conversation)

    @walk
    def list(
        self, *, project_id: int | None = None, order: Order = "desc", name: str | None = None
    ) -> Pages[Conversation]:
        """Iterate over the conversations, newest first unless `order` is "asc"; `name` filters."""
        page = partial(conversations.list_page, self._agent(project_id), order=order, name=name)
        return Pages(page, conversations.parse_conversations, self._options)

    @call
    def rename(self, session_id: str, name: str, *, project_id: int | None = None) -> Flow[Conversation]:
        """Rename a conversation and return it."""
        request = conversations.rename(self._agent(project_id), session_id, name)
        return fetch(request, self._options, conversations.parse_conversation)

    @call
    def delete(self, session_id: str, *, project_id: int | None = None) -> Flow[None]:
        """Delete a conversation with its messages."""
        yield from exchange(conversations.delete(self._agent(project_id), session_id), self._options)


class MessagesResource(Resource[Colour]):
    """The messages of a conversation. `project_id` defaults to the client's own agent."""

    @walk
    def list(
        self, session_id: str, *, project_id: int | None = None, order: Order = "desc"
    ) -> Pages[Message]:
        """Iterate over the conversation's messages, newest first unless `order` is "asc"."""
        agent = self._agent(project_id)
        page = partial(messages.list_page, agent, session_id, order=order)
        parse = partial(messages.parse_messages, project_id=agent, session_id=session_id)
        return Pages(page, parse, self._options)

    @call
    def get(self, session_id: str, prompt_id: int, *, project_id: int | None = None) -> Flow[Message]:
        """Return one message."""
        agent = self._agent(project_id)
        parse = partial(messages.parse_message, project_id=agent, session_id=session_id)
        return fetch(messages.get(agent, session_id, prompt_id), self._options, parse)

    @call
    def feedback(
        self,
        session_id: str,
        prompt_id: int,
        reaction: Literal["liked", "disliked", "neutral"] | None,
        *,
        project_id: int | None = None,
    ) -> Flow[Message]:
        """Like or dislike a message (None clears it), and return the message as it then is."""
        agent = self._agent(project_id)
        request = messages.feedback(agent, session_id, prompt_id, reaction)
        parse = partial(messages.parse_message, project_id=agent, session_id=session_id)
        return fetch(request, self._options, parse)
