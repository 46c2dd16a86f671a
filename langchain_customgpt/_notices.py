"""Warnings that a user should see once, through `logging`: a chat model in a loop must not fill the log."""

from __future__ import annotations

import logging

logger = logging.getLogger("langchain_customgpt")

_said: set[str] = set()


def warn_once(key: str, message: str, *values: object) -> None:
    """Log `message` as a warning unless `key` was warned about before in this process."""
    if key not in _said:
        _said.add(key)
        logger.warning(message, *values)


def forget() -> None:
    """Warn about everything again."""
    _said.clear()
