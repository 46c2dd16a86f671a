"""The README is true: its Python blocks run in order, and its output is what the demo prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

README = Path(__file__).resolve().parents[2] / "README.md"


def sections() -> dict[str, list[str]]:
    """Return the Python blocks of each second-level section, in order."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"(?m)^## ", README.read_text())[1:]:
        title = section.splitlines()[0].strip()
        blocks = re.findall(r"(?ms)^```python\n(.*?)^```", section)
        if blocks:
            found[title] = blocks
    return found


@pytest.mark.parametrize("title", sections())
def test_every_block_of_the_section_runs(
    title: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The blocks of a section share one namespace, as when a reader types them one after the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUSTOMGPT_BASE_URL", emulator.base_url)
    monkeypatch.setenv("CUSTOMGPT_API_KEY", emulator.api_key)
    monkeypatch.setenv("CUSTOMGPT_PROJECT_ID", str(emulator.project_id))
    namespace: dict[str, Any] = {"__name__": "readme"}
    for number, block in enumerate(sections()[title], 1):
        code = compile(block, f"README.md, {title}, block {number}", "exec", dont_inherit=True)
        exec(code, namespace)
