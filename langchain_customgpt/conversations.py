"""A conversation on the server as LangChain messages, ready to be continued."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from customgpt_transport.histories import NOTE_KEY, notes_of, service_of
from customgpt_transport.models import Message
from langchain_customgpt._citations import CITATIONS_KEY, PROVIDER
from langchain_customgpt._settings import CustomGPTSettings
from langchain_customgpt.errors import langchain_errors

__all__ = ["aconversation_messages", "conversation_messages"]


def conversation_messages(session_id: str, **settings: Any) -> list[BaseMessage]:
    """Return a conversation as alternating HumanMessages and AIMessages, oldest first.

    `settings` are keywords of `ChatCustomGPT` that concern the connection: project_id, api_key, base_url,
    timeout, max_retries, client, async_client, client_options. The AIMessages note where they stand on the
    server, so `ChatCustomGPT` continues the conversation when it gets these messages and a new HumanMessage.
    Sources are ids only, in `response_metadata["citations"]`. Prompts appear as they were sent: where earlier
    turns were replayed, the first one contains their transcript.

    Raises the errors of `langchain_customgpt.errors`; `NotFound` when there is no such conversation.
    """
    own = CustomGPTSettings(**settings)
    client = own._sync_client()
    try:
        with langchain_errors():
            rows = list(client.messages.list(session_id, project_id=own._project, order="asc"))
    finally:
        own._clients.close()
    return _as_messages(rows, own)


async def aconversation_messages(session_id: str, **settings: Any) -> list[BaseMessage]:
    """`conversation_messages` without blocking the event loop."""
    own = CustomGPTSettings(**settings)
    client = await own._async_client()
    try:
        with langchain_errors():
            listed = client.messages.list(session_id, project_id=own._project, order="asc")
            rows = [row async for row in listed]
    finally:
        await own._clients.aclose()
    return _as_messages(rows, own)


def _as_messages(rows: list[Message], own: CustomGPTSettings) -> list[BaseMessage]:
    messages: list[BaseMessage] = []
    for row, note in zip(rows, notes_of(rows, service_of(own.base_url or "")), strict=True):
        metadata = {
            "model_provider": PROVIDER,
            CITATIONS_KEY: [{"id": number} for number in row.citation_ids],
            NOTE_KEY: note,
        }
        messages += [HumanMessage(row.prompt), AIMessage(row.answer, response_metadata=metadata)]
    return messages
