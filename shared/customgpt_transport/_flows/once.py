"""A prompt that is sent once, however often it is asked: its key finds what earlier calls left.

The conversation's name is all that a later call, in another process or on another machine, can find. To make
it is the mark that a prompt is about to be sent: whoever finds the mark without an answer does not send.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from customgpt_transport import _environment
from customgpt_transport._flights import Flight, Key, another_prompt, flights
from customgpt_transport._flows import Flow, Sleep, Wait
from customgpt_transport._flows.exchange import exchange, fetch
from customgpt_transport._flows.prompts import POLLS, Prompt, ask, prepare
from customgpt_transport._wire import conversations, messages
from customgpt_transport._wire.values import Paginated
from customgpt_transport.errors import (
    AnswerFailed,
    APIError,
    ConfigurationError,
    CustomGPTError,
    NotFound,
    ProtocolError,
    ServerError,
    Unresolved,
)
from customgpt_transport.models import Conversation, FileInput, Message
from customgpt_transport.options import ClientOptions, PromptSettings

MOST_PAGES = 10
"""Pages of conversations to read for one name."""

READABLE = 200
"""Characters of the key that the name of its conversation shows."""

OURS = "once-"
"""How the external ids of prompts asked once begin."""


@dataclass(frozen=True, slots=True)
class Once:
    """A prompt with its key, checked and ready."""

    key: str
    prompt: Prompt
    wait: float
    resend_unresolved: bool
    exclusive: bool

    @property
    def name(self) -> str:
        """The name of its conversation."""
        return f"{' '.join(self.key.split())[:READABLE]} [{_digest(self.key)}]"

    @property
    def flight(self) -> Key:
        """The key under which calls of this process share a flight."""
        return _environment.origin(self.prompt.options.base_url or ""), self.prompt.project_id, self.key


def prepare_once(
    key: str,
    prompt: str,
    fallback: ClientOptions,
    *,
    wait: float | None,
    resend_unresolved: bool,
    exclusive: bool,
    project_id: int | None,
    settings: PromptSettings | None,
    files: Sequence[FileInput],
    options: ClientOptions | None,
) -> Once:
    """Check everything that can be checked without a request. Raises `ConfigurationError`."""
    if not isinstance(key, str) or not key.strip():
        raise ConfigurationError("The key is empty. Name the question, as in 'ticket-4711'.")
    if settings is not None and settings.external_id is not None:
        raise ConfigurationError("external_id is made from key and prompt here: leave it out.")
    if wait is not None and not 0 <= wait < 10**7:
        raise ConfigurationError("wait must be a number of seconds, 0 or more.")
    asked = prepare(prompt, fallback, None, project_id, settings, files, options)
    patience = asked.options.recovery_patience if wait is None else wait
    asked = replace(
        asked,
        external_id=OURS + _digest(key, prompt.strip()),
        own_id=True,
        options=replace(asked.options, recovery_patience=patience),
    )
    return Once(key, asked, patience, resend_unresolved, exclusive)


def ask_once(once: Once, *, blocking: bool) -> Flow[Message]:
    """Return the answer; calls of this process under one key share a flight. `blocking` as in `take_turn`."""
    while True:
        flight, own = flights.board(once.flight, once.prompt.external_id, blocking=blocking)
        if own:
            return (yield from _lead(once, flight, blocking=blocking))
        yield Wait(flight.landed, None)
        if (message := flight.outcome()) is not None:
            return message


def _lead(once: Once, flight: Flight, *, blocking: bool) -> Flow[Message]:
    """Ask on behalf of all who share the flight."""
    outcome: Message | Exception | None = None
    try:
        found = yield from _seek(once)
        if isinstance(found, Message):
            outcome = found
            return found
        try:
            outcome = yield from ask(once.prompt, found.session_id, blocking=blocking)
        except CustomGPTError as error:
            raised = yield from _failed(once, found, error)
            raise raised from (None if raised is error else error)
        return outcome
    except Exception as error:
        outcome = error
        raise
    finally:
        flights.land(flight, outcome)


def _seek(once: Once) -> Flow[Message | Conversation]:
    """Return the answer that an earlier call got, or the conversation in which the prompt is to be sent now.

    Raises `Unresolved` when it was sent, or may have been, and no answer came within `wait`.
    """
    while True:
        named: list[Conversation] = yield from _named(once)
        if not named:
            mine: Conversation = yield from _create(once)
            if not once.exclusive:
                return mine
            try:
                named = yield from _named(once)
            except CustomGPTError:
                yield from _take_back(once, mine)  # nothing was sent
                raise
            if not any(one.session_id == mine.session_id for one in named):
                named.append(mine)  # the list lags behind
            named.sort(key=_number)
            if named[0].session_id == mine.session_id:
                return mine
        found: Message | bool = yield from _await_answer(once, named)
        if isinstance(found, Message):
            return found
        if found and once.resend_unresolved:
            return named[0]
        if found:
            raise _unresolved(once, named[0].session_id)


def _failed(once: Once, mark: Conversation, error: CustomGPTError) -> Flow[CustomGPTError]:
    """Return what to raise for a prompt that ended in `error`.

    Where the service did not take it, the mark is taken back, so that the key can be asked again.
    """
    not_taken = error.resend_safe or (
        isinstance(error, (APIError, ConfigurationError))
        and not isinstance(error, (ServerError, AnswerFailed))
    )
    if not not_taken:
        return error if isinstance(error, AnswerFailed) else _unresolved(once, mark.session_id)
    if not once.resend_unresolved:  # else an earlier prompt may be in there
        yield from _take_back(once, mark)
    return error


def _take_back(once: Once, mark: Conversation) -> Flow[None]:
    with suppress(CustomGPTError):
        request = conversations.delete(once.prompt.project_id, mark.session_id)
        yield from exchange(request, once.prompt.options)


def _named(once: Once) -> Flow[list[Conversation]]:
    """Return the conversations of that name, oldest first; raise where the list cannot show that none is."""
    found: list[Conversation] = []
    name, project_id = once.name, once.prompt.project_id
    for number in range(1, MOST_PAGES + 1):
        request = conversations.list_page(project_id, number, order="asc", name=name)
        page: Paginated[Conversation] = yield from fetch(
            request, once.prompt.options, conversations.parse_conversations
        )
        found += [row for row in page.rows if row.name == name]
        filtered = all(name.casefold() in (row.name or "").casefold() for row in page.rows)
        if filtered and page.next_page is not None:
            continue
        if filtered or found:
            return sorted(found, key=_number)
        break
    raise ProtocolError(
        "The service does not filter conversations by name, so that nothing shows whether this key was asked "
        "before. Nothing was sent. Use `ask`, or a bulk run, whose ledger knows.",
        status=200,
    )


def _create(once: Once) -> Flow[Conversation]:
    request = conversations.create(once.prompt.project_id, once.name)
    mine: Conversation = yield from fetch(request, once.prompt.options, conversations.parse_conversation)
    if mine.id is None:
        raise ProtocolError("The new conversation has no id, which tells whose turn it is. Nothing was sent.")
    return mine


def _await_answer(once: Once, named: Sequence[Conversation]) -> Flow[Message | bool]:
    """Return the stored answer; True when it did not come in time, False when no conversation is left."""
    for pause in _looks(once.wait):
        if pause:
            yield Sleep(pause)
        left = 0
        for one in named:
            try:
                found: Message | None = yield from _answer_in(once, one.session_id)
            except NotFound:
                continue
            if found is not None:
                return replace(found, recovered=True)
            left += 1
        if not left:
            return False
    return True


def _answer_in(once: Once, session_id: str) -> Flow[Message | None]:
    prompt = once.prompt
    request = messages.list_page(prompt.project_id, session_id, 1, order="desc")

    parse = partial(messages.parse_messages, project_id=prompt.project_id, session_id=session_id)
    page: Paginated[Message] = yield from fetch(request, prompt.options, parse)
    for row in page.rows:
        mine = row.external_id == prompt.external_id or (
            not row.external_id and row.prompt.strip() == prompt.text.strip()
        )
        if mine and row.answer:
            return replace(row, external_id=prompt.external_id)
    others = [row.external_id for row in page.rows if row.external_id and row.external_id.startswith(OURS)]
    if any(external_id != prompt.external_id for external_id in others):
        raise another_prompt(once.key)
    return None


def _looks(patience: float) -> Iterator[float]:
    """Yield the pause before each look, the first at once, until the patience is used up."""
    yield 0.0
    pauses = iter(POLLS)
    while patience > 0:
        pause = min(next(pauses, POLLS[-1]), patience)
        patience -= pause
        yield pause


def _unresolved(once: Once, session_id: str) -> Unresolved:
    return Unresolved(
        f"The prompt under the key {once.key!r} was sent before, or may have been, and no answer was found "
        f"within {once.wait:g} s. It may have been billed. Ask again later, or send it again with "
        "resend_unresolved=True.",
        session_id=session_id,
        external_id=once.prompt.external_id,
    )


def _number(conversation: Conversation) -> int:
    return conversation.id or 0


def _digest(*parts: str) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:24]
