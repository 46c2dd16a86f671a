"""The endpoints of the API, one file per group."""

from __future__ import annotations

from customgpt_emulator.routes import (
    account,
    agents,
    completions,
    conversations,
    messages,
    pages,
    settings,
    sources,
    uncovered,
)
from customgpt_emulator.serving.call import Route

__all__ = ["ROUTES"]

ROUTES: tuple[Route, ...] = (
    *agents.ROUTES,
    *settings.ROUTES,
    *conversations.ROUTES,
    *messages.ROUTES,
    *completions.ROUTES,
    *pages.ROUTES,
    *sources.ROUTES,
    *account.ROUTES,
    *uncovered.ROUTES,
)
