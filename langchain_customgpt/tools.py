"""`CustomGPTTool`: an agent of CustomGPT.ai as a tool for models that call tools."""

from __future__ import annotations

import re
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, PrivateAttr

from customgpt_transport.errors import CustomGPTError
from customgpt_transport.models import Agent, AgentSettings
from langchain_customgpt._citations import CITATIONS_KEY
from langchain_customgpt._settings import CustomGPTSettings
from langchain_customgpt.chat_models import ChatCustomGPT
from langchain_customgpt.errors import CustomGPTToolError, langchain_errors

_TO_THE_CALLING_MODEL = (
    "Ask a complete question in plain language. Each call is independent: repeat whatever the question needs "
    "from earlier calls."
)


class CustomGPTToolInput(BaseModel):
    """A question to ask."""

    query: str = Field(description="The complete question in plain language, understandable on its own.")


class CustomGPTTool(CustomGPTSettings, BaseTool):
    """An agent as a tool for a model. The answer is the content, and its sources are the artifact.

    `ToolMessage.artifact` is a list of dicts with id, title, url and description; it is empty when the answer
    cites nothing. Each call costs one prompt, in a new conversation. Errors are raised as
    `CustomGPTToolError`, a `ToolException` whose cause is the original error.

    Setup:
        Install `customgpt-adapters[langchain]` and set `CUSTOMGPT_API_KEY` and `CUSTOMGPT_PROJECT_ID`.

    Use:
        create_agent(model, tools=[CustomGPTTool(project_id=123)])
        CustomGPTTool.from_agent(project_id=123)  # with the agent's name and description

    Key init args:
        name, description: What the calling model reads. It chooses better when the description says what the
            documents are about.
        stream_tokens: Whether a graph's `stream_mode="messages"` shows the tool's answer as it comes. Off by
            default, because it would appear between the tokens of the calling model.
        project_id, api_key, base_url, timeout, max_retries, model, lang, custom_persona, custom_context,
            response_source, agent_capability, external_id, client, async_client, client_options:
            As in `ChatCustomGPT`.
    """

    name: str = "customgpt_ask"
    description: str = f"Answer questions from a collection of documents. {_TO_THE_CALLING_MODEL}"
    args_schema: ArgsSchema | None = CustomGPTToolInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    stream_tokens: bool = False
    _inner: ChatCustomGPT | None = PrivateAttr(default=None)

    @classmethod
    def from_agent(cls, **settings: Any) -> CustomGPTTool:
        """Return a tool with the agent's name and description, which takes two requests.

        `settings` are the keywords of the constructor; a name or description among them wins.
        """
        own = cls(**settings)
        client = own._sync_client()
        with langchain_errors():
            agent, its = client.agents.get(own._project), client.agents.settings(own._project)
        return own._described(agent, its, settings)

    @classmethod
    async def afrom_agent(cls, **settings: Any) -> CustomGPTTool:
        """`from_agent` without blocking the event loop."""
        own = cls(**settings)
        client = await own._async_client()
        with langchain_errors():
            agent, its = await client.agents.get(own._project), await client.agents.settings(own._project)
        return own._described(agent, its, settings)

    def _described(self, agent: Agent, its: AgentSettings, given: dict[str, Any]) -> CustomGPTTool:
        """Set the agent's name and description, except those in `given`. Return the tool."""
        if "name" not in given:
            self.name = tool_name(agent)
        if "description" not in given:
            self.description = tool_description(agent, its)
        return self

    def _run(
        self, query: str, run_manager: CallbackManagerForToolRun | None = None
    ) -> tuple[str, list[dict[str, Any]]]:
        try:
            return _content_and_sources(self._chat().invoke(query, self._inner_config(run_manager)))
        except CustomGPTError as error:
            raise CustomGPTToolError(str(error), is_retryable=error.resend_safe) from error

    async def _arun(
        self, query: str, run_manager: AsyncCallbackManagerForToolRun | None = None
    ) -> tuple[str, list[dict[str, Any]]]:
        try:
            return _content_and_sources(await self._chat().ainvoke(query, self._inner_config(run_manager)))
        except CustomGPTError as error:
            raise CustomGPTToolError(str(error), is_retryable=error.resend_safe) from error

    def _chat(self) -> ChatCustomGPT:
        if self._inner is None:
            inner = ChatCustomGPT(**self._same_settings())
            inner._clients = self._clients
            self._inner = inner
        return self._inner

    def _inner_config(
        self, run_manager: CallbackManagerForToolRun | AsyncCallbackManagerForToolRun | None
    ) -> RunnableConfig:
        """Return the config of a child run. LangGraph does not stream a run with the tag `nostream`."""
        tags = [] if self.stream_tokens else ["nostream"]
        if run_manager is None:
            return RunnableConfig(tags=tags)
        return RunnableConfig(tags=tags, callbacks=run_manager.get_child())


def tool_name(agent: Agent) -> str:
    """Return the agent's name in a form that every model accepts: letters, digits and `_`, at most 64."""
    plain = re.sub(r"[^a-zA-Z0-9]+", "_", agent.name).strip("_").lower()
    return f"ask_{plain}"[:64].rstrip("_") if plain else f"ask_agent_{agent.id}"


def tool_description(agent: Agent, its: AgentSettings) -> str:
    """Return what the calling model reads about the agent: its name and its example questions."""
    examples = "".join(f"\n- {question}" for question in its.example_questions[:5])
    asked = f" Questions that it answers:{examples}\n" if examples else " "
    return f"Answer questions from the documents of {agent.name!r}.{asked}{_TO_THE_CALLING_MODEL}"


def _content_and_sources(answer: AIMessage) -> tuple[str, list[dict[str, Any]]]:
    return str(answer.text), answer.response_metadata.get(CITATIONS_KEY) or []
