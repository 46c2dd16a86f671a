"""Answering a prompt: search, choose, quote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from customgpt_emulator.knowledge.documents import Document
from customgpt_emulator.knowledge.library import Library
from customgpt_emulator.knowledge.passages import split_passages
from customgpt_emulator.knowledge.retrieval import Candidate, choose, compose, greeting, is_follow_up
from customgpt_emulator.knowledge.terms import Terms

__all__ = ["REMEMBERED", "Extract", "answer"]

ATTACHED_RANK = 10.0  # what came with the prompt is about the prompt
REMEMBERED = 3  # earlier prompts that a follow-up may refer to


@dataclass(frozen=True)
class Extract:
    """An answer made of quotations, and the pages that it quotes, in order."""

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
) -> Extract:
    """Return the answer to a prompt from the agent's pages.

    `earlier` are the prompts of the conversation, newest first. A prompt that finds nothing and looks like a
    follow-up ("And how long does it take?") is read together with more and more of them.
    `attached` came with the prompt. It is quoted like pages, but not cited. `marks` adds a mark after each
    quotation. `no_answer` is the answer if nothing is found.
    """
    hello = greeting(prompt)
    if hello is not None:
        return Extract(hello)
    for reach in range(len(earlier) + 1 if is_follow_up(prompt) else 1):
        terms = Terms.of(prompt, *earlier[:reach])
        if not terms:
            continue
        chosen = choose([*_own_passages(attached), *library.search(project_id, terms, now)], terms)
        if chosen:
            pages = dict.fromkeys(c.page_id for c in chosen if c.page_id > 0)
            return Extract(compose(chosen, terms, marks=marks), tuple(pages))
    return Extract(no_answer)


def _own_passages(attached: Sequence[Document]) -> list[Candidate]:
    """Return passages of what came with the prompt, with page ids that no page has."""
    return [
        Candidate(-number, "", position, document.title, passage.heading, passage.text, ATTACHED_RANK)
        for number, document in enumerate(attached, start=1)
        for position, passage in enumerate(split_passages(document.text))
    ]
