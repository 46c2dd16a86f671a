"""How cassettes are recorded and played: the same words for requests and for aiohttp.

A cassette never holds a key, and always names the vendor's host, whoever answered when it was recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import vcr

LIBRARY = Path(__file__).resolve().parent.parent / "cassettes"
VENDOR = "https://app.customgpt.ai"


def _name_the_vendor(request: Any) -> Any:
    """Replace the emulator's scheme, host and port, which change from run to run, by the vendor's."""
    parts = urlsplit(request.uri)
    if parts.hostname in ("127.0.0.1", "localhost"):
        request.uri = urlunsplit(urlsplit(VENDOR)[:2] + parts[2:])
    return request


def vcr_settings() -> dict[str, Any]:
    """Return settings for `vcr.VCR` and pytest-recording. Nothing is recorded unless asked for."""
    return {
        "record_mode": "none",
        "cassette_library_dir": str(LIBRARY),
        "path_transformer": vcr.VCR.ensure_suffix(".yaml"),
        "filter_headers": ["authorization", "user-agent"],
        "filter_query_parameters": ["external_id"],  # a new one each time
        "before_record_request": _name_the_vendor,
        "match_on": ["method", "uri", "body"],
        "decode_compressed_response": True,
    }
