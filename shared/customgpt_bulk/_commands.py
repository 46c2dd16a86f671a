"""What can be done with a ledger: run it, look at it, make its rows new again, clean up after it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from urllib.parse import urlsplit

from customgpt_bulk import _ledger
from customgpt_bulk._ledger import Ledger, LedgerPath
from customgpt_bulk._lock import Lock
from customgpt_bulk._reading import Questions, read
from customgpt_bulk._running import Run
from customgpt_bulk._writer import Writer
from customgpt_bulk.models import Estimate, Summary
from customgpt_transport import Client, ClientOptions, ConfigurationError, NotFound

Progress = Callable[[Summary], object]


def run(
    questions: Questions | None,
    ledger: LedgerPath,
    *,
    options: ClientOptions | None = None,
    concurrency: int = 5,
    max_prompts: int | None = None,
    max_credits: float | None = None,
    rpm: float | None = None,
    citations: bool = True,
    on_progress: Progress | None = None,
) -> Summary:
    """Ask each question once, and return where the ledger stands; start it again to go on.

    Whatever ends a run (a kill, a power cut, Ctrl-C, an exception), a later start with the same `ledger`
    sends no prompt again that may have arrived: it looks for the answers first. A finished run sends nothing.

    `questions` is the path of a .jsonl, .csv or .parquet file, or an iterable of rows; None goes on with what
    the ledger has. A row has a `question` (or `prompt`), and may have an `id` (or `custom_id`; made from its
    content when absent), a `conversation` (its rows are asked in order, all others at once), `lang`,
    `custom_persona`, `custom_context`, `labels`, `project_id`; other columns are passed through. Rows that
    only earlier starts brought are left alone.

    `concurrency` is the prompts at once; five is what the vendor recommends. A row costs two requests, a
    create and a prompt, or one with `ClientOptions(new_session="uuid")`, and one more for each page that no
    earlier answer cited (`citations=False`: none). `rpm` is the requests a minute that the run may make; what
    the service says of its limits is obeyed anyway.

    `max_prompts` bounds the prompts that were or may have been billed, over all starts of this ledger.
    `max_credits` goes by the account's `/limits/usage`, read before, after the first ten prompts and then
    every hundred: the account's other users count too, and what the service books late may exceed it.

    `on_progress` is called with a `Summary` after each row, on the event loop: be quick.

    The first Ctrl-C stops sending and waits for what is under way; the second leaves at once and raises
    `KeyboardInterrupt`. A refused key, used up credits or budgets, and a service that cannot be reached stop
    the run the same way: `Summary.stopped` says which.

    Raises `ConfigurationError` for questions, options or a ledger that cannot work, `LedgerInUse` when
    another run has the ledger; nothing is sent then.
    """

    async def main() -> Summary:
        stop = asyncio.Event()
        with _ctrl_c(stop):
            return await arun(
                questions,
                ledger,
                options=options,
                concurrency=concurrency,
                max_prompts=max_prompts,
                max_credits=max_credits,
                rpm=rpm,
                citations=citations,
                on_progress=on_progress,
                stop=stop,
            )

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def arun(
    questions: Questions | None,
    ledger: LedgerPath,
    *,
    options: ClientOptions | None = None,
    concurrency: int = 5,
    max_prompts: int | None = None,
    max_credits: float | None = None,
    rpm: float | None = None,
    citations: bool = True,
    on_progress: Progress | None = None,
    stop: asyncio.Event | None = None,
) -> Summary:
    """Ask each question once, and return where the ledger stands: `run` on the event loop of the caller.

    Set `stop` to send nothing more and have what is under way finish; the run sets it, too, when it stops by
    itself. Cancelling leaves at once. The questions are read in a thread.
    """
    resolved = (options or ClientOptions()).resolve()
    _check(concurrency=concurrency, max_prompts=max_prompts, max_credits=max_credits, rpm=rpm)
    with Lock(ledger), Ledger(ledger, create=True) as opened, Writer(opened) as writer:
        reading = 0
        if questions is not None:
            await writer.read(_load, opened, questions, resolved)
            reading = opened.reading
        return await Run(
            opened,
            writer,
            resolved,
            reading=reading,
            concurrency=concurrency,
            max_prompts=max_prompts,
            max_credits=max_credits,
            rpm=rpm,
            citations=citations,
            on_progress=on_progress,
            stop=stop or asyncio.Event(),
        ).go()


def estimate(
    questions: Questions | None, ledger: LedgerPath, *, options: ClientOptions | None = None
) -> Estimate:
    """Return what `run` would do with these: rows, known answers, prompts to send, credits left.

    Takes the questions into the ledger, and sends no prompt; one request where something is left to send.
    Raises as `run` does.
    """
    resolved = (options or ClientOptions()).resolve()
    with Lock(ledger), Ledger(ledger, create=True) as opened:
        if questions is not None:
            _load(opened, questions, resolved)
        summary = opened.summary()
        reading = opened.reading if questions is not None else 0
        (to_send,) = opened.one("SELECT COUNT(*) FROM rows WHERE state = 'new' AND reading >= ?", reading)
    left = None
    if to_send:
        with Client(options=resolved) as client:
            usage = client.limits.get()
        if usage.max_queries is not None and usage.current_queries is not None:
            left = max(0, usage.max_queries - usage.current_queries)
    each = 1 if resolved.new_session == "uuid" else 2
    return Estimate(summary.rows, summary.answered, to_send, to_send * each, left)


def status(ledger: LedgerPath) -> Summary:
    """Return where a ledger stands; also while a run goes on."""
    with Ledger(ledger, readonly=True) as opened:
        return opened.summary()


def retry(ledger: LedgerPath, states: Collection[str] = ("unresolved",)) -> int:
    """Make the rows in these states new again, and return how many: the next run sends them.

    For `refused` and `unresolved` rows. An unresolved one may have been billed; the run looks for its answer
    once more before it sends the prompt again. Raises `LedgerInUse` while a run goes on.
    """
    if isinstance(states, str) or not set(states) <= {"refused", "unresolved"}:
        raise ConfigurationError(f'retry: states are ("unresolved",), ("refused",) or both, not {states!r}.')
    with Lock(ledger), Ledger(ledger) as opened:
        return opened.reset(states)


def cleanup(ledger: LedgerPath, *, options: ClientOptions | None = None) -> int:
    """Delete the conversations of rows that are answered or refused, and return how many were deleted.

    The answers stay in the ledger. One request each; can be repeated after a failure. Raises `LedgerInUse`
    while a run goes on, and what the client raises for a request that fails.
    """
    done = 0
    with Lock(ledger), Ledger(ledger) as opened, Client(options=options) as client:
        for project_id, session_id in opened.finished_sessions():
            try:
                client.conversations.delete(session_id, project_id=project_id)
                done += 1
            except NotFound:
                pass  # it is gone already
            opened.commit([_ledger.cleaned(project_id, session_id)])
    return done


def _load(ledger: Ledger, questions: Questions, options: ClientOptions) -> None:
    address = urlsplit(options.base_url or "")
    ledger.load(read(questions, options.project_id), f"{address.scheme}://{address.netloc}")


def _check(*, concurrency: int, **limits: float | None) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError(f"concurrency must be a whole number above 0, not {concurrency!r}.")
    for name, value in limits.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= (name == "rpm"):
            raise ConfigurationError(
                f"{name} must be a positive number, or None for no limit, not {value!r}."
            )


@contextmanager
def _ctrl_c(stop: asyncio.Event) -> Iterator[None]:
    """Have the first Ctrl-C set `stop`, and each one after it cancel the task that is here."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine of asyncio.run runs in one

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, again)
        loop.call_soon_threadsafe(stop.set)

    def again(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(task.cancel)

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
