"""One request, sent until it is answered or the retry policy gives up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit

from customgpt_transport import _environment, _observe
from customgpt_transport._flows import Flow, Send, Sleep, T
from customgpt_transport._pacing import pacing, too_long
from customgpt_transport._wire.http import Request, Response
from customgpt_transport._wire.problems import raise_for_status
from customgpt_transport.errors import (
    ConnectionLost,
    CustomGPTError,
    NotFound,
    RequestTimeout,
    ServerError,
)
from customgpt_transport.options import ClientOptions, RetryInfo

REDIRECTS = 5
_FOLLOWED = frozenset({301, 302, 303, 307, 308})


Opening: TypeAlias = Callable[[Send], Flow[Response]]
"""Performs a `Send` whose body is an event stream, and returns a response with the first bytes of it."""


def exchange(
    request: Request,
    options: ClientOptions,
    *,
    deadline: float | None = None,
    opening: Opening | None = None,
) -> Flow[Response]:
    """Send `request` and return the successful response, after as many attempts as the policy allows.

    Raises the last attempt's error. With a `deadline` (on the options' clock) nothing is begun that would
    reach beyond it. A DELETE that is repeated after it may have been carried out takes 404 for success.
    """
    attempt, lost, waited = 1, False, 0.0
    while True:
        try:
            response = yield from _attempt(request, options, attempt, deadline, waited, opening)
            return replace(response, retries=attempt - 1) if attempt > 1 else response
        except CustomGPTError as error:
            if lost and request.method == "DELETE" and isinstance(error, NotFound):
                return Response(
                    200, body=b'{"status":"success","data":{"deleted":true}}', retries=attempt - 1
                )
            delay = options.retry.delay(attempt, request.kind, error)
            if delay is None or (deadline is not None and options.clock() + delay >= deadline):
                _name_what_may_exist(request, error)
                raise
            lost = lost or not error.resend_safe
            retry = RetryInfo(request.method, request.template, attempt, delay, error)
        _observe.retrying(options, retry)
        waited = options.clock() + delay
        yield Sleep(delay)
        attempt += 1


def send(
    attempt: Send, options: ClientOptions, *, waited: float = 0.0, opening: Opening | None = None
) -> Flow[Response]:
    """Send once, as soon as the service admits it, and tell the caller's hooks.

    `waited` is the moment until which the caller has waited already (`Gate.opening`).
    """
    gate, clock = pacing.gate(options), options.clock
    if attempt.request.kind == "prompt":
        while (opens_at := gate.opening(clock(), waited)) is not None:
            pause = opens_at - clock()
            if problem := too_long(pause, options.retry.patience):
                raise problem
            waited = opens_at
            yield Sleep(pause)
    began_at = clock()
    _observe.began(options, attempt)
    try:
        response: Response = (yield attempt) if opening is None else (yield from opening(attempt))
    except CustomGPTError as error:
        _observe.ended(options, attempt, began_at, error=error)
        raise
    _observe.ended(options, attempt, began_at, status=response.status)
    gate.heard(response, clock())
    return response


def _attempt(
    request: Request,
    options: ClientOptions,
    number: int,
    deadline: float | None,
    waited: float,
    opening: Opening | None,
) -> Flow[Response]:
    """Send once; follow the redirects of a GET within its origin."""
    for _ in range(REDIRECTS):
        timeout = None if deadline is None else max(0.001, deadline - options.clock())
        attempt = Send(request, number, timeout)
        response = yield from send(attempt, options, waited=waited, opening=opening)
        target = _redirect(request, response, options)
        if target is None:
            break
        request = replace(request, location=target)
    raise_for_status(response, prompt=request.kind == "prompt")
    return response


def _redirect(request: Request, response: Response, options: ClientOptions) -> str | None:
    location = response.header("location")
    if request.method != "GET" or response.status not in _FOLLOWED or not location:
        return None
    here = request.url(options.base_url or "")
    try:
        target = urljoin(here, location)
        same = _environment.origin(target) == _environment.origin(here) and "@" not in urlsplit(target).netloc
    except ValueError:
        return None
    return target if same and target.isascii() and target.isprintable() and " " not in target else None


def _name_what_may_exist(request: Request, error: CustomGPTError) -> None:
    """A create whose fate is unknown must not be repeated blindly, and the sentence says so."""
    unknown = isinstance(error, (ConnectionLost, RequestTimeout, ServerError)) and not error.resend_safe
    if request.kind == "create" and unknown and error.args:
        error.args = (
            f"{error.args[0]} {request.method} {request.template} may have been carried out all the same: "
            "look before you repeat it.",
        )


def fetch(request: Request, options: ClientOptions, parse: Callable[[Response], T]) -> Flow[T]:
    """`exchange`, and parse the response: what most calls of the API are."""
    response = yield from exchange(request, options)
    return parse(response)
