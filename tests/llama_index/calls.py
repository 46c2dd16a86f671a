"""Call sync and async methods the same way."""

from __future__ import annotations

from typing import Any


class Call:
    """Call a method by its sync name: itself, or its async twin (`insert` or `ainsert`), awaited."""

    def __init__(self, colour: str) -> None:
        self.colour = colour

    async def __call__(self, owner: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        if self.colour == "async":
            return await getattr(owner, f"a{name}")(*args, **kwargs)
        found = getattr(owner, name)
        return found(*args, **kwargs) if callable(found) else found
