"""The run: rows from the ledger to the service, answers back into the ledger."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from customgpt_bulk import _ledger
from customgpt_bulk._budget import Budget, Credits
from customgpt_bulk._ledger import Billed, Ledger
from customgpt_bulk._pace import Pace, pause
from customgpt_bulk._writer import Writer
from customgpt_bulk.models import State, Stop, Summary
from customgpt_transport import (
    AnswerFailed,
    APIError,
    AsyncClient,
    AuthenticationFailed,
    CertificateRefused,
    ClientOptions,
    ConfigurationError,
    CreditsExhausted,
    CustomGPTError,
    Message,
    NotFound,
    PromptSettings,
    RateLimited,
    ServerError,
)
from customgpt_transport.options import new_uuid

FED = 200
"""Rows, or conversations, that are taken from the ledger at a time."""

LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each look for the answer to a prompt that an earlier process sent."""

TROUBLE = 10
"""Rows in a row, or twice as many as are under way, that end without an answer before a run gives up."""

Item = sqlite3.Row
"""A row of the ledger, or the name of a conversation whose rows are asked in order."""


class Run:
    """One start of a run, on an open ledger whose rows are there already.

    `reading` is the first reading whose rows are asked: those that only earlier ones brought are left alone.
    """

    def __init__(
        self,
        ledger: Ledger,
        writer: Writer,
        options: ClientOptions,
        *,
        reading: int,
        concurrency: int,
        max_prompts: int | None,
        max_credits: float | None,
        rpm: float | None,
        citations: bool,
        on_progress: Callable[[Summary], object] | None,
        stop: asyncio.Event,
    ) -> None:
        self._ledger, self._writer, self._options = ledger, writer, options
        self._client = AsyncClient(options=options)
        self._reading = reading
        self._concurrency = concurrency
        self._citations = citations
        self._on_progress = on_progress
        self._stop = stop
        self._stopped: Stop | None = None
        self._error: CustomGPTError | None = None
        self._began = time.monotonic()
        self._summary = ledger.summary()
        self._pages = {
            tuple(page) for page in ledger.each("SELECT project_id, id FROM pages WHERE problem IS NULL")
        }
        spent = self._summary.prompts
        allowed = None if max_credits is None else Credits(max_credits, ledger.fact("credits"), spent)
        self._budget = Budget(spent, max_prompts, allowed, self._client.limits.get, self._keep_credits)
        self._pace = Pace(rpm, options.clock, stop)
        self._trouble = 0
        self._came_back = False

    async def go(self) -> Summary:
        """Ask until nothing is left to ask, or something ends the run."""
        async with self._client:
            work = await self._left_behind()
            while len(work) > 0 or await self._writer.read(self._has_new):
                self._came_back = False
                feed = _Feed(self._writer, self._ledger, self._reading)
                work += [self._work(feed) for _ in range(self._concurrency)]
                await _together(work, self._stop)
                work = []
                if self._stop.is_set() or not self._came_back:
                    break
        if self._stopped is None and self._stop.is_set() and self._summary.new + self._summary.sending:
            self._stopped = "interrupted"
        return self._now(stopped=self._stopped, error=self._error)

    def _has_new(self) -> bool:
        sql = "SELECT 1 FROM rows WHERE state = 'new' AND reading >= ? LIMIT 1"
        return self._ledger.one(sql, self._reading) is not None

    async def _left_behind(self) -> list[Coroutine[Any, Any, None]]:
        """Return what an earlier process left to be done: prompts under way, pages not looked up."""
        rows = await self._writer.read(self._ledger.all, "SELECT * FROM rows WHERE state = 'sending'")
        left = [self._look_up(row) for row in rows]
        if self._citations:
            for project_id, ids in await self._writer.read(self._ledger.unknown_pages):
                left.append(self._cite(project_id, ids))
        return left

    async def _work(self, feed: _Feed) -> None:
        while not self._stop.is_set() and (item := await feed.take()) is not None:
            if "number" in item.keys():  # noqa: SIM118 - a row of SQLite iterates over its values
                await self._ask(item, None)
            else:
                await self._converse(item["project_id"], item["conversation"])

    async def _converse(self, project_id: int, conversation: str) -> None:
        """Ask the rows of a conversation in order, up to one that is under way or unresolved."""
        session_id = await self._writer.read(self._ledger.session_of, project_id, conversation)
        while not self._stop.is_set():
            row = await self._writer.read(self._ledger.next_of, project_id, conversation, self._reading)
            if row is None or row["state"] != "new":
                return
            state, session_id = await self._ask(row, session_id)
            if state not in ("answered", "refused"):
                return

    async def _ask(self, row: Item, session_id: str | None) -> tuple[State, str | None]:
        """Ask one row, if the budget has room for it; return its state and its conversation."""
        session_id = session_id or row["session_id"]
        try:
            if row["external_id"] is not None:  # the user sends it again: not if its answer came meanwhile
                found = await self._find(row)
                if found is not None:
                    return await self._answered(row, found), session_id
            full = await self._budget.admit()
        except CustomGPTError as error:
            return await self._not_sent(row, error), session_id
        if full is not None:
            self._halt(full)
            return "new", session_id
        billed: Billed = "no"
        try:
            try:
                session_id = session_id or await self._open(row)
            except CustomGPTError as error:
                return await self._not_sent(row, error), None
            await self._pace.wait()
            if self._stop.is_set():
                await self._writer.write(_ledger.opened(row["number"], session_id))
                return "new", session_id
            billed = "unknown"
            state, billed = await self._send(row, session_id)
            return state, session_id
        finally:
            await self._budget.settle(billed=billed != "no")

    async def _open(self, row: Item) -> str:
        """Return a new conversation. It is named after the row, so that a person finds it."""
        if self._options.new_session == "uuid":
            return new_uuid()
        await self._pace.wait()
        name = f"{self._ledger.path.stem}/{row['conversation'] or row['id']}"
        return (await self._client.conversations.create(name, project_id=row["project_id"])).session_id

    async def _send(self, row: Item, session_id: str) -> tuple[State, Billed]:
        """Send the prompt, once the ledger says that it may have left; return what became of it."""
        external_id = self._options.new_id()
        settings = PromptSettings(external_id=external_id, **json.loads(row["settings"]))
        mark = _ledger.sending(row["number"], session_id, external_id, time.time())
        await self._writer.write(mark, withdraw=True)
        self._count("new", "sending")
        try:
            message = await self._client.ask(
                row["question"], session_id=session_id, project_id=row["project_id"], settings=settings
            )
        except CustomGPTError as error:
            state, billed = _verdict(error)
            await self._writer.write(_ledger.ended(row["number"], state, error, time.time(), billed))
            self._failed(error, state, "sending")
            return state, billed
        return await self._answered(row, message, "sending"), "yes"

    async def _answered(self, row: Item, message: Message, before: State = "new") -> State:
        await self._writer.write(_ledger.answered(row["number"], message, time.time()))
        self._trouble = 0
        self._count(before, "answered", recovered=message.recovered)
        if self._citations:
            await self._cite(row["project_id"], message.citation_ids)
        return "answered"

    async def _not_sent(self, row: Item, error: CustomGPTError) -> State:
        """Note why a row could not even be sent: refused for good, or to be tried again."""
        state: State = "refused" if _verdict(error)[0] == "refused" else "new"
        await self._writer.write(_ledger.noted(row["number"], state, error))
        self._failed(error, state, "new")
        return state

    def _failed(self, error: CustomGPTError, state: State, before: State) -> None:
        """Draw the conclusions for the other rows from one that failed."""
        self._count(before, state)
        if state == "refused":
            self._trouble = 0  # the service works, and has looked at it
            return
        self._trouble += 1
        self._came_back = self._came_back or state == "new"
        if isinstance(error, RateLimited) and error.retry_after is not None:
            self._pace.hold(error.retry_after)
        if isinstance(error, AuthenticationFailed):
            self._halt("key", error)
        elif isinstance(error, CreditsExhausted):
            self._halt("credits", error)
        elif isinstance(error, CertificateRefused) or self._trouble >= max(TROUBLE, 2 * self._concurrency):
            self._halt("service", error)
        if isinstance(error, ConfigurationError):
            raise error  # no row can be sent with such options

    def _halt(self, reason: Stop, error: CustomGPTError | None = None) -> None:
        """Send nothing more; what is under way finishes."""
        if not self._stop.is_set():
            self._stopped, self._error = reason, error
            self._stop.set()

    async def _find(self, row: Item) -> Message | None:
        """Return the answer that is stored for a row that was sent earlier; None when there is none (yet)."""
        await self._pace.wait()
        try:
            found = await self._client.find_message(
                row["session_id"], row["external_id"], project_id=row["project_id"]
            )
        except (
            NotFound
        ):  # no such conversation: the prompt that would have made it never arrived, or it is gone
            return None
        return None if found is None else replace(found, recovered=True)

    async def _look_up(self, row: Item) -> None:
        """Find what became of a prompt that an earlier process was sending when it ended."""
        patience = self._options.recovery_patience
        deadline = self._options.clock() + patience
        for seconds in LOOKS:
            left = deadline - self._options.clock()
            if seconds and left <= 0:
                break
            await pause(min(seconds, left), self._stop)
            try:
                found = await self._find(row)
            except CustomGPTError as error:
                self._failed(error, "sending", "sending")
                return  # unknown still: the next start looks again
            if found is not None:
                await self._answered(row, found, "sending")
                self._came_back = self._came_back or row["conversation"] is not None
                return
            if self._stop.is_set():
                return
        lost = CustomGPTError(
            f"The process that sent it ended, and no answer was found within {patience:g} s. It may have "
            "been billed. `retry` sends it again."
        )
        await self._writer.write(_ledger.ended(row["number"], "unresolved", lost, time.time(), "unknown"))
        self._count("sending", "unresolved")

    async def _cite(self, project_id: int, ids: Iterable[int]) -> None:
        """Look up the pages that no earlier answer cited."""
        fresh = [number for number in ids if (project_id, number) not in self._pages]
        self._pages.update((project_id, number) for number in fresh)
        for _ in fresh:
            await self._pace.wait()
        if fresh:
            for citation in await self._client.citations(fresh, project_id=project_id):
                await self._writer.write(_ledger.page(project_id, citation))

    async def _keep_credits(self, credits: Credits) -> None:  # noqa: A002 - the vendor's word
        await self._writer.write(_ledger.fact("credits", credits.as_fact()))

    def _count(self, before: State, after: State, *, recovered: bool = False) -> None:
        """Keep the summary, and tell it to whoever listens."""
        counts: dict[str, int] = {before: getattr(self._summary, before) - 1}
        counts[after] = counts.get(after, getattr(self._summary, after)) + 1
        counts["recovered"] = self._summary.recovered + recovered
        self._summary = replace(self._summary, **counts)  # type: ignore[arg-type]  # they are all counts
        if self._on_progress is not None and after in ("answered", "refused", "unresolved"):
            self._on_progress(self._now())

    def _now(self, **more: Any) -> Summary:
        credits = self._budget.credits  # noqa: A001 - the vendor's word
        return replace(
            self._summary,
            prompts=self._budget.spent,
            credits=None if credits is None else credits.would_be(self._budget.spent),
            seconds=time.monotonic() - self._began,
            **more,
        )


