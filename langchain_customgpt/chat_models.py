"""`ChatCustomGPT`: an agent of CustomGPT.ai as a LangChain chat model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from langchain_core.caches import BaseCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from pydantic import Field, model_validator
from typing_extensions import Self

from customgpt_transport.delivery import Delivery, OnMismatch, VerifyTip
from customgpt_transport.histories import SystemMessagePolicy, make_plan, service_of
from customgpt_transport.models import Message
from customgpt_transport.transcript import MAX_TRANSCRIPT_CHARACTERS
from langchain_customgpt._citations import CitationMode, citation_data
from langchain_customgpt._messages import read_turns
from langchain_customgpt._reply import Reply
from langchain_customgpt._settings import CALL_KEYWORDS, PROMPT_SETTINGS, CustomGPTSettings, warn_once
from langchain_customgpt._version import __version__
from langchain_customgpt.errors import ConfigurationError, langchain_errors

if TYPE_CHECKING:
    from customgpt_transport import AsyncClient, Client

_NO_TOOLS = (
    "A CustomGPT.ai agent answers from its documents; it cannot call tools or fill a schema. Give the agent, "
    "as a tool, to a model that can: create_agent(model, tools=[CustomGPTTool(project_id=...)])."
)
_TOOL_KEYWORDS = frozenset({"tools", "tool_choice", "functions", "function_call", "response_format"})
_CALL_KEYWORDS = CALL_KEYWORDS | {"session_id", "files"}
_SILENT_KEYWORDS = _TOOL_KEYWORDS | {
    "stream",
    "streaming",
}  # accepted when they are empty, or LangChain's own


class ChatCustomGPT(CustomGPTSettings, BaseChatModel):
    """A CustomGPT.ai agent as a chat model, with streaming, citations, and conversations kept on the server.

    Setup:
        Install `customgpt-adapters[langchain]` and set `CUSTOMGPT_API_KEY` and `CUSTOMGPT_PROJECT_ID`.

    Key init args, prompts:
        model, lang, custom_persona, custom_context, response_source, agent_capability, external_id:
            Sent with each prompt. Each can also be passed per call.
        stop: Stop sequences. They are applied to the answer here, since the API has none.
        citations: "full" looks up the title and URL of each source, "ids" does not, "off" leaves sources out.
        system_message: "persona" sends system messages, joined to `custom_persona`, as the persona that
            replaces the agent's own; "prepend" puts them before each prompt; "ignore" drops them; "error"
            refuses them.

    Key init args, conversations:
        conversation: "auto" continues the conversation on the server when the messages are exactly what it
            holds, and otherwise starts a new one with the earlier turns replayed. "stateless" always starts
            a new one.
        session_id: Send every prompt to this conversation without checking the history against it.
        on_mismatch: What to do when an answer of this agent in the messages cannot be continued: "fork"
            starts a new conversation, "error" raises.
        verify_tip: When to ask the server whether a conversation has moved on. By default, once for each
            conversation that this process did not begin. "remote" asks before every continuation, for
            processes that take turns on one conversation; it is no lock, because asking and sending are two
            requests. "never" trusts the messages.
        max_history_chars: How many characters of earlier turns to replay at most; 0 for none.

    Key init args, connection:
        project_id, api_key, base_url, timeout, max_retries, client, async_client, client_options.

    Instantiate:
        llm = ChatCustomGPT(project_id=123)

    Invoke:
        llm.invoke("How do refunds work?").content

    Stream:
        for chunk in llm.stream("How do refunds work?"):
            print(chunk.text, end="")

    Async:
        await llm.ainvoke("How do refunds work?")

    Citations:
        llm.invoke("...").content_blocks[0]["annotations"]  # standard LangChain citations
        llm.invoke("...").response_metadata["citations"]    # the same as plain data
        They apply to the whole answer: the API gives no passages, no scores and no positions.

    Token usage:
        None: the API counts queries, not tokens.

    Response metadata:
        model_provider, model_name, citations, and customgpt: where the answer stands on the server
        (session_id, prompt_id, ...), and whether it was `recovered` after the connection had failed.

    Raises the errors of `langchain_customgpt.errors`. Conversation state travels in the messages, never on
    this object, so one instance serves many users, threads and event loops.
    """

    conversation: Literal["auto", "stateless"] = "auto"
    session_id: str | None = None
    on_mismatch: OnMismatch = "fork"
    system_message: SystemMessagePolicy = "persona"
    max_history_chars: int = Field(default=MAX_TRANSCRIPT_CHARACTERS, ge=0)
    verify_tip: VerifyTip | None = None
    citations: CitationMode = "full"
    stop: list[str] | str | None = None
    streaming: bool = False
    temperature: float | None = None
    """Ignored, with a warning: the API has no counterpart."""
    max_tokens: int | None = None
    """Ignored, with a warning: the API has no counterpart."""
    cache: BaseCache | bool | None = Field(default=False, exclude=True)
    """Off by default. With a cache, each prompt begins a conversation that the answer does not name, and a
    pinned `session_id` is refused, because it would lack the answers that come from the cache."""

    @model_validator(mode="after")
    def _set_customgpt_version(self) -> Self:
        """Add this package's version to traces."""
        self._add_version("langchain-customgpt", __version__)
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply, client = self._begin(messages, stop, kwargs), self._sync_client()
        delivery = reply.delivery
        while not delivery.done:
            with langchain_errors(), delivery:
                self._check_tip(client, delivery)
                delivery.finish(client.ask(delivery.prompt, **delivery.request))
        return reply.result(self._sources(client, delivery.message))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply, client = self._begin(messages, stop, kwargs), await self._async_client()
        delivery = reply.delivery
        while not delivery.done:
            with langchain_errors(), delivery:
                await self._acheck_tip(client, delivery)
                delivery.finish(await client.ask(delivery.prompt, **delivery.request))
        return reply.result(await self._asources(client, delivery.message))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply, client = self._begin(messages, stop, kwargs), self._sync_client()
        delivery = reply.delivery
        while not delivery.done:
            with langchain_errors(), delivery:
                self._check_tip(client, delivery)
                with client.stream(delivery.prompt, **delivery.request) as answer:
                    for event in answer:
                        chunk = reply.chunk(event)
                        if chunk is not None:
                            if run_manager is not None:
                                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                            yield chunk
                    delivery.finish(answer.message)
        chunk = reply.last_chunk(self._sources(client, delivery.message))
        if run_manager is not None:
            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
        yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply, client = self._begin(messages, stop, kwargs), await self._async_client()
        delivery = reply.delivery
        while not delivery.done:
            with langchain_errors(), delivery:
                await self._acheck_tip(client, delivery)
                async with client.stream(delivery.prompt, **delivery.request) as answer:
                    async for event in answer:
                        chunk = reply.chunk(event)
                        if chunk is not None:
                            if run_manager is not None:
                                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                            yield chunk
                    delivery.finish(answer.message)
        chunk = reply.last_chunk(await self._asources(client, delivery.message))
        if run_manager is not None:
            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
        yield chunk

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Report a cancelled `ainvoke` to `on_llm_error`, which LangChain's own method does not."""
        try:
            return await super()._agenerate_with_cache(messages, stop=stop, run_manager=run_manager, **kwargs)
        except asyncio.CancelledError as error:
            if run_manager is not None:  # shielded, so that a second cancellation does not lose it
                await asyncio.shield(run_manager.on_llm_error(error, response=LLMResult(generations=[])))
            raise

    def _begin(self, messages: list[BaseMessage], stop: list[str] | None, call: Mapping[str, Any]) -> Reply:
        """Check the call and plan it. Nothing is sent yet."""
        if asked := [name for name in _TOOL_KEYWORDS if call.get(name)]:
            raise NotImplementedError(f"{', '.join(asked)}: {_NO_TOOLS}")
        self._check_call(call, _CALL_KEYWORDS | _SILENT_KEYWORDS)
        cached = self._caches()
        session_id = call.get("session_id", self.session_id)
        if cached and session_id:
            raise ConfigurationError(
                "A pinned session_id and a cache do not go together: the conversation would lack the answers "
                "that come from the cache. Pass cache=False, or no session_id."
            )
        service = service_of(self.base_url or "")
        with langchain_errors():
            plan = make_plan(
                read_turns(messages),
                service=service,
                project_id=self._project,
                session_id=session_id,
                stateless=cached or self.conversation == "stateless",
                system_message=self.system_message,
                max_history_chars=self.max_history_chars,
            )
            request = {**self._prompt_request(call, plan.system), "files": call.get("files") or ()}
            delivery = Delivery(
                plan,
                service=service,
                request=request,
                on_mismatch=self.on_mismatch,
                verify_tip=self.verify_tip,
                keep_place=not cached,
            )
        if plan.system:
            warn_once(
                f"{type(self).__name__}.system_message",
                "%s: system messages are sent as custom_persona, which replaces the agent's own persona. "
                'system_message="prepend" or "ignore" keeps it.',
                type(self).__name__,
            )
        return Reply(delivery, self._stops(stop), self._model_name(call))

    def _check_tip(self, client: Client, delivery: Delivery) -> None:
        if session_id := delivery.session_to_verify:
            newest = iter(client.messages.list(session_id, project_id=self._project))
            delivery.newest_is(next(newest, None))

    async def _acheck_tip(self, client: AsyncClient, delivery: Delivery) -> None:
        if session_id := delivery.session_to_verify:
            newest = aiter(client.messages.list(session_id, project_id=self._project))
            delivery.newest_is(await anext(newest, None))

    def _sources(self, client: Client, message: Message) -> list[dict[str, Any]] | None:
        """Return the answer's sources as data; None when they are off."""
        if self.citations != "full":
            return self._unresolved(message)
        return [citation_data(found) for found in client.citations(message, project_id=self._project)]

    async def _asources(self, client: AsyncClient, message: Message) -> list[dict[str, Any]] | None:
        if self.citations != "full":
            return self._unresolved(message)
        return [citation_data(found) for found in await client.citations(message, project_id=self._project)]

    def _unresolved(self, message: Message) -> list[dict[str, Any]] | None:
        return [{"id": number} for number in message.citation_ids] if self.citations == "ids" else None

    def _stops(self, stop: list[str] | str | None) -> list[str]:
        chosen = self.stop if stop is None else stop
        return [text for text in ([chosen] if isinstance(chosen, str) else chosen or []) if text]

    def _model_name(self, call: Mapping[str, Any]) -> str:
        return call.get("model") or self.model or f"customgpt-agent-{self._project}"

    def _caches(self) -> bool:
        """Return whether LangChain will cache the answer."""
        return self.cache is not False and (isinstance(self.cache, BaseCache) or get_llm_cache() is not None)

    @property
    def _llm_type(self) -> str:
        return "customgpt-chat"

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that stands for the key in serialised models."""
        return {"api_key": "CUSTOMGPT_API_KEY"}

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All fields that change an answer: LangChain's cache distinguishes models by these."""
        names = (
            "project_id", "base_url", *PROMPT_SETTINGS, "conversation", "session_id", "on_mismatch",
            "system_message", "max_history_chars", "verify_tip", "citations", "output_version",
        )  # fmt: skip
        # Not "stop": LangChain uses that name for the stop sequences of the call.
        return {**{name: getattr(self, name) for name in names}, "stop_sequences": self._stops(None)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="customgpt", ls_model_name=self._model_name(kwargs), ls_model_type="chat"
        )
        if stops := self._stops(stop):
            params["ls_stop"] = stops
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        return {
            "text_inputs": True, "image_inputs": False, "image_url_inputs": False, "pdf_inputs": False,
            "audio_inputs": False, "video_inputs": False, "text_outputs": True, "tool_calling": False,
            "structured_output": False, "reasoning_output": False,
        }  # fmt: skip

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Return an estimate, for `trim_messages`: the API has no tokenizer."""
        return count_tokens_approximately(messages)

    def get_num_tokens(self, text: str) -> int:
        """Return an estimate, as `get_num_tokens_from_messages` does."""
        return count_tokens_approximately([HumanMessage(text)])

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> NoReturn:
        """Raise `NotImplementedError`, which says what works instead."""
        raise NotImplementedError(_NO_TOOLS)

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> NoReturn:
        """Raise `NotImplementedError`, which says what works instead."""
        raise NotImplementedError(_NO_TOOLS)
