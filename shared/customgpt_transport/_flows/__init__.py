"""What takes several steps, said once for both clients.

A flow is a generator that yields only `Send`, `Sleep` and `Disk`, is sent back what came of it, and returns
its result. It holds no lock and knows no colour; each client drives it with a dozen lines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from customgpt_transport._wire.http import Request
from customgpt_transport.options import RetryInfo

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Perform this request and send back its `Response`, or throw in the `CustomGPTError`.

    `timeout` is the most seconds that it may take in all, where something bounds it.
    """

    request: Request
    attempt: int = 1
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds; `retry` tells why, when it is to try a request again."""

    seconds: float
    retry: RetryInfo | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """Call `look`, which touches the disk and so must not block an event loop, and send back its result."""

    look: Callable[[], Any]


Effect: TypeAlias = Send | Sleep | Disk
Flow: TypeAlias = Generator[Effect, Any, T]
