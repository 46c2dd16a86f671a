"""One way to call either client, through requests and through aiohttp.

A `Door` is a client with blocking methods: a test written against it runs twice, and both clients must have
the same answers, the same errors and the same requests.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from customgpt_transport import (
    AnswerDelta,
    AsyncClient,
    Citation,
    Client,
    ClientOptions,
    CustomGPTError,
    Message,
    MessageEvent,
)

T = TypeVar("T")


class Server(Protocol):
    """What a door needs to know of a server."""

    @property
    def base_url(self) -> str: ...
    @property
    def project_id(self) -> int: ...
    @property
    def api_key(self) -> str: ...


@dataclass
class Heard:
    """What came of a stream: its events, and the whole message or the error."""

    events: list[MessageEvent] = field(default_factory=list)
    message: Message | None = None
    error: CustomGPTError | None = None
    session_id: str | None = None

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, AnswerDelta))


class Door(ABC):
    """A client with blocking methods. `naps` are the seconds that it was told to sleep; nothing sleeps."""

    name = ""

    def __init__(self, server: Server, **options: Any) -> None:
        self.naps: list[float] = []
        self.options = ClientOptions(
            api_key=server.api_key,
            base_url=server.base_url,
            project_id=server.project_id,
            sleep=self.naps.append,
        )
        self.options = replace(self.options, **options)

    @abstractmethod
    def ask(self, prompt: str, **more: Any) -> Message:
        """As the client's method."""

    @abstractmethod
    def stream(self, prompt: str, *, most: int | None = None, **more: Any) -> Heard:
        """Read a stream, to its end or to `most` events. An error is returned, not raised."""

    @abstractmethod
    def citations(self, message: Message | Iterable[int], **more: Any) -> list[Citation]:
        """As the client's method."""

    @abstractmethod
    def call(self, path: str, *arguments: Any, **more: Any) -> Any:
        """Call `client.<path>`, such as `messages.list`. An iterator is returned as a list."""

    @abstractmethod
    def close(self) -> None:
        """As the client's method."""


class RequestsDoor(Door):
    """Through `Client`."""

    name = "requests"

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **options)
        self.client = Client(options=self.options)

    def ask(self, prompt: str, **more: Any) -> Message:
        return self.client.ask(prompt, **more)

    def stream(self, prompt: str, *, most: int | None = None, **more: Any) -> Heard:
        heard = Heard()
        try:
            with self.client.stream(prompt, **more) as answer:
                heard.session_id = answer.session_id
                for event in answer:
                    heard.events.append(event)
                    if len(heard.events) == most:
                        return heard
                heard.message = answer.message
        except CustomGPTError as error:
            heard.error = error
        return heard

    def citations(self, message: Message | Iterable[int], **more: Any) -> list[Citation]:
        return self.client.citations(message, **more)

    def call(self, path: str, *arguments: Any, **more: Any) -> Any:
        result = _named(self.client, path)(*arguments, **more)
        return list(result) if hasattr(result, "__next__") else result

    def close(self) -> None:
        self.client.close()


class AiohttpDoor(Door):
    """Through `AsyncClient`, on a loop of its own."""

    name = "aiohttp"

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **options)
        self.client = AsyncClient(options=self.options)
        self.loop = asyncio.new_event_loop()

    def run(self, awaitable: Awaitable[T]) -> T:
        return self.loop.run_until_complete(awaitable)

    def ask(self, prompt: str, **more: Any) -> Message:
        return self.run(self.client.ask(prompt, **more))

    def stream(self, prompt: str, *, most: int | None = None, **more: Any) -> Heard:
        async def read() -> Heard:
            heard = Heard()
            try:
                async with self.client.stream(prompt, **more) as answer:
                    heard.session_id = answer.session_id
                    async for event in answer:
                        heard.events.append(event)
                        if len(heard.events) == most:
                            return heard
                    heard.message = answer.message
            except CustomGPTError as error:
                heard.error = error
            return heard

        return self.run(read())

    def citations(self, message: Message | Iterable[int], **more: Any) -> list[Citation]:
        return self.run(self.client.citations(message, **more))

    def call(self, path: str, *arguments: Any, **more: Any) -> Any:
        async def called() -> Any:
            result = _named(self.client, path)(*arguments, **more)
            if hasattr(result, "__anext__"):
                return [row async for row in result]
            return await result

        return self.run(called())

    def close(self) -> None:
        self.run(self.client.aclose())
        self.run(self.loop.shutdown_asyncgens())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()


DOORS: dict[str, type[RequestsDoor] | type[AiohttpDoor]] = {
    "requests": RequestsDoor,
    "aiohttp": AiohttpDoor,
}


def _named(client: Any, path: str) -> Any:
    for name in path.split("."):
        client = getattr(client, name)
    return client
