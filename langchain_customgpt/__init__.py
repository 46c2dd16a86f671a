"""CustomGPT.ai agents in LangChain: a chat model, a retriever, a tool, and conversations as messages.

    from langchain_customgpt import ChatCustomGPT

    llm = ChatCustomGPT(project_id=123)  # the key from CUSTOMGPT_API_KEY
    llm.invoke("How do refunds work?")

Importing the package loads neither LangChain nor an HTTP library: each name is looked up at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_customgpt._version import __version__
    from langchain_customgpt.chat_models import ChatCustomGPT
    from langchain_customgpt.conversations import aconversation_messages, conversation_messages
    from langchain_customgpt.retrievers import CustomGPTRetriever
    from langchain_customgpt.tools import CustomGPTTool

__all__ = [
    "ChatCustomGPT",
    "CustomGPTRetriever",
    "CustomGPTTool",
    "conversation_messages",
    "aconversation_messages",
    "__version__",
]

_HOMES = {
    "ChatCustomGPT": "chat_models",
    "CustomGPTRetriever": "retrievers",
    "CustomGPTTool": "tools",
    "conversation_messages": "conversations",
    "aconversation_messages": "conversations",
    "__version__": "_version",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("langchain_core", "pydantic"):
            raise ImportError(
                f'langchain_customgpt needs LangChain: pip install "customgpt-adapters[langchain]" '
                f"({error.name} is not installed)",
                name=error.name,
            ) from error
        raise
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
