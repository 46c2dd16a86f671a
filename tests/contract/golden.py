"""The answers that `golden.json` holds: `python -m tests.contract.golden` writes it anew.

Look at the difference before it is committed: users' tests rest on these answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from customgpt_emulator import Emulator

DOCUMENTS = Path(__file__).parents[1] / "documents"
GOLDEN = Path(__file__).with_name("golden.json")
PROMPTS = (
    "Hello!",
    "How do refunds work?",
    "And for gift cards?",
    "How long is a gift card valid?",
    "What does shipping cost?",
    "Which lamps are there?",
    "Naïve café — çò?",
    "zebra quagga",
)


class Conversation:
    """One conversation with an emulator that has a seed, under an address that is always the same."""

    def __init__(self, emulator: Emulator) -> None:
        self.http = requests.Session()
        self.http.headers.update({"Authorization": f"Bearer {emulator.api_key}", "Host": "emulator.test"})
        self.project = f"{emulator.base_url}/api/v1/projects/{emulator.project_id}"
        made = self.ask("POST", "/conversations", json={"name": "golden"})
        self.messages = f"/conversations/{json.loads(made)['data']['session_id']}/messages"

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, **options: Any) -> bytes:
        """The body's bytes."""
        answer = self.http.request(method, self.project + path, timeout=20, **options)
        answer.raise_for_status()
        return answer.content

    def stream(self, prompt: str) -> bytes:
        """The bytes of a streamed answer."""
        return self.ask("POST", self.messages + "?stream=true", json={"prompt": prompt})


def streams() -> list[dict[str, Any]]:
    """Each prompt with the blocks of its stream, in one conversation."""
    with Emulator(documents=DOCUMENTS, seed=7, api_key="golden") as emulator, Conversation(emulator) as asked:
        found = []
        for prompt in PROMPTS:
            text = asked.stream(prompt).decode()
            found.append({"prompt": prompt, "events": text.removesuffix("\n\n").split("\n\n")})
        return found


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(streams(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
