"""What the documents do not answer is not answered; what they do answer is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import customgpt_demo
from customgpt_emulator import Emulator
from customgpt_emulator.wire.settings import DEFAULTS
from tests.emulator.conftest import Raw, speak

DEMO = Path(customgpt_demo.__file__).with_name("documents")
TESTS = Path(__file__).parents[2] / "documents"

UNRELATED = """
What is the meaning of life?
What is 2+2?
Who is the king of Spain?
price of gold
What plans does NASA have?
How do I return a car?
Is water wet?
What are the days of the week?
What time is it?
What's your name?
How many days are in a year?
What year is it?
What is 14 + 30?
What is 10 times 20?
What does NASA cost?
Do you sell shoes?
How do I repair a bicycle?
How do I cancel my Netflix subscription?
How do I delete my Facebook account?
What is the population of Belgium?
Who made you?
How do planes fly?
What is the speed of light?
""".strip().splitlines()

OF_THE_DEMO = """
How do refunds work, and what if I paid with a gift card?
Can I return a roaster?
How long do refunds take?
How long is a gift card valid?
How much does shipping cost?
How long does shipping take?
What is the Flock plan?
What does error E4 mean?
What is the emergency number?
What is the return policy?
How long is the warranty of the heating element?
Do you ship to Norway?
""".strip().splitlines()

OF_THE_TESTS = """
When are refunds paid?
How long do refunds take?
How long is a gift card valid?
How long does shipping take?
How much is the Aurora lamp, please?
Aurora price?
Which lamps are there?
Within how many days is a lamp refunded, shipped, repaired, and what is its warranty?
""".strip().splitlines()


@pytest.fixture(scope="module")
def demo() -> Iterator[Raw]:
    with Emulator(documents=DEMO) as emulator, speak(emulator) as raw:
        yield raw


@pytest.fixture(scope="module")
def lamps() -> Iterator[Raw]:
    with Emulator(documents=TESTS) as emulator, speak(emulator) as raw:
        yield raw


def answer(raw: Raw, prompt: str) -> str:
    return str(raw.send(prompt).json()["data"]["openai_response"])


@pytest.mark.parametrize("prompt", UNRELATED)
def test_what_no_document_says_is_not_answered(demo: Raw, lamps: Raw, prompt: str):
    assert [answer(demo, prompt), answer(lamps, prompt)] == [DEFAULTS["no_answer_message"]] * 2


@pytest.mark.parametrize("prompt", OF_THE_DEMO)
def test_what_the_demo_says_is_answered(demo: Raw, prompt: str):
    assert answer(demo, prompt) != DEFAULTS["no_answer_message"]


@pytest.mark.parametrize("prompt", OF_THE_TESTS)
def test_what_the_tests_documents_say_is_answered(lamps: Raw, prompt: str):
    assert answer(lamps, prompt) != DEFAULTS["no_answer_message"]
