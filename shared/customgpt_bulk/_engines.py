"""Answers for the batches of an engine that maps a function over tables, and may repeat a batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from customgpt_bulk._pace import Pace
from customgpt_bulk._reading import SETTINGS, labels_of
from customgpt_transport import (
    APIError,
    AsyncClient,
    ClientOptions,
    ConfigurationError,
    CustomGPTError,
    PromptSettings,
    ServerError,
    Unresolved,
)

Columns = dict[str, list[Any]]

ADDED = ("answer", "citations", "session_id", "prompt_id", "state", "error")
REQUESTS = 4
"""Requests that a row costs here, by which `rpm` is spread: look, create, look again, prompt."""


class AnswerRows:
    """A callable that answers the rows of a batch, each once, however often the engine repeats the batch.

        answers = AnswerRows(options, run="2026-11-eval")(batch)

    A batch is a dict of lists or arrays, a pandas DataFrame or a pyarrow Table, and comes back as the same
    with six columns added: `answer`, `citations` (page ids), `session_id`, `prompt_id`, `state` (answered,
    refused, unresolved, or new for a row that was not sent and can be asked again) and `error`. It needs the
    columns `id` and `question`; `lang`, `custom_persona`, `custom_context`, `labels` and `project_id` are
    obeyed. Each row is asked by `ask_once` under `run/id`, so that no ledger is shared between machines.

    `concurrency` rows are asked at once, on one event loop of the process; connections are kept. `rpm` is the
    requests a minute of all `workers` together, and is divided by their number. Engines do not run a batch
    twice at the same time, so `exclusive` is off, which saves a request; where yours speculates, set it.
    `resend_unresolved` sends again what an earlier pass left unresolved. It pickles without its connections.

    Raises `ConfigurationError` for a batch without ids or questions, and for one with conversations: their
    order cannot be kept here. A key that is refused raises too; what concerns one row is in its `error`.
    """

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        run: str,
        concurrency: int = 5,
        rpm: float | None = None,
        workers: int = 1,
        exclusive: bool = False,
        resend_unresolved: bool = False,
        wait: float | None = None,
    ) -> None:
        self._options = (options or ClientOptions()).resolve()
        if not run.strip() or concurrency < 1 or workers < 1:
            raise ConfigurationError("run must be a name, concurrency and workers whole numbers above 0.")
        self._run, self._concurrency, self._wait = run, concurrency, wait
        self._rpm = rpm and rpm / workers
        self._exclusive, self._resend_unresolved = exclusive, resend_unresolved
        self._loop: _Loop | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loop": None}

    def __call__(self, batch: Any) -> Any:
        """Return the batch with the answers."""
        columns = _columns(batch)
        if "conversation" in columns:
            raise ConfigurationError("AnswerRows asks rows one by one: a `conversation` needs a bulk run.")
        if missing := {"id", "question"} - columns.keys():
            raise ConfigurationError(f"The batch needs a column {' and '.join(sorted(missing))}.")
        if self._loop is None:
            self._loop = _Loop(self._options, self._rpm)
        return _with(batch, self._loop.run(self._answers(self._loop, columns)))

    async def _answers(self, loop: _Loop, columns: Columns) -> Columns:
        at_once = asyncio.Semaphore(self._concurrency)
        names = [name for name in ("id", "question", "project_id", *SETTINGS) if name in columns]

        async def one(values: tuple[Any, ...]) -> tuple[Any, ...]:
            async with at_once:
                return await self._answer(loop, dict(zip(names, values, strict=True)))

        rows = zip(*(columns[name] for name in names), strict=True)
        found = await asyncio.gather(*(one(values) for values in rows))
        return {name: [row[index] for row in found] for index, name in enumerate(ADDED)}

    async def _answer(self, loop: _Loop, row: dict[str, Any]) -> tuple[Any, ...]:
        given = {name: row[name] for name in SETTINGS if _there(row.get(name))}
        if "labels" in given:
            given["labels"] = labels_of(given["labels"], f"row {row['id']}")
        project = row.get("project_id")
        for _ in range(REQUESTS if loop.pace.limited else 0):
            await loop.pace.wait()
        try:
            message = await loop.client.ask_once(
                f"{self._run}/{row['id']}",
                str(row["question"]),
                wait=self._wait,
                project_id=int(project) if project is not None and _there(project) else None,
                settings=PromptSettings(**given),
                exclusive=self._exclusive,
                resend_unresolved=self._resend_unresolved,
            )
        except CustomGPTError as error:
            if isinstance(error, APIError) and error.status == 401:
                raise
            session_id = getattr(error, "session_id", None)
            return None, [], session_id, None, _state(error), str(error)
        return (
            message.answer,
            list(message.citation_ids),
            message.session_id,
            message.prompt_id,
            "answered",
            None,
        )


class _Loop:
    """An event loop on a thread of its own, and what lives on it as long as the process."""

    def __init__(self, options: ClientOptions, rpm: float | None) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="customgpt-rows", daemon=True).start()
        self.client = AsyncClient(options=replace(options, adapter=options.adapter or "customgpt_bulk"))
        self.pace = Pace(rpm, options.clock, asyncio.Event())

    def run(self, work: Coroutine[Any, Any, Columns]) -> Columns:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _state(error: CustomGPTError) -> str:
    if isinstance(error, Unresolved):
        return "unresolved"
    if isinstance(error, (APIError, ConfigurationError)) and not error.resend_safe:
        return "new" if isinstance(error, ServerError) else "refused"
    return "new"


def _there(value: object) -> bool:
    return value is not None and value == value and value != ""


def _columns(batch: Any) -> Columns:
    if hasattr(batch, "to_pydict"):  # pyarrow
        return dict(batch.to_pydict())
    if hasattr(batch, "to_dict"):  # pandas
        return dict(batch.to_dict("list"))
    return {
        name: values.tolist() if hasattr(values, "tolist") else list(values) for name, values in batch.items()
    }


def _with(batch: Any, added: Columns) -> Any:
    if hasattr(batch, "append_column"):
        import pyarrow

        kinds = {"prompt_id": pyarrow.int64(), "citations": pyarrow.list_(pyarrow.int64())}
        for name, values in added.items():
            batch = batch.append_column(name, pyarrow.array(values, kinds.get(name, pyarrow.string())))
        return batch
    if hasattr(batch, "assign"):
        return batch.assign(**added)
    return {**batch, **added}
