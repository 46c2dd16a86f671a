"""The chat engine: what `chat_history` means, its conversation, its sources."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine, StreamingAgentChatResponse

from customgpt_transport import AuthenticationFailed
from customgpt_transport.transcript import HistoryTurn, with_transcript
from llama_index_customgpt import CustomGPTChatEngine

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


QUESTION = "How do refunds work?"
PAST = [
    ChatMessage(role=MessageRole.USER, content="Do you ship to Norway?"),
    ChatMessage(role=MessageRole.ASSISTANT, content="Yes, in five days."),
]
REPLAYED = with_transcript(
    [HistoryTurn("User", "Do you ship to Norway?"), HistoryTurn("Assistant", "Yes, in five days.")], QUESTION
)


class ChatMethod:
    """One of the four chat methods. `send` reads its answer to the end and returns it."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def send(self, engine: CustomGPTChatEngine, message: str, *history: Any) -> Any:
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
def method(request: pytest.FixtureRequest) -> ChatMethod:
    return ChatMethod(request.param)


def sent(emulator: Emulator) -> list[tuple[str, str]]:
    """Return each prompt that was sent, with its conversation."""
    return [
        (entry.path.split("/conversations/")[1].split("/")[0], entry.prompt or "")
        for entry in emulator.journal.prompts()
    ]


