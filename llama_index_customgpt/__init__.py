"""CustomGPT.ai agents in LlamaIndex: a query engine, a chat engine, a retriever and a managed index.

Importing this package loads neither LlamaIndex nor an HTTP library: the first name that needs them does.
Install it with `pip install "customgpt-adapters[llama-index]"`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from customgpt_transport import PromptSettings
    from llama_index_customgpt.chat_engine import CustomGPTChatEngine
    from llama_index_customgpt.index import CustomGPTIndex
    from llama_index_customgpt.query_engine import CustomGPTQueryBundle, CustomGPTQueryEngine
    from llama_index_customgpt.responses import (
        CustomGPTAsyncStreamingChatResponse,
        CustomGPTAsyncStreamingResponse,
        CustomGPTStreamingChatResponse,
        CustomGPTStreamingResponse,
    )
    from llama_index_customgpt.retriever import CustomGPTRetriever
    from llama_index_customgpt.tool import CustomGPTQueryEngineTool

_HOMES = {
    "CustomGPTQueryEngine": "llama_index_customgpt.query_engine",
    "CustomGPTQueryBundle": "llama_index_customgpt.query_engine",
    "CustomGPTQueryEngineTool": "llama_index_customgpt.tool",
    "CustomGPTChatEngine": "llama_index_customgpt.chat_engine",
    "CustomGPTRetriever": "llama_index_customgpt.retriever",
    "CustomGPTIndex": "llama_index_customgpt.index",
    "CustomGPTStreamingResponse": "llama_index_customgpt.responses",
    "CustomGPTAsyncStreamingResponse": "llama_index_customgpt.responses",
    "CustomGPTStreamingChatResponse": "llama_index_customgpt.responses",
    "CustomGPTAsyncStreamingChatResponse": "llama_index_customgpt.responses",
    "PromptSettings": "customgpt_transport",
}

__all__ = [
    "CustomGPTQueryEngine",
    "CustomGPTQueryBundle",
    "CustomGPTQueryEngineTool",
    "CustomGPTChatEngine",
    "CustomGPTRetriever",
    "CustomGPTIndex",
    "CustomGPTStreamingResponse",
    "CustomGPTAsyncStreamingResponse",
    "CustomGPTStreamingChatResponse",
    "CustomGPTAsyncStreamingChatResponse",
    "PromptSettings",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "llama_index":
            raise
        raise ImportError(
            f'{name} needs LlamaIndex, which is not installed: pip install "customgpt-adapters[llama-index]"'
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
