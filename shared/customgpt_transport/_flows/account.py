"""What can be asked about the account behind the key."""

from __future__ import annotations

from customgpt_transport._flows import Flow
from customgpt_transport._flows.exchange import fetch
from customgpt_transport._wire import account
from customgpt_transport._wire.agents import checked_name
from customgpt_transport.models import UsageLimits, User
from customgpt_transport.options import ClientOptions


def limits(options: ClientOptions) -> Flow[UsageLimits]:
    """Give what the account may use and has used."""
    return fetch(account.limits(), options, account.parse_limits)


def user(options: ClientOptions) -> Flow[User]:
    """Give whose key this is."""
    return fetch(account.user(), options, account.parse_user)


def update_user(options: ClientOptions, name: str) -> Flow[User]:
    """Give the user after the change of name."""
    return fetch(account.update_user(checked_name(name)), options, account.parse_user)
