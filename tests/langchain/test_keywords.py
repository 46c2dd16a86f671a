"""What the classes accept, in the constructor and per call, and what they report or refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from pydantic import SecretStr

from customgpt_transport import ClientOptions, RateLimited, StreamInterrupted
from langchain_customgpt import ChatCustomGPT, CustomGPTRetriever, CustomGPTTool

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid?"
KEY = "1|made-up-and-secret"


def test_common_settings_without_a_counterpart_are_accepted_and_warned_about_once(
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


def test_no_warning_about_settings_that_were_not_given(caplog: pytest.LogCaptureFixture) -> None:
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
def test_a_misspelt_keyword_is_reported(make: Any, wrong: str, meant: str) -> None:
    with pytest.raises(
        ValueError, match=f"{make.__name__} knows no keyword '{wrong}'. Did you mean '{meant}'"
    ):
        make(project_id=1, api_key=KEY, **{wrong: "1"})


def test_a_misspelt_session_id_is_reported_in_a_call_too(chat: ChatCustomGPT, emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="Did you mean 'session_id'"):
        ChatCustomGPT(project_id=1, api_key=KEY, sesion_id="x")
    for ask in (chat.invoke, lambda *args, **kwargs: list(chat.stream(*args, **kwargs))):
        with pytest.raises(ValueError, match="Did you mean 'session_id'"):
            ask(QUESTION, sesion_id="x")
    with pytest.raises(ValueError, match="knows no keyword 'nonsense'"):
        CustomGPTRetriever(project_id=1, api_key=KEY).invoke(QUESTION, nonsense=1)
    assert not list(emulator.journal)


def test_keywords_of_a_call_without_a_counterpart_are_warned_about_once(
    chat: ChatCustomGPT, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        chat.invoke("hello", temperature=0.5, seed=1)
    assert sorted(record.args[1] for record in caplog.records if isinstance(record.args, tuple)) == [
        "seed",
        "temperature",
    ]


def test_timeout_and_max_retries_reach_the_transport(make_chat: MakeChat, emulator: Emulator) -> None:
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


def test_the_key_may_be_a_secret_or_come_from_the_environment(
    where: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = where.pop("api_key")
    assert ChatCustomGPT(**where, api_key=SecretStr(key)).invoke("hello").content
    monkeypatch.setenv("CUSTOMGPT_API_KEY", key)
    monkeypatch.setenv("CUSTOMGPT_BASE_URL", where["base_url"])
    monkeypatch.setenv("CUSTOMGPT_PROJECT_ID", str(where["project_id"]))
    assert ChatCustomGPT().invoke("hello").content
    assert ChatCustomGPT(project_id=str(where["project_id"])).project_id == where["project_id"]


def test_tools_and_schemas_are_refused_with_guidance(chat: ChatCustomGPT) -> None:
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


@pytest.mark.parametrize(
    "wrong",
    [{"citations": "some"}, {"conversation": "always"}, {"verify_tip": "local"}, {"max_history_chars": -1}],
)
def test_a_value_that_no_option_has_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ChatCustomGPT(project_id=1, api_key=KEY, **wrong)
