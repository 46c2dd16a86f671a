"""Which agent, as whom, over which clients: what every class of this adapter is constructed with."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from customgpt_transport import __version__
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.options import ClientOptions, project_number

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from customgpt_transport import AsyncClient, Client

__all__ = ["Clients", "UsesClients"]

ADAPTER = f"llama-index-customgpt/{__version__}"


class Clients:
    """The sync and the async client of one agent, each made when it is first needed.

    Clients that were handed in are used as they are and never closed; what is missing is made with the same
    options. Raises `ConfigurationError` where the options are no good. Does no I/O.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        project_id: int | str | None = None,
        timeout: float | None = None,
        client_options: ClientOptions | None = None,
        client: Client | None = None,
        async_client: AsyncClient | None = None,
        needs_project: bool = True,
    ) -> None:
        ready = client or async_client
        if ready is not None and (api_key or base_url or timeout is not None or client_options):
            raise ConfigurationError(
                "A ready client brings its own key, address and options: pass either client=... or "
                "api_key=..., base_url=..., timeout=..., client_options=..., not both."
            )
        if ready is not None:
            self.options = ready.options
        else:
            self.options = _options(client_options, api_key, base_url, project_id, timeout)
        self._sync, self._async = client, async_client
        self._sync_is_mine, self._async_is_mine = client is None, async_client is None
        self._lock = threading.Lock()
        chosen = self.options.project_id if project_id is None else project_number(project_id)
        if chosen is None and needs_project:
            raise ConfigurationError(
                "Which agent? Pass project_id=..., or set CUSTOMGPT_PROJECT_ID; the number stands in the "
                "address of the agent in the CustomGPT.ai dashboard."
            )
        self.project_id = chosen

    @property
    def agent(self) -> int:
        """The number of the agent. Raises `ConfigurationError` when there is none yet."""
        if self.project_id is None:
            raise ConfigurationError(
                "There is no agent yet: pass project_id=..., or set CUSTOMGPT_PROJECT_ID."
            )
        return self.project_id

    @property
    def sync(self) -> Client:
        """The client on requests."""
        client = self._sync
        if client is None:
            from customgpt_transport import Client

            with self._lock:
                client = self._sync = self._sync or Client(options=self.options)
        return client

    @property
    def asynchronous(self) -> AsyncClient:
        """The client on aiohttp."""
        client = self._async
        if client is None:
            from customgpt_transport import AsyncClient

            with self._lock:
                client = self._async = self._async or AsyncClient(options=self.options)
        return client

    async def on_this_loop(self) -> AsyncClient:
        """The client on aiohttp, for use on the running loop."""
        if self._async is None and "aiohttp" not in sys.modules:
            # Importing it takes long enough to be felt on the loop.
            await asyncio.to_thread(getattr, import_module("customgpt_transport"), "AsyncClient")
        return self.asynchronous

    def close(self) -> None:
        """Close the sync client, if it was made here; the next call makes another."""
        if self._sync_is_mine and self._sync is not None:
            client, self._sync = self._sync, None
            client.close()

    async def aclose(self) -> None:
        """Close both clients, where they were made here; the next call makes others."""
        self.close()
        if self._async_is_mine and self._async is not None:
            client, self._async = self._async, None
            await client.aclose()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_lock"]
        if self._sync_is_mine:
            state["_sync"] = None
        if self._async_is_mine:
            state["_async"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _options(
    given: ClientOptions | None,
    api_key: str | None,
    base_url: str | None,
    project_id: int | str | None,
    timeout: float | None,
) -> ClientOptions:
    options = given or ClientOptions()
    if timeout is not None:
        options = options.with_timeout(timeout)
    return replace(
        options,
        api_key=api_key or options.api_key,
        base_url=base_url or options.base_url,
        project_id=options.project_id if project_id is None else project_number(project_id),
        adapter=options.adapter or ADAPTER,
    ).resolve()


class UsesClients:
    """What has clients can be closed, or used as a context manager. Closing is good manners, not a duty."""

    _clients: Clients

    @property
    def project_id(self) -> int | None:
        """The number of the agent."""
        return self._clients.project_id

    def close(self) -> None:
        """Close the connections of the sync methods. Clients that were handed in stay open."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close all connections. Clients that were handed in stay open."""
        await self._clients.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
