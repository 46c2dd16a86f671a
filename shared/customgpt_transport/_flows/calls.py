"""Calls of one step on conversations, messages and citations, each as a flow."""

from __future__ import annotations

from functools import partial

from customgpt_transport._flows import Flow
from customgpt_transport._flows.exchange import exchange, fetch
from customgpt_transport._flows.paging import Pages
from customgpt_transport._wire import citations, conversations, messages
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import Citation, Conversation, Message
from customgpt_transport.options import ClientOptions


def create_conversation(options: ClientOptions, project_id: int, name: str | None) -> Flow[Conversation]:
    """Open a conversation."""
    return fetch(conversations.create(project_id, name), options, conversations.parse_conversation)


def walk_conversations(
    options: ClientOptions, project_id: int, *, order: str, name: str | None
) -> Pages[Conversation]:
    """Give the walk over an agent's conversations."""
    return Pages(
        lambda page: conversations.list_page(project_id, page, order=order, name=name),
        conversations.parse_conversations,
        options,
    )


def rename_conversation(
    options: ClientOptions, project_id: int, session_id: str, name: str
) -> Flow[Conversation]:
    """Give a conversation another name."""
    request = conversations.rename(project_id, session_id, name)
    return fetch(request, options, conversations.parse_conversation)


def delete_conversation(options: ClientOptions, project_id: int, session_id: str) -> Flow[None]:
    """Delete a conversation."""
    yield from exchange(conversations.delete(project_id, session_id), options)


def walk_messages(options: ClientOptions, project_id: int, session_id: str, *, order: str) -> Pages[Message]:
    """Give the walk over a conversation's messages."""
    return Pages(
        lambda page: messages.list_page(project_id, session_id, page, order=order),
        partial(messages.parse_messages, project_id=project_id, session_id=session_id),
        options,
    )


def get_message(options: ClientOptions, project_id: int, session_id: str, prompt_id: int) -> Flow[Message]:
    """Give one message."""
    response: Response = yield from exchange(messages.get(project_id, session_id, prompt_id), options)
    return messages.parse_message(response, project_id=project_id, session_id=session_id)


def give_feedback(
    options: ClientOptions, project_id: int, session_id: str, prompt_id: int, reaction: str | None
) -> Flow[Message]:
    """Like or dislike a message."""
    request = messages.feedback(project_id, session_id, prompt_id, reaction)
    response: Response = yield from exchange(request, options)
    return messages.parse_message(response, project_id=project_id, session_id=session_id)


def find_message(
    options: ClientOptions, project_id: int, session_id: str, external_id: str
) -> Flow[Message | None]:
    """Give the newest answered message with that external id; None when no such answer is stored (yet)."""
    pages = walk_messages(options, project_id, session_id, order="desc")
    while pages.more:
        rows: tuple[Message, ...] = yield from pages.next()
        for row in rows:
            if row.external_id == external_id and row.answer:
                return row
    return None


def citation(options: ClientOptions, project_id: int, citation_id: int, deadline: float) -> Flow[Citation]:
    """Give the page behind a citation, or a stub that says why it could not be had."""
    try:
        request = citations.get(project_id, citation_id)
        response: Response = yield from exchange(request, options, deadline=deadline)
        return citations.parse_citation(response, citation_id)
    except CustomGPTError as error:
        return stub(citation_id, str(error))


def stub(citation_id: int, problem: str) -> Citation:
    """Give a citation of which only the id is known."""
    return Citation(citation_id, resolved=False, problem=problem)
