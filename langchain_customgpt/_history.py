"""From messages to the next prompt: what the server's conversation already holds, and what it lacks.

LangChain gives the whole history with every call; the server keeps its own and takes one prompt at a time.
Each answer of ours says in `response_metadata["customgpt"]` where it stands on the server, and carries
digests of what the server held at that point. If the history still says the same, only the new text is sent;
if not, a new conversation is started and told the earlier turns. Nothing here does I/O or remembers anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage

from customgpt_transport.transcript import MAX_TRANSCRIPT_CHARACTERS
from langchain_customgpt._claims import SessionKey
from langchain_customgpt._messages import Turn, read_turns, with_history
from langchain_customgpt.errors import ConfigurationError

METADATA_KEY = "customgpt"
VERSION = 1
TRAIL_TURNS = 64

Mode = Literal["new", "continue", "fork", "pinned", "stateless"]
SystemMessagePolicy = Literal["persona", "prepend", "ignore", "error"]


@dataclass(frozen=True)
class Place:
    """Where an answer of ours stands on the server, and what the server held there.

    `prompt_digest` is of what was said since the answer before it, `base_digest` is the trail of what was
    replayed when its conversation began in the middle of a history, `answer_digest` is of the whole answer
    (also of what came after a stop sequence: what the user never saw, the server holds all the same).
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

    `session_id` None means a new conversation. `parent_id` is the prompt that this one follows. `mismatch`
    says why an answer of ours in the history cannot be continued, '' when there is none or it can.
    `otherwise` is the same question for a new conversation, should the server's conversation turn out not to
    stand where the history does.
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
        """The same question in a new conversation, and why."""
        if self.otherwise is None:
            raise ValueError(f"a {self.mode} plan has nowhere to fork to")
        return replace(self.otherwise, mismatch=mismatch)


def digest(turns: Iterable[Turn]) -> str:
    """A fingerprint of who said what; names, ids and metadata do not count."""
    said = json.dumps([(turn.role, turn.text) for turn in turns])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def trail(turns: Sequence[Turn]) -> list[str]:
    """A fingerprint of each of the newest turns, after one of all older ones if there are more than 64.

    A trail of the last turns alone is its end: what is left of a history that was trimmed is still known.
    """
    older, newest = turns[:-TRAIL_TURNS], turns[-TRAIL_TURNS:]
    return [*([digest(older)] if older else []), *(digest([turn])[:8] for turn in newest)]


def digest_text(text: str) -> str:
    """A fingerprint of one text; white space around it does not count (the service is not exact about it)."""
    return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()[:32]


def service_of(base_url: str) -> str:
    """A short name for the server behind `base_url` that does not tell its address."""
    return hashlib.sha256(base_url.rstrip("/").encode()).hexdigest()[:12]


def write_place(
    plan: Plan, *, service: str, project_id: int, session_id: str, prompt_id: int | None, answer: str
) -> dict[str, Any]:
    """The part of `response_metadata["customgpt"]` that `read_place` reads back."""
    return {
        "v": VERSION,
        "service": service,
        "project_id": project_id,
        "session_id": session_id,
        "prompt_id": prompt_id,
        "parent_id": plan.parent_id,
        "mode": plan.mode,
        "prompt_digest": plan.prompt_digest,
        "answer_digest": digest_text(answer),
        "base_digest": plan.base_digest,
    }


def read_place(message: BaseMessage) -> Place | None:
    """Where the message stands on the server; None for other models, unknown versions, damaged notes."""
    note = message.response_metadata.get(METADATA_KEY) if isinstance(message, AIMessage) else None
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


