"""Requirements 21 to 24: the chat engine."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine, StreamingAgentChatResponse

from customgpt_transport import AuthenticationFailed, StreamInterrupted
from customgpt_transport.transcript import Turn, with_transcript
from llama_index_customgpt import CustomGPTChatEngine

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

QUESTION = "How do refunds work?"
PAST = [
    ChatMessage(role=MessageRole.USER, content="Do you ship to Norway?"),
    ChatMessage(role=MessageRole.ASSISTANT, content="Yes, in five days."),
]
REPLAYED = with_transcript(
    [Turn("User", "Do you ship to Norway?"), Turn("Assistant", "Yes, in five days.")], QUESTION
)


class Mouth:
    """The four methods as one: what differs is only how the answer is waited for."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def say(self, engine: CustomGPTChatEngine, message: str, *history: Any) -> Any:
        response = getattr(engine, self.name)(message, *history)
        if inspect.isawaitable(response):
            response = await response
        if self.name == "stream_chat":
            assert "".join(response.response_gen) == response.response
        if self.name == "astream_chat":
            text = "".join([token async for token in response.async_response_gen()])
            assert text == response.response
        return response


@pytest.fixture(params=["chat", "achat", "stream_chat", "astream_chat"])
def mouth(request: pytest.FixtureRequest) -> Mouth:
    return Mouth(request.param)


def sent(emulator: Emulator) -> list[tuple[str, str]]:
    """Each prompt with the conversation that it went to."""
    return [
        (entry.path.split("/conversations/")[1].split("/")[0], entry.prompt or "")
        for entry in emulator.journal.prompts()
    ]


