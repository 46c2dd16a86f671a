"""A `multipart/form-data` body (RFC 7578) for both clients, which never holds a file in memory.

Its length is known before the first byte is read, so uploads carry a `Content-Length`. Each attempt reads the
files again from the start.
"""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import FileInput

BLOCK_BYTES = 64 * 1024
"""How much of a file is in memory at a time; small, as one blocking send has to do it within a time-out."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes sent (or received) so far and the bytes in all."""

FieldValue: TypeAlias = str | int | bool | None

_ESCAPES = {code: f"%{code:02X}" for code in (*range(0x20), 0x7F, ord('"'), ord("\\"))}


@dataclass(frozen=True, slots=True)
class Upload:
    """One file to send: its bytes are in `content`, or on disk at `path`."""

    name: str
    size: int
    path: Path | None = None
    content: bytes = field(default=b"", repr=False)

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes from the start, one block at a time.

        Raises `ConfigurationError` when the file is no longer `size` bytes long: the length was announced.
        """
        if self.path is None:
            yield from (self.content[i : i + BLOCK_BYTES] for i in range(0, self.size, BLOCK_BYTES))
            return
        left = self.size
        try:
            with self.path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    left -= len(block)
                    if left < 0:
                        break
                    yield block
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if left:
            raise ConfigurationError(
                f"{self.path} changed its size while it was being sent: upload a copy that nothing writes to"
            )


def open_uploads(files: Iterable[FileInput]) -> tuple[Upload, ...]:
    """Look at each file once (this touches the disk) and return what to send.

    Raises `ConfigurationError` for one that is missing, unreadable or no regular file, before any request.
    """
    if isinstance(files, (str, bytes, os.PathLike)):
        raise ConfigurationError("files must be a list of files, not one file: write files=[...]")
    return tuple(open_upload(file) for file in files)


def open_upload(file: FileInput) -> Upload:
    """Return what to send of one file. Otherwise like `open_uploads`."""
    if isinstance(file, tuple):
        match file:
            case (str(name), bytes(content)) if PurePosixPath(name).name:
                return Upload(PurePosixPath(name).name, len(content), content=content)
        raise ConfigurationError("a file given as a tuple must be (name, bytes), the name not empty")
    if not isinstance(file, (str, os.PathLike)):
        raise ConfigurationError(f"a file must be a path or (name, bytes), not {type(file).__name__}")
    path = Path(file)
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"cannot upload {path}: it is not a regular file")
        with path.open("rb") as opened:
            return Upload(path.name, os.fstat(opened.fileno()).st_size, path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigurationError(f"cannot read {path}: {reason}")


def form_fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, FieldValue]]:
    """Yield a form's fields, a list as the vendor's framework reads one: `labels[0]`, `labels[1][0]`."""
    for name, value in fields.items():
        if isinstance(value, (list, tuple)):
            yield from form_fields({f"{name}[{index}]": one for index, one in enumerate(value)})
        else:
            yield name, value


class MultipartBody:
    """The `Body` of a form: fields first, then files, in the order given.

    Fields that are None are left out. Booleans are sent as 1 and 0, the only spelling that both a cast and a
    validation rule of PHP read correctly. `on_progress` counts the bytes of the whole body, not of one file.
    """

    def __init__(
        self,
        fields: Mapping[str, FieldValue] | Iterable[tuple[str, FieldValue]],
        uploads: Iterable[tuple[str, Upload]] = (),
        *,
        on_progress: Progress | None = None,
    ) -> None:
        boundary = f"customgpt-{secrets.token_hex(16)}"
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._on_progress = on_progress
        self._parts: list[bytes | Upload] = []
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        for name, value in pairs:
            if value is not None:
                self._parts.append(_field(boundary, name, value))
        for name, upload in uploads:
            self._parts += [_file_head(boundary, name, upload.name), upload, b"\r\n"]
        self._parts.append(f"--{boundary}--\r\n".encode())
        self._length = sum(part.size if isinstance(part, Upload) else len(part) for part in self._parts)

    def __len__(self) -> int:
        return self._length

    def chunks(self) -> Iterator[bytes]:
        """Yield the body from its start. Small pieces are joined; files come in blocks."""
        pending = b""
        for part in self._parts:
            if not isinstance(part, Upload):
                pending += part
                continue
            for block in part.blocks():
                yield pending + block
                pending = b""
        yield pending

    def sent(self, count: int) -> None:
        """Tell `on_progress` that `count` bytes of this attempt were handed to the connection."""
        if self._on_progress is not None:
            self._on_progress(count, self._length)


def _field(boundary: str, name: str, value: str | int | bool) -> bytes:
    text = str(int(value)) if isinstance(value, bool) else str(value)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'
    return _encoded(head) + _encoded(text) + b"\r\n"


def _file_head(boundary: str, name: str, filename: str) -> bytes:
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return _encoded(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"; '
        f'filename="{_quoted(filename)}"\r\nContent-Type: {kind}\r\n\r\n'
    )


def _quoted(name: str) -> str:
    """Return `name` escaped for use between quotes in a header line.

    As WHATWG HTML ("Multipart form data") has it: percent-encoded, UTF-8 otherwise, no `filename*`. Beyond
    its list of CR, LF and the quote we encode every control character, and the backslash, which PHP reads as
    an escape or as a folder.
    """
    return name.translate(_ESCAPES)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a name from a disk in another encoding holds lone surrogates
