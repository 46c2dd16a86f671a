"""The agent's mind, such as it is: search, choose, quote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from customgpt_emulator.knowledge.documents import Document
from customgpt_emulator.knowledge.library import Library
from customgpt_emulator.knowledge.passages import split_passages
from customgpt_emulator.knowledge.retrieval import Candidate, choose, compose, greeting, is_follow_up
from customgpt_emulator.knowledge.terms import Terms

__all__ = ["REMEMBERED", "Answer", "answer"]

ATTACHED_RANK = 10.0  # what the user attached is about what the user asks
REMEMBERED = 3  # earlier prompts that a follow-up may lean on


@dataclass(frozen=True)
class Answer:
    """An answer and the pages that it quotes, in the order of their first quotation."""

    text: str
    page_ids: tuple[int, ...] = ()


def answer(
    library: Library,
    project_id: int,
    prompt: str,
    *,
    now: float,
    no_answer: str,
    earlier: Sequence[str] = (),
    attached: Sequence[Document] = (),
    marks: bool = False,
) -> Answer:
    """Answer a prompt from the agent's pages.

    `earlier` are the conversation's prompts, newest first: when the prompt alone finds nothing and sounds
    like a follow-up ("And how long does it take?"), it is read together with more and more of them.
    `attached` came with the prompt: quoted like pages, and not cited. `marks` puts a mark after each
    quotation. `no_answer` is said when nothing helps.
    """
    hello = greeting(prompt)
    if hello is not None:
        return Answer(hello)
    for reach in range(len(earlier) + 1 if is_follow_up(prompt) else 1):
        terms = Terms.of(prompt, *earlier[:reach])
        if not terms:
            continue
        chosen = choose([*_own_passages(attached), *library.search(project_id, terms, now)], terms)
        if chosen:
            pages = dict.fromkeys(c.page_id for c in chosen if c.page_id > 0)
            return Answer(compose(chosen, terms, marks=marks), tuple(pages))
    return Answer(no_answer)


def _own_passages(attached: Sequence[Document]) -> list[Candidate]:
    """Passages of what came with the prompt, under page ids that no page has."""
    return [
        Candidate(-number, "", position, document.title, passage.heading, passage.text, ATTACHED_RANK)
        for number, document in enumerate(attached, start=1)
        for position, passage in enumerate(split_passages(document.text))
    ]
