"""A terminal with the command in it: what a person types and sees."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cli.conftest import COMMAND, SECONDS, Shell

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07|[=>])")


class Terminal:
    """One side of a pseudo-terminal; the command has the other one."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.raw = ""
        self._descriptor = descriptor
        self._seen = 0

    @property
    def screen(self) -> str:
        """Everything shown so far, without colours and other commands to the terminal."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    def until(self, text: str) -> str:
        """Wait until a text is shown that was not yet waited for; return the screen up to it."""
        while text not in self.screen[self._seen :]:
            assert select.select([self._descriptor], [], [], SECONDS)[0], self.screen
            try:
                self.raw += os.read(self._descriptor, 65536).decode()
            except OSError:  # the command has ended and closed its side
                raise AssertionError(self.screen) from None
        begin, self._seen = self._seen, self.screen.index(text, self._seen) + len(text)
        return self.screen[begin : self._seen]

    def type(self, text: str) -> None:
        """Press keys; `\\x03` is Ctrl-C, `\\x04` Ctrl-D, `\\r` Enter."""
        os.write(self._descriptor, text.encode())

    def end(self) -> int:
        """Read what is left and return the exit code."""
        with suppress(OSError):
            while True:
                assert select.select([self._descriptor], [], [], SECONDS)[0], self.screen
                part = os.read(self._descriptor, 65536)
                if not part:
                    break
                self.raw += part.decode()
        return self.process.wait(SECONDS)


@contextmanager
def terminal(shell: Shell, *arguments: str | Path, **variables: str) -> Iterator[Terminal]:
    """Provide a terminal in which the command runs."""
    ours, theirs = pty.openpty()
    environment = {**shell.variables, "TERM": "xterm", "INPUTRC": "/dev/null", **variables}
    with subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd=shell.home,
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    ) as process:
        os.close(theirs)
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            os.close(ours)


def _take_the_terminal() -> None:
    """In the child: Ctrl-C on the terminal is a signal to this process."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
