"""The API by its resources: what both clients share, and what flows compose."""

from __future__ import annotations

from customgpt_transport._api.account import LimitsResource, UserResource
from customgpt_transport._api.agents import AgentsResource
from customgpt_transport._api.calls import AsFlow, Colour, Runner, call
from customgpt_transport._api.conversations import ConversationsResource, MessagesResource
from customgpt_transport._api.documents import PagesResource, SourcesResource
from customgpt_transport._flows import Flow
from customgpt_transport._flows.paging import Pages
from customgpt_transport.models import Message
from customgpt_transport.options import ClientOptions


class Api(Runner[Colour]):
    """The API by its resources; what a `Client` and an `AsyncClient` have in common."""

    @property
    def conversations(self) -> ConversationsResource[Colour]:
        """Create, list, rename and delete conversations."""
        return ConversationsResource(self)

    @property
    def messages(self) -> MessagesResource[Colour]:
        """List, get and rate messages."""
        return MessagesResource(self)

    @property
    def agents(self) -> AgentsResource[Colour]:
        """Create, list, change, copy, delete and wait for agents."""
        return AgentsResource(self)

    @property
    def sources(self) -> SourcesResource[Colour]:
        """Add, list, change, sync and delete an agent's sources."""
        return SourcesResource(self)

    @property
    def pages(self) -> PagesResource[Colour]:
        """List, delete and reindex an agent's pages; their metadata and stored files."""
        return PagesResource(self)

    @property
    def limits(self) -> LimitsResource[Colour]:
        """The account's usage limits."""
        return LimitsResource(self)

    @property
    def user(self) -> UserResource[Colour]:
        """The user behind the key."""
        return UserResource(self)

    @call
    def find_message(
        self, session_id: str, external_id: str, *, project_id: int | None = None
    ) -> Flow[Message | None]:
        """Return the newest answered message that carries `external_id`; None when none is stored (yet)."""
        rows: Pages[Message] = ApiFlows(self.options).messages.list(session_id, project_id=project_id)
        while rows.more:
            for row in (yield from rows.next()):
                if row.external_id == external_id and row.answer:
                    return row
        return None


class ApiFlows(Api[AsFlow]):
    """The API inside a flow: each method returns a flow for `yield from`, each list its `Pages`."""

    _colour = AsFlow

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
