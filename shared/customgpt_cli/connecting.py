"""From the command line and the environment to a service: its address, the key, the agent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from customgpt_cli.options import Given
from customgpt_cli.state import LastConversations, state_folder
from customgpt_transport import Client, ClientOptions
from customgpt_transport.errors import ConfigurationError

__all__ = ["Service", "agent_client", "emulated_folder", "read_key_file", "service"]

LAST = "conversations.json"


@dataclass(frozen=True)
class Service:
    """A service that can be talked to."""

    options: ClientOptions
    """Resolved: the address, the key, and the agent if one is named."""
    last: LastConversations
    is_embedded: bool = False
    """It is an emulator of this process, and ends with it."""

    @property
    def project_id(self) -> int:
        """The agent. Raises `ConfigurationError` when none is named."""
        if self.options.project_id is None:
            raise ConfigurationError(
                "No agent. Name one with --agent, or set CUSTOMGPT_PROJECT_ID. "
                "`customgpt agents list` shows yours."
            )
        return self.options.project_id

    def client(self) -> Client:
        """Return a client of the service."""
        return Client(options=self.options)


@contextmanager
def service(given: Given) -> Iterator[Service]:
    """Provide the service that the command line and the environment name.

    Raises `ConfigurationError` when there is no key, or what was named cannot be used.
    """
    folder = emulated_folder(given)
    if folder is not None:
        from customgpt_cli.emulating import emulated

        with emulated(folder) as (options, last):
            project_id = given.agent or options.project_id
            yield Service(replace(options, project_id=project_id).resolve(), last, is_embedded=True)
        return
    options = ClientOptions(api_key=_key(given), project_id=given.agent, adapter="customgpt-cli").resolve()
    yield Service(options, LastConversations(state_folder() / LAST, options.base_url or ""))


def emulated_folder(given: Given) -> Path | None:
    """Return the folder of `--emulate` or of the environment, or None."""
    return given.emulate or _path("CUSTOMGPT_EMULATE")


@contextmanager
def agent_client(given: Given) -> Iterator[Client]:
    """Provide a client for what is about one agent. Raises `ConfigurationError` when none is named."""
    with service(given) as at:
        at.project_id  # noqa: B018 - it raises
        with at.client() as client:
            yield client


def _key(given: Given) -> str | None:
    """Return the key of the file that was named; None when the environment has to have it."""
    if given.api_key_file is not None:
        return read_key_file(given.api_key_file)
    named = _path("CUSTOMGPT_API_KEY_FILE")
    if named is not None and not (os.environ.get("CUSTOMGPT_API_KEY") or "").strip():
        return read_key_file(named)
    return None


def read_key_file(path: Path) -> str:
    """Return the key that a file holds. Raises `ConfigurationError` when it holds none."""
    try:
        key = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"The API key cannot be read from {path}: {why}.") from None
    if not key:
        raise ConfigurationError(f"{path} is empty. Put the API key into it, and nothing else.")
    return key


def _path(variable: str) -> Path | None:
    value = (os.environ.get(variable) or "").strip()
    return Path(value) if value else None
