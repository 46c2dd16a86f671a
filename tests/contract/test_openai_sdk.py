"""The OpenAI SDK, unmodified, on `chat/completions`: streamed or not, sync and async, and refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from customgpt_emulator import Emulator

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How do refunds work?"}]


def base_url(emulator: Emulator) -> str:
    """As the vendor's docs have it: the agent's address, with the slash."""
    return f"{emulator.base_url}/api/v1/projects/{emulator.project_id}/"


@pytest.fixture
def client(emulator: Emulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=emulator.api_key, base_url=base_url(emulator), max_retries=0) as made:
        yield made


@pytest.fixture
async def aclient(emulator: Emulator) -> AsyncIterator[openai.AsyncOpenAI]:
    options = {"api_key": emulator.api_key, "base_url": base_url(emulator)}
    async with openai.AsyncOpenAI(**options, max_retries=0) as made:
        yield made


class TestInOnePiece:
    def test_an_answer_is_a_chat_completion(self, client: openai.OpenAI):
        made = client.chat.completions.create(model="whatever", messages=QUESTION)
        assert "chat.completion" == made.object
        assert made.id.isdigit()
        assert (0, "stop", "assistant") == (
            made.choices[0].index,
            made.choices[0].finish_reason,
            made.choices[0].message.role,
        )
        assert "refund" in (made.choices[0].message.content or "").lower()
        assert made.usage is not None
        assert 0 == made.usage.total_tokens

    async def test_and_so_it_is_to_the_async_client(self, aclient: openai.AsyncOpenAI):
        made = await aclient.chat.completions.create(model="whatever", messages=QUESTION)
        assert "refund" in (made.choices[0].message.content or "").lower()

    def test_201_is_as_good_as_200(self, emulator: Emulator, client: openai.OpenAI):
        """Some of the vendor's bots expect it; the switch `completions_status` gives it."""
        emulator.switches.completions_status = 201
        made = client.chat.completions.with_raw_response.create(model="", messages=QUESTION)
        assert 201 == made.status_code
        assert made.parse().choices[0].message.content

    def test_what_the_vendor_adds_goes_in_the_extra_body(self, emulator: Emulator, client: openai.OpenAI):
        extra = {"lang": "en", "external_id": "mine", "is_inline_citation": True, "session_id": "x"}
        made = client.chat.completions.create(
            model="", messages=[{"role": "system", "content": "Be brief"}, *QUESTION], extra_body=extra
        )
        assert ":cit[1/" in (made.choices[0].message.content or "")

    def test_each_call_is_a_conversation_of_its_own(self, emulator: Emulator, client: openai.OpenAI):
        """Stored like any other message: with its `external_id`, and as coming from the OpenAI format."""
        client.chat.completions.create(model="", messages=QUESTION, extra_body={"external_id": "mine"})
        client.chat.completions.create(model="", messages=QUESTION)
        listed: Any = client.get("conversations", cast_to=object)
        assert 2 == listed["data"]["total"]
        oldest = listed["data"]["data"][-1]["session_id"]
        messages: Any = client.get(f"conversations/{oldest}/messages", cast_to=object)
        metadata = messages["data"]["messages"]["data"][0]["metadata"]
        assert ("mine", "api-openai") == (metadata["external_id"], metadata["request_source"])


class TestStreamed:
    def test_the_pieces_are_those_of_the_whole(self, client: openai.OpenAI):
        whole = client.chat.completions.create(model="", messages=QUESTION).choices[0].message.content
        with client.chat.completions.create(model="", messages=QUESTION, stream=True) as chunks:
            read = list(chunks)
        assert whole == "".join(chunk.choices[0].delta.content or "" for chunk in read)
        assert {"chat.completion.chunk"} == {chunk.object for chunk in read}
        assert 1 == len({chunk.id for chunk in read})
        assert [None] * (len(read) - 1) + ["stop"] == [chunk.choices[0].finish_reason for chunk in read]

    async def test_and_so_they_are_to_the_async_client(self, aclient: openai.AsyncOpenAI):
        whole = (
            (await aclient.chat.completions.create(model="", messages=QUESTION)).choices[0].message.content
        )
        pieces = [
            chunk.choices[0].delta.content or ""
            async for chunk in await aclient.chat.completions.create(model="", messages=QUESTION, stream=True)
        ]
        assert whole == "".join(pieces)

    def test_the_stream_helper_sees_the_end(self, client: openai.OpenAI):
        with client.chat.completions.stream(model="", messages=QUESTION) as stream:
            done = stream.get_final_completion()
        assert "stop" == done.choices[0].finish_reason


class TestRefusals:
    """Errors come in the vendor's envelope, not in OpenAI's: the SDK has the raw body and no message."""

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("temperature", 0.2),
            ("max_tokens", 5),
            ("stop", ["x"]),
            ("n", 2),
            ("tools", [{"type": "function", "function": {"name": "f", "parameters": {}}}]),
            ("audio", {"voice": "alloy", "format": "mp3"}),
            ("response_format", {"type": "json_object"}),
            ("stream_options", {"include_usage": True}),
        ],
    )
    def test_an_argument_that_is_not_supported(self, client: openai.OpenAI, argument: str, value: Any):
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="", messages=QUESTION, **{argument: value})
        assert 501 == caught.value.status_code
        text = f"{argument} is not yet supported. Please remove them from your request and try again."
        assert {"code": 501, "message": text} == json.loads(caught.value.response.content)["data"]

    def test_a_wrong_key(self, emulator: Emulator):
        with (
            openai.OpenAI(api_key="wrong", base_url=base_url(emulator)) as client,
            pytest.raises(openai.AuthenticationError) as caught,
        ):
            client.chat.completions.create(model="", messages=QUESTION)
        assert {
            "status": "error",
            "url": f"{base_url(emulator)}chat/completions",
            "data": {"code": 401, "message": "API Token is either missing or invalid"},
        } == caught.value.body

    def test_a_wrong_key_on_a_stream(self, emulator: Emulator):
        with (
            openai.OpenAI(api_key="wrong", base_url=base_url(emulator)) as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.chat.completions.create(model="", messages=QUESTION, stream=True)

    def test_an_unknown_agent(self, emulator: Emulator):
        url = f"{emulator.base_url}/api/v1/projects/7/"
        with (
            openai.OpenAI(api_key=emulator.api_key, base_url=url) as client,
            pytest.raises(openai.NotFoundError) as caught,
        ):
            client.chat.completions.create(model="", messages=QUESTION)
        body: Any = caught.value.body
        assert "Agent with id 7 not found" == body["data"]["message"]

    @pytest.mark.parametrize("messages", [[], [{"role": "tool", "content": "x", "tool_call_id": "y"}]])
    def test_messages_that_are_none(self, client: openai.OpenAI, messages: Any):
        with pytest.raises(openai.UnprocessableEntityError):
            client.chat.completions.create(model="", messages=messages)

    def test_another_endpoint_of_openai(self, client: openai.OpenAI):
        """The docs say that only this one is supported."""
        with pytest.raises(openai.InternalServerError) as caught:
            client.models.list()
        body: Any = caught.value.body
        assert 501 == body["data"]["code"]
