"""What `customgpt ask` costs until its first words, next to a script that imports the same libraries.

CPU of the whole process, user and system, from its start until the first piece of the answer is on standard
output, as the system counts it; the emulator is this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from customgpt_emulator import Emulator
from tests.benchmarks.ratio import Ratio, median_of

ROUNDS = 11
QUESTION = "When are refunds paid?"
DOCUMENTS = Path(__file__).parents[1] / "documents"
SCRIPT = f"""
import sys
import click
import requests
from customgpt_transport import AnswerDelta, Client
with Client() as client, client.stream({QUESTION!r}) as answer:
    for event in answer:
        if isinstance(event, AnswerDelta):
            sys.stdout.write(event.text)
            sys.stdout.flush()
"""


def _until_the_first_words(command: Sequence[str], environment: dict[str, str]) -> float:
    """Run a command up to its first output and return the CPU seconds that it has used by then."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        nanoseconds = Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]
        process.kill()
    return int(nanoseconds) / 1e9


def run() -> list[Ratio]:
    """Compare the two, the emulator standing still after the first words."""
    with Emulator(DOCUMENTS) as emulator, tempfile.TemporaryDirectory() as state:
        emulator.faults.stall(after_events=3, times=None)
        environment = {
            **os.environ,
            "CUSTOMGPT_API_KEY": emulator.api_key,
            "CUSTOMGPT_BASE_URL": emulator.base_url,
            "CUSTOMGPT_PROJECT_ID": str(emulator.project_id),
            "XDG_STATE_HOME": state,
        }
        command = [str(Path(sys.executable).with_name("customgpt")), "ask", QUESTION]
        script = [sys.executable, "-c", SCRIPT]
        for each in (command, script):
            _until_the_first_words(each, environment)  # the first run writes .pyc files
        ours, floor = median_of(
            ROUNDS,
            partial(_until_the_first_words, command, environment),
            partial(_until_the_first_words, script, environment),
        )
    name = "customgpt ask to its first words / a script with click, requests and the client"
    return [Ratio(name, ours / floor, 1.3, note=f"{ours * 1e3:.0f} ms")]
