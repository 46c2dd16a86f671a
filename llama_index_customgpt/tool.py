"""A query engine as a tool for agents, which never blocks the event loop."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.tools.query_engine import QueryEngineTool
from llama_index.core.tools.types import ToolMetadata, ToolOutput

__all__ = ["CustomGPTQueryEngineTool"]

DEFAULT_NAME = "ask_customgpt"
DEFAULT_DESCRIPTION = (
    "Answers a question from the documents that a CustomGPT.ai agent was given. "
    "Ask in a whole sentence, in natural language."
)


class CustomGPTQueryEngineTool(QueryEngineTool):
    """`QueryEngineTool` whose `acall` awaits a streamed answer instead of taking `str()` of it on the loop.

    The sources are in `tool_output.raw_output.source_nodes`. An error of the service is raised as it is when
    you call the tool; LlamaIndex's agents turn any exception into a tool output with `is_error=True`.
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
        """Make a tool of `query_engine`."""
        metadata = ToolMetadata(
            name=name or DEFAULT_NAME,
            description=description or DEFAULT_DESCRIPTION,
            return_direct=return_direct,
        )
        return cls(query_engine, metadata, resolve_input_errors)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        """Ask and give the answer, with the response (and its sources) as `raw_output`."""
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
