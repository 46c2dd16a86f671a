"""Request bodies in every encoding that the vendor's clients use, as one set of fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

__all__ = ["Body", "Upload", "is_true", "read_body", "without_surrogates"]


@dataclass(frozen=True)
class Upload:
    """A file that came in a form."""

    field: str
    filename: str
    data: bytes


@dataclass
class Body:
    """The fields of a body, and its files."""

    fields: dict[str, Any] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)
    raw: bytes = b""


async def read_body(request: web.Request) -> Body:
    """Read JSON, urlencoded and multipart bodies. What cannot be read has no fields, as in PHP."""
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
    return Body(without_surrogates(parsed) if isinstance(parsed, dict) else {}, raw=raw)


async def _read_multipart(request: web.Request) -> Body:
    try:
        form = await request.post()
    except (ValueError, KeyError, AssertionError, RuntimeError):
        return Body()  # no boundary, or cut short
    pairs: list[tuple[str, Any]] = []
    files: list[Upload] = []
    for name, value in form.items():
        if isinstance(value, web.FileField):
            with value.file as file:
                files.append(Upload(name, value.filename, file.read()))
        elif isinstance(value, (bytes, bytearray)):
            pairs.append((name, bytes(value).decode("utf-8", "replace")))
        else:
            pairs.append((name, value))
    return Body(_gather(pairs), files)


def _gather(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Form fields by name; `name[0]` and `name[]` become a list, of others the last one counts."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        match = re.fullmatch(r"([^\[\]]+)\[\d*\]", name)
        if match:
            known = fields.get(match[1])
            fields[match[1]] = [*known, value] if isinstance(known, list) else [value]
        else:
            fields[name] = value
    return fields


def without_surrogates(value: Any) -> Any:
    """JSON may hold halves of characters, which neither SQLite nor UTF-8 can: they become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def is_true(value: Any) -> bool:
    """A switch in any spelling: `true`, `1`, `"true"`, `"1"`, `"on"`, `"yes"`, `"True"`."""
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "on", "yes")
    return value is True or (isinstance(value, (int, float)) and value == 1)
