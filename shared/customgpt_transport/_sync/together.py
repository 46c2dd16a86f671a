"""A few jobs at once, of which the late ones are left to themselves."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def together(job: Callable[[int], T], items: Sequence[int], *, at_once: int, seconds: float) -> dict[int, T]:
    """Give what `job` makes of each of `items` within `seconds` for all of them; what is late is left out.

    Raises what a job raised. The threads are daemonic, other than an executor's: one that hangs (in a look-up
    of a host name, say) keeps neither the caller waiting nor the interpreter from ending.
    """
    results: dict[int, Future[T]] = {item: Future() for item in items}
    waiting = deque(results.items())

    def work() -> None:
        while True:
            try:
                item, result = waiting.popleft()
            except IndexError:
                return
            try:
                result.set_result(job(item))
            except BaseException as error:  # it is raised where the results are collected
                result.set_exception(error)

    for number in range(min(at_once, len(items))):
        context = contextvars.copy_context()
        Thread(target=context.run, args=(work,), name=f"customgpt-citations-{number}", daemon=True).start()
    try:
        wait(results.values(), seconds)
    finally:
        waiting.clear()
    return {item: result.result() for item, result in results.items() if result.done()}
