"""Record the cassette of LangChain's `test_stream_time`: `python -m tests.langchain.record`.

The emulator answers, over one document that has a story to tell, so that there is something to stream.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import vcr

from customgpt_emulator import Emulator
from langchain_customgpt import ChatCustomGPT
from tests.cassettes import vcr_settings

CASSETTE = "TestStandardIntegration.test_stream_time"
PROMPT = "Write a story about a cat."  # what the standard test asks
STORY = (
    "This is the story about a cat. The cat of the lamp shop slept under the lamp that was for sale, and "
    "whoever bought the lamp wanted the cat as well. The shopkeeper wrote on a card that the cat was not "
    "for sale, and the cat slept on the card. So the lamp was never sold, the cat stayed warm, and the story "
    "ends where it began."
)


def main() -> None:
    """Record the cassette again, over the old one."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cat.md").write_text(f"# A cat\n\n{STORY}\n")
        settings = {**vcr_settings(), "record_mode": "all"}
        with Emulator(documents=folder, seed=1) as emulator, vcr.VCR(**settings).use_cassette(CASSETTE):
            chat = ChatCustomGPT(
                project_id=emulator.project_id,
                api_key=emulator.api_key,
                base_url=emulator.base_url,
            )
            for chunk in chat.stream(PROMPT):
                print(chunk.text, end="", flush=True)
        print()


if __name__ == "__main__":
    main()
