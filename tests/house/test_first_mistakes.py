"""A newcomer's first mistakes raise, through every entry point, a typed error that says what to do next."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_transport import (
    AsyncClient,
    AuthenticationFailed,
    Client,
    ClientOptions,
    ConfigurationError,
    ConnectionFailed,
    CustomGPTError,
    NotFound,
    RetryPolicy,
)
from langchain_customgpt import ChatCustomGPT
from llama_index_customgpt import CustomGPTQueryEngine

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

ONCE = ClientOptions(retry=RetryPolicy(max_retries=0))


def _ask(prompt: str, **where: Any) -> Any:
    with Client(options=ONCE, **where) as client:
        return client.ask(prompt)


def _stream(prompt: str, **where: Any) -> Any:
    with Client(options=ONCE, **where) as client, client.stream(prompt) as answer:
        return list(answer)


async def _aask(prompt: str, **where: Any) -> Any:
    async with AsyncClient(options=ONCE, **where) as client:
        return await client.ask(prompt)


async def _astream(prompt: str, **where: Any) -> Any:
    async with AsyncClient(options=ONCE, **where) as client, client.stream(prompt) as answer:
        return [event async for event in answer]


def _chat(**where: Any) -> ChatCustomGPT:
    return ChatCustomGPT(max_retries=0, **where)


async def _chat_astream(prompt: str, **where: Any) -> Any:
    return [chunk async for chunk in _chat(**where).astream(prompt)]


def _engine(streaming: bool = False, **where: Any) -> CustomGPTQueryEngine:
    return CustomGPTQueryEngine(client_options=ONCE, streaming=streaming, **where)


async def _engine_astream(prompt: str, **where: Any) -> Any:
    response = await _engine(streaming=True, **where).aquery(prompt)
    return [token async for token in response.async_response_gen()]


DOORS: dict[str, Callable[..., Any]] = {
    "Client.ask": _ask,
    "Client.stream": _stream,
    "AsyncClient.ask": lambda prompt, **where: asyncio.run(_aask(prompt, **where)),
    "AsyncClient.stream": lambda prompt, **where: asyncio.run(_astream(prompt, **where)),
    "LangChain invoke": lambda prompt, **where: _chat(**where).invoke(prompt),
    "LangChain stream": lambda prompt, **where: list(_chat(**where).stream(prompt)),
    "LangChain ainvoke": lambda prompt, **where: asyncio.run(_chat(**where).ainvoke(prompt)),
    "LangChain astream": lambda prompt, **where: asyncio.run(_chat_astream(prompt, **where)),
    "LlamaIndex query": lambda prompt, **where: _engine(**where).query(prompt),
    "LlamaIndex streaming query": lambda prompt, **where: str(_engine(streaming=True, **where).query(prompt)),
    "LlamaIndex aquery": lambda prompt, **where: asyncio.run(_engine(**where).aquery(prompt)),
    "LlamaIndex streaming aquery": lambda prompt, **where: asyncio.run(_engine_astream(prompt, **where)),
}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    for name in ("CUSTOMGPT_API_KEY", "CUSTOMGPT_PROJECT_ID", "CUSTOMGPT_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return DOORS[request.param]


@pytest.fixture
def where(emulator: Emulator) -> dict[str, Any]:
    return {
        "base_url": emulator.base_url,
        "api_key": emulator.api_key,
        "project_id": emulator.project_id,
    }


def caught(door: Callable[..., Any], prompt: str = "When are refunds paid?", **where: Any) -> CustomGPTError:
    with pytest.raises(CustomGPTError) as error:
        door(prompt, **where)
    assert str(where.get("api_key") or "-no key-") not in str(error.value)
    return error.value


def test_a_wrong_key_names_the_variable_that_holds_it(
    door: Callable[..., Any], where: dict[str, Any]
) -> None:
    error = caught(door, **{**where, "api_key": "1|wrong"})
    assert isinstance(error, AuthenticationFailed)
    assert "CUSTOMGPT_API_KEY" in str(error)


def test_an_unknown_agent_is_named(door: Callable[..., Any], where: dict[str, Any]) -> None:
    error = caught(door, **{**where, "project_id": 987654})
    assert isinstance(error, NotFound)
    assert "987654" in str(error)


def test_without_a_key_the_error_names_the_variable_to_set(door: Callable[..., Any]) -> None:
    error = caught(door, project_id=1)
    assert isinstance(error, ConfigurationError)
    assert "CUSTOMGPT_API_KEY" in str(error)


def test_without_an_agent_the_error_names_the_variable_to_set(door: Callable[..., Any]) -> None:
    error = caught(door, api_key="1|made-up")
    assert isinstance(error, ConfigurationError)
    assert "CUSTOMGPT_PROJECT_ID" in str(error)


def test_a_key_is_never_sent_in_clear_to_a_public_host(door: Callable[..., Any]) -> None:
    error = caught(door, base_url="http://app.customgpt.ai", api_key="1|made-up", project_id=1)
    assert isinstance(error, ConfigurationError)
    assert "https" in str(error)


@pytest.mark.parametrize("prompt", ["", " \n\t"])
def test_an_empty_prompt_is_refused_before_any_request(
    door: Callable[..., Any], where: dict[str, Any], emulator: Emulator, prompt: str
) -> None:
    error = caught(door, prompt, **where)
    assert isinstance(error, ConfigurationError)
    assert "prompt" in str(error)
    assert not list(emulator.journal)


def test_a_server_that_cannot_be_reached_is_named(door: Callable[..., Any]) -> None:
    with socket.socket() as taken:  # bound and not listening: a port that refuses
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        error = caught(door, base_url=address, api_key="1|made-up", project_id=1)
    assert isinstance(error, ConnectionFailed)
    assert address.removeprefix("http://") in str(error)
