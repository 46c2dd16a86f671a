"""What the adapters for frameworks share: clients made on demand, the persona, hints for misspelt keywords.

Importing this loads no HTTP library.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict

from customgpt_transport._keywords import did_you_mean
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.options import ClientOptions, PromptSettings, Secret, project_number

if TYPE_CHECKING:
    from customgpt_transport._async.client import AsyncClient
    from customgpt_transport._sync.client import Client

__all__ = ["Clients", "Connection", "did_you_mean", "mask_key", "with_persona"]


class Connection(TypedDict, total=False):
    """The keywords of a constructor that say how to reach the service; each may be missing or None.

    `api_key` and `base_url` fall back to CUSTOMGPT_API_KEY and CUSTOMGPT_BASE_URL. `timeout` is the silence,
    in seconds, after which a request is given up; never a total. `max_retries` is how often to resend a
    request that was refused or never left. `client_options` holds all other options. `client` and
    `async_client` are ready-made clients.
    """

    api_key: str | None
    base_url: str | None
    timeout: float | None
    max_retries: int | None
    client_options: ClientOptions | None
    client: Client | None
    async_client: AsyncClient | None


class Clients:
    """The blocking and the asynchronous client of one agent, each made when it is first needed.

    A ready-made client is used as it is and never closed; the other one is made with its options. It must not
    be contradicted: another key or address, or `client_options`, beside it raises `ConfigurationError`.
    `timeout` and `max_retries` beside it apply to prompts, through `options_for`.

    `adapter` becomes part of the User-Agent. Constructing does no I/O. One instance serves many threads and
    event loops, and is pickled and copied without live connections. Raises `ConfigurationError` for options
    that are missing or cannot work, and, if `needs_project`, when neither `project_id` nor
    CUSTOMGPT_PROJECT_ID names an agent.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        adapter: str,
        project_id: int | str | None = None,
        needs_project: bool = True,
    ) -> None:
        mask_key(connection)
        self.client, self.async_client = connection.get("client"), connection.get("async_client")
        self.options = _options(connection, adapter, project_id)
        self.project_id = self.options.project_id
        if needs_project and self.project_id is None:
            raise _no_agent()
        owns_both = self.client is None and self.async_client is None
        self._timeout = None if owns_both else connection.get("timeout")
        self._max_retries = None if owns_both else connection.get("max_retries")
        self._made: dict[str, Any] = {}

    @property
    def agent(self) -> int:
        """The agent's id. Raises `ConfigurationError` when there is none yet."""
        if self.project_id is None:
            raise _no_agent()
        return self.project_id

    @property
    def sync(self) -> Client:
        """The blocking client."""
        client: Client | None = self.client or self._made.get("sync")
        if client is None:
            from customgpt_transport._sync.client import Client

            # Two threads may both make one; setdefault keeps the first, the other never did any I/O.
            client = self._made.setdefault("sync", Client(options=self.options))
        return client

    @property
    def asynchronous(self) -> AsyncClient:
        """The asynchronous client."""
        client: AsyncClient | None = self.async_client or self._made.get("async")
        if client is None:
            from customgpt_transport._async.client import AsyncClient

            client = self._made.setdefault("async", AsyncClient(options=self.options))
        return client

    async def on_this_loop(self) -> AsyncClient:
        """Return the asynchronous client. Importing aiohttp does not block the running loop."""
        if self.async_client is None and "aiohttp" not in sys.modules:
            await asyncio.to_thread(import_module, "customgpt_transport._async.client")
        return self.asynchronous

    def options_for(self, timeout: Any = None, max_retries: Any = None) -> ClientOptions | None:
        """Return the `options` to pass to one `ask` or `stream`; None for the client's own.

        Raises `ConfigurationError` for a `timeout` or `max_retries` that is not a fitting number.
        """
        if timeout is None and max_retries is None:
            return None if self._timeout is None and self._max_retries is None else self.options
        return _with_patience(self.options, timeout, max_retries)

    def shared(self) -> Connection:
        """Return the keywords that construct something else with the same two clients, which are made now."""
        return {
            "client": self.sync,
            "async_client": self.asynchronous,
            "timeout": self._timeout,
            "max_retries": self._max_retries,
        }

    def close(self) -> None:
        """Close the blocking client if it was made here. The next use makes another."""
        client = self._made.pop("sync", None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close both clients if they were made here. The next use makes others."""
        self.close()
        client = self._made.pop("async", None)
        if client is not None:
            await client.aclose()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}


def mask_key(connection: Connection) -> None:
    """Mask the key in `connection` itself. Call it first: tracebacks can show a constructor's locals."""
    if key := connection.get("api_key"):
        connection["api_key"] = key = Secret(key)


def with_persona(settings: PromptSettings | None, system: str) -> PromptSettings | None:
    """Return `settings` with `system`, the text of system messages, added to the persona that they set.

    The two together replace the agent's persona for the prompt. An empty `system` changes nothing.
    """
    if not system:
        return settings
    settings = settings or PromptSettings()
    persona = "\n\n".join(filter(None, (settings.custom_persona, system)))
    return replace(settings, custom_persona=persona)


def _options(connection: Connection, adapter: str, project_id: int | str | None) -> ClientOptions:
    """Return the complete options, from what was passed, a ready-made client and the environment."""
    given = connection.get("client_options")
    pair = (connection.get("client"), connection.get("async_client"))
    ready = [client.options for client in pair if client is not None]
    base = ready[0] if ready else given or ClientOptions()
    options = replace(
        base,
        api_key=connection.get("api_key") or base.api_key,
        base_url=connection.get("base_url") or base.base_url,
        project_id=base.project_id if project_id is None else project_number(project_id),
        adapter=base.adapter or adapter,
    )
    if not ready or _place(options) != _place(base):  # else a client has resolved them
        options = options.resolve()
    if ready and (given is not None or any(_place(each) != _place(options) for each in ready)):
        raise ConfigurationError(
            "A ready-made client has its own key, address and options: pass client=... and async_client=..., "
            "or api_key=..., base_url=... and client_options=..., not both."
        )
    return _with_patience(options, connection.get("timeout"), connection.get("max_retries"))


def _place(options: ClientOptions) -> tuple[str | None, str | None]:
    return options.api_key, options.base_url


def _with_patience(options: ClientOptions, timeout: Any, max_retries: Any) -> ClientOptions:
    if timeout is None and max_retries is None:
        return options
    if timeout is not None:
        options = options.with_timeout(_number("timeout", timeout))
    if max_retries is not None:
        retries = _number("max_retries", max_retries)
        if retries < 0 or not retries.is_integer():
            raise ConfigurationError(f"max_retries must be a whole number from 0, not {max_retries!r:.80}.")
        options = replace(options, retry=replace(options.retry, max_retries=int(retries)))
    return options.resolve()


def _number(name: str, value: Any) -> float:
    """Return `value` as a number; text of a number will do, because settings often come as text."""
    if not isinstance(value, bool) and isinstance(value, (int, float, str)):
        with suppress(ValueError):
            return float(value)
    hint = " Give one number of seconds." if name == "timeout" else ""
    raise ConfigurationError(f"{name} must be a number, not {value!r:.80}.{hint}")


def _no_agent() -> ConfigurationError:
    return ConfigurationError(
        "Which agent? Pass project_id=..., or set CUSTOMGPT_PROJECT_ID; the number stands in the address of "
        "the agent in the CustomGPT.ai dashboard."
    )
