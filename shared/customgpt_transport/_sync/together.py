"""A few jobs at once, of which the late ones are left to themselves."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Thread


def together(job: Callable[[int], None], items: Sequence[int], *, at_once: int, seconds: float) -> None:
    """Run `job` for each of `items`, and return when all are done or `seconds` have passed.

    Raises what a job raised. The threads are daemonic, unlike an executor's: one that hangs (in a look-up
    of a host name, say) keeps neither the caller waiting nor the interpreter from ending.
    """
    results: list[Future[None]] = [Future() for _ in items]
    waiting = deque(zip(items, results, strict=True))

    def work() -> None:
        while True:
            try:
                item, result = waiting.popleft()
            except IndexError:
                return
            try:
                job(item)
                result.set_result(None)
            except BaseException as error:  # it is raised where the results are collected
                result.set_exception(error)

    for number in range(min(at_once, len(items))):
        context = contextvars.copy_context()
        Thread(target=context.run, args=(work,), name=f"customgpt-citations-{number}", daemon=True).start()
    try:
        done, _ = wait(results, seconds)
    finally:
        waiting.clear()
    for result in done:
        result.result()
