"""The methods of an index in both colours."""

from __future__ import annotations

from typing import Any


class Hands:
    """The index's methods in both colours, by their sync names."""

    def __init__(self, colour: str) -> None:
        self.colour = colour

    async def __call__(self, owner: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        if self.colour == "async":
            return await getattr(owner, f"a{name}")(*args, **kwargs)
        found = getattr(owner, name)
        return found(*args, **kwargs) if callable(found) else found
