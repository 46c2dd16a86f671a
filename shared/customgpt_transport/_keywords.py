"""Misspelt keywords are answered with the one that was probably meant."""

from __future__ import annotations

from collections.abc import Collection
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from customgpt_transport._secrets import Secret

T = TypeVar("T")

# What other libraries, or the API's own pages, call our keywords.
_ALIASES = {
    "agent_id": "project_id",
    "chatbot_model": "model",
    "model_name": "model",
    "request_timeout": "timeout",
    "customgpt_api_key": "api_key",
    "persona": "custom_persona",
    "conversation_id": "session_id",
    "thread_id": "session_id",
    "language": "lang",
}


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return " Did you mean '...'?" for a misspelt keyword; '' where nothing of `known` comes close."""
    import difflib  # not before a mistake needs it

    meant = _ALIASES.get(name)
    if meant not in known:
        meant = next(iter(difflib.get_close_matches(name, known, n=1)), None)
    return f" Did you mean {meant!r}?" if meant else ""


def names_keywords(cls: type[T]) -> type[T]:
    """Have `cls` answer a keyword that it does not know with a `TypeError` that suggests one that it does."""
    construct: Any = cls.__init__
    known = frozenset(signature(construct).parameters)

    @wraps(construct)
    def __init__(self: T, *args: Any, **keywords: Any) -> None:
        if isinstance(keywords.get("api_key"), str):
            keywords["api_key"] = Secret(keywords["api_key"])  # at once: tracebacks can show locals
        try:
            construct(self, *args, **keywords)
        except TypeError:
            for name in keywords.keys() - known:
                hint = did_you_mean(name, known)
                message = f"{cls.__name__}() got an unexpected keyword argument {name!r}.{hint}"
                raise TypeError(message) from None
            raise

    cls.__init__ = __init__  # type: ignore[method-assign, assignment]  # the same signature, checked
    return cls
