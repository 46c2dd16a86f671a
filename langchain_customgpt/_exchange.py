"""One call of the chat model: what to send, what came of it, and who may continue from there."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Literal

from langchain_core.outputs import ChatGenerationChunk, ChatResult

from customgpt_transport.errors import AnswerFailed, APIError, CertificateRefused, CustomGPTError
from customgpt_transport.errors import ConfigurationError as TransportConfigurationError
from customgpt_transport.errors import NotFound as TransportNotFound
from customgpt_transport.models import Message
from langchain_customgpt._claims import CLAIMS, SessionKey
from langchain_customgpt._history import Plan, write_place
from langchain_customgpt._reply import Reply
from langchain_customgpt.errors import ConfigurationError, as_langchain

logger = logging.getLogger("langchain_customgpt")

OnMismatch = Literal["fork", "error"]
VerifyTip = Literal["remote", "never"]


class Exchange:
    """Carries a plan through: claims its place, forks where it must, and notes where the answer stands.

    Used as `while not exchange.done:` around `with exchange:` around sending `prompt` with `request`; both
    colours of client do that. Leaving the `with` block turns our errors into LangChain's. A conversation that
    turns out to be gone from the server is forked, and the loop goes round once more.

    `request` is what goes with the prompt whatever the plan; `reply` makes LangChain's result of the answer.
    `verify_tip` is when to ask the server whether a conversation still stands where the history does: None,
    when this process cannot know; "remote", always; "never". `keep_place=False` is for answers that will be
    cached: they must not say where they stand.
    """

    message: Message

    def __init__(
        self,
        plan: Plan,
        reply: Reply,
        *,
        service: str,
        request: dict[str, Any],
        on_mismatch: OnMismatch,
        verify_tip: VerifyTip | None = None,
        keep_place: bool = True,
    ) -> None:
        self.reply = reply
        self._plan = plan
        self._service = service
        self._request = request
        self._project_id: int = request["project_id"]
        self._on_mismatch = on_mismatch
        self._keep_place = keep_place
        self.done = False
        self._verifies = verify_tip == "remote"
        if plan.mismatch:
            self._mismatch(plan.mismatch)
        elif plan.mode == "pinned":
            CLAIMS.take(self._key(plan.session_id or ""))
        elif plan.mode == "continue":
            verdict = CLAIMS.claim(self._key(plan.session_id or ""), plan.parent_id or 0)
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
        """The keywords of `ask` and `stream` to send it with. No session id begins a conversation."""
        return {**self._request, "session_id": self._plan.session_id}

    @property
    def session_to_verify(self) -> str | None:
        """The conversation of which to ask the server whether it has moved on; None when there is no need."""
        return self._plan.session_id if self._continues and self._verifies else None

    def newest_is(self, newest: Message | None) -> None:
        """Take the server's word on the newest prompt of the conversation; fork if it is another."""
        if newest is None or newest.prompt_id != self._plan.parent_id:
            if newest is not None and newest.prompt_id is not None:
                CLAIMS.advance(self._key(self._plan.session_id or ""), newest.prompt_id)
            self._fork("the conversation on the server has moved on")

    def finish(self, message: Message) -> None:
        """The answer is complete: whoever has it may continue from it."""
        self.done = True
        self.message = message
        if message.prompt_id is not None:
            CLAIMS.advance(self._key(message.session_id), message.prompt_id)

    def result(self, sources: list[dict[str, Any]] | None) -> ChatResult:
        """The finished answer as LangChain's result."""
        return self.reply.result(self.message, self.reply.metadata(self._note(), sources))

    def last_chunk(self, sources: list[dict[str, Any]] | None) -> ChatGenerationChunk:
        """The end of the finished answer as LangChain's last chunk."""
        return self.reply.last_chunk(self.reply.metadata(self._note(), sources))

    def _note(self) -> dict[str, Any]:
        """What `response_metadata["customgpt"]` says; not the answer's place when it will be cached."""
        message = self.message
        place = write_place(
            self._plan,
            service=self._service,
            project_id=self._project_id,
            session_id=message.session_id,
            prompt_id=message.prompt_id,
            answer=message.answer,
        )
        if not self._keep_place:
            place = {key: place[key] for key in ("v", "service", "project_id", "mode")}
        else:
            place["external_id"] = message.external_id
        return {**place, "recovered": message.recovered}

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, CustomGPTError):
            return False  # also when the caller left: the claim stays, for the prompt may have been answered
        if (self._continues or self._plan.mode == "pinned") and _never_arrived(error):
            CLAIMS.release(*self._claim())
        if self._continues and isinstance(error, TransportNotFound):
            self._fork("the conversation is no longer on the server")
            return True
        converted = as_langchain(error)
        if converted is error:
            return False
        raise converted from converted.__cause__

    @property
    def _continues(self) -> bool:
        return self._plan.mode == "continue"

    def _key(self, session_id: str) -> SessionKey:
        return SessionKey(self._service, self._project_id, session_id)

    def _claim(self) -> tuple[SessionKey, int | None]:
        return self._key(self._plan.session_id or ""), self._plan.parent_id

    def _fork(self, reason: str) -> None:
        self._plan = self._plan.fork(reason)
        self._mismatch(reason)

    def _mismatch(self, reason: str) -> None:
        if self._on_mismatch == "error":
            raise ConfigurationError(
                f"The conversation cannot be continued: {reason}. "
                'With on_mismatch="fork" (the default) a new conversation would be told the earlier turns.'
            )
        logger.debug("A new conversation is told the earlier turns: %s.", reason)


def _never_arrived(error: CustomGPTError) -> bool:
    """Whether the conversation provably has no new prompt: refused before any work, or never sent."""
    if error.resend_safe or isinstance(error, (CertificateRefused, TransportConfigurationError)):
        return True
    return isinstance(error, APIError) and not isinstance(error, AnswerFailed) and 400 <= error.status < 500
