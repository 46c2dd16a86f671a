"""CustomGPTIndex: an agent's sources and pages as a LlamaIndex managed index."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.data_structs.data_structs import IndexDict
from llama_index.core.indices.managed.base import BaseManagedIndex
from llama_index.core.llms.utils import LLMType
from llama_index.core.schema import BaseNode, Document, TransformComponent
from llama_index.core.storage.docstore.types import RefDocInfo
from llama_index.core.storage.storage_context import StorageContext

from customgpt_transport.errors import ConfigurationError
from llama_index_customgpt._clients import Clients, UsesClients
from llama_index_customgpt._documents import DocumentFile, changes, files_of, ids_of, ref_doc_info
from llama_index_customgpt._library import Library
from llama_index_customgpt.chat_engine import CustomGPTChatEngine
from llama_index_customgpt.query_engine import CustomGPTQueryEngine
from llama_index_customgpt.retriever import CustomGPTRetriever

if TYPE_CHECKING:
    from customgpt_transport import AsyncClient, Client, ClientOptions

__all__ = ["CustomGPTIndex"]

logger = logging.getLogger(__name__)

_DEFAULT_NAME = "LlamaIndex documents"


class CustomGPTIndex(UsesClients, BaseManagedIndex):
    """The documents of a CustomGPT.ai agent; the service splits, embeds and stores them.

    `CustomGPTIndex(project_id)` is an agent that exists; `from_documents(documents, name=...)` makes one.
    Each document becomes an uploaded file, and so a page: `ref_doc_info` lists all pages of the agent, also
    those that came from elsewhere (by address or file name), so that any of them can be deleted. Title, `url`
    and `description` of a document's metadata are what citations of it show.

    Everything that adds documents waits until they are indexed, with a progress bar if `show_progress`, at
    most `index_timeout` seconds, looking every `poll_every`. Each method has an async twin. Engines and
    retriever need no LLM; they share the connections of the index.

    Raises the transport's typed errors; `CustomGPTError` when documents cannot be indexed, `RequestTimeout`
    when it takes too long.
    """

    index_struct_cls = IndexDict

    def __init__(
        self,
        project_id: int | str | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        show_progress: bool = False,
        index_timeout: float = 600.0,
        poll_every: float = 2.0,
        timeout: float | None = None,
        client_options: ClientOptions | None = None,
        client: Client | None = None,
        async_client: AsyncClient | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        # Not super().__init__(): it builds a storage and a text splitter (0.4 s) that a managed index never
        # uses. What the inherited methods read is set here.
        self._clients = Clients(
            api_key=api_key,
            base_url=base_url,
            project_id=project_id,
            timeout=timeout,
            client_options=client_options,
            client=client,
            async_client=async_client,
            needs_project=False,
        )
        self._library = Library(
            self._clients, show_progress=show_progress, patience=index_timeout, poll_every=poll_every
        )
        self._show_progress = show_progress
        self._callback_manager = callback_manager or CallbackManager([])
        self._index_struct = IndexDict()

    @property
    def index_id(self) -> str:
        """The agent's number, as text."""
        return str(self._clients.agent)

    # Making one

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[Document],
        storage_context: StorageContext | None = None,
        show_progress: bool = False,
        callback_manager: CallbackManager | None = None,
        transformations: list[TransformComponent] | None = None,
        *,
        name: str | None = None,
        **kwargs: Any,
    ) -> CustomGPTIndex:
        """Upload `documents` and give their index, indexed.

        With `name`, or when no agent is named (`project_id`, CUSTOMGPT_PROJECT_ID), a new agent is made;
        otherwise they join that agent. The other arguments are those of the class. The service splits by
        itself: `storage_context` and `transformations` are LlamaIndex's and have no effect, which is logged.
        """
        index = cls._begin(storage_context, transformations, callback_manager, show_progress, kwargs)
        files = files_of(documents)
        if index._makes_agent(name, files):
            index._library.found(name or _DEFAULT_NAME, files)
        else:
            index._library.add(files)
        return index

    @classmethod
    async def afrom_documents(
        cls,
        documents: Sequence[Document],
        storage_context: StorageContext | None = None,
        show_progress: bool = False,
        callback_manager: CallbackManager | None = None,
        transformations: list[TransformComponent] | None = None,
        *,
        name: str | None = None,
        **kwargs: Any,
    ) -> CustomGPTIndex:
        """`from_documents` without blocking the event loop."""
        index = cls._begin(storage_context, transformations, callback_manager, show_progress, kwargs)
        files = files_of(documents)
        if index._makes_agent(name, files):
            await index._library.afound(name or _DEFAULT_NAME, files)
        else:
            await index._library.aadd(files)
        return index

    @classmethod
    def _begin(
        cls,
        storage_context: StorageContext | None,
        transformations: list[TransformComponent] | None,
        callback_manager: CallbackManager | None,
        show_progress: bool,
        arguments: dict[str, Any],
    ) -> CustomGPTIndex:
        if storage_context is not None or transformations:
            logger.warning("storage_context and transformations have no effect: the service splits by itself")
        return cls(show_progress=show_progress, callback_manager=callback_manager, **arguments)

    def _makes_agent(self, name: str | None, files: Sequence[DocumentFile]) -> bool:
        makes = name is not None or self._clients.project_id is None
        if makes and not files:
            raise ConfigurationError("A new agent needs at least one document.")
        return makes

    # Adding

    def insert(self, document: Document, **insert_kwargs: Any) -> None:
        """Upload a document and wait until it is indexed."""
        self._insert([document])

    async def ainsert(self, document: Document, **insert_kwargs: Any) -> None:
        """`insert` without blocking the event loop."""
        await self._ainsert([document])

    def insert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """Upload nodes, those of one document as one file, and wait until they are indexed."""
        self._insert(nodes)

    async def ainsert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """`insert_nodes` without blocking the event loop."""
        await self._ainsert(nodes)

    def _insert(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        files = files_of(nodes)
        self._library.add(files)

    async def _ainsert(self, nodes: Sequence[BaseNode]) -> None:
        files = files_of(nodes)
        await self._library.aadd(files)

    # Deleting and replacing

    def delete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Delete the pages of a document. One that is not there is logged, as LlamaIndex does."""
        self._library.delete(self._found(ids_of(self._library.pages(), [ref_doc_id]), ref_doc_id))

    async def adelete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """`delete_ref_doc` without blocking the event loop."""
        await self._library.adelete(
            self._found(ids_of(await self._library.apages(), [ref_doc_id]), ref_doc_id)
        )

    def delete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Delete pages by their ids, which are the ids of source nodes."""
        self._library.delete(int(node_id) for node_id in node_ids)

    async def adelete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """`delete_nodes` without blocking the event loop."""
        await self._library.adelete(int(node_id) for node_id in node_ids)

    def _delete_node(self, node_id: str, **delete_kwargs: Any) -> None:
        self.delete_nodes([node_id])

    def update_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """Replace a document: its old pages go once the new one is indexed, so it is never missing."""
        self._library.replace(files_of([document]), self._library.pages())

    async def aupdate_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """`update_ref_doc` without blocking the event loop."""
        await self._library.areplace(files_of([document]), await self._library.apages())

    def refresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """Upload the documents that are new or have changed; tell for each whether it was.

        What the agent holds decides, so it works across processes. Old pages go once the new are indexed.
        """
        pages = self._library.pages()
        files, changed = changes(documents, pages)
        self._library.replace(files, pages)
        return changed

    async def arefresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """`refresh_ref_docs` without blocking the event loop."""
        pages = await self._library.apages()
        files, changed = changes(documents, pages)
        await self._library.areplace(files, pages)
        return changed

    # Looking

    @property
    def ref_doc_info(self) -> dict[str, RefDocInfo]:
        """Give all documents of the agent by id; their node ids are page ids. Asks the service each time."""
        return ref_doc_info(self._library.pages())

    async def aref_doc_info(self) -> dict[str, RefDocInfo]:
        """`ref_doc_info` without blocking the event loop."""
        return ref_doc_info(await self._library.apages())

    # Asking

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """Give a `CustomGPTQueryEngine` for this agent; `kwargs` are its arguments.

        With an `llm` of yours, LlamaIndex's own engine, which answers with that model from the cited pages.
        """
        if llm is not None:
            return super().as_query_engine(llm=llm, **kwargs)
        return CustomGPTQueryEngine(self._clients.agent, **self._shared(), **kwargs)

    def as_chat_engine(
        self, chat_mode: ChatMode = ChatMode.BEST, llm: LLMType | None = None, **kwargs: Any
    ) -> BaseChatEngine:
        """Give a `CustomGPTChatEngine` for this agent; `kwargs` are its arguments.

        With an `llm` of yours, LlamaIndex's own engine of that `chat_mode`; without, the mode has no effect.
        """
        if llm is not None:
            return super().as_chat_engine(chat_mode=chat_mode, llm=llm, **kwargs)
        return CustomGPTChatEngine(self._clients.agent, **self._shared(), **kwargs)

    def as_retriever(self, **kwargs: Any) -> CustomGPTRetriever:
        """Give a `CustomGPTRetriever` for this agent; `kwargs` are its arguments."""
        return CustomGPTRetriever(self._clients.agent, **self._shared(), **kwargs)

    def _shared(self) -> dict[str, Any]:
        return {
            "client": self._clients.sync,
            "async_client": self._clients.asynchronous,
            "callback_manager": self._callback_manager,
        }

    def _build_index_from_nodes(self, nodes: Sequence[BaseNode], **build_kwargs: Any) -> IndexDict:
        raise NotImplementedError("Use from_documents(...), or insert_nodes(...) on an existing index.")

    def _found(self, page_ids: list[int], ref_doc_id: str) -> list[int]:
        if not page_ids:
            logger.warning("Document %r is not in agent %s: nothing deleted", ref_doc_id, self.project_id)
        return page_ids
