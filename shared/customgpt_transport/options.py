"""A client's options and a prompt's settings. Everything here is picklable data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal
from uuid import uuid4

from customgpt_transport import _environment
from customgpt_transport._keywords import names_keywords
from customgpt_transport._retry import RetryPolicy
from customgpt_transport._secrets import Secret
from customgpt_transport.errors import ConfigurationError, CustomGPTError

__all__ = [
    "ClientOptions",
    "PromptSettings",
    "RequestInfo",
    "ResponseInfo",
    "RetryInfo",
    "RetryPolicy",
    "Secret",
    "project_number",
]

_CLOCKS = ("connect_timeout", "first_byte_timeout", "idle_timeout", "event_timeout", "citation_timeout")


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """For `on_request`: one attempt is about to be sent. `path` is the template, without ids."""

    method: str
    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """For `on_response`: one attempt ended, with a `status` or an `error`, `seconds` after it began.

    For a stream it is the time until the headers.
    """

    method: str
    path: str
    attempt: int
    seconds: float
    status: int | None = None
    error: CustomGPTError | None = None


@dataclass(frozen=True, slots=True)
class RetryInfo:
    """For `on_retry`: attempt number `attempt` failed with `error`; the next comes after `delay` seconds."""

    method: str
    path: str
    attempt: int
    delay: float
    error: CustomGPTError


@names_keywords
@dataclass(frozen=True)
class PromptSettings:
    """What a single prompt may set; None means the agent's own setting. Source: vendor API, send message.

    `labels` restrict the answer to documents that have any of them; of lists of labels, any of each list.
    Source: vendor API, chat/completions; for prompts, a third-party client.
    """

    lang: str | None = None
    custom_persona: str | None = None
    custom_context: str | None = None
    chatbot_model: str | None = None
    response_source: str | None = None
    agent_capability: str | None = None
    labels: Sequence[str | Sequence[str]] | None = None
    external_id: str | None = None


def new_uuid() -> str:
    """Return a random UUID as text."""
    return str(uuid4())


@names_keywords
@dataclass(frozen=True)
class ClientOptions:
    """How to reach the service, as whom, and how patiently. None falls back to the environment.

    Times are seconds of silence, not totals: `connect_timeout` until connected, `first_byte_timeout` until
    the answer's headers, `idle_timeout` between bytes, `event_timeout` between events of a stream (comments
    that keep a connection alive are bytes, not events). `max_event_bytes` bounds, after decompression, one
    event of a stream, and one answer that is no stream. `citation_timeout` is the total for one answer's
    citations. `recovery_patience` 0 switches recovery off. `session_wait` bounds the wait for another prompt
    of this process in the same conversation. `new_session="uuid"` names new conversations by a fresh UUID
    instead of the documented call: a round trip less, widely used, undocumented. `max_concurrent_prompts`
    bounds the prompts of this process under one key. `proxy=""` means none, whatever the environment says.
    `verify` is False, or the path of CA certificates. `adapter` joins the User-Agent. `new_id` makes external
    ids. `clock` is monotonic seconds; `sleep`, where given, is called with the seconds to wait (and awaited
    by the async client, when it returns an awaitable). The hooks get a `RequestInfo`, `ResponseInfo`,
    `RetryInfo`.
    """

    api_key: str | None = None
    base_url: str | None = None
    project_id: int | None = None
    connect_timeout: float = 10.0
    first_byte_timeout: float = 120.0
    idle_timeout: float = 120.0
    event_timeout: float = 120.0
    citation_timeout: float = 10.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    recovery_patience: float = 30.0
    session_wait: float = 120.0
    new_session: Literal["create", "uuid"] = "create"
    max_concurrent_prompts: int | None = None
    max_event_bytes: int | None = 32 * 2**20
    proxy: str | None = None
    verify: bool | str = True
    allow_http: bool = False
    adapter: str | None = None
    new_id: Callable[[], str] = new_uuid
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Any] | None = None
    on_request: Callable[[RequestInfo], object] | None = None
    on_response: Callable[[ResponseInfo], object] | None = None
    on_retry: Callable[[RetryInfo], object] | None = None
    log_prompts: bool = False

    def __post_init__(self) -> None:
        for name in ("api_key", "proxy"):  # a proxy's address may hold a password
            given = getattr(self, name)
            if given is not None and not isinstance(given, Secret):
                object.__setattr__(self, name, Secret(given))

    def __repr__(self) -> str:
        shown = (f"{f.name}={value!r}" for f in fields(self) if (value := getattr(self, f.name)) != f.default)
        return f"ClientOptions({', '.join(shown)})"

    def with_timeout(self, seconds: float) -> ClientOptions:
        """Return options with first byte, idle and event timeouts of `seconds`, and connect of at most 10.

        Raises `ConfigurationError` for what is no number of seconds above 0.
        """
        if not 0 < _number("timeout", seconds) < 10**7:
            raise ConfigurationError(f"timeout must be a number of seconds above 0, not {seconds!r}.")
        return replace(
            self,
            connect_timeout=min(10.0, seconds),
            first_byte_timeout=seconds,
            idle_timeout=seconds,
            event_timeout=seconds,
        )

    def resolve(self) -> ClientOptions:
        """Return complete, checked options; what is missing comes from the environment. Does no I/O.

        Raises `ConfigurationError`: no key, a key that cannot be a header, an unfit base URL, a project id
        that is no positive number, a time that is no number of seconds.
        """
        self._check_numbers()
        base_url = _environment.api_url(
            self.base_url or _environment.variable(_environment.BASE_URL) or _environment.VENDOR_URL,
            allow_http=self.allow_http,
        )
        project_id = self.project_id
        if project_id is None and (given := _environment.variable(_environment.PROJECT_ID)):
            project_id = project_number(given, f"{_environment.PROJECT_ID}")
        elif project_id is not None:
            project_id = project_number(project_id)
        proxy = Secret(_environment.proxy_for(base_url) or "" if self.proxy is None else self.proxy)
        if proxy and not _environment.is_http(proxy):
            raise ConfigurationError(
                "Only http:// and https:// proxies are supported. Set proxy='' for none."
            )
        verify = (_environment.certificates() or True) if self.verify is True else self.verify
        return replace(
            self, api_key=self._key(), base_url=base_url, project_id=project_id, proxy=proxy, verify=verify
        )

    def _key(self) -> Secret:
        found = Secret((self.api_key or "").strip() or _environment.variable(_environment.API_KEY) or "")
        if not found:
            raise ConfigurationError(
                f"No API key. Pass api_key=..., or set {_environment.API_KEY}; "
                "a key comes from the CustomGPT.ai dashboard, under Profile, API keys."
            )
        if not (found.isascii() and found.isprintable()) or " " in found:
            raise ConfigurationError("The API key has characters that no key has. Copy it again.")
        return found

    def _check_numbers(self) -> None:
        for name in _CLOCKS:
            if not 0 < _number(name, getattr(self, name)) < 10**7:
                raise ConfigurationError(f"{name} must be a number of seconds above 0, at most 115 days.")
        for name in ("recovery_patience", "session_wait"):
            if not 0 <= _number(name, getattr(self, name)) < 10**7:
                raise ConfigurationError(f"{name} must be a number of seconds, 0 or more.")
        for name in ("max_concurrent_prompts", "max_event_bytes"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"{name} must be a whole number above 0, or None.")
        if self.new_session not in ("create", "uuid"):
            raise ConfigurationError('new_session must be "create" or "uuid".')


def with_defaults(
    options: ClientOptions | None,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    project_id: int | str | None = None,
    fallback: ClientOptions | None = None,
) -> ClientOptions:
    """Return resolved options: arguments win over `options`, and `options` over `fallback`.

    `fallback` supplies the key, address, agent, proxy and certificates that `options` leave out.
    Raises `ConfigurationError` as `ClientOptions.resolve` does.
    """
    if not isinstance(options, ClientOptions | None):
        raise ConfigurationError(f"options must be ClientOptions(...), not {type(options).__name__}.")
    base = options or ClientOptions()
    back = fallback or ClientOptions()
    number = project_id if project_id is not None else base.project_id
    return replace(
        base,
        api_key=api_key or base.api_key or back.api_key,
        base_url=base_url or base.base_url or back.base_url,
        project_id=back.project_id if number is None else project_number(number),
        proxy=back.proxy if base.proxy is None else base.proxy,
        verify=back.verify if base.verify is True else base.verify,
        allow_http=base.allow_http or back.allow_http,
    ).resolve()


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(f"{name} must be a finite number of seconds, not {value!r:.80}.")
    return value


def project_number(value: object, name: str = "project_id") -> int:
    """Return an agent's number from an int or a string of digits; raise `ConfigurationError` otherwise."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be the agent's number, such as 4711, not {value!r:.80}.")
    return value