class TestChatHistory:
    def test_the_signatures_are_those_of_a_base_chat_engine(self) -> None:
        assert issubclass(CustomGPTChatEngine, BaseChatEngine)
        for name in ("chat", "achat", "stream_chat", "astream_chat"):
            parameters = inspect.signature(getattr(CustomGPTChatEngine, name)).parameters
            assert list(parameters)[1:] == ["message", "chat_history"]
            assert parameters["chat_history"].default is None
        assert isinstance(inspect.getattr_static(CustomGPTChatEngine, "chat_history"), property)

    async def test_without_a_history_the_conversation_goes_on(
        self, chat_engine: CustomGPTChatEngine, method: ChatMethod, emulator: Emulator
    ) -> None:
        await method.send(chat_engine, QUESTION)
        await method.send(chat_engine, "And gift cards?")
        (first, one), (second, two) = sent(emulator)
        assert (one, two) == (QUESTION, "And gift cards?")
        assert first == second == chat_engine.session_id
        roles = [message.role.value for message in chat_engine.chat_history]
        assert roles == ["user", "assistant", "user", "assistant"]
        assert all(type(message) is ChatMessage for message in chat_engine.chat_history)
        await chat_engine.aclose()

    async def test_an_empty_history_starts_a_new_conversation(
        self, chat_engine: CustomGPTChatEngine, method: ChatMethod, emulator: Emulator
    ) -> None:
        await method.send(chat_engine, QUESTION)
        await method.send(chat_engine, "And gift cards?", [])
        (first, _), (second, two) = sent(emulator)
        assert first != second == chat_engine.session_id
        assert two == "And gift cards?"
        assert len(chat_engine.chat_history) == 2
        await chat_engine.aclose()

    async def test_a_history_starts_a_new_conversation_with_those_turns_replayed(
        self, chat_engine: CustomGPTChatEngine, method: ChatMethod, emulator: Emulator
    ) -> None:
        await method.send(chat_engine, "Who are you?")
        await method.send(chat_engine, QUESTION, PAST)
        await method.send(chat_engine, "And gift cards?")
        (first, _), (second, two), (third, three) = sent(emulator)
        assert first != second == third
        assert two == REPLAYED
        assert three == "And gift cards?"
        history = chat_engine.chat_history
        assert history[:2] == PAST
        assert [message.content for message in history[2::2]] == [QUESTION, "And gift cards?"]
        assert len(PAST) == 2
        await chat_engine.aclose()

    def test_system_messages_are_the_persona(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        chat_engine.chat(QUESTION, [ChatMessage(role="system", content="Be brief."), *PAST])
        (entry,) = emulator.journal.prompts()
        assert entry.prompt == REPLAYED
        assert entry.fields["custom_persona"] == "Be brief."

    async def test_a_refused_first_prompt_keeps_the_history_to_replay(
        self, where: dict[str, Any], method: ChatMethod, emulator: Emulator
    ) -> None:
        engine = CustomGPTChatEngine(**{**where, "api_key": "1|wrong"}, chat_history=PAST)
        with pytest.raises(AuthenticationFailed):
            await method.send(engine, QUESTION)
        assert engine.session_id is None
        assert engine.chat_history == PAST
        await engine.aclose()


class TestTheConversation:
    def test_its_id_is_known_before_the_first_token(self, chat_engine: CustomGPTChatEngine) -> None:
        assert chat_engine.session_id is None
        response = chat_engine.stream_chat(QUESTION)
        assert chat_engine.session_id
        assert response.metadata["session_id"] == chat_engine.session_id
        response.close()

    async def test_its_id_is_known_before_the_first_awaited_token(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        response = await chat_engine.astream_chat(QUESTION)
        assert response.metadata["session_id"] == chat_engine.session_id
        await response.aclose()
        await chat_engine.aclose()

    async def test_another_engine_can_resume_it(
        self, chat_engine: CustomGPTChatEngine, method: ChatMethod, where: dict[str, Any], emulator: Emulator
    ) -> None:
        chat_engine.chat(QUESTION)
        resumed = CustomGPTChatEngine(
            session_id=chat_engine.session_id, chat_history=chat_engine.chat_history, **where
        )
        await method.send(resumed, "And gift cards?")
        (first, _), (second, two) = sent(emulator)
        assert first == second
        assert two == "And gift cards?"
        assert len(resumed.chat_history) == 4
        await resumed.aclose()

    async def test_reset_sends_nothing_and_the_next_message_begins_a_new_one(
        self, chat_engine: CustomGPTChatEngine, method: ChatMethod, emulator: Emulator
    ) -> None:
        await method.send(chat_engine, QUESTION)
        before, asked = chat_engine.session_id, len(emulator.journal)
        chat_engine.reset()
        assert len(emulator.journal) == asked
        assert chat_engine.session_id is None
        assert chat_engine.chat_history == []
        await method.send(chat_engine, QUESTION)
        assert chat_engine.session_id != before
        await chat_engine.aclose()

    def test_engines_share_no_conversation(self, where: dict[str, Any]) -> None:
        one, other = CustomGPTChatEngine(**where), CustomGPTChatEngine(**where)
        one.chat(QUESTION)
        other.chat(QUESTION)
        assert one.session_id != other.session_id

    def test_the_engine_pickles_and_copies_with_it(
        self, chat_engine: CustomGPTChatEngine, where: dict[str, Any]
    ) -> None:
        chat_engine.chat(QUESTION)
        for twin in (pickle.loads(pickle.dumps(chat_engine)), copy.deepcopy(chat_engine)):
            assert twin.session_id == chat_engine.session_id
            assert twin.chat_history == chat_engine.chat_history
            assert twin.chat("And gift cards?").metadata["session_id"] == chat_engine.session_id
        assert where["api_key"] not in f"{chat_engine!r}{vars(chat_engine)}"

    async def test_first_messages_at_once_share_one_conversation(
        self, chat_engine: CustomGPTChatEngine, emulator: Emulator
    ) -> None:
        await asyncio.gather(*[chat_engine.achat(QUESTION) for _ in range(5)])
        assert {session for session, _ in sent(emulator)} == {chat_engine.session_id}
        assert len(chat_engine.chat_history) == 10
        await chat_engine.aclose()

    def test_the_conversation_is_known_while_the_first_token_is_awaited(
        self, where: dict[str, Any], emulator: Emulator
    ) -> None:
        engine = CustomGPTChatEngine(**where)
        held = emulator.faults.stall(after_events=1)
        response = engine.stream_chat(QUESTION)
        assert engine.session_id
        held.release()
        assert str(response)
        engine.close()


class TestSources:
    async def test_sources_and_ids_are_there_when_the_answer_is_read(
        self, chat_engine: CustomGPTChatEngine, method: ChatMethod
    ) -> None:
        response = await method.send(chat_engine, QUESTION)
        kind = StreamingAgentChatResponse if "stream" in method.name else AgentChatResponse
        assert isinstance(response, kind)
        assert len(response.source_nodes) >= 2
        assert response.metadata["prompt_id"]
        assert response.metadata["session_id"] == chat_engine.session_id
        assert str(response) == response.response == chat_engine.chat_history[-1].content
        await chat_engine.aclose()

    def test_a_list_of_sources_taken_early_is_filled_by_the_last_token(
        self, chat_engine: CustomGPTChatEngine
    ) -> None:
        response = chat_engine.stream_chat(QUESTION)
        nodes = response.source_nodes
        assert str(response) == "".join(response.response_gen)
        assert response.is_done
        assert nodes is response.source_nodes
        assert len(nodes) >= 2

    async def test_reading_in_the_wrong_colour_says_which_is_right(
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

    async def test_the_history_carries_the_sources(
        self, chat_engine: CustomGPTChatEngine, method: ChatMethod
    ) -> None:
        response = await method.send(chat_engine, QUESTION)
        text, *citations = chat_engine.chat_history[-1].blocks
        assert text.block_type == "text"
        assert [block.block_type for block in citations] == ["citation"] * len(response.source_nodes)
        assert [block.title for block in citations] == [
            scored.node.metadata["title"] for scored in response.source_nodes
        ]
        assert chat_engine.chat_history[-1].additional_kwargs["customgpt"]["prompt_id"]
        await chat_engine.aclose()