class _Feed:
    """What is to be asked, for all workers: conversations, whose rows take longest, then single rows."""

    def __init__(self, writer: Writer, ledger: Ledger, reading: int) -> None:
        self._writer, self._ledger, self._reading = writer, ledger, reading
        self._taking = asyncio.Lock()
        self._buffer: deque[Item] = deque()
        self._singles = False
        self._after: tuple[Any, ...] = (0, "")

    async def take(self) -> Item | None:
        """Return the next item, None when there are no more."""
        async with self._taking:
            while not self._buffer:
                query = self._ledger.new_rows if self._singles else self._ledger.new_conversations
                batch = await self._writer.read(query, self._reading, self._after, FED)
                if batch:
                    self._buffer.extend(batch)
                    last = batch[-1]
                    self._after = (last["number"],) if self._singles else tuple(last)
                elif self._singles:
                    return None
                else:
                    self._singles, self._after = True, (0,)
            return self._buffer.popleft()


def _verdict(error: CustomGPTError) -> tuple[State, Billed]:
    """Return what a failed prompt is now, and whether it was billed."""
    if error.resend_safe:
        return "new", "no"  # it never arrived, or was turned away
    match error:
        case AuthenticationFailed() | CreditsExhausted() | CertificateRefused() | ConfigurationError():
            return "new", "no"  # it is not the row's fault
        case AnswerFailed():
            return "refused", "unknown"
        case APIError() if not isinstance(error, ServerError):
            return "refused", "no"
    return "unresolved", "unknown"


async def _together(work: Iterable[Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Run these to their end. When one fails, the others finish what is under way; then it is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if any(task.done() and not task.cancelled() and task.exception() for task in tasks):
            stop.set()
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
