"""A value that cannot work raises our typed error before any request, and never shows the key."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core import exceptions as core
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from pydantic import SecretStr, ValidationError

import customgpt_transport
from customgpt_transport import Client
from langchain_customgpt import ChatCustomGPT, CustomGPTTool
from langchain_customgpt.errors import ConfigurationError, CustomGPTToolError

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

MakeChat = Callable[..., ChatCustomGPT]


@pytest.mark.parametrize("settings", [{"timeout": -1}, {"timeout": (5, 60)}, {"max_retries": -1}])
def test_a_patience_that_is_none_is_refused_when_the_model_is_made(
    make_chat: MakeChat, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))) as caught:
        make_chat(**settings)
    assert isinstance(caught.value, core.ModelError)


def test_numbers_may_come_as_text(make_chat: MakeChat) -> None:
    chat = make_chat(timeout="60", max_retries="3")
    assert (60, 3) == (chat.timeout, chat.max_retries)
    assert (60, 3) == (chat._clients.options.first_byte_timeout, chat._clients.options.retry.max_retries)


@pytest.mark.parametrize(
    "keywords", [{"timeout": "x"}, {"max_retries": -1}, {"external_id": 5}, {"lang": 5}, {"model": 5}]
)
def test_unfit_keywords_of_a_call_are_refused_before_any_request(
    make_chat: MakeChat, emulator: Emulator, keywords: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(keywords))) as caught:
        make_chat().invoke("When are refunds paid?", **keywords)
    assert isinstance(caught.value, core.ModelError)
    assert not list(emulator.journal)


@pytest.mark.parametrize(
    "keywords",
    [{"base_url": "ftp://x"}, {"api_key": SecretStr("1|SECRETKEY x")}, {"sesion_id": "x"}, {"timeout": -1}],
)
def test_no_traceback_shows_the_key_even_with_its_locals(keywords: dict[str, Any]) -> None:
    given = {"api_key": "1|SECRETKEY", "project_id": 1, **keywords}
    with pytest.raises((ConfigurationError, ValidationError)) as caught:
        ChatCustomGPT(**given)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "langchain_customgpt" in frame.filename]
    assert ours
    assert not [frame for frame in ours if "SECRETKEY" in str(frame.locals)]


def test_a_text_part_that_holds_no_text_is_refused_by_name(make_chat: MakeChat) -> None:
    parts = [
        {"type": "text", "text": "Sum up:"},
        {"type": "text-plain", "base64": "aGk=", "mime_type": "text/plain"},
    ]
    with pytest.raises(ConfigurationError, match="text-plain"):
        make_chat().invoke([HumanMessage(parts)])


def test_a_ready_made_client_may_be_configured_later(emulator: Emulator) -> None:
    with Client(
        api_key=emulator.api_key, base_url=emulator.base_url, project_id=emulator.project_id
    ) as client:
        chat = ChatCustomGPT(client=client).configurable_fields(model=ConfigurableField("m"))
        answer = chat.invoke("When are refunds paid?", {"configurable": {"m": "gpt-4-1"}})
    assert "five working days" in str(answer.content)


def test_a_ready_made_client_and_another_key_are_refused(emulator: Emulator) -> None:
    with (
        Client(api_key="1|one", base_url=emulator.base_url, project_id=1) as client,
        pytest.raises(ConfigurationError, match="ready-made"),
    ):
        ChatCustomGPT(client=client, api_key="1|other")


def test_a_pinned_conversation_and_a_cache_are_refused(make_chat: MakeChat, emulator: Emulator) -> None:
    """An answer from the cache would be missing in the conversation."""
    chat = make_chat(cache=InMemoryCache(), session_id="00000000-0000-4000-8000-000000000000")
    with pytest.raises(ConfigurationError, match="cache"):
        chat.invoke("When are refunds paid?")
    assert not emulator.journal.prompts()


def test_tokens_are_estimated_without_a_tokenizer(make_chat: MakeChat) -> None:
    assert 1 < make_chat().get_num_tokens("How long do refunds take?") < 30


def test_what_a_tool_raises_is_ours_too(where: dict[str, Any], emulator: Emulator) -> None:
    emulator.faults.exhaust_credits()
    with pytest.raises(CustomGPTToolError) as caught:
        CustomGPTTool(**where).invoke("When are refunds paid?")
    assert isinstance(caught.value, customgpt_transport.CustomGPTError)
    assert not caught.value.resend_safe
    assert not caught.value.is_retryable


def test_a_prompt_that_was_refused_unread_leaves_its_conversation_free(make_chat: MakeChat) -> None:
    """A file that is not there: nothing was sent, so the history still continues."""
    chat = make_chat()
    messages: list[Any] = [HumanMessage("When are refunds paid?")]
    messages += [chat.invoke(messages), HumanMessage("How long is a gift card valid?")]
    with pytest.raises(ConfigurationError):
        chat.invoke(messages, files=["/nonexistent"])
    assert chat.invoke(messages).response_metadata["customgpt"]["mode"] == "continue"