class TestRequirement21ChatHistory:
    def test_requirement_21_signatures(self) -> None:
        assert issubclass(CustomGPTChatEngine, BaseChatEngine)
        for name in ("chat", "achat", "stream_chat", "astream_chat"):
            parameters = inspect.signature(getattr(CustomGPTChatEngine, name)).parameters
            assert list(parameters)[1:] == ["message", "chat_history"]
            assert parameters["chat_history"].default is None
        assert isinstance(inspect.getattr_static(CustomGPTChatEngine, "chat_history"), property)

    async def test_requirement_21_none_goes_on(
        self, chat_engine: CustomGPTChatEngine, mouth: Mouth, emulator: Emulator
    ) -> None:
        await mouth.say(chat_engine, QUESTION)
        await mouth.say(chat_engine, "And gift cards?")
        (first, one), (second, two) = sent(emulator)
        assert (one, two) == (QUESTION, "And gift cards?")
        assert first == second == chat_engine.session_id
        roles = [message.role.value for message in chat_engine.chat_history]
        assert roles == ["user", "assistant", "user", "assistant"]
        assert all(type(message) is ChatMessage for message in chat_engine.chat_history)
        await chat_engine.aclose()

    async def test_requirement_21_an_empty_list_starts_afresh(
        self, chat_engine: CustomGPTChatEngine, mouth: Mouth, emulator: Emulator
    ) -> None:
        await mouth.say(chat_engine, QUESTION)
        await mouth.say(chat_engine, "And gift cards?", [])
        (first, _), (second, two) = sent(emulator)
        assert first != second == chat_engine.session_id
        assert two == "And gift cards?"
        assert len(chat_engine.chat_history) == 2
        await chat_engine.aclose()

    async def test_requirement_21_a_list_starts_afresh_with_those_turns_replayed(
        self, chat_engine: CustomGPTChatEngine, mouth: Mouth, emulator: Emulator
    ) -> None:
        await mouth.say(chat_engine, "Who are you?")
        await mouth.say(chat_engine, QUESTION, PAST)
        await mouth.say(chat_engine, "And gift cards?")
        (first, _), (second, two), (third, three) = sent(emulator)
        assert first != second == third
        assert two == REPLAYED
        assert three == "And gift cards?"
        history = chat_engine.chat_history
        assert history[:2] == PAST
        assert [message.content for message in history[2::2]] == [QUESTION, "And gift cards?"]
        assert len(PAST) == 2
        await chat_engine.aclose()

    def test_requirement_21_system_messages_are_the_persona(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        chat_engine.chat(QUESTION, [ChatMessage(role="system", content="Be brief."), *PAST])
        (entry,) = emulator.journal.prompts()
        assert entry.prompt == REPLAYED
        assert entry.fields["custom_persona"] == "Be brief."

    async def test_requirement_21_a_refused_first_prompt_replays_again(
        self, where: dict[str, Any], mouth: Mouth, emulator: Emulator
    ) -> None:
        engine = CustomGPTChatEngine(**{**where, "api_key": "1|wrong"}, chat_history=PAST)
        with pytest.raises(AuthenticationFailed):
            await mouth.say(engine, QUESTION)
        assert engine.session_id is None
        assert engine.chat_history == PAST
        await engine.aclose()


class TestRequirement22TheConversation:
    def test_requirement_22_known_before_the_first_token(self, chat_engine: CustomGPTChatEngine) -> None:
        assert chat_engine.session_id is None
        response = chat_engine.stream_chat(QUESTION)
        assert chat_engine.session_id
        assert response.metadata["session_id"] == chat_engine.session_id
        response.close()

    async def test_requirement_22_known_before_the_first_token_async(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        response = await chat_engine.astream_chat(QUESTION)
        assert response.metadata["session_id"] == chat_engine.session_id
        await response.aclose()
        await chat_engine.aclose()

    async def test_requirement_22_resumable(
        self, chat_engine: CustomGPTChatEngine, mouth: Mouth, where: dict[str, Any], emulator: Emulator
    ) -> None:
        chat_engine.chat(QUESTION)
        resumed = CustomGPTChatEngine(
            session_id=chat_engine.session_id, chat_history=chat_engine.chat_history, **where
        )
        await mouth.say(resumed, "And gift cards?")
        (first, _), (second, two) = sent(emulator)
        assert first == second
        assert two == "And gift cards?"
        assert len(resumed.chat_history) == 4
        await resumed.aclose()

    async def test_requirement_22_reset_is_lazy(
        self, chat_engine: CustomGPTChatEngine, mouth: Mouth, emulator: Emulator
    ) -> None:
        await mouth.say(chat_engine, QUESTION)
        before, asked = chat_engine.session_id, len(emulator.journal)
        chat_engine.reset()
        assert len(emulator.journal) == asked
        assert chat_engine.session_id is None
        assert chat_engine.chat_history == []
        await mouth.say(chat_engine, QUESTION)
        assert chat_engine.session_id != before
        await chat_engine.aclose()

    def test_requirement_22_never_shared_between_engines(self, where: dict[str, Any]) -> None:
        one, other = CustomGPTChatEngine(**where), CustomGPTChatEngine(**where)
        one.chat(QUESTION)
        other.chat(QUESTION)
        assert one.session_id != other.session_id

    def test_requirement_22_it_pickles_with_its_conversation(
        self, chat_engine: CustomGPTChatEngine, where: dict[str, Any]
    ) -> None:
        chat_engine.chat(QUESTION)
        for twin in (pickle.loads(pickle.dumps(chat_engine)), copy.deepcopy(chat_engine)):
            assert twin.session_id == chat_engine.session_id
            assert twin.chat_history == chat_engine.chat_history
            assert twin.chat("And gift cards?").metadata["session_id"] == chat_engine.session_id
        assert where["api_key"] not in f"{chat_engine!r}{vars(chat_engine)}"

    async def test_requirement_22_two_first_messages_at_once_share_one_conversation(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        await asyncio.gather(*[chat_engine.achat(QUESTION) for _ in range(5)])
        assert {session for session, _ in sent(emulator)} == {chat_engine.session_id}
        assert len(chat_engine.chat_history) == 10
        await chat_engine.aclose()


class TestRequirement23Sources:
    async def test_requirement_23_filled_before_the_generator_ends(
        self, chat_engine: CustomGPTChatEngine, mouth: Mouth
    ) -> None:
        response = await mouth.say(chat_engine, QUESTION)
        kind = StreamingAgentChatResponse if "stream" in mouth.name else AgentChatResponse
        assert isinstance(response, kind)
        assert len(response.source_nodes) >= 2
        assert response.metadata["prompt_id"]
        assert response.metadata["session_id"] == chat_engine.session_id
        assert str(response) == response.response == chat_engine.chat_history[-1].content
        await chat_engine.aclose()

    def test_requirement_23_at_the_last_token_of_any_loop(self, chat_engine: CustomGPTChatEngine) -> None:
        response = chat_engine.stream_chat(QUESTION)
        nodes = response.source_nodes
        assert str(response) == "".join(response.response_gen)
        assert response.is_done
        assert nodes is response.source_nodes
        assert len(nodes) >= 2

    async def test_requirement_23_the_wrong_colour_says_which_is_right(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        response = chat_engine.stream_chat(QUESTION)
        with pytest.raises(ValueError, match="astream_chat"):
            response.async_response_gen()
        response.close()
        other = await chat_engine.astream_chat(QUESTION)
        with pytest.raises(ValueError, match="async_response_gen"):
            other.response_gen  # noqa: B018 - the access is what is tested
        await other.aclose()
        await chat_engine.aclose()


class TestRequirement24LeavingEarly:
    def check(self, engine: CustomGPTChatEngine, token: str) -> None:
        user, agent = engine.chat_history
        assert (user.role, user.content) == (MessageRole.USER, QUESTION)
        assert agent.role == MessageRole.ASSISTANT
        assert (agent.content or "").startswith(token)

    def test_requirement_24_close(self, chat_engine: CustomGPTChatEngine) -> None:
        tokens = chat_engine.stream_chat(QUESTION).response_gen
        token = next(tokens)
        tokens.close()
        self.check(chat_engine, token)

    def test_requirement_24_break(self, chat_engine: CustomGPTChatEngine) -> None:
        response = chat_engine.stream_chat(QUESTION)
        seen = []
        for token in response.response_gen:
            seen.append(token)
            break
        self.check(chat_engine, seen[0])
        assert response.response.startswith(seen[0])

    def test_requirement_24_dropping_the_response(self, chat_engine: CustomGPTChatEngine) -> None:
        response = chat_engine.stream_chat(QUESTION)
        token = next(response.response_gen)
        del response
        gc.collect()
        self.check(chat_engine, token)

    def test_requirement_24_asking_the_next_question(self, chat_engine: CustomGPTChatEngine) -> None:
        response = chat_engine.stream_chat(QUESTION)
        token = next(response.response_gen)
        chat_engine.chat("And gift cards?")
        assert [message.content for message in chat_engine.chat_history[::2]] == [QUESTION, "And gift cards?"]
        assert (chat_engine.chat_history[1].content or "").startswith(token)
        with pytest.raises(StreamInterrupted, match="next message"):
            str(response)

    def test_requirement_24_asking_from_inside_the_loop(self, chat_engine: CustomGPTChatEngine) -> None:
        with pytest.raises(StreamInterrupted, match="next message"):
            for _ in chat_engine.stream_chat(QUESTION).response_gen:
                chat_engine.chat("And gift cards?")
        assert len(chat_engine.chat_history) == 4

    async def test_requirement_24_asking_from_inside_the_async_loop(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        with pytest.raises(StreamInterrupted, match="next message"):
            async for _ in (await chat_engine.astream_chat(QUESTION)).async_response_gen():
                await chat_engine.achat("And gift cards?")
        assert len(chat_engine.chat_history) == 4
        await chat_engine.aclose()

    async def test_requirement_24_async_close(self, chat_engine: CustomGPTChatEngine) -> None:
        response = await chat_engine.astream_chat(QUESTION)
        tokens = response.async_response_gen()
        token = await tokens.__anext__()
        await tokens.aclose()
        self.check(chat_engine, token)
        await chat_engine.aclose()

    async def test_requirement_24_async_break_and_the_next_question(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        for keep in (True, False):
            chat_engine.reset()
            response: Any = await chat_engine.astream_chat(QUESTION)
            seen = []
            async for token in response.async_response_gen():
                seen.append(token)
                break
            if not keep:
                del response
            await chat_engine.achat("And gift cards?")
            asked = [message.content for message in chat_engine.chat_history[::2]]
            assert asked == [QUESTION, "And gift cards?"]
            assert (chat_engine.chat_history[1].content or "").startswith(seen[0])
        await chat_engine.aclose()

    async def test_requirement_24_the_history_carries_the_sources(
        self, chat_engine: CustomGPTChatEngine, mouth: Mouth
    ) -> None:
        response = await mouth.say(chat_engine, QUESTION)
        text, *citations = chat_engine.chat_history[-1].blocks
        assert text.block_type == "text"
        assert [block.block_type for block in citations] == ["citation"] * len(response.source_nodes)
        assert [block.title for block in citations] == [
            scored.node.metadata["title"] for scored in response.source_nodes
        ]
        assert chat_engine.chat_history[-1].additional_kwargs["customgpt"]["prompt_id"]
        await chat_engine.aclose()
