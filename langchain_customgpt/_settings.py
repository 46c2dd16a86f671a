"""The fields that chat model, retriever and tool have in common, and the clients made from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from customgpt_transport.adapting import Clients, Connection, did_you_mean, with_persona
from customgpt_transport.options import ClientOptions, PromptSettings, Secret
from langchain_customgpt._version import __version__
from langchain_customgpt.errors import ConfigurationError, langchain_errors

if TYPE_CHECKING:
    from customgpt_transport import AsyncClient, Client

logger = logging.getLogger("langchain_customgpt")

ADAPTER = f"langchain-customgpt/{__version__}"

# Keywords of other chat models for which this API has no counterpart.
WITHOUT_COUNTERPART = frozenset(
    {
        "temperature", "max_tokens", "max_completion_tokens", "max_output_tokens", "top_p", "top_k", "n",
        "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
        "reasoning", "reasoning_effort", "verbosity", "stream_usage", "stream_options", "service_tier",
        "store", "user", "model_kwargs", "extra_body", "default_headers", "parallel_tool_calls",
    }
)  # fmt: skip

# The settings of a prompt: our name and the transport's.
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


_warned: set[str] = set()


def warn_once(key: str, message: str, *values: object) -> None:
    """Log a warning once per process and `key`, so that a model in a loop does not fill the log."""
    if key not in _warned:
        _warned.add(key)
        logger.warning(message, *values)


def forget_warnings() -> None:
    """Let every warning be logged again."""
    _warned.clear()


def warn_without_counterpart(owner: str, name: str) -> None:
    """Warn, once per class and name, that `name` has no effect."""
    warn_once(f"{owner}.{name}", "%s: CustomGPT.ai has no counterpart for %s; it is ignored.", owner, name)


def unknown_keyword(owner: str, name: str, known: frozenset[str]) -> ConfigurationError:
    """Return the error for an unknown keyword, with a hint at the one that was probably meant."""
    return ConfigurationError(f"{owner} knows no keyword {name!r}.{did_you_mean(name, known)}")


@cache
def _known_keywords(cls: type[BaseModel]) -> frozenset[str]:
    return frozenset(cls.model_fields)


class CustomGPTSettings(BaseModel):
    """The common fields, and two clients that are made when they are first needed.

    Constructing does no I/O. Raises `ConfigurationError` for a missing key or agent, and for an unknown
    keyword.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    project_id: int | None = None
    """The agent's id. Falls back to CUSTOMGPT_PROJECT_ID."""
    if TYPE_CHECKING:
        api_key: SecretStr | str | None = None
    else:
        api_key: SecretStr | None = None
    """The API key, kept as a `SecretStr`. Falls back to CUSTOMGPT_API_KEY."""
    base_url: str | None = None
    """The address of the API. Falls back to CUSTOMGPT_BASE_URL, then to the vendor's."""
    timeout: float | None = None
    """Seconds of silence before giving up, both until the first byte and between events; never a total."""
    max_retries: int | None = None
    """How often to resend a request that was refused or never left. 2 by default."""

    model: str | None = None
    """The model that answers instead of the agent's own (`chatbot_model` in the API)."""
    lang: str | None = None
    """The language of the answer, as ISO 639-1."""
    custom_persona: str | None = None
    """The persona that replaces the agent's own."""
    custom_context: str | None = None
    """Extra context for the agent."""
    response_source: str | None = None
    """What to answer from: 'default', 'own_content' or 'openai_content'."""
    agent_capability: str | None = None
    """'fastest-responses', 'optimal-choice', 'advanced-reasoning' or 'complex-tasks'."""
    external_id: str | None = None
    """An id to store with the message on the server; by default a new UUID for each prompt."""

    # `Any` at run time: the real classes would load an HTTP library with this module.
    if TYPE_CHECKING:
        client: Client | None = None
        async_client: AsyncClient | None = None
    else:
        client: Any = Field(default=None, exclude=True, repr=False)
        async_client: Any = Field(default=None, exclude=True, repr=False)
    client_options: ClientOptions | None = Field(default=None, exclude=True, repr=False)
    """All other options of the connection: proxy, retry policy, recovery, timeouts."""

    _clients: Clients = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        if isinstance(kwargs.get("api_key"), str):
            kwargs["api_key"] = SecretStr(kwargs["api_key"])  # first of all: tracebacks can show locals
        owner, known = type(self).__name__, _known_keywords(type(self))
        for name in [name for name in kwargs if name in WITHOUT_COUNTERPART]:
            if kwargs[name] is not None:
                warn_without_counterpart(owner, name)
            if name not in known:
                del kwargs[name]
        for name in kwargs.keys() - known:
            raise unknown_keyword(owner, name, known)
        with langchain_errors():
            clients = _clients(kwargs)
        options = clients.options
        kwargs.update(project_id=options.project_id, base_url=options.base_url)
        kwargs["api_key"] = None if options.api_key is None else SecretStr(options.api_key)
        super().__init__(**kwargs)
        self._clients = clients

    def model_post_init(self, context: Any, /) -> None:
        """Call LangChain's hook, which pydantic's own for private attributes would otherwise replace."""
        super().model_post_init(context)

    @property
    def _project(self) -> int:
        return self._clients.agent

    def _sync_client(self) -> Client:
        return self.client or self._clients.sync  # model_copy(update=...) may have set another

    async def _async_client(self) -> AsyncClient:
        return self.async_client or await self._clients.on_this_loop()

    def _same_settings(self) -> dict[str, Any]:
        """Return the keywords that construct something else with the same settings."""
        given = {name: getattr(self, name) for name in CustomGPTSettings.model_fields}
        if self.client is not None or self.async_client is not None:
            del given["api_key"], given["base_url"]  # the client has its own
        return {name: value for name, value in given.items() if value is not None}

    def _check_call(self, call: Mapping[str, Any], known: frozenset[str] = CALL_KEYWORDS) -> None:
        """Raise for unknown keywords of a call, and warn about those without a counterpart."""
        for name in call.keys() - known:
            if name not in WITHOUT_COUNTERPART:
                raise unknown_keyword(type(self).__name__, name, known)
            if call[name] is not None:
                warn_without_counterpart(type(self).__name__, name)

    def _prompt_request(self, call: Mapping[str, Any], system: str = "") -> dict[str, Any]:
        """Return the keywords of `ask` and `stream` for one call, except the session.

        The call's keywords win over the fields. `system`, the text of system messages, joins the persona.
        """
        for name in PROMPT_SETTINGS.keys() & call.keys():
            if call[name] is not None and not isinstance(call[name], str):
                raise ConfigurationError(f"{name} must be text, not {call[name]!r:.80}.")
        given = {theirs: call.get(ours, getattr(self, ours)) for ours, theirs in PROMPT_SETTINGS.items()}
        with langchain_errors():
            options = self._clients.options_for(call.get("timeout"), call.get("max_retries"))
        settings = with_persona(PromptSettings(**given), system)
        return {"project_id": self._project, "settings": settings, "options": options}


def _clients(given: Mapping[str, Any]) -> Clients:
    """Return the clients for a constructor's keywords."""
    connection = cast("Connection", {name: given.get(name) for name in Connection.__annotations__})
    if given.get("api_key") is not None:
        connection["api_key"] = Secret(given["api_key"].get_secret_value())
    return Clients(connection, adapter=ADAPTER, project_id=given.get("project_id"))
