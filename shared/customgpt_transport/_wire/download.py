"""Where a download is written: to a path, whole or not at all, or to a file that is already open."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

from customgpt_transport._wire.http import Sink
from customgpt_transport.errors import ConfigurationError

Received: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes received so far, and in all (None when the service did not say)."""

Target: TypeAlias = str | os.PathLike[str] | BinaryIO


def open_target(to: Target, on_progress: Received | None = None) -> Sink:
    """Return the sink for `to`, after checking the disk.

    Raises `ConfigurationError` when nothing can be written there, before any request.
    """
    if isinstance(to, (str, os.PathLike)):
        return _PathSink(_writable(Path(to)), on_progress)
    if callable(getattr(to, "write", None)):
        return _FileSink(to, on_progress)
    raise ConfigurationError(f"to must be a path or a file open for bytes, not {type(to).__name__}")


def _writable(path: Path) -> Path:
    try:
        path = path.resolve()  # a link stays a link: what it points to is replaced
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"cannot write to {path}: it is not a regular file")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise ConfigurationError(f"cannot write to {path}: its folder is missing or not writable")
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a name too long, a loop of links
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"cannot write to {path}: {error}") from error
    return path


class _Sink:
    """The base of both sinks: reports progress."""

    def __init__(self, on_progress: Received | None) -> None:
        self._on_progress = on_progress

    def received(self, count: int, total: int | None) -> None:
        if self._on_progress is not None:
            self._on_progress(count, total)


class _PathSink(_Sink):
    """Writes to a temporary file beside `path`, which replaces `path` once the download is complete."""

    def __init__(self, path: Path, on_progress: Received | None) -> None:
        super().__init__(on_progress)
        self._path = path
        self._part: Path | None = None
        self._file: BinaryIO | None = None

    def open(self) -> None:
        self.close(complete=False)
        self._part = self._path.with_name(f".{self._path.name[:200]}.{secrets.token_hex(6)}.part")
        self._file = self._part.open("xb")

    def write(self, chunk: bytes) -> None:
        assert self._file is not None, "open() comes first"  # noqa: S101 - a promise to the type checker
        self._file.write(chunk)

    def close(self, *, complete: bool) -> None:
        file, part, self._file, self._part = self._file, self._part, None, None
        if file is None or part is None:
            return
        try:
            file.close()  # writes what is buffered: may fail, and then there is nothing to put in place
            if complete:
                part.replace(self._path)
        finally:
            part.unlink(missing_ok=True)


class _FileSink(_Sink):
    """Writes to the caller's open file, from its current position; never closes it."""

    def __init__(self, file: BinaryIO, on_progress: Received | None) -> None:
        super().__init__(on_progress)
        self._file = file
        self._start: int | None = None
        self._written = False

    def open(self) -> None:
        if self._written:
            if self._start is None:
                raise ConfigurationError(
                    "the download broke off and cannot begin again in a file that cannot seek: give a path"
                )
            self._file.seek(self._start)
            self._file.truncate()
            self._written = False
        elif self._file.seekable():
            self._start = self._file.tell()

    def write(self, chunk: bytes) -> None:
        self._written = True
        self._file.write(chunk)

    def close(self, *, complete: bool) -> None:
        if not complete:
            return  # what came stays for the caller to look at; a new attempt writes over it
        self._file.flush()
