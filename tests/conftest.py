"""What every test may use: an emulator of its own, and cassettes that work with both HTTP libraries."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cassettes import vcr_settings

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

DOCUMENTS = Path(__file__).with_name("documents")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator over `tests/documents`, fresh for each test."""
    from customgpt_emulator import Emulator

    with Emulator(documents=DOCUMENTS) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh_registries() -> Iterator[None]:
    """Empty before and after each test what all clients of a process share: turns, ids seen, rate limits."""
    _clear_registries()
    yield
    _clear_registries()


def _clear_registries() -> None:
    for module, name in (("_pacing", "pacing"), ("_sessions", "sessions"), ("_flights", "flights")):
        loaded = sys.modules.get(f"customgpt_transport.{module}")  # a test without a client loads none
        if loaded is not None:
            getattr(loaded, name).clear()


@pytest.fixture(scope="session")
def vcr_config() -> dict[str, Any]:
    """The settings of pytest-recording's cassettes (the standard suites use one)."""
    return {**vcr_settings(), "allow_playback_repeats": True}
