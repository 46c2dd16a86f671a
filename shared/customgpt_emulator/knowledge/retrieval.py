"""From passages to an answer: which of them are best, and how they read together. Pure.

The answer is extractive: it quotes the documents and makes nothing up. Everything is ordered by content: the
same documents and prompt give the same answer everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from customgpt_emulator.knowledge.passages import SEPARATOR, sentences
from customgpt_emulator.knowledge.terms import SEVERAL, Terms

__all__ = ["Candidate", "choose", "compose", "greeting", "is_follow_up"]

PAGES = 3  # pages quoted by one answer, at most
SENTENCES = 3  # quoted from one long paragraph
SHORT = 420  # characters; a paragraph up to this length is quoted whole
HUGE = 200_000  # characters; a list of this length is no list that anybody looks a row up in


@dataclass(frozen=True)
class Candidate:
    """A passage that the full-text search found."""

    page_id: int
    page_key: str
    """The name or URL of the page, which orders passages of the same rank."""
    position: int
    title: str
    heading: str
    text: str
    rank: float
    """BM25; larger is better."""


def choose(candidates: Iterable[Candidate], terms: Terms) -> list[Candidate]:
    """Return the passages to quote, best first; none if none of them says enough.

    A passage must have enough of the terms (its headings count) and be not much worse than the best one. At
    most two come from the best page, and one each from two more. If the prompt has a name that no passage
    has, it is about that name, so there is no answer.
    """
    found = [(c, terms.found_in(c.text), terms.found_in(f"{c.title} {c.heading}")) for c in candidates]
    known = {number for _, text, above in found for number in text | above}
    if len(terms.strong) <= SEVERAL and not terms.names <= known:
        return []
    rated: list[tuple[float, Candidate]] = []
    for candidate, inside, above in found:
        if terms.suffice(inside | above):
            share = (len(inside | above) + 0.5 * len(inside)) / len(terms)
            early = 1 + 0.25 / (1 + candidate.position)  # a page starts with what it is about
            rating = share * share * early * (1 + min(candidate.rank, 50.0) / 20)
            rated.append((round(rating, 6), candidate))
    rated.sort(key=lambda pair: (-pair[0], pair[1].page_key, pair[1].position))
    chosen: list[Candidate] = []
    per_page: dict[int, int] = {}
    for rating, candidate in rated:
        taken = per_page.get(candidate.page_id, 0)
        first_page = not chosen or candidate.page_id == chosen[0].page_id
        close = rating >= rated[0][0] * (0.6 if taken else 0.4)
        if not close or taken >= (2 if first_page else 1) or (not taken and len(per_page) >= PAGES):
            continue
        if any(candidate.text == other.text for other in chosen):
            continue  # the same words on another page add nothing
        per_page[candidate.page_id] = taken + 1
        chosen.append(candidate)
    order = list(per_page)
    return sorted(chosen, key=lambda c: (order.index(c.page_id), c.position))


def compose(chosen: Sequence[Candidate], terms: Terms, *, marks: bool = False) -> str:
    """Return the answer in Markdown: the passages in order, each shortened to what was asked about.

    With `marks`, `:cit[n/m]` follows the n-th of m quoted pages. A vendor client strips this form; what its
    numbers mean in the real service is unknown.
    """
    pages = list(dict.fromkeys(c.page_id for c in chosen if c.page_id > 0))
    parts = []
    for passage in chosen:
        text = _excerpt(passage.text, terms)
        rows = text.lstrip().startswith(("|", "-", "*", "+", "1.", "```"))
        heading = passage.heading.rpartition(SEPARATOR)[2] or passage.title
        if marks and passage.page_id in pages:
            text += ("\n\n" if rows else " ") + f":cit[{pages.index(passage.page_id) + 1}/{len(pages)}]"
        parts.append(f"**{heading}**\n\n{text}" if rows and heading else text)
    return "\n\n".join(parts)


def _excerpt(text: str, terms: Terms) -> str:
    intro, gap, body = text.partition("\n\n")
    if gap and intro.endswith(":"):
        return f"{intro}\n\n{_excerpt(body, terms)}"
    if text.startswith(("```", "~~~")):
        return text
    rows = text.split("\n")
    if len(rows) > 1:
        head = 2 if rows[0].startswith("|") and len(rows) > 2 else 0
        return "\n".join(rows[:head] + _matching_rows(rows[head:], terms))
    if len(text) <= SHORT:
        return text
    return _best_sentences(sentences(text), terms)


def _matching_rows(rows: list[str], terms: Terms) -> list[str]:
    """The rows that hold the most terms; all of them when the list is short or huge, or none stands out."""
    if len(rows) <= 8 or sum(map(len, rows)) > HUGE:
        return rows
    counts = [len(terms.found_in(row)) for row in rows]
    best = max(counts)
    picked = [row for row, count in zip(rows, counts, strict=True) if count == best]
    return picked if best and len(picked) < len(rows) else rows


def _best_sentences(found: list[str], terms: Terms) -> str:
    """Return the successive sentences with the most different terms, the first of equals."""
    sets = [terms.found_in(sentence) for sentence in found]
    best, best_score = 0, (-1, -1)
    for start in range(max(1, len(found) - SENTENCES + 1)):
        window = sets[start : start + SENTENCES]
        score = (len(set().union(*window)), int(bool(window[0])))
        if score > best_score:
            best, best_score = start, score
    return " ".join(found[best : best + SENTENCES])


_GREETING = re.compile(r"\s*(?:hello|hi|hey|good (?:morning|afternoon|evening))(?: there)?[\s!.,?]*", re.I)


def greeting(prompt: str) -> str | None:
    """Return the captured answer to a mere greeting (vendor docs, "Requests and Responses"), else None."""
    return "Hello! How can I assist you today?" if _GREETING.fullmatch(prompt) else None


_FOLLOW_UP = re.compile(
    r"\s*(?:and|but|or|so|then|why|what about|how about|how long|how much|how many|which|what else|more)\b"
    r"|.*\b(?:it|its|they|them|their|that|those|this|these|one|ones|he|she|him|her|there)\b",
    re.IGNORECASE | re.DOTALL,
)


def is_follow_up(prompt: str) -> bool:
    """Return whether a prompt may refer to the one before: by "and" or "it", or since it has no terms."""
    return not Terms.of(prompt) or _FOLLOW_UP.match(prompt[:2000]) is not None
