"""LangChain's own standard tests of a retriever and of a tool, inherited whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from customgpt_emulator import Emulator
from langchain_customgpt import CustomGPTRetriever, CustomGPTTool

PAGES = {
    "refunds.md": "# Refunds\n\nA lamp is refunded within five days.",
    "shipping.md": "# Shipping\n\nA lamp is shipped within two days.",
    "repairs.md": "# Repairs\n\nA lamp is repaired within ten days.",
    "warranty.md": "# Warranty\n\nA lamp has a warranty of two years.",
}


class _AtAnEmulator:
    """Four documents that mention lamps."""

    @pytest.fixture(autouse=True)
    def _at_the_emulator(self, tmp_path: Path) -> Any:
        for name, text in PAGES.items():
            (tmp_path / name).write_text(text)
        with Emulator(documents=tmp_path) as emulator:
            self._where = {
                "project_id": emulator.project_id,
                "api_key": emulator.api_key,
                "base_url": emulator.base_url,
            }
            yield


class TestRetrieverStandard(_AtAnEmulator, RetrieversIntegrationTests):
    """On the emulator."""

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return CustomGPTRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return self._where

    @property
    def retriever_query_example(self) -> str:
        return "Within how many days is a lamp refunded, shipped, repaired, and what is its warranty?"


class TestToolStandardUnit(ToolsUnitTests):
    """Without any server."""

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return CustomGPTTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"project_id": 1, "api_key": "1|made-up"}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "When is a lamp refunded?"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"CUSTOMGPT_API_KEY": "1|made-up", "CUSTOMGPT_PROJECT_ID": "4711"}
        return environment, {}, {"api_key": "1|made-up", "project_id": 4711}


class TestToolStandard(_AtAnEmulator, ToolsIntegrationTests):
    """On the emulator."""

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return CustomGPTTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return self._where

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "When is a lamp refunded?"}
