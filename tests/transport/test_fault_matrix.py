"""Every fault, through requests and through aiohttp, asked and streamed: the outcome, the prompts, no leaks.

Each row orders one fault of the emulator, which plays it over real sockets, and says what a caller gets, how
many prompts the server received, and how long the client would have slept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from customgpt_transport import (
    AnswerFailed,
    AuthenticationFailed,
    BadRequest,
    ConnectionLost,
    CreditsExhausted,
    CustomGPTError,
    Message,
    NotFound,
    ProtocolError,
    RequestTimeout,
    ServerError,
    StreamInterrupted,
)
from customgpt_transport._pacing import pacing
from customgpt_transport._sessions import sessions
from tests.doors import DOORS, Door

PROMPT = "When are refunds paid?"
POLLS = (0.5, 1, 2, 4, 8, 14.5)  # of 30 s of patience, when the answer never appears
SHORT = {"first_byte_timeout": 0.3, "idle_timeout": 0.3, "event_timeout": 0.3}
LONE = {"recovery_patience": 0}


@dataclass(frozen=True)
class Outcome:
    """What the caller gets: the answer, recovered or not, or an error with the partial answer."""

    error: type[CustomGPTError] | None = None
    recovered: bool = False
    partial: bool | None = False
    clock: str | None = None
    naps: tuple[float, ...] = ()
    prompts: int = 1
    words: str = ""


ANSWERED = Outcome()
READ_BACK = Outcome(recovered=True, naps=(0.5,))


def fails(error: type[CustomGPTError], **more: Any) -> Outcome:
    return Outcome(error, **more)


@dataclass(frozen=True)
class Row:
    """One fault, the client's options, and the outcome of `ask` and of `stream`."""

    name: str
    order: Callable[[Any], object]
    ask: Outcome
    stream: Outcome
    options: dict[str, Any] = field(default_factory=dict)


def lost(
    name: str, order: Callable[..., object], ask: Outcome, stream: Outcome, **options: Any
) -> Iterator[Row]:
    """Yield the rows of a lost answer: stored by the service, not stored, and not looked for."""
    yield Row(f"{name}, stored", lambda f: order(f, persist=True), READ_BACK, READ_BACK, options)
    yield Row(f"{name}, never stored", lambda f: order(f, persist=False), *_polled(ask, stream), options)
    yield Row(f"{name}, not looked for", lambda f: order(f, persist=True), ask, stream, {**options, **LONE})


def _polled(*outcomes: Outcome) -> tuple[Outcome, ...]:
    return tuple(Outcome(**{**vars(outcome), "naps": POLLS}) for outcome in outcomes)


