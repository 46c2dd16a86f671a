"""From a history to the next prompt: what the conversation on the server holds already, and what it lacks.

A framework passes the whole history with every call, while the server keeps its own and takes one prompt at a
time. So each of our answers carries a note that says where it stands on the server, with digests of what the
server held then. If the history still says the same, only the new text is sent. Otherwise a new conversation
is started, and the earlier turns are replayed in it. Nothing here does I/O or keeps state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from customgpt_transport.claims import SessionKey
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.models import Message
from customgpt_transport.transcript import MAX_TRANSCRIPT_CHARACTERS, HistoryTurn, with_transcript

__all__ = [
    "NOTE_KEY",
    "Mode",
    "Place",
    "Plan",
    "SystemMessagePolicy",
    "digest",
    "digest_text",
    "make_plan",
    "notes_of",
    "read_place",
    "service_of",
    "system_text",
]

NOTE_KEY = "customgpt"
"""The key under which a framework's message keeps its note."""

VERSION = 1
TRAIL_TURNS = 64

Mode = Literal["new", "continue", "fork", "pinned", "stateless"]
SystemMessagePolicy = Literal["persona", "prepend", "ignore", "error"]


@dataclass(frozen=True)
class Place:
    """Where one of our answers stands on the server, and what the server held then.

    `prompt_digest` covers the turns since the answer before it. `base_digest` is the trail of the turns that
    were replayed when the conversation began. `answer_digest` covers the whole answer, also what came after a
    stop sequence: the user did not see that, but the server holds it.
    """

    key: SessionKey
    prompt_id: int
    parent_id: int | None
    mode: Mode
    prompt_digest: str
    answer_digest: str
    base_digest: list[str] | None


@dataclass(frozen=True)
class Plan:
    """What to send, and where.

    A `session_id` of None means a new conversation. `parent_id` is the prompt that this one follows. `system`
    is the text to send as the persona. `mismatch` says why our newest answer in the history cannot be
    continued; '' when it can, or there is none. `otherwise` is the plan for a new conversation, in case the
    one on the server turns out to have moved on.
    """

    mode: Mode
    prompt: str
    system: str
    prompt_digest: str
    session_id: str | None = None
    parent_id: int | None = None
    base_digest: list[str] | None = None
    mismatch: str = ""
    otherwise: Plan | None = None

    def fork(self, mismatch: str) -> Plan:
        """Return the plan that asks the same in a new conversation, because of `mismatch`."""
        if self.otherwise is None:
            raise ValueError(f"a {self.mode} plan has nowhere to fork to")
        return replace(self.otherwise, mismatch=mismatch)

    def note(self, message: Message, service: str) -> dict[str, Any]:
        """Return the note of the answer `message`, as plain JSON; `read_place` reads it back."""
        return {
            "v": VERSION,
            "service": service,
            "project_id": message.project_id,
            "session_id": message.session_id,
            "prompt_id": message.prompt_id,
            "parent_id": self.parent_id,
            "mode": self.mode,
            "prompt_digest": self.prompt_digest,
            "answer_digest": digest_text(message.answer),
            "base_digest": self.base_digest,
            "external_id": message.external_id,
            "recovered": message.recovered,
        }


def digest(turns: Iterable[HistoryTurn]) -> str:
    """Return a fingerprint of who said what; names, ids and notes do not count."""
    said = json.dumps([(turn.role, turn.text) for turn in turns])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def digest_text(text: str) -> str:
    """Return a fingerprint of one text without the white space around it: the service varies that."""
    return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()[:32]


def service_of(base_url: str) -> str:
    """Return a short name for the server behind `base_url` that does not reveal its address."""
    return hashlib.sha256(base_url.rstrip("/").encode()).hexdigest()[:12]


def system_text(turns: Iterable[HistoryTurn]) -> str:
    """Return the system messages among `turns` as one text; '' when there are none."""
    return _joined(turn for turn in turns if turn.role == "system")


def read_place(note: object) -> Place | None:
    """Return the place that a note describes; None for no note, a damaged one, or an unknown version."""
    if not isinstance(note, Mapping) or note.get("v") != VERSION:
        return None
    try:
        place = Place(
            key=SessionKey(note["service"], note["project_id"], note["session_id"]),
            prompt_id=note["prompt_id"],
            parent_id=note["parent_id"],
            mode=note["mode"],
            prompt_digest=note["prompt_digest"],
            answer_digest=note["answer_digest"],
            base_digest=note["base_digest"],
        )
    except KeyError:
        return None
    whole = (
        isinstance(place.base_digest, list | None)
        and isinstance(place.prompt_id, int)
        and isinstance(place.key.session_id, str)
        and place.key.session_id
    )
    return place if whole else None


def notes_of(rows: Iterable[Message], service: str) -> Iterator[dict[str, Any]]:
    """Yield the note of each answer of a conversation that was read from the server, oldest first."""
    parent_id = None
    for row in rows:
        asked = digest([HistoryTurn("User", row.prompt, "human")])
        yield Plan("continue", row.prompt, "", asked, parent_id=parent_id).note(row, service)
        parent_id = row.prompt_id


