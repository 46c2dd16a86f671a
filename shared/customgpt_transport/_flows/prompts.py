"""A prompt from conversation to answer: open one, ask, and recover what a broken connection lost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import partial

from customgpt_transport._answer import Answer, looks_like
from customgpt_transport._flows import Disk, Flow, Send, Sleep
from customgpt_transport._flows.exchange import Opening, exchange, fetch, send
from customgpt_transport._flows.turns import take_turn
from customgpt_transport._wire import conversations, messages
from customgpt_transport._wire.http import Request, Response, path_segment
from customgpt_transport._wire.multipart import MultipartBody, Upload, form_fields, open_uploads
from customgpt_transport._wire.problems import not_documented
from customgpt_transport.errors import (
    APIError,
    ConfigurationError,
    ConnectionLost,
    CustomGPTError,
    ProtocolError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
)
from customgpt_transport.models import FileInput, Message
from customgpt_transport.options import ClientOptions, PromptSettings, new_uuid, project_number, with_defaults

POLLS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each look for a lost answer, within `recovery_patience`."""

SKEW = timedelta(minutes=5)
"""How far the service's clock may be behind ours when only the time tells an old answer from a new one."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt, checked and ready to be sent. `own_id`: `external_id` is ours, and so unique."""

    text: str
    project_id: int
    settings: PromptSettings
    external_id: str
    own_id: bool
    options: ClientOptions
    files: Sequence[FileInput] = ()
    uploads: tuple[Upload, ...] = ()
    made_at: datetime = field(default_factory=partial(datetime.now, timezone.utc))

    def answer(self, session_id: str) -> Answer:
        """Return the empty answer to fill."""
        return Answer(
            prompt=self.text,
            project_id=self.project_id,
            session_id=session_id,
            external_id=self.external_id,
            max_event_bytes=self.options.max_event_bytes,
            secret=self.options.api_key or "",
        )


def prepare(
    text: str,
    fallback: ClientOptions,
    session_id: str | None = None,
    project_id: object = None,
    settings: PromptSettings | None = None,
    files: Sequence[FileInput] = (),
    options: ClientOptions | None = None,
) -> Prompt:
    """Check everything about a prompt that can be checked without a request or the disk.

    What `options` leave open is as in `fallback`, the client's own. Raises `ConfigurationError`.
    """
    options = fallback if options is None else with_defaults(options, fallback=fallback)
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError("The prompt is empty. Pass the question as text.")
    settings = _checked(settings)
    if isinstance(files, (str, bytes, os.PathLike)):
        raise ConfigurationError("files must be a list, even of one file: files=[...].")
    if isinstance(settings.labels, str):
        raise ConfigurationError("labels must be a list of texts, or of lists of texts.")
    given = settings.external_id
    if given is not None and not 0 < len(given) <= messages.EXTERNAL_ID_CHARACTERS:
        raise ConfigurationError("external_id must have 1 to 128 characters.")
    if session_id is not None:
        path_segment("session_id", session_id)
    return Prompt(
        text,
        project_of(project_id, options),
        settings,
        external_id=given or options.new_id(),
        own_id=given is None,
        options=options,
        files=files,
    )


def _checked(settings: object) -> PromptSettings:
    """Return the settings, the agent's own for None; raise `ConfigurationError` for a wrong type."""
    if settings is None:
        return PromptSettings()
    if not isinstance(settings, PromptSettings):
        raise ConfigurationError(
            f"settings must be PromptSettings(...), not {type(settings).__name__}: for example "
            'settings=PromptSettings(lang="en").'
        )
    for name, value in vars(settings).items():
        if name != "labels" and value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} must be text, not {value!r:.80}.")
    return settings


def project_of(project_id: object, options: ClientOptions) -> int:
    """Return the agent that a call is about: the one given, else the client's own."""
    if project_id is not None:
        return project_number(project_id)
    if options.project_id is None:
        raise ConfigurationError(
            "No agent. Pass project_id=..., or set CUSTOMGPT_PROJECT_ID: the number in the agent's address."
        )
    return options.project_id


def begin(prompt: Prompt, session_id: str | None) -> Flow[tuple[Prompt, str]]:
    """Open the prompt's files and, without a `session_id`, a conversation named after the prompt's beginning.

    Returns the prompt, ready to be sent, and the conversation's session id.
    """
    if prompt.files:
        prompt = replace(prompt, uploads=(yield Disk(partial(open_uploads, prompt.files))))
    if session_id is not None:
        return prompt, session_id
    if prompt.options.new_session == "uuid":
        return prompt, new_uuid()
    request = conversations.create(prompt.project_id, " ".join(prompt.text.split())[:60])
    conversation = yield from fetch(request, prompt.options, conversations.parse_conversation)
    return prompt, conversation.session_id


def ask(prompt: Prompt, session_id: str | None, *, blocking: bool) -> Flow[Message]:
    """Return the whole answer, in the conversation's turn (`take_turn`)."""
    prompt, session_id = yield from begin(prompt, session_id)
    turn = yield from take_turn(prompt.options, session_id, blocking=blocking)
    prompt_id = None
    try:
        message = yield from _ask(prompt, session_id, turn.seen)
        prompt_id = message.prompt_id
        return message
    finally:
        turn.end(prompt_id)


