"""Requirements 13, 16, 17, 18, 21 and 22: what the class accepts, tells about itself, and costs to import."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumpd, load
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langchain_core.tracers.base import BaseTracer
from pydantic import SecretStr

import langchain_customgpt
from customgpt_transport import ClientOptions, RateLimited, StreamInterrupted
from langchain_customgpt import ChatCustomGPT, CustomGPTRetriever, CustomGPTTool
from tests.langchain.ways import ainvoke, astream, invoke, stream

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid?"
KEY = "1|made-up-and-secret"


def test_requirement_13_what_langchain_users_pass_is_accepted_and_named_once(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    for _ in range(3):
        ChatCustomGPT(
            project_id=1,
            api_key=KEY,
            temperature=0,
            max_tokens=100,
            timeout=60,
            stop=[],
            max_retries=2,
            streaming=True,
            top_p=0.9,
        )
    warned = [record for record in caplog.records if record.name == "langchain_customgpt"]
    assert {record.levelno for record in warned} == {logging.WARNING}
    assert sorted(record.args[1] for record in warned if isinstance(record.args, tuple)) == [
        "max_tokens",
        "temperature",
        "top_p",
    ]
    assert not recwarn.list


def test_requirement_13_nothing_is_said_about_what_was_not_given(caplog: pytest.LogCaptureFixture) -> None:
    ChatCustomGPT(project_id=1, api_key=KEY, temperature=None, max_tokens=None)
    assert not caplog.records


@pytest.mark.parametrize("make", [ChatCustomGPT, CustomGPTRetriever, CustomGPTTool])
@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("projectid", "project_id"),
        ("agent_id", "project_id"),
        ("chatbot_model", "model"),
        ("max_retry", "max_retries"),
    ],
)
def test_requirement_13_a_misspelt_keyword_is_reported(make: Any, wrong: str, meant: str) -> None:
    with pytest.raises(
        ValueError, match=f"{make.__name__} knows no keyword '{wrong}'. Did you mean '{meant}'"
    ):
        make(project_id=1, api_key=KEY, **{wrong: "1"})


def test_requirement_13_a_misspelt_session_id_is_reported_in_a_call_too(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    with pytest.raises(ValueError, match="Did you mean 'session_id'"):
        ChatCustomGPT(project_id=1, api_key=KEY, sesion_id="x")
    for ask in (chat.invoke, lambda *args, **kwargs: list(chat.stream(*args, **kwargs))):
        with pytest.raises(ValueError, match="Did you mean 'session_id'"):
            ask(QUESTION, sesion_id="x")
    with pytest.raises(ValueError, match="knows no keyword 'nonsense'"):
        CustomGPTRetriever(project_id=1, api_key=KEY).invoke(QUESTION, nonsense=1)
    assert not list(emulator.journal)


def test_requirement_13_keywords_of_a_call_without_counterpart_are_named_once(
    chat: ChatCustomGPT, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        chat.invoke("hello", temperature=0.5, seed=1)
    assert sorted(record.args[1] for record in caplog.records if isinstance(record.args, tuple)) == [
        "seed",
        "temperature",
    ]


def test_requirement_13_timeout_and_retries_reach_the_transport(
    make_chat: MakeChat, emulator: Emulator
) -> None:
    quiet = ClientOptions(recovery_patience=0, sleep=lambda seconds: None)
    emulator.faults.stall(after_events=2, times=2)
    for settings, call in (({"timeout": 0.1}, {}), ({}, {"timeout": 0.1})):
        with pytest.raises(StreamInterrupted, match=r"for 0\.1 s"):
            list(make_chat(client_options=quiet, **settings).stream(QUESTION, **call))
    for settings, call, tries in (
        ({"max_retries": 0}, {}, 1),
        ({}, {"max_retries": 1}, 2),
        ({"max_retries": 3}, {}, 4),
    ):
        refused = emulator.faults.rate_limit(times=None)
        with pytest.raises(RateLimited):
            make_chat(client_options=quiet, **settings).invoke(QUESTION, **call)
        assert refused.played == tries
        emulator.faults.clear()


def test_requirement_13_the_key_may_be_a_secret_or_come_from_the_environment(
    where: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = where.pop("api_key")
    assert ChatCustomGPT(**where, api_key=SecretStr(key)).invoke("hello").content
    monkeypatch.setenv("CUSTOMGPT_API_KEY", key)
    monkeypatch.setenv("CUSTOMGPT_BASE_URL", where["base_url"])
    monkeypatch.setenv("CUSTOMGPT_PROJECT_ID", str(where["project_id"]))
    assert ChatCustomGPT().invoke("hello").content
    assert ChatCustomGPT(project_id=str(where["project_id"])).project_id == where["project_id"]


class Traced(BaseTracer):
    """Keeps the runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run)


def test_requirement_16_traces_name_provider_model_and_versions(make_chat: MakeChat) -> None:
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


def test_requirement_16_every_field_that_changes_an_answer_identifies_the_model(make_chat: MakeChat) -> None:
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