BROKEN = fails(StreamInterrupted, partial=True)
GONE = fails(ConnectionLost)
ROWS = [
    *lost("reset before the answer", lambda f, **o: f.reset_before_answer(**o), GONE, GONE),
    *lost("dropped before the answer", lambda f, **o: f.drop_before_answer(**o), GONE, GONE),
    *lost("reset in mid-stream", lambda f, **o: f.reset_after(events=4, **o), GONE, BROKEN),
    *lost("cut in mid-stream", lambda f, **o: f.cut_after(events=4, **o), GONE, BROKEN),
    *lost("cut inside a character", lambda f, **o: f.cut_inside_character(events=4, **o), GONE, BROKEN),
    *lost(
        "ended without finish", lambda f, **o: f.end_without_finish(events=4, **o),
        fails(ProtocolError), BROKEN,
    ),
    *lost(
        "stalled in mid-stream", lambda f, **o: f.stall(after_events=4, **o),
        fails(RequestTimeout, clock="idle"), fails(StreamInterrupted, partial=True, clock="idle"),
        idle_timeout=0.3,
    ),
    # aiohttp's parser loses what came in one piece with the malformed line: the text so far is not promised.
    *lost(
        "silent inside a malformed chunk", lambda f, **o: f.bad_chunk_size(after_events=4, **o),
        fails(CustomGPTError), fails(CustomGPTError, partial=None), idle_timeout=0.3,
    ),
    *lost(
        "slow first byte", lambda f, **o: f.slow_first_byte(**o),
        fails(RequestTimeout, clock="first_byte"), fails(RequestTimeout, clock="first_byte"),
        first_byte_timeout=0.3,
    ),
    Row("malformed JSON in one event", lambda f: f.malformed_event(after_events=4), READ_BACK, READ_BACK),
    Row("malformed JSON in one event, not looked for", lambda f: f.malformed_event(after_events=4),
        fails(ProtocolError), fails(ProtocolError, partial=True), LONE),
    *lost("HTML 502", lambda f, **o: f.bad_gateway(**o), fails(ServerError), fails(ServerError)),
    *lost("500", lambda f, **o: f.error(500, **o), fails(ServerError), fails(ServerError)),
    *lost("504", lambda f, **o: f.error(504, **o), fails(ServerError), fails(ServerError)),
    *lost("520", lambda f, **o: f.error(520, **o), fails(ServerError), fails(ServerError)),
    *lost("empty 200", lambda f, **o: f.empty_body(**o), fails(ProtocolError), fails(ProtocolError)),
    *lost("HTML 200", lambda f, **o: f.html_instead(**o), fails(ProtocolError), fails(ProtocolError)),
    Row(
        "keep-alives for ever", lambda f: f.keep_alives(after_events=4, every=0.02, persist=True),
        fails(RequestTimeout, clock="events"), fails(StreamInterrupted, partial=True, clock="events"),
        {"event_timeout": 0.3, "idle_timeout": 30, **LONE},
    ),
    Row("keep-alives, read back", lambda f: f.keep_alives(after_events=4, every=0.02, persist=True),
        READ_BACK, READ_BACK, {"event_timeout": 0.3, "idle_timeout": 30}),
    Row("error event", lambda f: f.error_event(after_events=4, message="No tokens left"),
        fails(AnswerFailed, words="No tokens left"),
        fails(AnswerFailed, partial=True, words="No tokens left")),
    Row("dribble", lambda f: f.dribble(), ANSWERED, ANSWERED),
    Row("slow first byte, in time", lambda f: f.slow_first_byte(0.1), ANSWERED, ANSWERED),
    Row("JSON where a stream was expected", lambda f: f.json_instead_of_stream(), ANSWERED, ANSWERED),
    Row("429 with Retry-After", lambda f: f.rate_limit(retry_after=7),
        Outcome(naps=(7,), prompts=2), Outcome(naps=(7,), prompts=2)),
    Row("429 for too long", lambda f: f.rate_limit(retry_after=3600),
        fails(CustomGPTError, words="3600"), fails(CustomGPTError, words="3600")),
    Row("503 with Retry-After", lambda f: f.error(503, retry_after=3),
        Outcome(naps=(3,), prompts=2), Outcome(naps=(3,), prompts=2)),
    Row("credits", lambda f: f.exhaust_credits(),
        fails(CreditsExhausted, words="credits"), fails(CreditsExhausted, words="credits")),
    Row("401", lambda f: f.unauthorized(), fails(AuthenticationFailed), fails(AuthenticationFailed)),
    Row("404", lambda f: f.not_found(), fails(NotFound), fails(NotFound)),
    Row("422", lambda f: f.unprocessable(), fails(BadRequest, words="The prompt field is required"),
        fails(BadRequest, words="The prompt field is required")),
    Row("redirect to another host", lambda f: f.redirect(),
        fails(ProtocolError, words="localhost"), fails(ProtocolError, words="localhost")),
    Row("redirect of a POST, 307", lambda f: f.redirect(status=307),
        fails(ProtocolError, words="localhost"), fails(ProtocolError, words="localhost")),
    Row("huge event", lambda f: f.huge_event(size=2**21, after_events=3), ANSWERED, ANSWERED),
    Row("event beyond the limit", lambda f: f.huge_event(size=2**17, after_events=3),
        READ_BACK, READ_BACK, {"max_event_bytes": 2**16}),
    Row("gzip", lambda f: f.gzip(), ANSWERED, ANSWERED),
    Row("wrong content type", lambda f: f.wrong_content_type(), ANSWERED, ANSWERED),
    Row("unknown statuses", lambda f: f.unknown_statuses(), ANSWERED, ANSWERED),
    Row("unknown fields", lambda f: f.unknown_fields(), ANSWERED, ANSWERED),
    Row("duplicate finish", lambda f: f.duplicate_finish(), ANSWERED, ANSWERED),
    Row("finish without its blank line", lambda f: f.finish_without_blank_line(), ANSWERED, ANSWERED),
    Row("trickle after finish", lambda f: f.trickle_after_finish(every=0.02), READ_BACK, ANSWERED,
        {"event_timeout": 0.3}),
    Row("terminator withheld", lambda f: f.withhold_terminator(), READ_BACK, ANSWERED, SHORT),
]  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    """One emulator for the whole matrix, reset for each cell."""
    from tests.conftest import DOCUMENTS

    with Emulator(documents=DOCUMENTS) as running:
        yield running


