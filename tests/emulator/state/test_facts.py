"""The emulator behaves as a service was seen to behave: `facts=`, `--facts`, and the ini option."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from customgpt_emulator import Emulator, Switches, read_facts
from customgpt_emulator.cli.command import command
from tests.emulator.cli.test_command import running

SEEN = {"unknown_session": "create", "stats_keys": 7, "keep_alive_seconds": 15.0, "strict_name": None}


def saved(folder: Path, facts: Mapping[str, Any] = SEEN) -> Path:
    file = folder / "facts.json"
    file.write_text(
        json.dumps({"facts": facts, "seen_at": "2026-11-24T12:00:00Z", "base": "https://x/api/v1"})
    )
    return file


def test_what_was_seen_sets_the_switches_and_what_was_not_leaves_them(tmp_path: Path):
    made = Emulator(facts=saved(tmp_path))
    assert made.switches == Switches(unknown_session="create", stats_keys=7, keep_alive_seconds=15.0)


def test_facts_and_switches_are_put_together_by_whoever_has_both(tmp_path: Path):
    file = saved(tmp_path)
    with pytest.raises(ValueError, match="Give switches or facts"):
        Emulator(facts=file, switches=Switches())
    assert Switches(**read_facts(file) | {"stats_keys": 8}).stats_keys == 8


def test_on_the_command_line_a_switch_wins_over_the_facts(tmp_path: Path, handbook: Path):
    with running("-d", handbook, "--facts", saved(tmp_path), "--switch", "unknown_session=404") as it:
        agent = f"/projects/{it.fact('CUSTOMGPT_PROJECT_ID')}"
        assert len(it.get(f"{agent}/stats").json()["data"]) == 7
        session = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
        sent = it.post(f"{agent}/conversations/{session}/messages", {"prompt": "How are refunds paid?"})
        assert sent.status_code == 404


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("no JSON", "is not JSON"),
        ("[]", "it must be"),
        ('{"facts": 7}', "it must be"),
        ('{"facts": {"telepathy": true}}', "tells of telepathy, which this version"),
        ('{"facts": {"stats_keys": 9}}', "stats_keys must be 7 or 8, not 9"),
    ],
)
def test_a_file_without_facts_is_refused_in_a_sentence(tmp_path: Path, handbook: Path, text: str, said: str):
    file = tmp_path / "facts.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        Emulator(facts=file)
    assert str(file) in str(refused.value)
    result = CliRunner().invoke(command, ["-d", str(handbook), "--facts", str(file)])
    assert (2, True) == (result.exit_code, said in result.output.replace("\n", ""))
