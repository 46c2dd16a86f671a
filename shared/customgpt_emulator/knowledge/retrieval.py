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

from customgpt_emulator.knowledge.passages import SEPARATOR, sentences

__all__ = ["Candidate", "Terms", "choose", "compose", "greeting", "is_follow_up"]

MOST_TERMS = 32
SEVERAL = 4  # terms; more of them ask several things at once
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
    "say says work works happen happens long kind else mean means meaning take takes "
    "taking took taken made make makes help better best good "
)
_STOP = frozenset(_STOP_WORDS.split())
# Words of all kinds of questions and documents: they say nothing about what is asked.
_WEAK_WORDS = (
    "time times date dates today tomorrow yesterday now day days week weeks month months year years hour "
    "hours minute minutes second seconds name names number numbers people person thing things way ways "
    "question questions answer answers policy policies rule rules detail details information info error "
    "errors first last"
)
_WEAK = frozenset(_WEAK_WORDS.split())
# Whoever asks for a price is answered by an amount.
_PRICES = frozenset({"cost", "costs", "price", "prices", "priced", "pricing", "expensive"})
_PRICE_FORMS = ("cost*", "pric*", "euro", "euros", "eur", "usd", "dollar", "dollars")
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "s", "y", "e")


_BETWEEN_WORDS = re.compile(r"[\W_]+")
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"(?:^|[.!?:\n])[\s\W_]*$")


@dataclass(frozen=True)
class Terms:
    """The words of a prompt that count, each as the forms that it may have in a text.

    A form that ends in `*` stands for all words that begin so: `("pric*",)`, `("api", "apis")`.
    """

    forms: tuple[tuple[str, ...], ...]
    strong: frozenset[int]
    """The numbers of those that say what is asked about: not units of time, small numbers and the like."""
    names: frozenset[int]
    """Of these, the numbers of those that are written like names."""

    @classmethod
    def of(cls, *prompts: str) -> Terms:
        """Read the prompts, the most telling first; question words and the like are left out."""
        found: dict[tuple[str, ...], tuple[bool, bool]] = {}
        for prompt in prompts:
            text = _without_accents(prompt[:20_000])
            words = list(_WORD.finditer(text))
            # In a heading, or in capitals throughout, a capital letter tells nothing.
            telling = 2 * sum(word[0][0].isupper() for word in words) <= len(words)
            for match in words:
                word = match[0].lower()
                if word in _STOP or (word.isdigit() and len(word) == 1):
                    continue
                strong = word not in _WEAK and not (word.isdigit() and len(word) == 2)
                begins = _SENTENCE_END.search(text, 0, match.start()) is not None
                found.setdefault(_forms(word), (strong, telling and match[0][0].isupper() and not begins))
        kept = list(found.items())[:MOST_TERMS]
        strong_ones = frozenset(number for number, (_, (strong, _)) in enumerate(kept) if strong)
        names = frozenset(number for number, (_, (_, name)) in enumerate(kept) if name)
        return cls(tuple(forms for forms, _ in kept), strong_ones, names & strong_ones)

    def suffice(self, found: set[int]) -> bool:
        """Whether a passage that holds these terms is about what was asked.

        Of one or two strong terms it must hold all, of three or four all but one. More of them ask several
        things at once: half of all terms will do.
        """
        count, held = len(self.strong), len(self.strong & found)
        if count > SEVERAL:
            return held >= 2 and 2 * len(found) >= len(self)
        return count > 0 and held >= (count if count <= 2 else count - 1)

    @property
    def match(self) -> str:
        """The full-text query, every word quoted: no prompt can be read as query syntax."""
        forms = (form for term in self.forms for form in term)
        return " OR ".join(f'"{form[:-1]}"*' if form.endswith("*") else f'"{form}"' for form in forms)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(" (?:" + "|".join(map(_pattern, term)) + ")") for term in self.forms]

    def found_in(self, text: str) -> set[int]:
        """Which of the terms a text holds, by their numbers."""
        words = f" {_BETWEEN_WORDS.sub(' ', fold(text))} "
        return {number for number, pattern in enumerate(self._patterns) if pattern.search(words)}

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
    return _without_accents(text).lower()


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _forms(word: str) -> tuple[str, ...]:
    """The forms of a word: its ending goes as long as four letters remain; shorter words have a plural."""
    if word in _PRICES:
        return _PRICE_FORMS
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


# What may follow the first four letters of a short word: "plan", "plans", "planned", and not "planet".
_ENDINGS = "s|es|e|en|y|ies|ied|ing|ings|ed|er|ers|al|ly|able|ment|ments"


def _pattern(form: str) -> str:
    if not form.endswith("*"):
        return f"{form} "
    stem = form[:-1]
    return f"{stem}{stem[-1]}?(?:{_ENDINGS})? " if len(stem) == 4 and stem.isascii() else stem


def choose(candidates: Iterable[Candidate], terms: Terms) -> list[Candidate]:
    """The passages worth quoting, best first; empty when none says enough.

    A passage must hold enough of the terms (its headings count), and be not much worse than the best; at most
    two come from the best page and one from each of two more. A name that none of the passages knows is what
    the question is about, so there is no answer to it.
    """
    found = [(c, terms.found_in(c.text), terms.found_in(f"{c.title} {c.heading}")) for c in candidates]
    known = {number for _, text, above in found for number in text | above}
    if len(terms.strong) <= SEVERAL and not terms.names <= known:
        return []
    rated: list[tuple[float, Candidate]] = []
    for candidate, inside, above in found:
        if terms.suffice(inside | above):
            share = (len(inside | above) + 0.5 * len(inside)) / len(terms)
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


_GREETING = re.compile(r"\s*(?:hello|hi|hey|good (?:morning|afternoon|evening))(?: there)?[\s!.,?]*", re.I)


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
