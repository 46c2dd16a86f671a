"""An answer while it arrives: bytes in, deltas and the finish out. No I/O, no clock.

Only `finish` completes an answer; the end of the bytes proves nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from customgpt_transport._secrets import redact
from customgpt_transport._sse import ServerSentEvent, SSEDecoder
from customgpt_transport._wire.values import citation_ids, integer, timestamp
from customgpt_transport.errors import AnswerFailed, CustomGPTError, ProtocolError, StreamInterrupted
from customgpt_transport.models import AnswerDelta, AnswerFinished, Message, MessageEvent

logger = logging.getLogger("customgpt_transport")

# json.loads without its checks: half the cost of a token is here. Typeshed does not know it.
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_KNOWN = frozenset({"start", "progress", "finish", "error"})


class Answer:
    """The answer to one prompt, assembled from its stream.

    `feed` what was read, then check `failure`: an event that ends the answer badly is kept there, so that
    the events before it are handed out first. `finished` is set by the finish event; what follows is ignored.
    `events` counts events of any kind. `secret` is removed from what errors quote.
    """

    def __init__(
        self,
        *,
        prompt: str,
        project_id: int,
        session_id: str,
        external_id: str,
        max_event_bytes: int | None,
        secret: str = "",
    ) -> None:
        self.prompt = prompt
        self.project_id = project_id
        self.session_id = session_id
        self.external_id = external_id
        self._secret = secret
        self.retries = 0
        self.finished: AnswerFinished | None = None
        self.failure: CustomGPTError | None = None
        self._parts: list[str] = []
        self._decoder = SSEDecoder(max_event_bytes)
        self._head = b""
        self.events = 0
        self._extra: dict[str, Any] = {}
        self._message: Message | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._parts)

    @property
    def message(self) -> Message:
        """The whole message; raises `StreamInterrupted` before the finish event."""
        if self._message is not None:
            return self._message
        done = self.finished
        if done is None:
            raise self.failure or self.interrupted("The answer is not complete: read the stream to its end.")
        self._message = Message(
            answer=self.text,
            prompt=self.prompt,
            project_id=self.project_id,
            session_id=done.session_id,
            prompt_id=done.prompt_id,
            citation_ids=done.citation_ids,
            created_at=done.created_at,
            external_id=self.external_id,
            recovered=done.recovered,
            retries=self.retries,
            extra=self._extra,
        )
        return self._message

    def feed(self, chunk: bytes) -> list[MessageEvent]:
        """Take the next bytes; return the deltas (never empty ones) and the finish that they complete."""
        try:
            events = self._decoder.feed(chunk)
        except ProtocolError as error:
            self._fail(error)
            return []
        if not self.events and len(self._head) < 200:
            self._head += chunk[:200]
        return self._assemble(events)

    def end(self) -> list[MessageEvent]:
        """Take the end of the bytes. A last `finish` without its blank line counts, nothing else does."""
        if self.finished is not None or self.failure is not None:
            return []
        try:
            left = self._decoder.close()
        except ProtocolError as error:  # too big, found after other events of the same chunk
            self._fail(error)
            return []
        given: list[MessageEvent] = []
        if b"finish" in left:
            last = SSEDecoder().feed(left + b"\n\n")
            if len(last) == 1 and _is_finish(last[0]):
                given = self._assemble(last)
                if self.finished is not None:
                    self._extra["unterminated"] = True
        if self.finished is None and self.failure is None:
            if self.events:
                self.failure = self.interrupted("The stream ended before the answer was finished.")
            else:
                self._fail(self._no_stream())
        return given

    def complete(self, message: Message) -> list[MessageEvent]:
        """Take a whole message instead of (the rest of) the stream; return what was not shown yet.

        Raises `StreamInterrupted` when its answer does not begin with what was shown, white space at the end
        of both aside: the vendor's stored answers differ from the streamed ones by that.
        """
        shown = self.text
        stored = message.answer
        if stored.startswith(shown):
            rest = stored[len(shown) :]
        elif stored.rstrip().startswith(kept := shown.rstrip()):
            rest = stored[len(kept) :] if stored[len(kept) :].strip() else ""
        else:
            raise self.interrupted(
                "The stream broke off, and the stored answer does not continue what was shown. "
                "Read it with client.messages.get()."
            )
        self.finished = AnswerFinished(
            message.prompt_id,
            message.session_id,
            message.citation_ids,
            message.created_at,
            recovered=message.recovered,
        )
        self.failure = None
        if rest:
            self._parts.append(rest)
        self._message = replace(message, answer=self.text, prompt=self.prompt, retries=self.retries)
        return [AnswerDelta(rest), self.finished] if rest else [self.finished]

    def interrupted(self, why: str) -> StreamInterrupted:
        """Return the error for an answer that broke off, with what is known of it."""
        text = self.text
        return StreamInterrupted(
            f"{why} {len(text)} characters had arrived (error.partial_answer). It may have been billed: look "
            "for it with client.find_message(session_id, external_id) before asking again.",
            session_id=self.session_id,
            external_id=self.external_id,
            partial_answer=text,
        )

    def _assemble(self, events: list[ServerSentEvent]) -> list[MessageEvent]:
        given: list[MessageEvent] = []
        if self.finished is not None or self.failure is not None:
            return given
        add, show, scan, delta = self._parts.append, given.append, _scan, AnswerDelta
        self.events += len(events)
        for event in events:
            data = event[1]
            try:  # the fast path for the event that comes by the thousand
                payload, end = scan(data, 0)
                if payload["status"] == "progress" and end == len(data):
                    text = payload["message"]
                    if text.__class__ is str:
                        if text:
                            add(text)
                            show(delta(text))
                        continue
            except (StopIteration, ValueError, RecursionError, LookupError, TypeError):
                pass
            self._take_other(event, given)
            if self.finished is not None or self.failure is not None:
                break
        return given

    def _take_other(self, event: ServerSentEvent, given: list[MessageEvent]) -> None:
        """Take any event. An unknown status is skipped; a broken event that might carry text fails."""
        name = event.event
        try:
            payload = json.loads(event.data)
        except (ValueError, RecursionError):
            payload = None
        if not isinstance(payload, Mapping):
            if (name in _KNOWN or name == "message") and event.data.strip() not in ("[DONE]", ""):
                self._fail(self._malformed(event.data))
            return
        status = payload.get("status")
        status = status if isinstance(status, str) else name
        if status == "progress":
            text = payload.get("message")
            if isinstance(text, str) and text:
                self._parts.append(text)
                given.append(AnswerDelta(text))
            elif text is not None and not isinstance(text, str):
                self._fail(self._malformed(event.data))
        elif status == "finish":
            if (finished := self._finish(payload)) is None:
                self._fail(self._malformed(event.data))
            else:
                given.append(finished)
        elif status == "error":
            self._fail(self._answer_failed(payload))

    def _finish(self, payload: Mapping[str, Any]) -> AnswerFinished | None:
        """Take the finish event; None when its id is longer than any id."""
        prompt_id, session_id = integer(payload.get("id")), payload.get("session_id")
        if prompt_id is None and isinstance(payload.get("id"), int):
            return None
        if session_id not in (None, "", self.session_id):  # the prompt was sent to ours, whatever it says
            self._extra["session_id"] = session_id
            _note_foreign_session()
        self.finished = AnswerFinished(
            prompt_id=prompt_id,
            session_id=self.session_id,
            citation_ids=citation_ids(payload.get("citations")),
            created_at=timestamp(payload.get("created_at")),
        )
        return self.finished

    def _fail(self, error: CustomGPTError) -> None:
        for name, value in (
            ("session_id", self.session_id),
            ("external_id", self.external_id),
            ("partial_answer", self.text),
        ):
            setattr(error, name, value)
        self.failure = error

    def _answer_failed(self, payload: Mapping[str, Any]) -> AnswerFailed:
        told = next((v for k in ("error", "message", "data") if (v := payload.get(k))), "")
        if isinstance(told, Mapping):
            told = next((v for k in ("message", "error") if (v := told.get(k))), "")
        words = redact(" ".join(str(told).split()), self._secret)[:500] or "no reason given"
        code = integer(payload.get("code"))
        return AnswerFailed(
            f"The service broke off the answer: {words.rstrip('.')}. Ask again later, or change the prompt.",
            status=200,
            code=code,
            message="" if words == "no reason given" else words,
            body=redact(json.dumps(payload, default=str), self._secret)[:2000],
        )

    def _malformed(self, data: str) -> ProtocolError:
        return ProtocolError(
            "An event of the stream is not in the API's form, so text may be missing. "
            "The answer may be stored: look with client.find_message(session_id, external_id).",
            excerpt=redact(data, self._secret),
        )

    def _no_stream(self) -> ProtocolError:
        head = redact(self._head.decode("utf-8", "replace"), self._secret)
        what = "something that is no event stream" if head.strip() else "an empty body"
        return ProtocolError(
            f"The service answered 200 with {what}. Check that base_url is the API's address.", excerpt=head
        )


@cache
def _note_foreign_session() -> None:
    """Log, once a process, that a finish event named a conversation that the prompt was not sent to."""
    logger.warning(
        "The service finished an answer under another session_id than the prompt was sent to; ours is kept, "
        "and the other is in Message.extra. This is logged once."
    )


def _is_finish(event: ServerSentEvent) -> bool:
    try:
        payload = json.loads(event.data)
    except (ValueError, RecursionError):
        return False
    return isinstance(payload, Mapping) and payload.get("status", event.event) == "finish"


def looks_like(first_bytes: bytes) -> str:
    """Return what a 2xx body is, by its first bytes: "json", "html", "events", or "" while undecided.

    Servers and proxies label bodies wrongly; the first character does not lie.
    """
    start = first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"": "", b"{": "json", b"[": "json", b"<": "html"}.get(start, "events")
