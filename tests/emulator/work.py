"""Work that is counted, not timed: the lines of ours that run, and the steps that regular expressions take.

A regular expression's steps cannot be seen from outside, so a matcher of our own takes them: it backtracks as
Python's does, each attempt at a part of the pattern is a step, and it must come to the same end as Python's.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import pytest

import customgpt_emulator.knowledge

if sys.version_info >= (3, 11):
    from re import _parser as sre
else:
    import sre_parse as sre

OURS = "customgpt_emulator"


class Work:
    """What was done so far."""

    def __init__(self) -> None:
        self.steps = 0


def modules() -> Iterator[ModuleType]:
    """Those that read documents and prompts."""
    package = customgpt_emulator.knowledge
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        yield importlib.import_module(found.name)


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Every regular expression of theirs, by a name for it."""
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", value
            elif isinstance(value, dict):
                for key, inner in value.items():
                    if isinstance(inner, re.Pattern):
                        yield f"{module.__name__.rpartition('.')[2]}.{name}[{key}]", inner


def counted(task: Callable[[], Any]) -> int:
    """How much work the task is."""
    work = Work()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if OURS not in frame.f_code.co_filename:
            return None
        work.steps += event == "line"
        return trace

    with pytest.MonkeyPatch.context() as patch:
        for module in modules():
            for name, value in list(vars(module).items()):
                if isinstance(value, re.Pattern):
                    patch.setattr(module, name, Stepping(value, work))
                elif isinstance(value, dict) and any(isinstance(v, re.Pattern) for v in value.values()):
                    patch.setattr(module, name, {key: Stepping(v, work) for key, v in value.items()})
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            task()
        finally:
            sys.settrace(before)
    return work.steps


class Stepping:
    """A regular expression whose steps are counted."""

    def __init__(self, pattern: re.Pattern[str], work: Work) -> None:
        self._pattern = pattern
        self._matcher = _Matcher(pattern, work)

    def match(self, text: str, pos: int = 0) -> re.Match[str] | None:
        found = self._pattern.match(text, pos)
        assert self._matcher.match(text, pos) == (found and found.end())
        return found

    def fullmatch(self, text: str) -> re.Match[str] | None:
        found = self._pattern.fullmatch(text)
        assert self._matcher.match(text, 0, whole=True) == (found and found.end())
        return found

    def search(self, text: str, pos: int = 0) -> re.Match[str] | None:
        return next(self.finditer(text, pos), None)

    def finditer(self, text: str, pos: int = 0) -> Iterator[re.Match[str]]:
        found = self._pattern.search(text, pos)
        while True:
            assert self._matcher.search(text, pos) == (found and found.span())
            if found is None:
                return
            yield found
            pos = found.end() + (found.end() == found.start())
            if pos > len(text):
                return
            found = self._pattern.search(text, pos)

    def sub(self, by: str, text: str) -> str:
        for _ in self.finditer(text):
            pass
        return self._pattern.sub(by, text)


_WORD = re.compile(r"\w")
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    sre.CATEGORY_DIGIT: str.isdecimal,
    sre.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    sre.CATEGORY_WORD: lambda c: bool(_WORD.match(c)),
    sre.CATEGORY_NOT_WORD: lambda c: not _WORD.match(c),
}
_ONE_CHARACTER = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)