def _ask(prompt: Prompt, session_id: str, seen: int) -> Flow[Message]:
    """Return the whole answer. `seen` is the greatest prompt id already known in the session (0: none)."""
    try:
        response = yield from exchange(_request(prompt, session_id, stream=False), prompt.options)
        return _parse(response, prompt, session_id)
    except CustomGPTError as caught:
        error = _locate(caught, prompt, session_id)
    found = yield from recover(prompt, session_id, seen, error)
    if found is None:
        raise error
    return found


def open_stream(prompt: Prompt, session_id: str, answer: Answer, opening: Opening) -> Flow[bytes | Message]:
    """Send the prompt; return the first bytes of the event stream, or the message where the answer is JSON.

    `opening` reads the body to its end when it is no stream (`looks_like`). Raises whatever the prompt ended
    in; recovery is another step.
    """
    try:
        request = _request(prompt, session_id, stream=True)
        response = yield from exchange(request, prompt.options, opening=opening)
        answer.retries = response.retries
        kind = looks_like(response.body)
        if kind == "events":
            return response.body
        if kind == "json":
            return _parse(response, prompt, session_id)
        raise not_documented(response)
    except CustomGPTError as caught:
        error = _locate(caught, prompt, session_id)
    raise error


def recover(
    prompt: Prompt, session_id: str, seen: int, error: CustomGPTError, *, retries: int = 0
) -> Flow[Message | None]:
    """Look for the stored answer to a prompt that ended in `error`; None when there is nothing to find.

    Polls the newest messages until one counts (`counts`), the patience is used up, or the service refuses.
    """
    if not is_recoverable(error):
        return None
    options = prompt.options
    started = options.clock()
    for pause, left in _pauses(options.recovery_patience):
        yield Sleep(pause)
        left = min(left, max(1.0, options.recovery_patience - (options.clock() - started)))
        request = messages.list_page(prompt.project_id, session_id, 1, order="desc")
        try:
            response = yield from send(Send(request, timeout=left), options)
            page = messages.parse_messages(response, project_id=prompt.project_id, session_id=session_id)
        except (ProtocolError, APIError) as refused:
            if isinstance(refused, ServerError) or refused.resend_safe or refused.status is None:
                continue  # it passes, as a gateway's page does
            return None
        except CustomGPTError:
            continue
        for row in page.rows:
            if counts(row, prompt, seen):
                return replace(
                    row, recovered=True, retries=retries, external_id=row.external_id or prompt.external_id
                )
    return None


def counts(row: Message, prompt: Prompt, seen: int) -> bool:
    """Whether a stored message is the answer to this prompt, not to an earlier one that looks like it.

    Its id is greater than every one seen in the session, it has an answer, and it carries our external id. A
    caller's id need not be unique, and a service that echoes none proves nothing: then the text must agree,
    and, where no id is echoed and no earlier prompt of the session is known, the row must not be older.
    """
    if row.prompt_id is None or row.prompt_id <= seen or not row.answer:
        return False
    if row.external_id is not None and row.external_id != prompt.external_id:
        return False
    if row.external_id is not None and prompt.own_id:
        return True
    if row.prompt != prompt.text:
        return False
    if row.external_id is not None or seen:
        return True
    return row.created_at is not None and row.created_at >= prompt.made_at - SKEW


def is_recoverable(error: CustomGPTError) -> bool:
    """Whether the prompt was sent, so that the service may have answered it although the answer was lost."""
    match error:
        case ConnectionLost() | StreamInterrupted():
            return True
        case RequestTimeout():
            return error.sent
        case ServerError():
            return not error.resend_safe and error.status != 501
        case ProtocolError():
            return error.status is None
    return False


def _pauses(patience: float) -> Iterator[tuple[float, float]]:
    """Yield each pause and the seconds left after it; the last is cut to what the patience allows."""
    left = patience
    for pause in POLLS:
        if left <= 0:
            return
        pause = min(pause, left)
        left -= pause
        yield pause, max(1.0, left)


def _request(prompt: Prompt, session_id: str, *, stream: bool) -> Request:
    given = {k: v for k, v in asdict(prompt.settings).items() if v is not None and k != "external_id"}
    body = None
    if prompt.uploads:
        name = "file" if len(prompt.uploads) == 1 else "files[]"
        fields = {"prompt": prompt.text, **{k: v for k, v in given.items() if k != "lang"}}
        body = MultipartBody(form_fields(fields), [(name, upload) for upload in prompt.uploads])
    return messages.send(
        prompt.project_id,
        session_id,
        prompt.text,
        given,
        external_id=prompt.external_id,
        stream=stream,
        body=body,
    )


def _parse(response: Response, prompt: Prompt, session_id: str) -> Message:
    return messages.parse_message(
        response, project_id=prompt.project_id, session_id=session_id, external_id=prompt.external_id
    )


def _locate(error: CustomGPTError, prompt: Prompt, session_id: str) -> CustomGPTError:
    """Note on an error where the answer may be found later."""
    if hasattr(error, "session_id"):
        error.session_id = session_id
        error.external_id = prompt.external_id  # type: ignore[attr-defined]  # the two come together
    return error
