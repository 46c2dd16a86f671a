"""What the chat model, the retriever and the tool are constructed with, and the clients they make of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from customgpt_transport.errors import CustomGPTError
from customgpt_transport.options import ClientOptions, PromptSettings, Secret
from langchain_customgpt._notices import warn_once
from langchain_customgpt._version import __version__
from langchain_customgpt.errors import ConfigurationError, as_langchain

if TYPE_CHECKING:
    from customgpt_transport import AsyncClient, Client

ADAPTER = f"langchain-customgpt/{__version__}"

# Keywords that other chat models know and this API has no counterpart for.
WITHOUT_COUNTERPART = frozenset(
    {
        "temperature", "max_tokens", "max_completion_tokens", "max_output_tokens", "top_p", "top_k", "n",
        "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
        "reasoning", "reasoning_effort", "verbosity", "stream_usage", "stream_options", "service_tier",
        "store", "user", "model_kwargs", "extra_body", "default_headers", "parallel_tool_calls",
    }
)  # fmt: skip

_MEANT = {
    "agent_id": "project_id",
    "chatbot_model": "model",
    "model_name": "model",
    "request_timeout": "timeout",
    "customgpt_api_key": "api_key",
    "persona": "custom_persona",
    "conversation_id": "session_id",
    "thread_id": "session_id",
    "language": "lang",
}

# What travels with a prompt, under our name and under the transport's.
PROMPT_SETTINGS = {
    "model": "chatbot_model",
    "lang": "lang",
    "custom_persona": "custom_persona",
    "custom_context": "custom_context",
    "response_source": "response_source",
    "agent_capability": "agent_capability",
    "external_id": "external_id",
}

CALL_KEYWORDS = frozenset({*PROMPT_SETTINGS, "timeout", "max_retries"})


def warn_without_counterpart(owner: str, name: str) -> None:
    """Say, once for each class and name, that `name` changes nothing."""
    warn_once(f"{owner}.{name}", "%s: CustomGPT.ai has no counterpart for %s; it is ignored.", owner, name)


def unknown_keyword(owner: str, name: str, known: frozenset[str]) -> ConfigurationError:
    """The error for a keyword that nobody knows, naming the one that was probably meant."""
    meant = _MEANT.get(name) if _MEANT.get(name) in known else None
    meant = meant or next(iter(difflib.get_close_matches(name, known, n=1)), None)
    hint = f" Did you mean {meant!r}?" if meant else ""
    return ConfigurationError(f"{owner} knows no keyword {name!r}.{hint}")


@cache
def _known_keywords(cls: type[BaseModel]) -> frozenset[str]:
    return frozenset(cls.model_fields)


class CustomGPTSettings(BaseModel):
    """The fields, the resolved options, and two clients that are made when they are first needed.

    Constructing does no I/O. Raises `ConfigurationError` for a missing key or agent and for an unknown
    keyword.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    project_id: int | None = None
    """The agent; falls back to CUSTOMGPT_PROJECT_ID."""
    if TYPE_CHECKING:
        api_key: SecretStr | str | None = None
    else:
        api_key: SecretStr | None = None
    """Falls back to CUSTOMGPT_API_KEY. Kept as a `SecretStr`, whichever of the two was given."""
    base_url: str | None = None
    """Falls back to CUSTOMGPT_BASE_URL, then to the vendor's."""
    timeout: float | None = None
    """Seconds of silence before giving up, before the first byte and between events; never a total."""
    max_retries: int | None = None
    """How often a request that the service turned away, or that never left, is sent again; 2 by default."""

    model: str | None = None
    """The model behind the agent for this call (`chatbot_model` in the API), instead of the agent's own."""
    lang: str | None = None
    """Language of the answer, ISO 639-1."""
    custom_persona: str | None = None
    """Replaces the agent's persona for each call."""
    custom_context: str | None = None
    """Extra context for each call."""
    response_source: str | None = None
    """'default', 'own_content' or 'openai_content'."""
    agent_capability: str | None = None
    """'fastest-responses', 'optimal-choice', 'advanced-reasoning' or 'complex-tasks'."""
    external_id: str | None = None
    """Stored with the message on the server; a fresh uuid for each prompt unless given."""

    # `Any` at run time: naming the real classes would load an HTTP library with this module.
    if TYPE_CHECKING:
        client: Client | None = None
        async_client: AsyncClient | None = None
    else:
        client: Any = Field(default=None, exclude=True, repr=False)
        async_client: Any = Field(default=None, exclude=True, repr=False)
    client_options: ClientOptions | None = Field(default=None, exclude=True, repr=False)
    """Everything else about the connection: proxy, retry policy, recovery, clocks."""

    _options: ClientOptions = PrivateAttr()
    _made: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(self, **kwargs: Any) -> None:
        if isinstance(kwargs.get("api_key"), str):
            kwargs["api_key"] = SecretStr(kwargs["api_key"])  # at once: tracebacks can show locals
        owner, known = type(self).__name__, _known_keywords(type(self))
        for name in [name for name in kwargs if name in WITHOUT_COUNTERPART]:
            if kwargs[name] is not None:
                warn_without_counterpart(owner, name)
            if name not in known:
                del kwargs[name]
        for name in kwargs.keys() - known:
            raise unknown_keyword(owner, name, known)
        try:
            options = _resolve(kwargs)
        except CustomGPTError as error:
            raise as_langchain(error) from error.__cause__
        if options.project_id is None:
            raise ConfigurationError("Which agent? Pass project_id=..., or set CUSTOMGPT_PROJECT_ID.")
        kwargs.update(project_id=options.project_id, base_url=options.base_url)
        kwargs["api_key"] = None if options.api_key is None else SecretStr(options.api_key)
        super().__init__(**kwargs)
        self._options = options

    def model_post_init(self, context: Any, /) -> None:
        """Hand on to LangChain's, which pydantic's own for the private attributes would otherwise replace."""
        super().model_post_init(context)

    @property
    def _project(self) -> int:
        """The agent's id; `__init__` saw to it that there is one."""
        return self.project_id or 0

    def _sync_client(self) -> Client:
        """The caller's client, or one of our own that is made now and kept."""
        client: Client | None = self.client or self._made.get("sync")
        if client is None:
            from customgpt_transport import Client

            # Two threads may both make one; setdefault keeps the first, the other never did any I/O.
            client = self._made.setdefault("sync", Client(options=self._options))
        return client

    def _async_client(self) -> AsyncClient:
        """The caller's asynchronous client, or one of our own that is made now and kept."""
        client: AsyncClient | None = self.async_client or self._made.get("async")
        if client is None:
            from customgpt_transport import AsyncClient

            client = self._made.setdefault("async", AsyncClient(options=self._options))
        return client

    def _same_settings(self) -> dict[str, Any]:
        """The keywords that construct something else with the same settings."""
        given = {name: getattr(self, name) for name in CustomGPTSettings.model_fields}
        if self.client is not None or self.async_client is not None:
            del given["api_key"], given["base_url"]  # the client has them
        return {name: value for name, value in given.items() if value is not None}

    def _check_call(self, call: Mapping[str, Any], known: frozenset[str] = CALL_KEYWORDS) -> None:
        """Report the keywords of one call that nobody knows, and warn of those without a counterpart."""
        for name in call.keys() - known:
            if name not in WITHOUT_COUNTERPART:
                raise unknown_keyword(type(self).__name__, name, known)
            if call[name] is not None:
                warn_without_counterpart(type(self).__name__, name)

    def _prompt_request(self, call: Mapping[str, Any], extra_persona: str = "") -> dict[str, Any]:
        """The keywords of `ask` and `stream` for one call, all but the session."""
        return {
            "project_id": self._project,
            "settings": self._prompt_settings(call, extra_persona),
            "options": self._call_options(call),
        }

    def _prompt_settings(self, call: Mapping[str, Any], extra_persona: str = "") -> PromptSettings:
        """What travels with the prompt: the call's keywords, else the fields; `extra_persona` is added."""
        given = {theirs: call.get(ours, getattr(self, ours)) for ours, theirs in PROMPT_SETTINGS.items()}
        for ours in PROMPT_SETTINGS.keys() & call.keys():
            if call[ours] is not None and not isinstance(call[ours], str):
                raise ConfigurationError(f"{ours} must be text, not {call[ours]!r:.80}.")
        if extra_persona:
            given["custom_persona"] = "\n\n".join(filter(None, (given["custom_persona"], extra_persona)))
        return PromptSettings(**given)

    def _call_options(self, call: Mapping[str, Any]) -> ClientOptions | None:
        """Options for this call only; None when the client's own are right."""
        if "timeout" in call or "max_retries" in call:
            try:
                return _with_patience(self._options, call.get("timeout"), call.get("max_retries"))
            except CustomGPTError as error:
                raise as_langchain(error) from error.__cause__
        ready_made = self.client is not None or self.async_client is not None
        set_here = self.timeout is not None or self.max_retries is not None
        return self._options if ready_made and set_here else None


