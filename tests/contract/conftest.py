"""The vendor's SDK, pointed at an emulator, in both of its colours."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from customgpt_client import CustomGPT

from customgpt_emulator import Emulator
from tests.conftest import DOCUMENTS


@dataclass
class Sdk:
    """`sdk("Project", "create", ...)` is `CustomGPT.Project.create(...)`, or `acreate` awaited."""

    colour: str
    emulator: Emulator
    called: set[str] = field(default_factory=set)

    @staticmethod
    def everything() -> set[str]:
        """Every call of the SDK, by the name of its sync form."""
        groups = {name: group for name, group in vars(CustomGPT).items() if inspect.isclass(group)}
        names = {f"{name}.{call}" for name, group in groups.items() for call in vars(group)}
        return {name for name in names if "__" not in name and not _has_sync_form(name, names)}

    def __call__(self, group: str, name: str, /, **arguments: Any) -> Any:
        self.called.add(f"{group}.{name}")
        home = getattr(CustomGPT, group)
        if self.colour == "sync":
            return getattr(home, name)(**arguments)

        async def awaited() -> Any:
            return await getattr(home, f"a{name}")(**arguments)

        return asyncio.run(awaited())

    def stream(self, **arguments: Any) -> list[Any]:
        """The events of `Conversation.send(stream=True)`, read to their end."""
        client = self("Conversation", "send", stream=True, **arguments)
        events = list(client.events())
        client.close()
        return events


def _has_sync_form(name: str, names: set[str]) -> bool:
    group, _, call = name.partition(".")
    return call.startswith("a") and f"{group}.{call[1:]}" in names


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    """Which half of the SDK is used."""
    return str(request.param)


@pytest.fixture
def sdk(colour: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sdk]:
    """The SDK as its users set it up: key and address on the class. What was there before is put back."""
    with Emulator(documents=DOCUMENTS) as emulator:
        monkeypatch.setattr(CustomGPT, "api_key", emulator.api_key, raising=False)
        monkeypatch.setattr(CustomGPT, "base_url", emulator.base_url, raising=False)
        monkeypatch.setattr(CustomGPT, "timeout", 20, raising=False)
        yield Sdk(colour, emulator)