def make_plan(
    turns: Sequence[HistoryTurn],
    *,
    service: str,
    project_id: int,
    session_id: str | None = None,
    stateless: bool = False,
    system_message: SystemMessagePolicy = "persona",
    max_history_chars: int = MAX_TRANSCRIPT_CHARACTERS,
) -> Plan:
    """Return what to send for a history that ends in the question.

    `session_id` pins the conversation; `stateless` always begins a new one. At most `max_history_chars`
    characters of earlier turns are replayed. Raises `ConfigurationError` when the history does not end in a
    human message with text, and for a system message under the policy "error".
    """
    system = system_text(turns)
    if system and system_message == "error":
        raise ConfigurationError(
            'system_message="error": remove the system message, or choose another policy.'
        )
    turns = [turn for turn in turns if turn.role != "system"]
    if not turns or turns[-1].role != "human":
        last = f"the last one is by {turns[-1].speaker!r}" if turns else "there is none"
        raise ConfigurationError(f"The messages must end in a human message, to be answered; {last}.")
    if not turns[-1].text.strip():
        raise ConfigurationError(
            "The last human message is empty: CustomGPT.ai answers only a prompt with text."
        )
    preface = f"{system}\n\n" if system and system_message == "prepend" else ""
    persona = system if system_message == "persona" else ""
    base, trailing = _split_trailing(turns)
    question = preface + _joined(trailing)

    if session_id is not None:
        return Plan("pinned", question, persona, digest(trailing), session_id=session_id)
    fresh = Plan(
        mode="stateless" if stateless else "fork" if base else "new",
        prompt=with_transcript(base, question, max_characters=max_history_chars),
        system=persona,
        prompt_digest=digest(trailing),
        base_digest=_trail(base) if base else None,
    )
    if stateless:
        return fresh
    agent = (service, project_id)
    found = next((own for own in _places(turns) if own[1].key.agent == agent), None)
    if found is None:
        return fresh
    position, place = found
    if not _still_true(turns, position, place):
        return replace(fresh, mismatch="the history is not what the conversation on the server holds")
    since = turns[position + 1 :]
    delta_base, _ = _split_trailing(since)
    return Plan(
        mode="continue",
        prompt=with_transcript(delta_base, question, max_characters=max_history_chars),
        system=persona,
        prompt_digest=digest(since),
        session_id=place.key.session_id,
        parent_id=place.prompt_id,
        otherwise=fresh,
    )


def _joined(turns: Iterable[HistoryTurn]) -> str:
    return "\n\n".join(turn.text for turn in turns if turn.text.strip())


def _trail(turns: Sequence[HistoryTurn]) -> list[str]:
    """Return a fingerprint of each of the newest turns, after one of all older ones if there are over 64.

    The trail of a trimmed history is the end of the whole trail, so the history is still recognised.
    """
    older, newest = turns[:-TRAIL_TURNS], turns[-TRAIL_TURNS:]
    return [*([digest(older)] if older else []), *(digest([turn])[:8] for turn in newest)]


def _split_trailing(
    turns: Sequence[HistoryTurn],
) -> tuple[Sequence[HistoryTurn], Sequence[HistoryTurn]]:
    """Return what comes before the human messages at the end, and those."""
    cut = len(turns)
    while cut and turns[cut - 1].role == "human":
        cut -= 1
    return turns[:cut], turns[cut:]


def _places(turns: Sequence[HistoryTurn]) -> Iterator[tuple[int, Place]]:
    """Yield the position and place of each of our answers, newest first."""
    for position in range(len(turns) - 1, -1, -1):
        place = read_place(turns[position].note)
        if place is not None:
            yield position, place


def _still_true(turns: Sequence[HistoryTurn], position: int, place: Place) -> bool:
    """Return whether the turns up to the answer at `position` are what its conversation holds.

    The history may begin anywhere in the conversation, because its beginning may have been trimmed.
    """
    while digest_text(turns[position].text) == place.answer_digest:
        before = turns[:position]
        if not before:
            return True
        if place.mode == "pinned":  # the caller chose the conversation: no check further back
            return digest(_split_trailing(before)[1]) == place.prompt_digest
        if place.parent_id is None:
            base, trailing = _split_trailing(before)
            return digest(trailing) == place.prompt_digest and _ends(place.base_digest or [], _trail(base))
        parent_at = (place.key, place.parent_id)
        parent = next((own for own in _places(before) if (own[1].key, own[1].prompt_id) == parent_at), None)
        if parent is None:
            return digest(before) == place.prompt_digest  # trimmed just before this turn
        if digest(before[parent[0] + 1 :]) != place.prompt_digest:
            return False
        position, place = parent
    return False


def _ends(whole: list[str], end: list[str]) -> bool:
    return len(end) <= len(whole) and whole[len(whole) - len(end) :] == end
