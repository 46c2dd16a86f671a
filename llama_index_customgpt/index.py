"""CustomGPTIndex: an agent's sources and pages as a LlamaIndex managed index."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.data_structs.data_structs import IndexDict
from llama_index.core.indices.managed.base import BaseManagedIndex
from llama_index.core.llms.utils import LLMType
from llama_index.core.schema import BaseNode, Document, TransformComponent
from llama_index.core.storage.docstore.types import BaseDocumentStore, RefDocInfo
from llama_index.core.storage.storage_context import StorageContext

from customgpt_transport.errors import ConfigurationError
from llama_index_customgpt._clients import CONNECTION_KEYWORDS, UsesClients
from llama_index_customgpt._documents import files_of, page_ids, ref_doc_info
from llama_index_customgpt._library import Library
from llama_index_customgpt.chat_engine import CustomGPTChatEngine
from llama_index_customgpt.query_engine import CustomGPTQueryEngine
from llama_index_customgpt.retriever import CustomGPTRetriever

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from customgpt_transport.adapting import Connection
    from customgpt_transport.flows import Flow

__all__ = ["CustomGPTIndex"]

logger = logging.getLogger(__name__)

_DEFAULT_NAME = "LlamaIndex documents"
_NO_STORE = (
    "A managed index has no {}: the service keeps the documents, so there is nothing to persist. "
    "`ref_doc_info` lists them; CustomGPTIndex(project_id) opens the index again."
)


class CustomGPTIndex(UsesClients, BaseManagedIndex):
    """The documents of a CustomGPT.ai agent. The service splits, embeds and stores them.

    `CustomGPTIndex(project_id)` is the index of an existing agent; `from_documents(documents, name=...)`
    creates an agent. Each document becomes an uploaded file, and so a page of the agent. `title`, `url` and
    `description` of its metadata are what citations of it show. `ref_doc_info` lists all pages of the agent,
    by URL or file name also those that came from elsewhere, so that any of them can be deleted.

    Methods that add documents wait until these are indexed, at most `index_timeout` seconds, polling every
    `poll_every` seconds; `show_progress` shows a progress bar. Calling one again after a failure completes
    the work without uploading anything twice. A document without text is skipped, with a warning. Each method
    has an async twin. The engines and the retriever need no LLM; they share the index's connections.

    `connection` takes the keywords that `CustomGPTQueryEngine` lists. Raises the transport's typed errors,
    `CustomGPTError` when documents cannot be indexed, and `RequestTimeout` when indexing takes too long.
    """

    index_struct_cls = IndexDict

    def __init__(
        self,
        project_id: int | str | None = None,
        *,
        show_progress: bool = False,
        index_timeout: float = 600.0,
        poll_every: float = 2.0,
        callback_manager: CallbackManager | None = None,
        **connection: Unpack[Connection],
    ) -> None:
        self._connect(project_id, connection, needs_project=False)
        # Not super().__init__(): it builds a storage and a text splitter (0.4 s) that a managed index never
        # uses. The attributes that inherited methods read are set here.
        self._library = Library(
            self._clients, show_progress=show_progress, patience=index_timeout, poll_every=poll_every
        )
        self._show_progress = show_progress
        self._callback_manager = callback_manager or CallbackManager([])
        self._index_struct = IndexDict()
        self._retriever: CustomGPTRetriever | None = None

    @property
    def index_id(self) -> str:
        """The agent's id, as text."""
        return str(self._clients.agent)

    # Creating

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
        """Return an index that holds `documents`, once they are uploaded and indexed.

        Adds them to the agent of `project_id` (or CUSTOMGPT_PROJECT_ID). With `name`, or without such an
        agent, it creates an agent. `kwargs` are the arguments of the class. `storage_context` and
        `transformations` have no effect, since the service splits the documents; passing them is logged.
        """
        index = cls._begin(storage_context, transformations, callback_manager, show_progress, kwargs)
        index._library.run(index._build(name, documents))
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
        await index._library.arun(index._build(name, documents))
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
            logger.warning(
                "storage_context and transformations have no effect: the service splits the documents"
            )
        return cls(show_progress=show_progress, callback_manager=callback_manager, **arguments)

    def _build(self, name: str | None, documents: Sequence[Document]) -> Flow[None]:
        files = files_of(documents)
        if name is None and self._clients.project_id is not None:
            return self._library.add(files)
        if not files:
            raise ConfigurationError("A new agent needs at least one document with text.")
        return self._library.found(name or _DEFAULT_NAME, files)

    # Adding

    def insert(self, document: Document, **insert_kwargs: Any) -> None:
        """Upload a document, unless the agent holds it unchanged, and wait until it is indexed."""
        self._insert([document])

    async def ainsert(self, document: Document, **insert_kwargs: Any) -> None:
        """`insert` without blocking the event loop."""
        await self.ainsert_nodes([document])

    def insert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """Upload nodes, those of a document as one file, and wait until they are indexed."""
        self._insert(nodes)

    async def ainsert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """`insert_nodes` without blocking the event loop."""
        await self._library.arun(self._library.add(files_of(nodes)))

    def _insert(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        self._library.run(self._library.add(files_of(nodes)))

    # Deleting and replacing

    def delete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Delete the pages of a document. Logs a warning when there are none, as LlamaIndex does."""
        self._library.run(self._library.delete_document(ref_doc_id))

    async def adelete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """`delete_ref_doc` without blocking the event loop."""
        await self._library.arun(self._library.delete_document(ref_doc_id))

    def delete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Delete pages by their ids, which are the ids of source nodes. Refuses all if one is not an id."""
        self._library.run(self._library.delete(page_ids(node_ids)))

    async def adelete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """`delete_nodes` without blocking the event loop."""
        await self._library.arun(self._library.delete(page_ids(node_ids)))

    def _delete_node(self, node_id: str, **delete_kwargs: Any) -> None:
        self.delete_nodes([node_id])

    def update_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """Replace a document. Its old pages are deleted once the new one is indexed: it is never missing."""
        self._library.run(self._library.replace([document]))

    async def aupdate_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """`update_ref_doc` without blocking the event loop."""
        await self._library.arun(self._library.replace([document]))

    def refresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """Upload the documents that are new or have changed. Return for each whether it was.

        This compares with what the agent holds, so it works across processes. The old pages of a document
        are deleted once its new one is indexed. For an unchanged document, it checks what citations of it
        show, which costs no prompt.
        """
        return self._library.run(self._library.replace(documents))

    async def arefresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """`refresh_ref_docs` without blocking the event loop."""
        return await self._library.arun(self._library.replace(documents))

    # Listing

    @property
    def ref_doc_info(self) -> dict[str, RefDocInfo]:
        """All documents of the agent by id; node ids are page ids. Each access asks the service."""
        return ref_doc_info(self._library.run(self._library.pages()))

    async def aref_doc_info(self) -> dict[str, RefDocInfo]:
        """`ref_doc_info` without blocking the event loop."""
        return ref_doc_info(await self._library.arun(self._library.pages()))

    # Asking

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """Return a `CustomGPTQueryEngine` for this agent; `kwargs` are its arguments.

        With an `llm`, return LlamaIndex's own engine, which answers with that model from the cited pages;
        `kwargs` are then its arguments and those of `CustomGPTRetriever`.
        """
        if llm is not None:
            kwargs = {"callback_manager": self._callback_manager, **kwargs}
            return super(CustomGPTIndex, self._with_retriever(kwargs)).as_query_engine(llm=llm, **kwargs)
        return CustomGPTQueryEngine(self._clients.agent, **{**self._shared(), **kwargs})

    def as_chat_engine(
        self, chat_mode: ChatMode = ChatMode.BEST, llm: LLMType | None = None, **kwargs: Any
    ) -> BaseChatEngine:
        """Return a `CustomGPTChatEngine` for this agent; `kwargs` are its arguments.

        With an `llm`, return LlamaIndex's own engine of that `chat_mode`, as in `as_query_engine`. Without
        one, the mode has no effect.
        """
        if llm is not None:
            return super(CustomGPTIndex, self._with_retriever(kwargs)).as_chat_engine(
                chat_mode=chat_mode, llm=llm, **kwargs
            )
        return CustomGPTChatEngine(self._clients.agent, **{**self._shared(), **kwargs})

    def as_retriever(self, **kwargs: Any) -> CustomGPTRetriever:
        """Return a `CustomGPTRetriever` for this agent; `kwargs` are its arguments."""
        return self._retriever or CustomGPTRetriever(self._clients.agent, **{**self._shared(), **kwargs})

    def _with_retriever(self, kwargs: Mapping[str, Any]) -> CustomGPTIndex:
        """Return a copy of this index whose retriever is made already, with its share of `kwargs`.

        LlamaIndex's methods pass all arguments to `as_retriever`, also those of the engine. The engine runs
        the postprocessors, so the retriever does not get them.
        """
        known = inspect.signature(CustomGPTRetriever).parameters.keys() | CONNECTION_KEYWORDS
        known -= {"node_postprocessors", "connection"}
        twin = copy.copy(self)
        twin._retriever = self.as_retriever(**{name: kwargs[name] for name in known & kwargs.keys()})
        return twin

    def _shared(self) -> dict[str, Any]:
        return {**self._clients.shared(), "callback_manager": self._callback_manager}

    # What a managed index lacks

    @property
    def docstore(self) -> BaseDocumentStore:
        """Raise `AttributeError`: there is none, because the service keeps the documents."""
        raise AttributeError(_NO_STORE.format("docstore"))

    @property
    def storage_context(self) -> StorageContext:
        """Raise `AttributeError`: there is none, because the service keeps the documents."""
        raise AttributeError(_NO_STORE.format("storage_context"))

    def _build_index_from_nodes(self, nodes: Sequence[BaseNode], **build_kwargs: Any) -> IndexDict:
        raise NotImplementedError("Use from_documents(...), or insert_nodes(...) on an existing index.")
