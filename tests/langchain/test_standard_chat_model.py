"""LangChain's own standard tests of a chat model, inherited whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_customgpt import ChatCustomGPT

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


class _Capabilities:
    """What an agent of CustomGPT.ai can do: answer text with text."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatCustomGPT

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def returns_usage_metadata(self) -> bool:
        return False

    @property
    def model_override_value(self) -> str:
        return "claude-3.5-sonnet"


class TestStandardUnit(_Capabilities, ChatModelUnitTests):
    """Without any server."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"project_id": 1, "api_key": "1|made-up"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {
            "CUSTOMGPT_API_KEY": "1|made-up",
            "CUSTOMGPT_PROJECT_ID": "4711",
            "CUSTOMGPT_BASE_URL": "https://example.com",
        }
        expected = {"api_key": "1|made-up", "project_id": 4711, "base_url": "https://example.com/api/v1"}
        return environment, {}, expected


class TestStandardIntegration(_Capabilities, ChatModelIntegrationTests):
    """On the emulator; `test_stream_time` on a cassette, which needs no server."""

    @pytest.fixture(autouse=True)
    def _at_the_emulator(self, emulator: Emulator, request: pytest.FixtureRequest) -> None:
        # A cassette knows one agent of the vendor's; the emulator's first agent has the same number.
        self._where: dict[str, Any] = {"project_id": emulator.project_id, "api_key": emulator.api_key}
        if request.node.get_closest_marker("vcr") is None:
            self._where["base_url"] = emulator.base_url

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self._where

    @property
    def enable_vcr_tests(self) -> bool:
        return True
