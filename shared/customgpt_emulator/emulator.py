"""The emulator as an object: a server in a thread of its own, over a folder of documents."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType

from aiohttp import web

from customgpt_emulator.control import Control, is_loopback
from customgpt_emulator.faults import Faults
from customgpt_emulator.journal.entries import Journal
from customgpt_emulator.journal.verdict import Verdict
from customgpt_emulator.knowledge.folder import BATCH, Folder, Skipped, sync
from customgpt_emulator.knowledge.library import Library
from customgpt_emulator.knowledge.watching import Watcher
from customgpt_emulator.page.guard import page_key
from customgpt_emulator.routes import ROUTES
from customgpt_emulator.server import make_app
from customgpt_emulator.serving.connections import Connections
from customgpt_emulator.serving.context import Context, judge_now
from customgpt_emulator.serving.listener import Listener
from customgpt_emulator.serving.pacing import Pacing
from customgpt_emulator.serving.quotas import Quotas
from customgpt_emulator.state.clock import Clock
from customgpt_emulator.state.facts import read_facts
from customgpt_emulator.state.store import Store
from customgpt_emulator.state.switches import Switches

__all__ = ["Emulator"]

SHUTDOWN = 0.1  # seconds for requests in flight when the emulator closes


class Emulator:
    """The CustomGPT API on this machine.

    ```python
    with Emulator(documents="docs") as emulator:
        ...  # emulator.base_url, emulator.api_key, emulator.project_id
    ```

    `documents`: the folder that the first agent answers from. Without one the agent has no pages yet.
    `host`, `port`: where to listen; by default loopback and a free port.
    `api_key`: the key to accept; by default a new random one.
    `seed`: fixes ids, session ids and dates, so that the same requests get the same bytes. Limits and delays
    still run in real time.
    `state`: an SQLite file that keeps all data between runs.
    `control`: whether faults, journal and the rest are served under `/_emulator/`; None: on loopback only.
    `watch`: index documents again when they change while serving (needs the extra `emulator`).
    `follow_links`: index files outside of the folder, too, to which links in it lead.
    `requests_per_minute`, `credits`, `concurrent_prompts`: limits, which `quotas` can change later.
    `time_to_first_token` (seconds), `tokens_per_second`, `jitter` (from 0 to 1): the speed of answers, which
    `pacing` can change later.
    `switches`: choices where the behaviour of the service is not known.
    `facts`: a JSON file, `{"facts": {switch: value}}`, which sets the switches as a service was seen to
    behave (`ValueError` together with `switches`, and for a file without facts).
    `progress`: called with (done, total) while indexing.

    `start` raises `FileNotFoundError` or `NotADirectoryError` for a missing folder and `OSError` for a port
    that is in use. `skipped` lists the files that could not be read.
    """

    def __init__(
        self,
        documents: str | os.PathLike[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        seed: int | None = None,
        state: str | os.PathLike[str] | None = None,
        control: bool | None = None,
        watch: bool = False,
        follow_links: bool = False,
        switches: Switches | None = None,
        facts: str | os.PathLike[str] | None = None,
        requests_per_minute: int | None = None,
        credits: int | None = None,  # noqa: A002 - the vendor's word
        concurrent_prompts: int | None = None,
        time_to_first_token: float = 0.0,
        tokens_per_second: float | None = None,
        jitter: float = 0.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.api_key = api_key or f"{secrets.randbelow(9000) + 1000}|{secrets.token_urlsafe(30)}"
        if switches is not None and facts is not None:
            raise ValueError(
                "Give switches or facts. Switches(**read_facts(FILE) | {...}) is both; the later one wins."
            )
        self.switches = switches or Switches(**({} if facts is None else read_facts(facts)))
        self.faults = Faults(seed=seed, endpoints=[route.name for route in ROUTES])
        self.journal = Journal(secret=self.api_key)
        self.pacing = Pacing(
            time_to_first_token=time_to_first_token,
            tokens_per_second=tokens_per_second,
            jitter=jitter,
            seed=seed,
        )
        self._clock = Clock(seed)
        self.quotas = Quotas(
            self._clock.real,
            requests_per_minute=requests_per_minute,
            credits=credits,
            concurrent_prompts=concurrent_prompts,
        )
        self._connections = Connections()
        self.skipped: list[Skipped] = []
        if watch and documents is None:
            raise ValueError("watch=True needs documents: pass the folder to watch.")
        self._folder = None if documents is None else Folder(Path(documents).resolve(), follow_links)
        self._watch = watch
        self._control = control
        self._host = host
        self._port = port
        self._state = None if state is None else Path(state)
        self._progress = progress
        self._project_id = 0
        self._address: tuple[str, int] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._context: Context | None = None

    @property
    def base_url(self) -> str:
        """The root of the server, `http://127.0.0.1:PORT`, without `/api/v1`."""
        if self._address is None:
            raise RuntimeError("the emulator is not running: use it as a context manager, or call start()")
        host, port = self._address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address includes loopback
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def page_url(self) -> str:
        """The address for a browser. It contains the page's own key, which the API does not accept."""
        return f"{self.base_url}/?key={page_key(self.api_key)}"

    @property
    def project_id(self) -> int:
        """The agent that answers from the documents folder."""
        if self._address is None:
            raise RuntimeError("the emulator is not running: use it as a context manager, or call start()")
        return self._project_id

    @property
    def open_connections(self) -> int:
        """The number of TCP connections that clients hold open."""
        return self._connections.open

    def verdict(self, *, clients_closed: bool = False) -> Verdict:
        """Return what the clients did wrong since the start or the last reset; see `judge_now`."""
        return judge_now(self.journal, self._connections, clients_closed=clients_closed)

    def assert_well_behaved(self, *, clients_closed: bool = False) -> None:
        """Raise `AssertionError` with a report if the verdict finds anything wrong."""
        verdict = self.verdict(clients_closed=clients_closed)
        if verdict.findings:
            raise AssertionError(str(verdict))

    def start(self) -> Emulator:
        """Index the documents and serve; return once requests are accepted. Calling it again does nothing."""
        if self._thread is not None:
            return self
        if self._folder is not None:
            self._folder.check()
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="customgpt-emulator", daemon=True
        )
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop serving and end the thread. Does nothing if not running."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        self._address = None

    def reset(self) -> None:
        """Start over: only the documents remain, ids start again, journal and faults are empty."""
        loop, context = self._loop, self._context
        if self._thread is None or loop is None or context is None:
            raise RuntimeError("the emulator is not running: use it as a context manager, or call start()")
        asyncio.run_coroutine_threadsafe(self._reset(context), loop).result()

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.base_url if self._address is not None else "not running"
        return f"<Emulator {where}>"

    # Everything below runs in the emulator's own thread.

    def _run(self, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:  # the caller of start() gets it
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._indexing = asyncio.Lock()
        store = Store(self._state)
        try:
            self._begin(store)
            self._context = Context(
                self.api_key,
                store,
                Library(store),
                self._clock,
                self.switches,
                self.journal,
                self.pacing,
                self.quotas,
                self._connections,
                self._folder.root if self._folder is not None else None,
            )
            watcher = self._watcher(self._context)
            for _ in self._index(self._context):
                pass
            runner = web.AppRunner(
                make_app(self._context, self.faults, self._controls(self._context)),
                handle_signals=False,
                access_log=None,
                shutdown_timeout=SHUTDOWN,
            )
            await runner.setup()
            assert runner.server is not None  # noqa: S101 - setup made it
            self._connections.watch(runner.server)
            self._connections.refused = self.faults.takes_connection
            listener = Listener(runner, self._connections)
            try:
                self._address = await listener.open(self._host, self._port)
                self.faults.attach(listener)
                if watcher is not None:
                    watcher.start()
                ready.set_result(None)
                await self._stop.wait()
                if watcher is not None:
                    await asyncio.to_thread(watcher.stop)
            finally:
                self.faults.attach(None)
                await listener.close()
                await runner.cleanup()
                self._context.withheld.reveal_all()
        finally:
            store.close()

    def _begin(self, store: Store) -> None:
        """Set clock and chances to the seed: a second run of this emulator is like the first."""
        self._clock.reset()
        self._clock.resume(store.latest())
        self.faults.begin()
        self.pacing.begin()

    def _watcher(self, context: Context) -> Watcher | None:
        """Return what indexes later changes. It is made before the first indexing, so that it misses none."""
        if not self._watch or self._folder is None:
            return None
        loop = asyncio.get_running_loop()

        async def index() -> None:
            async with self._indexing:
                for _ in self._index(context, batch=1):
                    await asyncio.sleep(0)  # requests come in between

        return Watcher(self._folder, lambda: asyncio.run_coroutine_threadsafe(index(), loop).result())

    def _controls(self, context: Context) -> Control:
        allowed = is_loopback(self._host) if self._control is None else self._control
        return Control(context, self.faults, allowed=allowed, reset=partial(self._reset, context))

    async def _reset(self, context: Context) -> None:
        context.journal.clear()
        self.faults.reset()
        context.withheld.forget()
        context.pacing.reset()
        context.quotas.reset()
        context.connections.clear()
        context.clock.reset()
        async with self._indexing:
            context.store.clear()
            for _ in self._index(context):
                pass

    def _index(self, context: Context, batch: int = BATCH) -> Generator[None, None, None]:
        """Find or make the first agent, and bring its pages up to date with the folder.

        It yields after each transaction, which is about `batch` documents at most.
        """
        store, now = context.store, context.clock.now()
        known = store.fact("agent")
        if known is None or store.agent(int(known)) is None:
            name = self._folder.root.name if self._folder is not None else "Emulated agent"
            with store.transaction():
                made = store.add_agent(name or "Documents", context.clock.slug(store.next_id("agents")), now)
                store.set_fact("agent", str(made))
                store.set_fact("created_at", str(now))
        self._project_id = int(store.fact("agent") or 0)
        if self._folder is not None:
            uploads = store.uploads(self._project_id)
            source_id = uploads["id"] if uploads else store.add_source(self._project_id, "upload", {}, now)
            self.skipped = yield from sync(
                self._folder,
                store,
                context.library,
                project_id=self._project_id,
                source_id=source_id,
                now=now,
                progress=self._progress,
                batch=batch,
            )
