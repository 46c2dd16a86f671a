"""What takes several steps, said once for both clients.

A flow is a generator that yields effects, is sent back what came of each, and returns its result. It knows no
colour and holds no lock; each client performs the effects, in a dozen lines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from customgpt_transport._wire.http import Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request. Comes back as its `Response`, or as a `CustomGPTError`.

    `timeout` bounds the seconds that it may take in all.
    """

    request: Request
    attempt: int = 1
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Send, and come back when the headers are there, as a `Reader` of the body or a `CustomGPTError`."""

    send: Send


@dataclass(frozen=True, slots=True)
class Call:
    """Call `method` of something in the client's own colour, such as a `Reader`; comes back as its result."""

    method: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a future, at most `seconds` (None: however long); comes back as whether it is done."""

    future: Future[Any]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Disk:
    """Call `look`, which touches the disk and so must not block an event loop; comes back as its result."""

    look: Callable[[], Any]


Effect: TypeAlias = Send | Open | Call | Sleep | Wait | Disk
Flow: TypeAlias = Generator[Effect, Any, T]
