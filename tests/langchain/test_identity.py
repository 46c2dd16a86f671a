"""What a model tells about itself: to traces, to caches, to dumps; never its key."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.load import dumpd, load
from langchain_core.tracers.base import BaseTracer

from customgpt_transport import ClientOptions
from langchain_customgpt import ChatCustomGPT, CustomGPTRetriever, CustomGPTTool

MakeChat = Callable[..., ChatCustomGPT]
KEY = "1|made-up-and-secret"


class Traced(BaseTracer):
    """Keeps the runs that it traces."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run)


def test_traces_name_provider_model_and_versions(make_chat: MakeChat) -> None:
    chat, traced = make_chat(model="gpt-4-o", stop=["x"]), Traced()
    chat.invoke("hello", {"callbacks": [traced]}, model="claude-3.5-sonnet")
    list(chat.stream("hello", {"callbacks": [traced]}))
    first, second = (run.extra["metadata"] for run in traced.runs)
    assert (first["ls_provider"], first["ls_model_name"]) == ("customgpt", "claude-3.5-sonnet")
    assert (second["ls_provider"], second["ls_model_name"]) == ("customgpt", "gpt-4-o")
    assert first["ls_model_type"] == "chat"
    assert first["ls_stop"] == ["x"]
    assert {"langchain-core", "langchain-customgpt"} <= set(first["lc_versions"])
    assert isinstance(make_chat()._get_ls_params()["ls_model_name"], str)


def test_every_field_that_changes_an_answer_identifies_the_model(make_chat: MakeChat) -> None:
    harmless = {
        # the connection, how the model is watched, and what is warned about
        "api_key", "timeout", "max_retries", "client", "async_client", "client_options", "streaming",
        "temperature", "max_tokens", "cache", "callbacks", "tags", "metadata", "name", "verbose", "profile",
        "rate_limiter", "disable_streaming", "custom_get_token_ids",
    }  # fmt: skip
    other: dict[str, Any] = {
        "project_id": 7, "base_url": "https://example.com", "conversation": "stateless",
        "on_mismatch": "error", "system_message": "prepend", "max_history_chars": 1,
        "verify_tip": "remote", "citations": "off", "output_version": "v1", "stop": ["x"],
    }  # fmt: skip
    plain = make_chat()._get_llm_string()
    for name in set(ChatCustomGPT.model_fields) - harmless:
        changed = make_chat(**{name: other.get(name, "x")})
        assert changed._get_llm_string() != plain, name
        assert changed._identifying_params != make_chat()._identifying_params, name


def test_no_repr_dump_log_or_trace_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for made in (
        ChatCustomGPT(project_id=1, api_key=KEY, client_options=ClientOptions(api_key=KEY)),
        CustomGPTRetriever(project_id=1, api_key=KEY),
        CustomGPTTool(project_id=1, api_key=KEY),
    ):
        shown = [repr(made), str(made), json.dumps(dumpd(made)), repr(made.model_dump())]
        assert not [text for text in shown if KEY in text]
    chat = ChatCustomGPT(project_id=1, api_key=KEY)
    told = (chat._identifying_params, chat._get_llm_string(), chat._get_invocation_params(), caplog.text)
    assert KEY not in repr(told)
    assert chat.lc_secrets == {"api_key": "CUSTOMGPT_API_KEY"}


def test_a_model_does_not_pretend_to_load_from_a_dump() -> None:
    """LangChain loads classes of its own list only; ours says that it cannot be loaded."""
    assert not ChatCustomGPT.is_lc_serializable()
    with pytest.raises(NotImplementedError):
        load(dumpd(ChatCustomGPT(project_id=1, api_key=KEY)), allowed_objects="all")
