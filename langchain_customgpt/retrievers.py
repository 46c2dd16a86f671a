"""`CustomGPTRetriever`: the pages that an agent's answer rests on, as LangChain documents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from customgpt_transport.models import Citation, Message
from langchain_customgpt._citations import citation_data
from langchain_customgpt._settings import CustomGPTSettings
from langchain_customgpt.errors import ConfigurationError, langchain_errors


class CustomGPTRetriever(CustomGPTSettings, BaseRetriever):
    """Retrieve the pages that an agent cites for a query, in the order of the service.

    The API has no search, so each call costs one prompt, in a new conversation. The API gives no passages and
    no scores either. `page_content` is the page's title and description, or its URL when it has neither; it
    is never the text that matched.

    Setup:
        Install `customgpt-adapters[langchain]` and set `CUSTOMGPT_API_KEY` and `CUSTOMGPT_PROJECT_ID`.

    Key init args:
        k: The maximum number of documents; None for all that the answer cites. Also per call:
            `invoke(query, k=3)`.
        include_answer: Whether to add the agent's answer to each document's metadata, under "answer".
        project_id, api_key, base_url, timeout, max_retries, model, lang, custom_persona, custom_context,
            response_source, agent_capability, external_id, client, async_client, client_options:
            As in `ChatCustomGPT`.

    Use:
        retriever = CustomGPTRetriever(project_id=123, k=3)
        for document in retriever.invoke("How do refunds work?"):
            print(document.id, document.metadata["title"], document.metadata["url"])

    `Document.id` is the citation id, which is the id of the page. `metadata["resolved"]` is False for a page
    whose details could not be looked up; `metadata["problem"]` then says why.
    """

    k: int | None = Field(default=None, ge=1)
    include_answer: bool = False

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        request, client = self._request(query, k, kwargs), self._sync_client()
        with langchain_errors():
            message = client.ask(query, **request)
            wanted = message.citation_ids[: self._most(k)]
            return self._documents(message, client.citations(wanted, project_id=self._project))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        request, client = self._request(query, k, kwargs), await self._async_client()
        try:
            with langchain_errors():
                message = await client.ask(query, **request)
                wanted = message.citation_ids[: self._most(k)]
                return self._documents(message, await client.citations(wanted, project_id=self._project))
        except asyncio.CancelledError as error:  # LangChain does not report it to callbacks
            await asyncio.shield(run_manager.on_retriever_error(error))
            raise

    def _request(self, query: str, k: int | None, call: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords to ask with. Raises `ConfigurationError` for what cannot work."""
        self._check_call(call)
        if k is not None and k < 1:
            raise ConfigurationError(f"k must be 1 or more, or None for all, not {k}.")
        if not query.strip():
            raise ConfigurationError("The query is empty. It is sent as a prompt, which needs text.")
        return self._prompt_request(call)

    def _most(self, k: int | None) -> int | None:
        return self.k if k is None else k

    def _documents(self, message: Message, found: Sequence[Citation]) -> list[Document]:
        return [self._document(message, citation) for citation in found]

    def _document(self, message: Message, citation: Citation) -> Document:
        data = citation_data(citation)
        metadata = {
            "citation_id": data.pop("id"),
            "source": citation.source,
            **data,
            "session_id": message.session_id,
            "prompt_id": message.prompt_id,
        }
        if self.include_answer:
            metadata["answer"] = message.answer
        return Document(id=str(citation.id), page_content=citation.summary, metadata=metadata)
