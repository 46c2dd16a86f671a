"""How fast answers come. The arithmetic is tested without waiting, the waits by clients that leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from customgpt_emulator.serving.pacing import Pacing
from tests.emulator.conftest import Raw


class TestTheWaits:
    def test_are_none_unless_asked_for(self):
        assert Pacing().pauses() is None
        assert Pacing(jitter=0.5).pauses() is None
        assert Pacing().whole(100) == 0

    def test_are_one_for_the_first_token_and_one_for_each_other(self):
        pause = Pacing(time_to_first_token=2, tokens_per_second=4).pauses()
        assert pause is not None
        assert [pause(token) for token in range(3)] == [2, 0.25, 0.25]

    def test_of_a_whole_answer_are_those_of_its_tokens(self):
        assert Pacing(time_to_first_token=2, tokens_per_second=4).whole(5) == 3

    def test_vary_by_at_most_the_jitter(self):
        pause = Pacing(tokens_per_second=10, jitter=0.5, seed=1).pauses()
        assert pause is not None
        waits = [pause(token) for token in range(1, 1000)]
        assert 0.05 <= min(waits) < 0.06
        assert 0.14 < max(waits) <= 0.15

    def test_are_the_same_with_the_same_seed(self):
        def waits(seed: int) -> list[float]:
            pacing = Pacing(tokens_per_second=10, jitter=1, seed=seed)
            pauses = [pacing.pauses(), pacing.pauses()]
            return [pause(token) for pause in pauses if pause for token in range(1, 5)]

        assert waits(1) == waits(1)
        assert waits(1) != waits(2)
        assert waits(1)[:4] != waits(1)[4:]

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (
                {"time_to_first_token": -1},
                "time_to_first_token must be a number of seconds, 0 or more, a day at most, not -1",
            ),
            ({"time_to_first_token": None}, "a day at most, not None"),
            ({"tokens_per_second": 0}, "must be a number above 0, at least one a day, or None"),
            ({"jitter": 1.5}, "jitter must be a number from 0 to 1, not 1.5"),
            ({"speed": 1}, "there is no pacing 'speed'; there are time_to_first_token"),
        ],
    )
    def test_that_make_no_sense_are_refused_and_change_nothing(self, values: dict[str, Any], words: str):
        pacing = Pacing(time_to_first_token=1)
        with pytest.raises(ValueError, match=words):
            pacing.change(**{"tokens_per_second": 5, **values})
        assert pacing.as_dict() == {"time_to_first_token": 1, "tokens_per_second": None, "jitter": 0}


class TestAPacedEmulator:
    def test_sends_start_at_once_and_the_first_token_later(self, raw: Raw):
        raw.emulator.pacing.change(time_to_first_token=60)
        with raw.send("Aurora", params={"stream": 1}, stream=True) as answer:
            assert next(answer.iter_content(None)).startswith(b"event: start")

    def test_sends_the_same_bytes_as_one_without_pacing(self, handbook: Path):
        def body(**pacing: float) -> bytes:
            emulator = Emulator(documents=handbook, seed=1, **pacing)
            with emulator, requests.Session() as http:
                http.headers["Authorization"] = f"Bearer {emulator.api_key}"
                return Raw(emulator, http).send("Aurora", params={"stream": 1}).content

        assert body() == body(tokens_per_second=10_000.0, time_to_first_token=0.001, jitter=0.5)

    def test_answers_whole_when_the_last_token_would_have_come(self, raw: Raw):
        raw.emulator.pacing.change(tokens_per_second=10_000)
        assert "120 euros" in raw.send("Aurora").text

    def test_is_back_at_its_first_pace_after_a_reset(self, handbook: Path):
        with Emulator(documents=handbook, tokens_per_second=60) as emulator:
            emulator.pacing.change(tokens_per_second=None, jitter=1)
            emulator.reset()
            assert emulator.pacing.as_dict() == {
                "time_to_first_token": 0,
                "tokens_per_second": 60,
                "jitter": 0,
            }
