"""Carrying out a plan: claim the place, fork if it is taken, and note where the answer stands."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Literal

from customgpt_transport.claims import CLAIMS, SessionKey
from customgpt_transport.errors import (
    AnswerFailed,
    APIError,
    CertificateRefused,
    ConfigurationError,
    CustomGPTError,
    NotFound,
)
from customgpt_transport.histories import Plan
from customgpt_transport.models import Message

__all__ = ["Delivery", "OnMismatch", "VerifyTip"]

logger = logging.getLogger("customgpt_transport")

OnMismatch = Literal["fork", "error"]
VerifyTip = Literal["remote", "never"]


class Delivery:
    """One prompt, sent as planned. Both clients use it in the same way:

        while not delivery.done:
            with delivery:
                if delivery.session_to_verify: ...  # list its newest message, and pass that to `newest_is`
                delivery.finish(client.ask(delivery.prompt, **delivery.request))

    If the conversation is gone from the server, the plan forks and the loop runs once more. Other errors
    leave the `with` block unchanged.

    `request` are the keywords that go with the prompt in any case; `project_id` is one of them. `verify_tip`
    says when to ask the server whether the conversation still ends where the history does: None, when this
    process cannot know; "remote", always; "never". `keep_place=False` is for answers that will be cached,
    whose note must not name a place. Raises `ConfigurationError` for a mismatch if `on_mismatch` is "error".
    """

    message: Message

    def __init__(
        self,
        plan: Plan,
        *,
        service: str,
        request: dict[str, Any],
        on_mismatch: OnMismatch = "fork",
        verify_tip: VerifyTip | None = None,
        keep_place: bool = True,
    ) -> None:
        self.done = False
        self._plan = plan
        self._service = service
        self._request = request
        self._on_mismatch = on_mismatch
        self._keep_place = keep_place
        self._verifies = verify_tip == "remote"
        if plan.mismatch:
            self._mismatch(plan.mismatch)
        elif plan.mode == "pinned":
            CLAIMS.take(self._key)
        elif plan.mode == "continue":
            verdict = CLAIMS.claim(self._key, plan.parent_id or 0)
            if verdict == "refused":
                self._fork("something else has continued the conversation from here")
            elif verdict == "unknown" and verify_tip is None:
                self._verifies = True

    @property
    def prompt(self) -> str:
        """What to send now."""
        return self._plan.prompt

    @property
    def request(self) -> dict[str, Any]:
        """The keywords of `ask` and `stream`. A session id of None begins a conversation."""
        return {**self._request, "session_id": self._plan.session_id}

    @property
    def session_to_verify(self) -> str | None:
        """The conversation whose newest message the server must be asked for; None if there is no need."""
        return self._plan.session_id if self._continues and self._verifies else None

    def newest_is(self, newest: Message | None) -> None:
        """Compare the server's newest message with the history's, and fork if they differ."""
        if newest is None or newest.prompt_id != self._plan.parent_id:
            if newest is not None and newest.prompt_id is not None:
                CLAIMS.advance(self._key, newest.prompt_id)
            self._fork("the conversation on the server has moved on")

    def finish(self, message: Message) -> None:
        """Take the complete answer. From now on the conversation may be continued after it."""
        self.done = True
        self.message = message
        if message.prompt_id is not None:
            CLAIMS.advance(self._key_of(message.session_id), message.prompt_id)

    def note(self) -> dict[str, Any]:
        """Return the note of the finished answer, as plain JSON."""
        note = self._plan.note(self.message, self._service)
        if self._keep_place:
            return note
        return {name: note[name] for name in ("v", "service", "project_id", "mode", "recovered")}

    def __enter__(self) -> Delivery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, CustomGPTError):
            return False  # if the caller left, the claim stays: the prompt may have been answered
        if (self._continues or self._plan.mode == "pinned") and _never_arrived(error):
            CLAIMS.release(self._key, self._plan.parent_id)
        if self._continues and isinstance(error, NotFound):
            self._fork("the conversation is no longer on the server")
            return True
        return False

    @property
    def _continues(self) -> bool:
        return self._plan.mode == "continue"

    @property
    def _key(self) -> SessionKey:
        return self._key_of(self._plan.session_id or "")

    def _key_of(self, session_id: str) -> SessionKey:
        return SessionKey(self._service, self._request["project_id"], session_id)

    def _fork(self, reason: str) -> None:
        self._plan = self._plan.fork(reason)
        self._mismatch(reason)

    def _mismatch(self, reason: str) -> None:
        if self._on_mismatch == "error":
            raise ConfigurationError(
                f"The conversation cannot be continued: {reason}. "
                'on_mismatch="fork" (the default) replays the earlier turns in a new conversation.'
            )
        logger.debug("A new conversation replays the earlier turns: %s.", reason)


def _never_arrived(error: CustomGPTError) -> bool:
    """Return whether the conversation provably has no new prompt: it was never sent, or refused unread."""
    if error.resend_safe or isinstance(error, (CertificateRefused, ConfigurationError)):
        return True
    return isinstance(error, APIError) and not isinstance(error, AnswerFailed) and 400 <= error.status < 500