def make_plan(
    messages: Sequence[BaseMessage],
    *,
    service: str,
    project_id: int,
    session_id: str | None = None,
    stateless: bool = False,
    system_message: SystemMessagePolicy = "persona",
    max_history_chars: int = MAX_TRANSCRIPT_CHARACTERS,
) -> Plan:
    """What to send for `messages`.

    Raises `ConfigurationError` (a ValueError) when they do not end in a human message with text, for a part
    that is not text, and for a system message under the policy "error".
    """
    turns = read_turns(messages)
    system = _joined([turn for turn in turns if turn.role == "system"])
    if system and system_message == "error":
        raise ConfigurationError(
            'system_message="error": remove the system message, or choose another policy.'
        )
    turns = [turn for turn in turns if turn.role != "system"]
    if not turns or turns[-1].role != "human":
        last = f"the last one is of type {turns[-1].message.type!r}" if turns else "there is none"
        raise ConfigurationError(f"The messages must end in a human message, to be answered; {last}.")
    if not turns[-1].text.strip():
        raise ConfigurationError(
            "The last human message is empty: CustomGPT.ai answers a prompt that says something."
        )
    preface = f"{system}\n\n" if system and system_message == "prepend" else ""
    persona = system if system_message == "persona" else ""
    base, trailing = _split_trailing(turns)
    question = preface + _joined(trailing)

    if session_id is not None:
        return Plan("pinned", question, persona, digest(trailing), session_id=session_id)
    fresh = Plan(
        mode="stateless" if stateless else "fork" if base else "new",
        prompt=with_history(base, question, max_history_chars),
        system=persona,
        prompt_digest=digest(trailing),
        base_digest=trail(base) if base else None,
    )
    if stateless:
        return fresh
    found = _last_own(turns, service, project_id)
    if found is None:
        return fresh
    position, place = found
    if not _still_true(turns, position, place):
        return replace(fresh, mismatch="the history is not what the conversation on the server holds")
    since = turns[position + 1 :]
    delta_base, _ = _split_trailing(since)
    return Plan(
        mode="continue",
        prompt=with_history(delta_base, question, max_history_chars),
        system=persona,
        prompt_digest=digest(since),
        session_id=place.key.session_id,
        parent_id=place.prompt_id,
        otherwise=fresh,
    )


def _joined(turns: Sequence[Turn]) -> str:
    return "\n\n".join(turn.text for turn in turns if turn.text.strip())


def _split_trailing(turns: Sequence[Turn]) -> tuple[Sequence[Turn], Sequence[Turn]]:
    """What comes before the human messages at the end, and those."""
    cut = len(turns)
    while cut and turns[cut - 1].role == "human":
        cut -= 1
    return turns[:cut], turns[cut:]


def _last_own(turns: Sequence[Turn], service: str, project_id: int) -> tuple[int, Place] | None:
    """The newest answer of this agent, with its position."""
    for position in range(len(turns) - 1, -1, -1):
        place = read_place(turns[position].message)
        if place is not None and (place.key.service, place.key.project_id) == (service, project_id):
            return position, place
    return None


def _still_true(turns: Sequence[Turn], position: int, place: Place) -> bool:
    """Whether all up to the answer at `position` is what its conversation holds; it may begin anywhere."""
    while digest_text(turns[position].text) == place.answer_digest:
        before = turns[:position]
        if not before:
            return True  # trimmed
        if place.mode == "pinned":
            return (
                digest(_split_trailing(before)[1]) == place.prompt_digest
            )  # the caller chose: no checks further back
        if place.parent_id is None:
            base, trailing = _split_trailing(before)
            return digest(trailing) == place.prompt_digest and _ends(place.base_digest or [], trail(base))
        parent = _own_prompt(before, place.key, place.parent_id)
        if parent is None:
            return digest(before) == place.prompt_digest  # trimmed just before this turn
        if digest(before[parent[0] + 1 :]) != place.prompt_digest:
            return False
        position, place = parent
    return False


def _ends(whole: list[str], end: list[str]) -> bool:
    return len(end) <= len(whole) and whole[len(whole) - len(end) :] == end


def _own_prompt(turns: Sequence[Turn], key: SessionKey, prompt_id: int) -> tuple[int, Place] | None:
    for position in range(len(turns) - 1, -1, -1):
        place = read_place(turns[position].message)
        if place is not None and place.key == key and place.prompt_id == prompt_id:
            return position, place
    return None