def test_requirement_16_the_key_is_nowhere_to_be_seen(caplog: pytest.LogCaptureFixture) -> None:
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


@pytest.fixture
def global_cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


def test_requirement_17_a_global_cache_is_not_used_unless_asked_for(
    chat: ChatCustomGPT, emulator: Emulator, global_cache: InMemoryCache
) -> None:
    first, second = chat.invoke("hello"), chat.invoke("hello")
    assert len(emulator.journal.prompts()) == 2
    assert (
        first.response_metadata["customgpt"]["session_id"]
        != second.response_metadata["customgpt"]["session_id"]
    )
    assert not global_cache._cache


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("which", ["own", "global", "by default"])
def test_requirement_17_no_session_leaks_through_a_cache(
    make_chat: MakeChat, emulator: Emulator, which: str, streaming: bool, global_cache: InMemoryCache
) -> None:
    cache = {"own": InMemoryCache(), "global": True, "by default": None}[which]
    chat = make_chat(cache=cache, **({"streaming": True} if streaming else {}))
    for ask in (invoke, ainvoke):
        answer = ask(chat, QUESTION)
        note = answer.response_metadata["customgpt"]
        assert "session_id" not in note
        assert "prompt_id" not in note
        assert note["mode"] == "stateless"
        assert answer.response_metadata["citations"]
    assert len(emulator.journal.prompts()) == 1, "the second came from the cache"
    sessions = [entry.path.split("/")[-2] for entry in emulator.journal.prompts()]
    later = [HumanMessage(QUESTION), answer, HumanMessage("And gift cards?")]
    for ask in (invoke, stream, ainvoke, astream):
        assert ask(chat, later).response_metadata["customgpt"]["mode"] == "stateless"
    assert not set(sessions) & {entry.path.split("/")[-2] for entry in emulator.journal.prompts()[1:]}
    assert not any(session in repr(store) for session in sessions for store in (global_cache._cache, cache))


def test_requirement_18_tools_and_schemas_are_refused_with_guidance(chat: ChatCustomGPT) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    for refused in (
        lambda: chat.bind_tools([add]),
        lambda: chat.with_structured_output({"title": "x", "type": "object"}),
        lambda: chat.invoke("hello", tools=[{"type": "function"}]),
    ):
        with pytest.raises(NotImplementedError, match="CustomGPTTool"):
            refused()
    assert chat.profile is not None
    assert chat.profile["tool_calling"] is False
    assert chat.profile["structured_output"] is False
    assert chat.invoke("hello", tools=[], tool_choice=None).content


IMPORT = """
import sys
import langchain_customgpt
heavy = {"langchain_core", "pydantic", "requests", "aiohttp"}
assert not [name for name in sys.modules if name.partition(".")[0] in heavy]
from langchain_customgpt import *
import langchain_core.language_models.chat_models
ChatCustomGPT(project_id=1, api_key="1|made-up"), CustomGPTRetriever(project_id=1, api_key="1|made-up")
assert "aiohttp" not in sys.modules and "llama_index" not in sys.modules
clients = ("customgpt_transport._sync", "customgpt_transport._async")
assert not [name for name in sys.modules if name.startswith(clients)]
"""


def test_requirement_21_the_package_is_lazy() -> None:
    subprocess.run([sys.executable, "-c", IMPORT], check=True)


def test_requirement_21_without_langchain_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["langchain_core"] = None
import langchain_customgpt
try:
    langchain_customgpt.ChatCustomGPT
except ImportError as error:
    assert "customgpt-adapters[langchain]" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_requirement_22_the_package_is_typed() -> None:
    assert resources.files(langchain_customgpt).joinpath("py.typed").is_file()


def test_configurable_fields_and_bind_choose_the_conversation(
    chat: ChatCustomGPT, emulator: Emulator
) -> None:
    session = chat.invoke("hello").response_metadata["customgpt"]["session_id"]
    configurable = chat.configurable_fields(session_id=ConfigurableField(id="session_id"))
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    answers = [
        (prompt | configurable).invoke({"question": "hello"}, {"configurable": {"session_id": session}}),
        chat.bind(session_id=session).invoke("hello"),
        chat.invoke("hello", session_id=session),
    ]
    assert {answer.response_metadata["customgpt"]["session_id"] for answer in answers} == {session}
    assert {answer.response_metadata["customgpt"]["mode"] for answer in answers} == {"pinned"}


def test_a_model_does_not_pretend_to_load_from_a_dump() -> None:
    """LangChain loads classes of its own list only; ours says that it cannot be loaded."""
    assert not ChatCustomGPT.is_lc_serializable()
    with pytest.raises(NotImplementedError):
        load(dumpd(ChatCustomGPT(project_id=1, api_key=KEY)), allowed_objects="all")


@pytest.mark.parametrize(
    "wrong",
    [{"citations": "some"}, {"conversation": "always"}, {"verify_tip": "local"}, {"max_history_chars": -1}],
)
def test_a_value_that_no_option_has_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ChatCustomGPT(project_id=1, api_key=KEY, **wrong)
