"""Whether and when to retry: a policy that returns seconds or None, and never sleeps.

The rule, for each kind of request (`_wire.http.Kind`):

- Nothing was sent, or the service turned the request away unread (429 throttled, 408, 425, 503 with
  `Retry-After`): every kind may be sent again. The error says so by `resend_safe`.
- It may have been carried out (5xx, connection lost, timed out after sending): only `repeatable` requests.
- Anything else, credits used up included: never.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from customgpt_transport._wire.http import Kind
from customgpt_transport.errors import (
    APIError,
    ConnectionLost,
    CustomGPTError,
    RequestTimeout,
    ServerError,
)

_TRANSIENT = frozenset({500, 502, 503, 504, *range(520, 530)})


def uniform() -> float:
    """Return a random number from 0 to 1. A function, because the generator's method pickles badly."""
    return random.random()  # noqa: S311 - jitter is no secret


@dataclass(frozen=True)
class RetryPolicy:
    """How often to retry a request, and how long to wait before each retry.

    The wait is random between 0 and `backoff_base` doubled with each attempt, at most `backoff_cap`
    seconds. A `Retry-After` of up to `patience` seconds is obeyed to the second; a longer one raises the
    error at once.
    """

    max_retries: int = 2
    backoff_base: float = 0.5
    backoff_cap: float = 8.0
    patience: float = 60.0
    random: Callable[[], float] = uniform

    def delay(self, attempt: int, kind: Kind, error: CustomGPTError) -> float | None:
        """Return the seconds to wait after attempt `attempt` (from 1) failed; None to give up."""
        if attempt > self.max_retries or not self._may_repeat(kind, error):
            return None
        if isinstance(error, APIError) and error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.patience else None
        return self.random() * min(self.backoff_cap, self.backoff_base * 2.0 ** min(attempt - 1, 60))

    def _may_repeat(self, kind: Kind, error: CustomGPTError) -> bool:
        if error.resend_safe:
            return True
        if kind != "repeatable":
            return False
        if isinstance(error, ServerError):
            return error.status in _TRANSIENT
        return isinstance(error, (ConnectionLost, RequestTimeout))
