"""The agent's mind, such as it is: search, choose, quote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from customgpt_emulator.library import Library
from customgpt_emulator.retrieval import Terms, choose, compose, greeting, is_follow_up

__all__ = ["REMEMBERED", "Answer", "answer"]

REMEMBERED = 3  # earlier prompts that a follow-up may lean on


@dataclass(frozen=True)
class Answer:
    """An answer and the pages that it quotes, in the order of their first quotation."""

    text: str
    page_ids: tuple[int, ...] = ()


def answer(
    library: Library, project_id: int, prompt: str, *, earlier: Sequence[str], now: float, no_answer: str
) -> Answer:
    """Answer a prompt from the agent's pages.

    `earlier` are the conversation's prompts, newest first: when the prompt alone finds nothing and sounds
    like a follow-up ("And how long does it take?"), it is read together with more and more of them.
    `no_answer` is said when nothing helps.
    """
    hello = greeting(prompt)
    if hello is not None:
        return Answer(hello)
    for reach in range(len(earlier) + 1 if is_follow_up(prompt) else 1):
        terms = Terms.of(prompt, *earlier[:reach])
        if not terms:
            continue
        chosen = choose(library.search(project_id, terms, now), terms)
        if chosen:
            return Answer(compose(chosen, terms), tuple(dict.fromkeys(c.page_id for c in chosen)))
    return Answer(no_answer)
