"""A query engine as a tool for agents that never blocks the event loop."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.tools.query_engine import QueryEngineTool
from llama_index.core.tools.types import ToolMetadata, ToolOutput

__all__ = ["CustomGPTQueryEngineTool"]

DEFAULT_NAME = "ask_customgpt"
DEFAULT_DESCRIPTION = (
    "Answer a question from the documents of a CustomGPT.ai agent. "
    "Ask one complete question in natural language."
)


class CustomGPTQueryEngineTool(QueryEngineTool):
    """A `QueryEngineTool` whose `acall` awaits a streamed answer; core's would block the loop in `str()`.

    The sources are in `tool_output.raw_output.source_nodes`. A call raises the transport's errors, which
    LlamaIndex's agents turn into a tool output with `is_error=True`.
    """

    @classmethod
    def from_defaults(
        cls,
        query_engine: BaseQueryEngine,
        name: str | None = None,
        description: str | None = None,
        return_direct: bool = False,
        resolve_input_errors: bool = True,
    ) -> CustomGPTQueryEngineTool:
        """Return a tool that asks `query_engine`."""
        metadata = ToolMetadata(
            name=name or DEFAULT_NAME,
            description=description or DEFAULT_DESCRIPTION,
            return_direct=return_direct,
        )
        return cls(query_engine, metadata, resolve_input_errors)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        """Return the answer; the response, with its sources, is the `raw_output`."""
        query = self._get_query_str(*args, **kwargs)
        response = await self.query_engine.aquery(query)
        if isinstance(response, AsyncStreamingResponse):
            await response.get_response()
        return ToolOutput(
            content=str(response),
            tool_name=self.metadata.get_name(),
            raw_input={"input": query},
            raw_output=response,
        )