class _Matcher:
    """Backtracks through a parsed pattern. Each method yields the ends that are possible, best first."""

    def __init__(self, pattern: re.Pattern[str], work: Work) -> None:
        self._nodes = list(sre.parse(pattern.pattern, pattern.flags))
        self._folded = bool(pattern.flags & re.IGNORECASE)
        self._multiline = bool(pattern.flags & re.MULTILINE)
        self._dotall = bool(pattern.flags & re.DOTALL)
        self._work = work
        self._text = ""
        self._fitting: dict[tuple[int, str], bool] = {}

    def match(self, text: str, pos: int, *, whole: bool = False) -> int | None:
        self._text = text.lower() if self._folded else text
        return next((end for end in self._sequence(self._nodes, pos) if not whole or end == len(text)), None)

    def search(self, text: str, pos: int) -> tuple[int, int] | None:
        self._text = text.lower() if self._folded else text
        for start in range(pos, len(text) + 1):
            end = next(self._sequence(self._nodes, start), None)
            if end is not None:
                return start, end
        return None

    def _sequence(self, nodes: list[Any], at: int) -> Iterator[int]:
        if not nodes:
            yield at
            return
        for end in self._node(nodes[0], at):
            yield from self._sequence(nodes[1:], end)

    def _node(self, node: Any, at: int) -> Iterator[int]:
        self._work.steps += 1
        kind, value = node
        if kind in _ONE_CHARACTER:
            if at < len(self._text) and self._fits(node, self._text[at]):
                yield at + 1
        elif kind is sre.SUBPATTERN:
            yield from self._sequence(list(value[3]), at)
        elif kind is sre.BRANCH:
            for choice in value[1]:
                yield from self._sequence(list(choice), at)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, inner = value
            (one, *more) = list(inner)
            if one[0] in _ONE_CHARACTER and not more:
                yield from self._run(one, at, least, most, lazy=kind is sre.MIN_REPEAT)
            else:
                yield from self._repeat(list(inner), at, least, most)
        elif kind in (sre.ASSERT, sre.ASSERT_NOT):
            direction, inner = value
            start = at if direction > 0 else at - 1  # looking back over one character
            held = start >= 0 and next(self._sequence(list(inner), start), None) is not None
            if held is (kind is sre.ASSERT):
                yield at
        elif kind is sre.AT:
            if self._stands(value, at):
                yield at
        else:
            raise NotImplementedError(f"{kind} is not counted yet")

    def _run(self, one: Any, at: int, least: int, most: int, *, lazy: bool) -> Iterator[int]:
        end = at
        while not lazy and end - at < most and end < len(self._text):
            self._work.steps += 1
            if not self._fits(one, self._text[end]):
                break
            end += 1
        if not lazy:
            for back in range(end, at + least - 1, -1):
                self._work.steps += 1
                yield back
            return
        while True:
            self._work.steps += 1
            if end - at >= least:
                yield end
            if end - at >= most or end >= len(self._text) or not self._fits(one, self._text[end]):
                return
            end += 1

    def _repeat(self, inner: list[Any], at: int, least: int, most: int) -> Iterator[int]:
        """Greedy, as all of ours are that repeat more than a character."""
        ends, going_on = [at], [self._sequence(inner, at)]
        while going_on:
            end = next(going_on[-1], None) if len(going_on) <= most else None
            if end is None:
                going_on.pop()
                end = ends.pop()
                if len(going_on) >= least:
                    yield end
            elif end > ends[-1]:
                ends.append(end)
                going_on.append(self._sequence(inner, end))

    def _fits(self, node: Any, char: str) -> bool:
        known = self._fitting.get((id(node), char))
        if known is None:
            known = self._fitting[id(node), char] = self._is_one_of(node, char)
        return known

    def _is_one_of(self, node: Any, char: str) -> bool:
        kind, value = node
        if kind is sre.ANY:
            return self._dotall or char != "\n"
        if kind is sre.IN:
            negated = value[0][0] is sre.NEGATE
            return any(self._fits(item, char) for item in value[negated:]) is not negated
        if kind is sre.RANGE:
            return value[0] <= ord(char) <= value[1] or (
                self._folded and value[0] <= ord(char.upper()[0]) <= value[1]
            )
        if kind is sre.CATEGORY:
            return _CATEGORIES[value](char)
        same = char == (chr(value).lower() if self._folded else chr(value))
        return same is (kind is sre.LITERAL)

    def _stands(self, where: Any, at: int) -> bool:
        text = self._text
        if where in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return at == 0 or (self._multiline and where is sre.AT_BEGINNING and text[at - 1] == "\n")
        if where is sre.AT_END:
            return at >= len(text) - (text[-1:] == "\n") or (self._multiline and text[at] == "\n")
        before = at > 0 and bool(_WORD.match(text[at - 1]))
        after = at < len(text) and bool(_WORD.match(text[at]))
        return (before is not after) is (where is sre.AT_BOUNDARY)
