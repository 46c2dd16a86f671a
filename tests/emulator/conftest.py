from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from customgpt_emulator import Emulator

HANDBOOK = {
    "refunds.md": """# Refunds

Refunds are paid within five working days after the parcel reached us.

## Gift cards

Purchases paid with a gift card are refunded to a new gift card:

- up to 50 euros at once
- above 50 euros after a check
""",
    "prices.html": """<html><head><title>Prices</title>
<link rel="canonical" href="https://shop.example/prices">
<meta name="description" content="What our lamps cost."></head><body><nav>Home Shop</nav><h1>Prices</h1>
<table><tr><th>Lamp</th><th>Price</th></tr><tr><td>Aurora</td><td>120 euros</td></tr>
<tr><td>Comet</td><td>80 euros</td></tr></table><script>var hidden = 1;</script></body></html>""",
    "care/cleaning.txt": "Cleaning\n\nWipe the shade with a dry cloth. Naïve owners use water — never that.",
}


class Time:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def real_time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time by which delays and limits of all emulators go; it moves when the test turns it."""
    from customgpt_emulator.state.clock import Clock

    time = Time()
    monkeypatch.setattr(Clock, "real", lambda clock: time.now)
    return time


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    """A small documents folder: Markdown, HTML, and text in a subfolder."""
    folder = tmp_path / "handbook"
    for name, text in HANDBOOK.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def server(handbook: Path) -> Iterator[Emulator]:
    with Emulator(documents=handbook) as emulator:
        yield emulator


@dataclass
class Raw:
    """Plain HTTP, as any client would speak it."""

    emulator: Emulator
    http: requests.Session

    @property
    def project(self) -> str:
        return f"{self.emulator.base_url}/api/v1/projects/{self.emulator.project_id}"

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        """`path` below /api/v1, or below the agent when it does not begin with a slash."""
        url = f"{self.emulator.base_url}/api/v1{path}" if path.startswith("/") else f"{self.project}/{path}"
        return self.http.request(method, url.rstrip("/"), timeout=20, **options)

    def session(self, name: str = "test") -> str:
        answer = self.call("POST", "conversations", json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["session_id"])

    def send(self, prompt: str, session: str | None = None, **options: object) -> requests.Response:
        session = session or self.session()
        return self.call("POST", f"conversations/{session}/messages", json={"prompt": prompt}, **options)


@contextmanager
def speak(emulator: Emulator) -> Iterator[Raw]:
    """A session that carries the key."""
    with requests.Session() as http:
        http.trust_env = False
        http.headers["Authorization"] = f"Bearer {emulator.api_key}"
        yield Raw(emulator, http)


@pytest.fixture
def raw(server: Emulator) -> Iterator[Raw]:
    with speak(server) as raw:
        yield raw
