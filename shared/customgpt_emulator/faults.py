"""Misbehaviour on command. So far nothing can be ordered; this is the place where requests ask."""

from __future__ import annotations

from aiohttp import web

__all__ = ["Fault", "Faults"]


class Fault:
    """One ordered misbehaviour. The base class does nothing."""

    name = "none"

    async def before(self, request: web.Request) -> web.StreamResponse | None:
        """Asked before the handler runs: an answer given here replaces the handler's."""
        return None


class Faults:
    """The misbehaviours that were ordered and not yet played."""

    def take(self, endpoint: str | None, request: web.Request) -> Fault | None:
        """The fault for this request, which is thereby used up; None when it shall be served normally."""
        return None

    def clear(self) -> None:
        """Take back every order."""
