"""`client.limits` and `client.user`."""

from __future__ import annotations

from customgpt_transport._api.calls import Colour, Resource, call
from customgpt_transport._flows import Flow
from customgpt_transport._flows.exchange import fetch
from customgpt_transport._wire import account
from customgpt_transport._wire.agents import checked_name
from customgpt_transport.models import UsageLimits, User


class LimitsResource(Resource[Colour]):
    """The account's usage limits."""

    @call
    def get(self) -> Flow[UsageLimits]:
        """Return the account's limits and usage: agents, storage, queries."""
        return fetch(account.limits(), self._options, account.parse_limits)


class UserResource(Resource[Colour]):
    """The user behind the key."""

    @call
    def get(self) -> Flow[User]:
        """Return the user. Raises `AuthenticationFailed` for an invalid key, so this checks a key."""
        return fetch(account.user(), self._options, account.parse_user)

    @call
    def update(self, name: str) -> Flow[User]:
        """Change the user's name and return the user."""
        return fetch(account.update_user(checked_name(name)), self._options, account.parse_user)
