"""The words of a prompt that count, and their forms in a text. Pure functions.

A prompt is read in one go, and only as far as it could change the answer.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

__all__ = ["SEVERAL", "Terms"]

READ = 20_000  # characters of a prompt or a passage; beyond them nothing is read
WORDS = 2000  # of a prompt; nor beyond these
MOST_TERMS = 32
SEVERAL = 4  # terms; a prompt with more of them asks several things at once

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
# Words that occur in all kinds of prompts: they do not say what is asked about.
_WEAK_WORDS = (
    "time times date dates today tomorrow yesterday now day days week weeks month months year years hour "
    "hours minute minutes second seconds name names number numbers people person thing things way ways "
    "question questions answer answers policy policies rule rules detail details information info error "
    "errors first last"
)
_WEAK = frozenset(_WEAK_WORDS.split())
# A question about a price is answered by an amount.
_PRICES = frozenset({"cost", "costs", "price", "prices", "priced", "pricing", "expensive"})
_PRICE_FORMS = ("cost*", "pric*", "euro", "euros", "eur", "usd", "dollar", "dollars")
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "s", "y", "e")


_BETWEEN_WORDS = re.compile(r"[\W_]+")
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = frozenset(".!?:\n")


@dataclass(frozen=True)
class Terms:
    """The words of a prompt that count, each with its forms in a text.

    A form that ends in `*` stands for all words that start like it: `("pric*",)`, `("api", "apis")`.
    """

    forms: tuple[tuple[str, ...], ...]
    strong: frozenset[int]
    """The numbers of the terms that say what is asked about: not units of time and the like."""
    names: frozenset[int]
    """The numbers of the strong terms that are written like names."""

    @classmethod
    def of(cls, *prompts: str) -> Terms:
        """Return the terms of prompts, the most important first, without question words and the like."""
        found: dict[tuple[str, ...], tuple[bool, bool]] = {}
        for prompt in prompts:
            if len(found) == MOST_TERMS:
                break
            words = _words(prompt)
            # In a heading, or in all capitals, a capital letter means nothing.
            telling = 2 * sum(written[0].isupper() for written, _ in words) <= len(words)
            read: set[str] = set()
            for written, begins in words:
                word = written.lower()
                if word in read or word in _STOP or (word.isdigit() and len(word) == 1):
                    continue
                read.add(word)
                strong = word not in _WEAK and not (word.isdigit() and len(word) == 2)
                found.setdefault(_forms(word), (strong, telling and written[0].isupper() and not begins))
                if len(found) == MOST_TERMS:
                    break
        kept = list(found.items())
        strong_ones = frozenset(number for number, (_, (strong, _)) in enumerate(kept) if strong)
        names = frozenset(number for number, (_, (_, name)) in enumerate(kept) if name)
        return cls(tuple(forms for forms, _ in kept), strong_ones, names & strong_ones)

    def suffice(self, found: set[int]) -> bool:
        """Return whether a passage with these terms is about what was asked.

        Of one or two strong terms it must hold all, of three or four all but one. More of them ask several
        things at once: half of all terms will do.
        """
        count, held = len(self.strong), len(self.strong & found)
        if count > SEVERAL:
            return held >= 2 and 2 * len(found) >= len(self)
        return count > 0 and held >= (count if count <= 2 else count - 1)

    @property
    def match(self) -> str:
        """The full-text query. Every word is quoted, so that no prompt is read as query syntax."""
        forms = (form for term in self.forms for form in term)
        return " OR ".join(f'"{form[:-1]}"*' if form.endswith("*") else f'"{form}"' for form in forms)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(" (?:" + "|".join(map(_pattern, term)) + ")") for term in self.forms]

    def found_in(self, text: str) -> set[int]:
        """Return the numbers of the terms that a text has."""
        words = f" {_BETWEEN_WORDS.sub(' ', fold(text[:READ]))} "
        return {number for number, pattern in enumerate(self._patterns) if pattern.search(words)}

    def __len__(self) -> int:
        return len(self.forms)


def fold(text: str) -> str:
    """Return text in lower case without accents, like the index."""
    return _without_accents(text).lower()


class _Plain(dict[int, str]):
    """Maps each character to itself without accents; filled as characters are met.

    One by one: `normalize` sorts a run of accents in a time that grows with the square of its length.
    """

    def __missing__(self, code: int) -> str:
        decomposed = unicodedata.normalize("NFKD", chr(code))
        plain = "".join(c for c in decomposed if not unicodedata.combining(c))
        if len(self) < KNOWN_CHARACTERS:
            self[code] = plain
        return plain


KNOWN_CHARACTERS = 20_000  # remembered; no text of one script has as many
_PLAIN = _Plain()


def _without_accents(text: str) -> str:
    return text if text.isascii() else text.translate(_PLAIN)


def _words(prompt: str) -> list[tuple[str, bool]]:
    """Return the words of a prompt without accents, and whether each starts a sentence."""
    text = _without_accents(prompt[:READ])[:READ]
    found: list[tuple[str, bool]] = []
    end = 0
    for match in islice(_WORD.finditer(text), WORDS):
        between = text[end : match.start()]
        found.append((match[0], not found or not _SENTENCE_END.isdisjoint(between)))
        end = match.end()
    return found


def _forms(word: str) -> tuple[str, ...]:
    """Return the forms of a word: without its ending if four letters remain; a shorter word has a plural."""
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


# What may follow a stem of four letters: "plan", "plans", "planned", but not "planet".
_ENDINGS = "s|es|e|en|y|ies|ied|ing|ings|ed|er|ers|al|ly|able|ment|ments"


def _pattern(form: str) -> str:
    if not form.endswith("*"):
        return f"{form} "
    stem = form[:-1]
    return f"{stem}{stem[-1]}?(?:{_ENDINGS})? " if len(stem) == 4 and stem.isascii() else stem
