"""The installed command `customgpt`, run as users run it: in a process of its own."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from customgpt_cli.app import app
from customgpt_emulator import Emulator

COMMAND = str(Path(sys.executable).with_name("customgpt"))
DOCUMENTS = Path(__file__).parents[1] / "documents"
OURS = (
    *("CUSTOMGPT_API_KEY", "CUSTOMGPT_API_KEY_FILE", "CUSTOMGPT_PROJECT_ID"),
    *("CUSTOMGPT_BASE_URL", "CUSTOMGPT_EMULATE", "FORCE_COLOR", "NO_COLOR", "LC_ALL"),
)
SECONDS = 60  # in which anything here ends, on a busy machine too


@dataclass(frozen=True)
class Result:
    """How a command ended; the names are those of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """A user's shell: an environment and a state folder of its own."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        self.variables = {**inherited, "XDG_STATE_HOME": str(home / "state"), "COLUMNS": "100", **variables}

    def run(
        self, *arguments: str | Path, say: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; what it prints must never hold the key."""
        done = subprocess.run(
            [COMMAND, *map(str, arguments)],
            input=say,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**self.variables, **variables},
            cwd=self.home,
        )
        self.keeps_its_secrets(done.stdout + done.stderr)
        return done

    def call(self, *arguments: str | Path, say: str = "", **variables: str) -> Result:
        """As `run`, within this process: a tenth of the time, for what a process adds nothing to."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name in OURS:
                patch.delenv(name, raising=False)
            for name, value in {**self.variables, **variables}.items():
                patch.setenv(name, value)
            patch.chdir(self.home)
            patch.setattr(sys, "stdin", io.StringIO(say))
            with redirect_stdout(out), redirect_stderr(err):
                code = app.main([str(argument) for argument in arguments], "customgpt")
        self.keeps_its_secrets(out.getvalue() + err.getvalue())
        return Result(code, out.getvalue(), err.getvalue())

    def pipe(self, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in which `customgpt` is the command."""
        path = os.pathsep.join((str(Path(COMMAND).parent), self.variables.get("PATH", "")))
        return subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**self.variables, **variables, "PATH": path},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
        )

    @contextmanager
    def started(self, *arguments: str | Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Provide a running command; it is killed at the end."""
        with subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.variables, **variables},
            cwd=self.home,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def keeps_its_secrets(self, text: str) -> None:
        """Fail when a text shows the key, or a traceback."""
        assert "Traceback" not in text, text
        key = self.variables.get("CUSTOMGPT_API_KEY")
        assert not key or key not in text


def interrupted(process: subprocess.Popen[str]) -> float:
    """Press Ctrl-C and return the seconds until the process has ended."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(SECONDS)
    return time.monotonic() - began


@pytest.fixture
def alone(tmp_path: Path) -> Shell:
    """A shell in which no variable of ours is set."""
    return Shell(tmp_path)


@pytest.fixture
def shell(emulator: Emulator, tmp_path: Path) -> Shell:
    """A shell whose variables lead to the test's emulator."""
    return Shell(
        tmp_path,
        CUSTOMGPT_API_KEY=emulator.api_key,
        CUSTOMGPT_BASE_URL=emulator.base_url,
        CUSTOMGPT_PROJECT_ID=str(emulator.project_id),
    )


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something is so."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    return wait


class Silence:
    """A server that takes every connection and never answers."""

    def __init__(self) -> None:
        self.taken: list[socket.socket] = []
        self._kept: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listening.accept()[0]
                self._kept.append(connection)
                self.taken.append(connection)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in (self._listening, *self._kept):
            connection.close()


@pytest.fixture
def silence() -> Iterator[Silence]:
    """A server that never says anything."""
    server = Silence()
    yield server
    server.close()
