"""`client.limits` and `client.user` of the asynchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customgpt_transport._flows import account as flows
from customgpt_transport.models import UsageLimits, User

if TYPE_CHECKING:
    from customgpt_transport._async.client import AsyncClient


class AsyncLimitsNamespace:
    """What the account may use."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self) -> UsageLimits:
        """Give what the account may use and has used: agents, storage, queries."""
        return await self._client.run(flows.limits(self._client.options))


class AsyncUserNamespace:
    """Whose key this is."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self) -> User:
        """Give the user; `AuthenticationFailed` for a key that is not valid, so this checks a key."""
        return await self._client.run(flows.user(self._client.options))

    async def update(self, name: str) -> User:
        """Change the user's name, and give the user."""
        return await self._client.run(flows.update_user(self._client.options, name))
