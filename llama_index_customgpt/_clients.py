"""The base of the engines, the retriever and the index: their clients, made from the same keywords."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

from customgpt_transport import __version__
from customgpt_transport.adapting import Clients, Connection, did_you_mean, mask_key

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["CONNECTION_KEYWORDS", "UsesClients"]

ADAPTER = f"llama-index-customgpt/{__version__}"
CONNECTION_KEYWORDS = frozenset(Connection.__annotations__)


class UsesClients:
    """An object with clients. It can be closed, or used as a context manager; neither is required."""

    _clients: Clients

    def _connect(
        self, project_id: int | str | None, connection: Connection, *, needs_project: bool = True
    ) -> None:
        """Set `_clients`. Call it first: it masks the key in `connection`."""
        mask_key(connection)
        for name in connection.keys() - CONNECTION_KEYWORDS:
            hint = did_you_mean(name, CONNECTION_KEYWORDS | signature(type(self)).parameters.keys())
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}.{hint}")
        self._clients = Clients(
            connection, adapter=ADAPTER, project_id=project_id, needs_project=needs_project
        )

    @property
    def project_id(self) -> int | None:
        """The agent's id."""
        return self._clients.project_id

    def close(self) -> None:
        """Close the connections of the sync methods. Clients that were passed in stay open."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close all connections. Clients that were passed in stay open."""
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
