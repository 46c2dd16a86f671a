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
    "A managed index has no {}: the service keeps the documents, and there is nothing to persist. "
    "`ref_doc_info` lists them; CustomGPTIndex(project_id) is the index again."
)


class CustomGPTIndex(UsesClients, BaseManagedIndex):
    """The documents of a CustomGPT.ai agent; the service splits, embeds and stores them.

    `CustomGPTIndex(project_id)` is an agent that exists; `from_documents(documents, name=...)` makes one.
    Each document becomes an uploaded file, and so a page: `ref_doc_info` lists all pages of the agent, also
    those that came from elsewhere (by address or file name), so that any of them can be deleted. Title, `url`
    and `description` of a document's metadata are what citations of it show.

    Everything that adds documents waits until they are indexed, with a progress bar if `show_progress`, at
    most `index_timeout` seconds, looking every `poll_every`. Whatever went wrong half-way, doing it again
    finishes it: what is held is not uploaded twice. A document without text is left out, and logged. Each
    method has an async twin. Engines and retriever need no LLM; they share the connections of the index.

    The keywords of `connection` are as in `CustomGPTQueryEngine`.

    Raises the transport's typed errors; `CustomGPTError` when documents cannot be indexed, `RequestTimeout`
    when it takes too long.
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
        # uses. What the inherited methods read is set here.
        self._library = Library(
            self._clients, show_progress=show_progress, patience=index_timeout, poll_every=poll_every
        )
        self._show_progress = show_progress
        self._callback_manager = callback_manager or CallbackManager([])
        self._index_struct = IndexDict()
        self._retriever: CustomGPTRetriever | None = None

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
            logger.warning("storage_context and transformations have no effect: the service splits by itself")
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
        """Upload a document, unless it is held as it is, and wait until it is indexed."""
        self._insert([document])

    async def ainsert(self, document: Document, **insert_kwargs: Any) -> None:
        """`insert` without blocking the event loop."""
        await self.ainsert_nodes([document])

    def insert_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> None:
        """Upload nodes, those of one document as one file, and wait until they are indexed."""
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
        """Delete the pages of a document. One that is not there is logged, as LlamaIndex does."""
        self._library.run(self._library.delete_document(ref_doc_id))

    async def adelete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """`delete_ref_doc` without blocking the event loop."""
        await self._library.arun(self._library.delete_document(ref_doc_id))

    def delete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Delete pages by their ids, which are the ids of source nodes; all of them, or none."""
        self._library.run(self._library.delete(page_ids(node_ids)))

    async def adelete_nodes(
        self, node_ids: list[str], delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """`delete_nodes` without blocking the event loop."""
        await self._library.arun(self._library.delete(page_ids(node_ids)))

    def _delete_node(self, node_id: str, **delete_kwargs: Any) -> None:
        self.delete_nodes([node_id])

    def update_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """Replace a document: its old pages go once the new one is indexed, so it is never missing."""
        self._library.run(self._library.replace([document]))

    async def aupdate_ref_doc(self, document: Document, **update_kwargs: Any) -> None:
        """`update_ref_doc` without blocking the event loop."""
        await self._library.arun(self._library.replace([document]))

    def refresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """Upload the documents that are new or have changed; tell for each whether it was.

        What the agent holds decides, so it works across processes. The old pages of a document go once its
        new one is indexed. Of a document that is held, it is looked up (no prompt) what citations of it show.
        """
        return self._library.run(self._library.replace(documents))

    async def arefresh_ref_docs(self, documents: Sequence[Document], **update_kwargs: Any) -> list[bool]:
        """`refresh_ref_docs` without blocking the event loop."""
        return await self._library.arun(self._library.replace(documents))

    # Looking

    @property
    def ref_doc_info(self) -> dict[str, RefDocInfo]:
        """Give all documents of the agent by id; their node ids are page ids. Asks the service each time."""
        return ref_doc_info(self._library.run(self._library.pages()))

    async def aref_doc_info(self) -> dict[str, RefDocInfo]:
        """`ref_doc_info` without blocking the event loop."""
        return ref_doc_info(await self._library.arun(self._library.pages()))

    # Asking

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """Give a `CustomGPTQueryEngine` for this agent; `kwargs` are its arguments.

        With an `llm` of yours, LlamaIndex's own engine, which answers with that model from the cited pages;
        `kwargs` are then that engine's arguments and those of `CustomGPTRetriever`.
        """
        if llm is not None:
            kwargs = {"callback_manager": self._callback_manager, **kwargs}
            return super(CustomGPTIndex, self._with_retriever(kwargs)).as_query_engine(llm=llm, **kwargs)
        return CustomGPTQueryEngine(self._clients.agent, **{**self._shared(), **kwargs})

    def as_chat_engine(
        self, chat_mode: ChatMode = ChatMode.BEST, llm: LLMType | None = None, **kwargs: Any
    ) -> BaseChatEngine:
        """Give a `CustomGPTChatEngine` for this agent; `kwargs` are its arguments.

        With an `llm` of yours, LlamaIndex's own engine of that `chat_mode`, as with `as_query_engine`;
        without, the mode has no effect.
        """
        if llm is not None:
            return super(CustomGPTIndex, self._with_retriever(kwargs)).as_chat_engine(
                chat_mode=chat_mode, llm=llm, **kwargs
            )
        return CustomGPTChatEngine(self._clients.agent, **{**self._shared(), **kwargs})

    def as_retriever(self, **kwargs: Any) -> CustomGPTRetriever:
        """Give a `CustomGPTRetriever` for this agent; `kwargs` are its arguments."""
        return self._retriever or CustomGPTRetriever(self._clients.agent, **{**self._shared(), **kwargs})

    def _with_retriever(self, kwargs: Mapping[str, Any]) -> CustomGPTIndex:
        """Give this index with its retriever made.

        LlamaIndex's own methods hand all they are given to `as_retriever`, the engine's arguments as well.
        The engine runs the postprocessors: once is enough.
        """
        known = inspect.signature(CustomGPTRetriever).parameters.keys() | CONNECTION_KEYWORDS
        known -= {"node_postprocessors", "connection"}
        twin = copy.copy(self)
        twin._retriever = self.as_retriever(**{name: kwargs[name] for name in known & kwargs.keys()})
        return twin

    def _shared(self) -> dict[str, Any]:
        return {**self._clients.shared(), "callback_manager": self._callback_manager}

    # What a managed index has not

    @property
    def docstore(self) -> BaseDocumentStore:
        """There is none: the service keeps the documents. Raises `AttributeError`, which says so."""
        raise AttributeError(_NO_STORE.format("docstore"))

    @property
    def storage_context(self) -> StorageContext:
        """There is none: the service keeps the documents. Raises `AttributeError`, which says so."""
        raise AttributeError(_NO_STORE.format("storage_context"))

    def _build_index_from_nodes(self, nodes: Sequence[BaseNode], **build_kwargs: Any) -> IndexDict:
        raise NotImplementedError("Use from_documents(...), or insert_nodes(...) on an existing index.")