def _resolve(given: Mapping[str, Any]) -> ClientOptions:
    """The connection's options from the constructor's keywords, the ready-made ones, and the environment."""
    ready = given.get("client") or given.get("async_client")
    named = {name: given[name] for name in ("api_key", "base_url") if given.get(name) is not None}
    if ready is not None and (_differs(named, ready.options) or given.get("client_options") is not None):
        raise ConfigurationError(
            "A ready-made client has its own key, address and options: pass it, or them, not both."
        )
    if "api_key" in named:
        named["api_key"] = Secret(named["api_key"].get_secret_value())
    if given.get("project_id") is not None:
        named["project_id"] = given["project_id"]
    options: ClientOptions = (
        ready.options if ready is not None else given.get("client_options") or ClientOptions()
    )
    if options.adapter is None:
        named["adapter"] = ADAPTER
    options = replace(options, **named).resolve()
    return _with_patience(options, given.get("timeout"), given.get("max_retries"))


def _differs(named: Mapping[str, Any], options: ClientOptions) -> bool:
    """Whether a key or an address was given that is not the ready-made client's own."""
    key, address = named.get("api_key"), named.get("base_url")
    return (key is not None and key.get_secret_value() != options.api_key) or (
        address is not None and replace(options, base_url=address).resolve().base_url != options.base_url
    )


def _with_patience(options: ClientOptions, timeout: Any, max_retries: Any) -> ClientOptions:
    """The options with another patience; raises `ConfigurationError` for what is no number of it."""
    if timeout is not None:
        options = options.with_timeout(_number("timeout", timeout))
    if max_retries is not None:
        retries = _number("max_retries", max_retries)
        if retries < 0 or retries != int(retries):
            raise ConfigurationError(f"max_retries must be a whole number from 0, not {max_retries!r:.80}.")
        options = replace(options, retry=replace(options.retry, max_retries=int(retries)))
    return options if timeout is None and max_retries is None else options.resolve()


def _number(name: str, value: Any) -> float:
    """`value` as a number, which a string of one is, too (as pydantic has it)."""
    if not isinstance(value, bool) and isinstance(value, (int, float, str)):
        with suppress(ValueError):
            return float(value)
    hint = " Give one number of seconds." if name == "timeout" else ""
    raise ConfigurationError(f"{name} must be a number, not {value!r:.80}.{hint}")