@pytest.fixture(scope="module")
def answer(service: Emulator) -> str:
    """The service's answer when nothing goes wrong, asked without our client."""
    base = f"{service.base_url}/api/v1/projects/{service.project_id}/conversations"
    headers = {"Authorization": f"Bearer {service.api_key}"}
    session = requests.post(base, json={"name": "x"}, headers=headers).json()["data"]["session_id"]
    body = requests.post(f"{base}/{session}/messages", json={"prompt": PROMPT}, headers=headers).content
    return str(json.loads(body)["data"]["openai_response"])


@pytest.mark.parametrize("way", ["ask", "stream"])
@pytest.mark.parametrize("library", DOORS)
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_each_fault_has_its_outcome(service: Emulator, answer: str, row: Row, library: str, way: str) -> None:
    service.reset()
    door = DOORS[library](service, **row.options)
    expected: Outcome = getattr(row, way)
    try:
        session = door.call("conversations.create", "A cell").session_id
        order = row.order(service.faults)
        message, error = _tried(door, way, session)
        service.faults.clear()
        if expected.error is None:
            assert error is None, error
            assert message is not None
            assert (answer, expected.recovered) == (message.answer, message.recovered)
            assert message.citation_ids
        else:
            assert isinstance(error, expected.error), repr(error)
            assert expected.words in str(error)
            assert expected.partial in (None, bool(getattr(error, "partial_answer", "")))
            assert answer.startswith(getattr(error, "partial_answer", ""))
            if expected.clock is not None:
                timeout = error if isinstance(error, RequestTimeout) else error.__cause__
                assert expected.clock == getattr(timeout, "clock", None)
                assert isinstance(timeout, RequestTimeout)
        assert expected.prompts == len(service.journal.prompts())
        assert list(expected.naps) == pytest.approx(door.naps, abs=0.2)
        assert order is not None
        pacing.clear()  # what a 429 shut
        after = door.ask(PROMPT)  # the client is as good as new
        assert answer == after.answer
    finally:
        door.close()
    assert not sessions._turns
    _wait_until(lambda: service.open_connections == 0)


def _tried(door: Door, way: str, session: str) -> tuple[Message | None, CustomGPTError | None]:
    if way == "stream":
        heard = door.stream(PROMPT, session_id=session)
        assert heard.message is None or heard.text == heard.message.answer
        return heard.message, heard.error
    try:
        return door.ask(PROMPT, session_id=session), None
    except CustomGPTError as error:
        return None, error


def _wait_until(true: Callable[[], bool], seconds: float = 5) -> None:
    ends_at = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends_at, "still not so"
        time.sleep(0.005)
