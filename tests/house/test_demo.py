"""The demo says what it talks to, streams an answer, and lists its sources."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

README = Path(__file__).resolve().parents[2] / "README.md"
OURS = ("CUSTOMGPT_API_KEY", "CUSTOMGPT_PROJECT_ID", "CUSTOMGPT_BASE_URL")


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, with only these of our variables set."""
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(
        [sys.executable, "-m", "customgpt_demo", *arguments],
        capture_output=True,
        text=True,
        env={**inherited, "COLUMNS": "80", **environment},
    )


def test_without_a_key_it_asks_the_emulator_and_shows_at_least_two_sources() -> None:
    done = demo()
    assert done.returncode == 0, done.stderr
    assert "embedded emulator at http://127.0.0.1:" in done.stdout
    assert "billed" not in done.stdout
    assert "within five working days" in done.stdout
    assert "2 source nodes" in done.stdout
    assert done.stderr == ""


def test_the_readme_shows_its_true_output() -> None:
    shown = re.search(r"<!-- demo -->\n```\n\$ make demo\n(.*?)```\n<!-- /demo -->", README.read_text(), re.S)
    assert shown is not None

    def without_ports(text: str) -> list[str]:
        return re.sub(r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT", text).split()

    assert without_ports(shown[1]) == without_ports(demo().stdout)


def test_with_a_key_it_asks_that_service_and_says_first_that_two_prompts_are_billed(
    emulator: Emulator,
) -> None:
    done = demo(
        "When are refunds paid?",
        CUSTOMGPT_API_KEY=emulator.api_key,
        CUSTOMGPT_PROJECT_ID=str(emulator.project_id),
        CUSTOMGPT_BASE_URL=emulator.base_url,
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "the real service" in said
    assert said.index("Two prompts will be billed") < said.index("Refunds are paid")
    assert ["When are refunds paid?"] * 2 == [entry.prompt for entry in emulator.journal.prompts()]
    assert emulator.api_key not in done.stdout + done.stderr


def test_documents_mean_the_emulator_even_with_a_key(tmp_path: Path) -> None:
    (tmp_path / "moon.md").write_text("# The moon\n\nThe moon is 384,400 kilometres away.\n")
    done = demo(
        "How far away is the moon?",
        "--documents",
        str(tmp_path),
        CUSTOMGPT_API_KEY="1|made-up",
        CUSTOMGPT_PROJECT_ID="1",
        CUSTOMGPT_BASE_URL="http://127.0.0.1:9",
    )
    assert done.returncode == 0, done.stderr
    assert "embedded emulator" in done.stdout
    assert "384,400" in done.stdout


def test_a_key_without_an_agent_is_one_helpful_sentence() -> None:
    done = demo(CUSTOMGPT_API_KEY="1|made-up")
    assert done.returncode == 1
    assert "CUSTOMGPT_PROJECT_ID" in done.stderr
    assert "Traceback" not in done.stderr
