"""Models with fixed answers, for what the framework asks of a model around our engines.

The framework's own mock of a function-calling model is absent in llama-index-core 0.13.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection


class Says(CustomLLM):
    """Answers everything with `text`, and keeps what it was asked."""

    text: str = "YES"
    asked: list[str] = []  # noqa: RUF012 - a pydantic field, copied for each instance

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="says")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self.asked.append(prompt)
        return CompletionResponse(text=self.text)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        self.asked.append(prompt)

        def tokens() -> CompletionResponseGen:
            yield CompletionResponse(text=self.text, delta=self.text)

        return tokens()


class CallsTheTool(FunctionCallingLLM):
    """Calls the first tool with the user's words, then repeats what the tool said."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_function_calling_model=True, is_chat_model=True, model_name="calls")

    def _reply(self, messages: Sequence[ChatMessage], tools: Sequence[Any]) -> ChatResponse:
        said = [message for message in messages if message.role == MessageRole.TOOL]
        if said:
            text = said[-1].content or ""
            return ChatResponse(message=ChatMessage(role="assistant", content=text), delta=text)
        question = next(message for message in reversed(messages) if message.role == MessageRole.USER)
        call = {"name": tools[0].metadata.get_name(), "input": question.content}
        message = ChatMessage(role="assistant", content="", additional_kwargs={"call": call})
        return ChatResponse(message=message, delta="")

    def _prepare_chat_with_tools(self, tools: Any, **kwargs: Any) -> dict[str, Any]:
        return {"messages": list(kwargs.get("chat_history") or []), "tools": tools}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        call = response.message.additional_kwargs.get("call")
        if call is None:
            return []
        kwargs = {"input": call["input"]}
        return [ToolSelection(tool_id="call-1", tool_name=call["name"], tool_kwargs=kwargs)]

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._reply(messages, kwargs.get("tools") or [])

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._reply(messages, kwargs.get("tools") or [])

    def stream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> Generator[ChatResponse, None, None]:
        yield self._reply(messages, kwargs.get("tools") or [])

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[ChatResponse, None]:
        async def tokens() -> AsyncGenerator[ChatResponse, None]:
            yield self._reply(messages, kwargs.get("tools") or [])

        return tokens()

    def complete(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def acomplete(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def astream_complete(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError
