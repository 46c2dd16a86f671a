"""What the user types, line by line: with editing and a history on a terminal, as it comes elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, TracebackType

__all__ = ["Lines"]

REMEMBERED = 1000
PROMPT = "> "


class Lines:
    """Reads lines. On a terminal they can be edited, recalled from a history file and completed with Tab."""

    def __init__(self, history: Path, commands: Sequence[str]) -> None:
        self.by_hand = sys.stdin.isatty()
        self._history = history
        self._commands = commands
        self._readline = _readline() if self.by_hand else None

    def __enter__(self) -> Lines:
        if self._readline is not None:
            with contextlib.suppress(OSError):
                self._readline.read_history_file(self._history)
            self._readline.set_history_length(REMEMBERED)
            self._readline.set_completer_delims(" \t\n")
            self._readline.set_completer(self._complete)
            editline = "libedit" in (self._readline.__doc__ or "")
            self._readline.parse_and_bind("bind ^I rl_complete" if editline else "tab: complete")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._readline is None:
            return
        with contextlib.suppress(OSError):  # a history is a comfort
            self._history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._history.touch(mode=0o600)
            self._readline.write_history_file(self._history)

    def next(self) -> str | None:
        """Return the next line without its end, or None at the end. Raises `KeyboardInterrupt`."""
        if self.by_hand:
            try:
                return input(PROMPT)
            except EOFError:
                print()  # noqa: T201 - the shell's own prompt begins on a line of its own
                return None
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None

    def _complete(self, begun: str, number: int) -> str | None:
        line = self._readline.get_line_buffer() if self._readline is not None else ""
        words = self._paths(begun) if " " in line.lstrip() else self._names(begun)
        return next((word for n, word in enumerate(words) if n == number), None)

    def _names(self, begun: str) -> Iterator[str]:
        return (name for name in self._commands if begun and name.startswith(begun))

    def _paths(self, begun: str) -> Iterator[str]:
        folder, name = os.path.split(begun)
        with contextlib.suppress(OSError):
            for entry in sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda each: each.name):
                if entry.name.startswith(name):
                    yield os.path.join(folder, entry.name) + (os.sep if entry.is_dir() else "")


def _readline() -> ModuleType | None:
    """Return the module that gives `input` editing and a history, where this system has it."""
    try:
        import readline
    except ImportError:  # Windows, whose console edits lines by itself
        return None
    return readline
