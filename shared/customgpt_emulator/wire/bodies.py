"""Request bodies, in all encodings that the vendor's clients use, as one set of fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

DEEPEST = 100  # levels of JSON; deeper bodies are not read (PHP stops at 512)
_FILES = frozenset({"file", "files[]", "chat_bot_avatar", "chat_bot_bg", "profile_photo"})

__all__ = ["Body", "Upload", "is_deep", "is_true", "read_body", "without_surrogates"]


@dataclass(frozen=True)
class Upload:
    """A file in a form."""

    field: str
    filename: str
    data: bytes


@dataclass
class Body:
    """The fields and the files of a body."""

    fields: dict[str, Any] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)
    raw: bytes = b""


async def read_body(request: web.Request) -> Body:
    """Read a JSON, urlencoded or multipart body. If it cannot be read it has no fields, as in PHP."""
    if not request.can_read_body:
        return Body()
    if request.content_type == "multipart/form-data":
        return await _read_multipart(request)
    raw = await request.read()
    if request.content_type == "application/x-www-form-urlencoded":
        return Body(_gather(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)), raw=raw)
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        parsed = None
    if is_deep(parsed):
        parsed = None
    return Body(without_surrogates(parsed) if isinstance(parsed, dict) else {}, raw=raw)


async def _read_multipart(request: web.Request) -> Body:
    """Read the parts. A part is a file by its filename, or (the vendor's SDK) by its field or type."""
    pairs: list[tuple[str, Any]] = []
    files: list[Upload] = []
    left = request.client_max_size
    try:
        parts = await request.multipart()
        while (part := await parts.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            name = without_surrogates(part.name)
            data = bytearray()
            while chunk := await part.read_chunk(2**18):
                left -= len(chunk)
                if left < 0:
                    raise web.HTTPRequestEntityTooLarge(
                        request.client_max_size, request.client_max_size - left
                    )
                data += chunk
            kind = part.headers.get("Content-Type", "text/plain")
            if part.filename is not None or part.name in _FILES or not kind.startswith("text/"):
                files.append(Upload(name, without_surrogates(part.filename) or name, bytes(data)))
            else:
                pairs.append((name, data.decode("utf-8", "replace")))
    except (ValueError, KeyError, AssertionError, RuntimeError, HttpProcessingError):
        return Body()  # no boundary, or cut short
    return Body(_gather(pairs), files)


def _gather(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return form fields by name. `name[0]` and `name[]` become a list; of other repeats the last counts."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        match = re.fullmatch(r"([^\[\]]+)\[\d*\]", name)
        if match:
            known = fields.get(match[1])
            fields[match[1]] = [*known, value] if isinstance(known, list) else [value]
        else:
            fields[name] = value
    return fields


def is_deep(value: Any) -> bool:
    """Return whether JSON is nested too deep to be handled."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def without_surrogates(value: Any) -> Any:
    """Return a JSON value with U+FFFD for lone surrogates, which neither SQLite nor UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def is_true(value: Any) -> bool:
    """Return whether a value means yes: `true`, `1`, `"true"`, `"1"`, `"on"`, `"yes"`, `"True"`."""
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "on", "yes")
    return value is True or (isinstance(value, (int, float)) and value == 1)
