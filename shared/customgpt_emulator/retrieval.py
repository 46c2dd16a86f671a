"""From a prompt to an answer: which words count, which passages are best, and how they read together. Pure.

The answer is extractive: it quotes the documents and makes nothing up. Everything is ordered by content: the
same documents and prompt give the same answer everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from customgpt_emulator.passages import SEPARATOR, sentences

__all__ = ["Candidate", "Terms", "choose", "compose", "greeting", "is_follow_up"]

MOST_TERMS = 32
PAGES = 3  # pages quoted by one answer, at most
SENTENCES = 3  # quoted from one long paragraph
SHORT = 420  # characters; a paragraph up to this length is quoted whole

_STOP_WORDS = (
    "a about after all also am an and any are as at be been before being but by can could did do "
    "does doing for from get give had has have having he her here him his how i if in into is it its "
    "just know like list many may me might more most much must my no not of on one only or other our "
    "out over please shall she should show so some such tell than that the their them then there "
    "these they this those to too us use used using very want was we were what when where which "
    "while who whom whose why will with within would you your let s t re ve ll d m explain describe "
    "say says work works happen happens long kind else "
)
_STOP = frozenset(_STOP_WORDS.split())
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "s", "y", "e")


_BETWEEN_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Terms:
    """The words of a prompt that count, each as the forms that it may have in a text.

    A form that ends in `*` stands for all words that begin so: `("pric*",)`, `("api", "apis")`.
    """

    forms: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, *prompts: str) -> Terms:
        """Read the prompts, the most telling first; question words and the like are left out."""
        found: dict[tuple[str, ...], None] = {}
        for prompt in prompts:
            for word in re.findall(r"[^\W_]+", fold(prompt[:20_000])):
                if word not in _STOP:
                    found.setdefault(_forms(word))
        return cls(tuple(found)[:MOST_TERMS])

    @property
    def match(self) -> str:
        """The full-text query, every word quoted: no prompt can be read as query syntax."""
        forms = (form for term in self.forms for form in term)
        return " OR ".join(f'"{form[:-1]}"*' if form.endswith("*") else f'"{form}"' for form in forms)

    @cached_property
    def _needles(self) -> list[tuple[str, ...]]:
        return [
            tuple(" " + form[:-1] if form.endswith("*") else f" {form} " for form in term)
            for term in self.forms
        ]

    def found_in(self, text: str) -> set[int]:
        """Which of the terms a text holds, by their numbers."""
        words = f" {_BETWEEN_WORDS.sub(' ', fold(text))} "
        return {number for number, forms in enumerate(self._needles) if any(form in words for form in forms)}

    def __len__(self) -> int:
        return len(self.forms)


@dataclass(frozen=True)
class Candidate:
    """A passage that the full-text search found."""

    page_id: int
    page_key: str
    """The page's name or address: orders what ranks the same."""
    position: int
    title: str
    heading: str
    text: str
    rank: float
    """BM25, the larger the better."""


def fold(text: str) -> str:
    """Lower case without accents, as the index folds."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text.lower()


def _forms(word: str) -> tuple[str, ...]:
    """The forms of a word: its ending goes as long as four letters remain; shorter words have a plural."""
    if not word.isalpha() or len(word) <= 2:
        return (word,)
    if word.endswith("ies") and len(word) <= 6:
        word = word[:-3] + "y"
    if len(word) == 4 and word.endswith("y"):
        return (word + "*", word[:-1] + "ies")
    if len(word) == 3 or (len(word) == 4 and word.endswith("s") and not word.endswith("ss")):
        return (word[:3], word[:3] + "s")
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            word = word[: -len(suffix)]
            break
    doubled = len(word) > 4 and word[-1] == word[-2] and word[-1] not in "sl"
    return ((word[:-1] if doubled else word) + "*",)


def choose(candidates: Iterable[Candidate], terms: Terms) -> list[Candidate]:
    """The passages worth quoting, best first; empty when none says enough.

    A passage must hold at least half of the terms (its headings count), and be not much worse than the best;
    at most two come from the best page and one from each of two more.
    """
    needed = (len(terms) + 1) // 2
    rated: list[tuple[float, Candidate]] = []
    for candidate in candidates:
        inside = terms.found_in(candidate.text)
        covered = len(inside | terms.found_in(f"{candidate.title} {candidate.heading}"))
        if covered >= needed:
            share = (covered + 0.5 * len(inside)) / len(terms)
            early = 1 + 0.25 / (1 + candidate.position)  # a page says first what it is about
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
    """The answer in Markdown: the passages in order, each shortened to what was asked about.

    With `marks`, `:cit[n/m]` follows the n-th of m quoted pages: the one form that a client is known to
    strip; what its numbers mean in the real service is unknown.
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
    """The rows that hold the most terms; all of them when the list is short or none stands out."""
    if len(rows) <= 8:
        return rows
    counts = [len(terms.found_in(row)) for row in rows]
    best = max(counts)
    picked = [row for row, count in zip(rows, counts, strict=True) if count == best]
    return picked if best and len(picked) < len(rows) else rows


def _best_sentences(found: list[str], terms: Terms) -> str:
    """The run of neighbouring sentences that holds the most different terms, the earliest of equals."""
    sets = [terms.found_in(sentence) for sentence in found]
    best, best_score = 0, (-1, -1)
    for start in range(max(1, len(found) - SENTENCES + 1)):
        window = sets[start : start + SENTENCES]
        score = (len(set().union(*window)), int(bool(window[0])))
        if score > best_score:
            best, best_score = start, score
    return " ".join(found[best : best + SENTENCES])


_GREETING = re.compile(
    r"\s*(?:hello|hi|hey|good (?:morning|afternoon|evening))(?: there)?\s*[!.,?]*\s*", re.I
)


def greeting(prompt: str) -> str | None:
    """The captured answer to a bare greeting (vendor docs, "Requests and Responses"), else None."""
    return "Hello! How can I assist you today?" if _GREETING.fullmatch(prompt) else None


_FOLLOW_UP = re.compile(
    r"\s*(?:and|but|or|so|then|why|what about|how about|how long|how much|how many|which|what else|more)\b"
    r"|.*\b(?:it|its|they|them|their|that|those|this|these|one|ones|he|she|him|her|there)\b",
    re.IGNORECASE | re.DOTALL,
)


def is_follow_up(prompt: str) -> bool:
    """Whether a prompt may lean on the one before: it says so ("and", "it"), or has no words of its own."""
    return not Terms.of(prompt) or _FOLLOW_UP.match(prompt[:2000]) is not None
