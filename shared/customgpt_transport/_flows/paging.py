"""A list that the API returns page by page.

Pages are counted by offset: rows that are deleted while a list is walked make it skip as many others, so
collect first (`list(...)`), then delete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from customgpt_transport._flows import Flow, T
from customgpt_transport._flows.exchange import fetch
from customgpt_transport._wire.http import Request, Response
from customgpt_transport._wire.values import Paginated
from customgpt_transport.options import ClientOptions


class Pages(Generic[T]):
    """The state of a walk over a list: while there are `more`, `next()` is the flow to the next rows.

    The first request is built at once, so that bad input raises where the list is asked for.
    """

    def __init__(
        self,
        page: Callable[[int], Request],
        parse: Callable[[Response], Paginated[T]],
        options: ClientOptions,
    ) -> None:
        self._page = page
        self._parse = parse
        self._options = options
        self._number = 1
        self._request: Request | None = page(1)

    @property
    def more(self) -> bool:
        """Whether there is a next page."""
        return self._request is not None

    def next(self) -> Flow[tuple[T, ...]]:
        """Return the rows of the next page; none when there is none."""
        if self._request is None:
            return ()
        found: Paginated[T] = yield from fetch(self._request, self._options, self._parse)
        # A service that ignores `page` would make us walk in circles: only ever go forward.
        goes_on = found.next_page is not None and found.next_page > self._number
        self._number += 1
        self._request = self._page(self._number) if goes_on else None
        return found.rows
