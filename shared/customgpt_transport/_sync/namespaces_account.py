"""`client.limits` and `client.user`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customgpt_transport._flows import account as flows
from customgpt_transport.models import UsageLimits, User

if TYPE_CHECKING:
    from customgpt_transport._sync.client import Client


class LimitsNamespace:
    """What the account may use."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self) -> UsageLimits:
        """Give what the account may use and has used: agents, storage, queries."""
        return self._client.run(flows.limits(self._client.options))


class UserNamespace:
    """Whose key this is."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self) -> User:
        """Give the user; `AuthenticationFailed` for a key that is not valid, so this checks a key."""
        return self._client.run(flows.user(self._client.options))

    def update(self, name: str) -> User:
        """Change the user's name, and give the user."""
        return self._client.run(flows.update_user(self._client.options, name))
