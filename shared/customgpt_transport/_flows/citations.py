"""The pages behind citations: looked up together within one deadline, kept per client for an hour."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

from customgpt_transport._flows import Flow
from customgpt_transport._flows.exchange import exchange
from customgpt_transport._flows.prompts import project_of
from customgpt_transport._wire import citations
from customgpt_transport._wire.values import citation_ids
from customgpt_transport.errors import ConfigurationError, CustomGPTError
from customgpt_transport.models import Citation, Message
from customgpt_transport.options import ClientOptions

ENTRIES, SECONDS, AT_ONCE = 1_000, 3_600.0, 8


class CitationCache:
    """Newest used last. Stubs are not kept, so that what failed is asked for again.

    Without a lock, which a fork could copy in use: each step is atomic, and losing a race costs one look-up.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[int, int], tuple[float, Citation]] = OrderedDict()

    def get(self, project_id: int, citation_id: int) -> Citation | None:
        """Return a citation that is not too old."""
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
        self._kept[project_id, citation.id] = (self._clock(), citation)
        with contextlib.suppress(KeyError):
            self._kept.move_to_end((project_id, citation.id))
            while len(self._kept) > ENTRIES:
                self._kept.popitem(last=False)


class Lookup:
    """The look-up of one answer's citations. The client runs `one` for each of `missing`, several at once.

    Raises `ConfigurationError` when neither the message nor the client knows the agent.
    """

    def __init__(
        self,
        message: Message | Iterable[int],
        project_id: int | None,
        options: ClientOptions,
        cache: CitationCache,
    ) -> None:
        if project_id is None and isinstance(message, Message):
            project_id = message.project_id
        self._agent = project_of(project_id, options)
        self._options = options
        self._cache = cache
        self._ids = _ids(message)
        self._found = {i: kept for i in self._ids if (kept := cache.get(self._agent, i)) is not None}
        self._deadline = options.clock() + options.citation_timeout
        self.missing = [i for i in self._ids if i not in self._found]

    @property
    def patience(self) -> float:
        """Seconds to wait for the look-ups: slightly more than their own deadline."""
        return max(0.0, self._deadline - self._options.clock()) + 0.1

    def one(self, citation_id: int) -> Flow[None]:
        """Look up one citation; a failure becomes a stub."""
        try:
            request = citations.get(self._agent, citation_id)
            response = yield from exchange(request, self._options, deadline=self._deadline)
            self._found[citation_id] = citation = citations.parse_citation(response, citation_id)
            self._cache.put(self._agent, citation)
        except CustomGPTError as error:
            if self._options.clock() < self._deadline:  # else the deadline cut it short, whatever the error
                self._found[citation_id] = _stub(citation_id, str(error))

    def result(self) -> list[Citation]:
        """Return the citations in the message's order; a stub for each that is not there."""
        late = f"not back within {self._options.citation_timeout:g} s (citation_timeout)"
        return [self._found.get(i) or _stub(i, late) for i in self._ids]


def _stub(citation_id: int, problem: str) -> Citation:
    return Citation(citation_id, resolved=False, problem=problem)


def _ids(message: Message | Iterable[int]) -> tuple[int, ...]:
    if isinstance(message, Message):
        return message.citation_ids
    if isinstance(message, (str, bytes)) or not isinstance(message, Iterable):
        raise ConfigurationError("citations() takes a Message or its citation_ids.")
    return citation_ids(list(message))
