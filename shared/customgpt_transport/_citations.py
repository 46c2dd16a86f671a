"""The citations that a client has looked up: 1,000 of them, for an hour each."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

from customgpt_transport._wire.values import citation_ids
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Citation, Message

ENTRIES, SECONDS, AT_ONCE = 1_000, 3_600.0, 8


class CitationCache:
    """Newest used last. Stubs are not kept: what failed is asked for again.

    Without a lock, which a fork could copy in use: each step is atomic, and losing a race costs one look-up.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[int, int], tuple[float, Citation]] = OrderedDict()

    def get(self, project_id: int, citation_id: int) -> Citation | None:
        """Give a citation that is not too old."""
        key = (project_id, citation_id)
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock() - kept[0] > SECONDS:
            self._kept.pop(key, None)
            return None
        with contextlib.suppress(KeyError):  # pushed out meanwhile
            self._kept.move_to_end(key)
        return kept[1]

    def put(self, project_id: int, citation: Citation) -> None:
        """Keep a citation that was found."""
        if not citation.resolved:
            return
        self._kept[project_id, citation.id] = (self._clock(), citation)
        with contextlib.suppress(KeyError):
            self._kept.move_to_end((project_id, citation.id))
            while len(self._kept) > ENTRIES:
                self._kept.popitem(last=False)


def wanted(message: Message | Iterable[int]) -> tuple[int, ...]:
    """Give the citation ids to look up, each once, in order."""
    if isinstance(message, Message):
        return message.citation_ids
    if isinstance(message, (str, bytes)) or not isinstance(message, Iterable):
        raise ConfigurationError("citations() takes a Message or its citation_ids.")
    return citation_ids(list(message))
