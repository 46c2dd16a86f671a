"""The same question over the same documents: the same answer, citations and event boundaries, everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from customgpt_emulator import Emulator
from tests.contract.golden import DOCUMENTS, GOLDEN, PROMPTS, Conversation, streams

WALK = """
import hashlib, sys
from customgpt_emulator import Emulator
from tests.contract.golden import DOCUMENTS, Conversation
with Emulator(documents=DOCUMENTS, seed=7, api_key="golden") as emulator, Conversation(emulator) as asked:
    for path in ("", "/stats", "/settings", "/pages", "/sources", "/conversations"):
        print(path, hashlib.sha256(asked.ask("GET", path)).hexdigest())
    print(asked.ask("POST", asked.messages, json={"prompt": "How do refunds work?"}).decode())
    print(asked.stream("Which lamps are there?").decode())
    chat = {"messages": [{"role": "user", "content": "How do refunds work?"}], "stream": True}
    print(asked.ask("POST", "/chat/completions", json=chat).decode())
    print(asked.ask("GET", asked.messages).decode())
"""


def test_the_streams_are_the_golden_ones_byte_for_byte():
    """On every Python that the tests run on. After an intended change: `python -m tests.contract.golden`."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert list(PROMPTS) == [each["prompt"] for each in golden]
    assert golden == streams()


def test_with_a_seed_another_process_gives_the_same_bytes():
    """Hash seeds and time zones differ; the bytes do not."""
    walks = []
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}
        command = [sys.executable, "-c", WALK]
        root = Path(__file__).parents[2]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=True)
        walks.append(run.stdout)
    assert walks[0].count("event: finish") == 1
    assert walks[0] == walks[1]


def test_after_a_reset_a_seed_begins_again():
    with Emulator(documents=DOCUMENTS, seed=7) as emulator:
        walks = []
        for _ in range(2):
            emulator.reset()
            with Conversation(emulator) as asked:
                walks.append([asked.stream(prompt) for prompt in PROMPTS])
    assert walks[0] == walks[1]


def test_neither_the_folder_nor_the_age_of_its_files_matters(tmp_path: Path):
    """Only what is in them: another folder, the files made in another order."""
    for name in sorted((path.name for path in DOCUMENTS.iterdir()), reverse=True):
        shutil.copyfile(DOCUMENTS / name, tmp_path / name)
    walks = []
    for folder in (DOCUMENTS, tmp_path):
        with Emulator(documents=folder, seed=7) as emulator, Conversation(emulator) as asked:
            walks.append([asked.stream(prompt) for prompt in PROMPTS])
    assert walks[0] == walks[1]


def test_without_a_seed_the_answer_is_the_same_and_the_ids_are_not():
    walks = []
    for _ in range(2):
        with Emulator(documents=DOCUMENTS) as emulator, Conversation(emulator) as asked:
            walks.append([asked.stream(prompt).split(b"event: finish") for prompt in PROMPTS])
            sessions = asked.messages
            walks[-1].append([sessions.encode()])
    assert [each[0] for each in walks[0][:-1]] == [each[0] for each in walks[1][:-1]]
    assert walks[0][-1] != walks[1][-1]
