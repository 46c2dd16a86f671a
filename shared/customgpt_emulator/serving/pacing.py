"""Pacing: how fast answers come."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

__all__ = ["Pacing"]

A_DAY = 86_400  # seconds; no wait may be longer


class Pacing:
    """The speed of answers. It may be changed at any time, and applies to answers that start after that.

    `time_to_first_token`: seconds before the first token of an answer.
    `tokens_per_second`: tokens per second after that; None: as fast as the connection takes them.
    `jitter`: from 0 to 1, the part by which each wait may be shorter or longer, evenly distributed. With the
    emulator's seed the waits are the same in every run.

    An answer that is not streamed comes when its last token would have come.
    """

    time_to_first_token: float
    tokens_per_second: float | None
    jitter: float

    def __init__(
        self,
        *,
        time_to_first_token: float = 0.0,
        tokens_per_second: float | None = None,
        jitter: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self._seed = seed
        self._first = {
            "time_to_first_token": time_to_first_token,
            "tokens_per_second": tokens_per_second,
            "jitter": jitter,
        }
        self.reset()

    def change(self, **values: float | None) -> None:
        """Set some of the values. Raises `ValueError` for an invalid value, and then changes nothing."""
        for name, value in values.items():
            _check(name, value)
        for name, value in values.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, float | None]:
        """Return the values by name."""
        return {name: getattr(self, name) for name in self._first}

    def reset(self) -> None:
        """Restore the first values and start the jitter over."""
        self.change(**self._first)
        self.begin()

    def begin(self) -> None:
        """Start the jitter over with the seed. The values stay."""
        self._random = random.Random(self._seed)  # noqa: S311 - waits to be repeated, not secrets

    def pauses(self) -> Callable[[int], float] | None:
        """Return a function from a token's number in one answer to the seconds before it, or None."""
        first, gap, jitter = self.time_to_first_token, 0.0, self.jitter
        if self.tokens_per_second is not None:
            gap = 1 / self.tokens_per_second
        if not first and not gap:
            return None
        own = random.Random(self._random.random())  # noqa: S311 - as above

        def pause(token: int) -> float:
            wait = gap if token else first
            return wait * own.uniform(1 - jitter, 1 + jitter) if jitter else wait

        return pause

    def whole(self, tokens: int) -> float:
        """Return the seconds until an answer of `tokens` tokens is complete."""
        pause = self.pauses()
        return 0.0 if pause is None else sum(pause(token) for token in range(tokens))


def _check(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "time_to_first_token":
        good, rule = number and 0 <= value <= A_DAY, "a number of seconds, 0 or more, a day at most"
    elif name == "tokens_per_second":
        good = value is None or (number and 1 / A_DAY <= value < float("inf"))
        rule = "a number above 0, at least one a day, or None for no limit"
    elif name == "jitter":
        good, rule = number and 0 <= value <= 1, "a number from 0 to 1"
    else:
        raise ValueError(
            f"there is no pacing {name!r}; there are time_to_first_token, tokens_per_second and jitter."
        )
    if not good:
        raise ValueError(f"{name} must be {rule}, not {value!r}.")
