"""What users build: chains, graphs with checkpointers, agents, batches, histories."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    message_to_dict,
    messages_from_dict,
    trim_messages,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableParallel, RunnablePassthrough
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from customgpt_transport import Client
from langchain_customgpt import ChatCustomGPT, CustomGPTRetriever
from langchain_customgpt.errors import NotFound
from tests.langchain.ways import graph_of

if TYPE_CHECKING:
    from customgpt_emulator import Emulator


MakeChat = Callable[..., ChatCustomGPT]
QUESTION = "When are refunds paid?"


def note(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["customgpt"]
    return found


def modes(messages: list[BaseMessage]) -> list[str]:
    return [note(message)["mode"] for message in messages if isinstance(message, AIMessage)]


def sessions(emulator: Emulator) -> dict[str, list[str]]:
    """Return the prompts that the emulator received, by conversation."""
    found: dict[str, list[str]] = {}
    for entry in emulator.journal.prompts():
        found.setdefault(entry.path.split("/")[-2], []).append(entry.fields["prompt"])
    return found


class TestChains:
    """LCEL."""

    def test_a_chain_with_a_string_parser_gives_the_answers_text(self, chat: ChatCustomGPT) -> None:
        prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
        chain = prompt | chat | StrOutputParser()
        whole = chain.invoke({"question": QUESTION})
        assert "five working days" in whole
        pieces = list(chain.stream({"question": QUESTION}))
        assert len(pieces) > 5
        assert "".join(pieces) == whole
        assert chain.batch([{"question": QUESTION}] * 3) == [whole] * 3

    async def test_an_awaited_chain_gives_the_answers_text(self, chat: ChatCustomGPT) -> None:
        chain = ChatPromptTemplate.from_template("{question}") | chat | StrOutputParser()
        pieces = [piece async for piece in chain.astream({"question": QUESTION})]
        assert "".join(pieces) == await chain.ainvoke({"question": QUESTION})
        assert len(set(await chain.abatch([{"question": QUESTION}] * 5))) == 1

    def test_answer_and_documents_come_in_parallel(self, chat: ChatCustomGPT, where: dict[str, Any]) -> None:
        both = RunnableParallel(answer=chat | StrOutputParser(), documents=CustomGPTRetriever(**where, k=2))
        result = both.invoke(QUESTION)
        assert "five working days" in result["answer"]
        assert all(isinstance(document, Document) for document in result["documents"])

    def test_a_retriever_feeds_a_chain(self, chat: ChatCustomGPT, where: dict[str, Any]) -> None:
        chain = {"context": CustomGPTRetriever(**where), "question": RunnablePassthrough()} | (
            ChatPromptTemplate.from_template("{question}\n\n{context}") | chat | StrOutputParser()
        )
        assert chain.invoke(QUESTION)

    async def test_astream_events_of_a_chain_end_with_the_citations(self, chat: ChatCustomGPT) -> None:
        chain = ChatPromptTemplate.from_template("{question}") | chat
        events = [event async for event in chain.astream_events({"question": QUESTION}, version="v2")]
        ended = [event for event in events if event["event"] == "on_chat_model_end"]
        assert ended[0]["data"]["output"].response_metadata["citations"]

    def test_trimmed_messages_keep_their_conversation(self, chat: ChatCustomGPT, emulator: Emulator) -> None:
        trim = trim_messages(max_tokens=3, strategy="last", token_counter=len, start_on="human")
        messages: list[BaseMessage] = []
        for turn in range(5):
            messages.append(HumanMessage(f"{QUESTION} (turn {turn})"))
            messages.append((trim | chat).invoke(messages))
        assert modes(messages) == ["new", *["continue"] * 4]
        assert len(sessions(emulator)) == 1

    def test_a_model_can_count_for_trim_messages(self, chat: ChatCustomGPT) -> None:
        messages = [HumanMessage("x" * 400), AIMessage("y" * 400), HumanMessage("z")]
        kept = trim_messages(messages, max_tokens=50, strategy="last", token_counter=chat)
        assert kept == messages[2:]


class TestHistories:
    """RunnableWithMessageHistory, and messages that were stored as JSON."""

    @pytest.mark.filterwarnings(
        "ignore:.*(RunnableWithMessageHistory|InMemoryChatMessageHistory).* deprecated"
    )
    def test_a_message_history_continues_one_conversation(
        self, chat: ChatCustomGPT, emulator: Emulator
    ) -> None:
        stores: dict[str, InMemoryChatMessageHistory] = {}
        prompt = ChatPromptTemplate.from_messages([("placeholder", "{history}"), ("human", "{question}")])
        chain = RunnableWithMessageHistory(
            prompt | chat,
            lambda session_id: stores.setdefault(session_id, InMemoryChatMessageHistory()),
            input_messages_key="question",
            history_messages_key="history",
        )
        for user in ("ada", "bob"):
            for question in (QUESTION, "And gift cards?", "And shipping?"):
                chain.invoke({"question": question}, {"configurable": {"session_id": user}})
        assert [modes(store.messages) for store in stores.values()] == [["new", "continue", "continue"]] * 2
        assert list(sessions(emulator).values()) == [[QUESTION, "And gift cards?", "And shipping?"]] * 2

    def test_messages_stored_as_json_are_continued(self, make_chat: MakeChat) -> None:
        messages: list[Any] = [HumanMessage(QUESTION)]
        messages.append(make_chat().invoke(messages))
        stored = json.dumps([message_to_dict(message) for message in messages])
        loaded = messages_from_dict(json.loads(stored))
        answer = make_chat().invoke([*loaded, HumanMessage("And gift cards?")])
        assert (note(answer)["mode"], note(answer)["session_id"]) == (
            "continue",
            note(messages[1])["session_id"],
        )

    def test_content_of_v0_and_v1_and_streams_may_mix(self, make_chat: MakeChat) -> None:
        messages: list[Any] = []
        for turn, version in enumerate([None, "v1", None, "v1"]):
            chat = make_chat(output_version=version)
            messages.append(HumanMessage(f"{QUESTION} {turn}"))
            if turn % 2:
                chunks = list(chat.stream(messages))
                messages.append(sum(chunks[1:], chunks[0]))
            else:
                messages.append(chat.invoke(messages))
        assert modes(messages) == ["new", "continue", "continue", "continue"]


def thread(name: str = "1") -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


class TestGraphs:
    """LangGraph with a checkpointer: its state is the only truth."""

    @pytest.fixture
    def graph(self, chat: ChatCustomGPT) -> Any:
        return graph_of(chat, checkpointer=InMemorySaver())

    def say(self, graph: Any, text: str, config: Any = None) -> list[BaseMessage]:
        messages: list[BaseMessage] = graph.invoke({"messages": [HumanMessage(text)]}, config or thread())[
            "messages"
        ]
        return messages

    def test_a_thread_is_a_conversation(self, graph: Any, emulator: Emulator) -> None:
        for text in ("one refund", "two gifts", "three lamps"):
            messages = self.say(graph, text)
        self.say(graph, "four", thread("2"))
        assert modes(messages) == ["new", "continue", "continue"]
        assert list(sessions(emulator).values()) == [["one refund", "two gifts", "three lamps"], ["four"]]

    def test_time_travel_forks_and_the_fork_is_continued(self, graph: Any, emulator: Emulator) -> None:
        self.say(graph, "one refund")
        past = graph.get_state(thread()).config
        self.say(graph, "two gifts")
        branch = self.say(graph, "other two", past)
        assert modes(branch) == ["new", "fork"]
        branch = self.say(graph, "other three")
        assert modes(branch) == ["new", "fork", "continue"]
        first, second = sessions(emulator).values()
        assert first == ["one refund", "two gifts"]
        assert "one refund" in second[0]
        assert "two gifts" not in second[0]
        assert second[1:] == ["other three"]

    def test_regenerating_forks(self, graph: Any, emulator: Emulator) -> None:
        self.say(graph, "one refund")
        before = graph.get_state(thread())
        self.say(graph, "two gifts")
        again = self.say(graph, "two gifts", before.config)
        assert modes(again) == ["new", "fork"]
        assert len(sessions(emulator)) == 2

    def test_an_edited_question_forks(self, graph: Any, emulator: Emulator) -> None:
        messages = self.say(graph, "one refund")
        self.say(graph, "two gifts")
        edited = HumanMessage("one lamp", id=messages[0].id)
        graph.update_state(thread(), {"messages": [edited]})
        assert modes(self.say(graph, "three"))[-1] == "fork"
        assert "one lamp" in list(sessions(emulator).values())[-1][0]

    def test_a_removed_turn_forks_and_a_trimmed_beginning_does_not(self, graph: Any) -> None:
        for text in ("one refund", "two gifts", "three lamps"):
            messages = self.say(graph, text)
        graph.update_state(thread(), {"messages": [RemoveMessage(str(m.id)) for m in messages[:2]]})
        assert modes(self.say(graph, "four"))[-1] == "continue"
        graph.update_state(thread(), {"messages": [RemoveMessage(str(m.id)) for m in messages[4:6]]})
        assert modes(self.say(graph, "five"))[-1] == "fork"

    def test_after_an_abandoned_stream_the_history_forks(self, graph: Any, chat: ChatCustomGPT) -> None:
        self.say(graph, "one refund")
        stream = graph.stream({"messages": [HumanMessage("two gifts")]}, thread(), stream_mode="messages")
        next(iter(stream))
        stream.close()
        assert modes(self.say(graph, "three"))[-1] == "fork"

    async def test_an_asynchronous_graph_streams_messages(self, chat: ChatCustomGPT) -> None:
        async def answer(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
            return {"messages": [await chat.ainvoke(state["messages"], config)]}

        graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
        question = {"messages": [HumanMessage(QUESTION)]}
        parts = [part async for part, _ in graph.astream(question, stream_mode="messages")]
        assert len(parts) > 5
        assert "five working days" in "".join(part.text for part in parts)

    async def test_an_agent_without_tools_answers(self, chat: ChatCustomGPT) -> None:
        agent = create_agent(chat, system_prompt="Be brief.")
        final = await agent.ainvoke({"messages": [HumanMessage(QUESTION)]})
        assert final["messages"][-1].response_metadata["citations"]

    def test_turns_of_other_models_do_not_end_the_conversation(self, chat: ChatCustomGPT) -> None:
        messages: list[BaseMessage] = [HumanMessage("one refund")]
        messages.append(chat.invoke(messages))
        messages += [
            HumanMessage("what is 1 + 2?"),
            AIMessage("3", name="calculator"),
            HumanMessage("and gifts?"),
        ]
        answer = chat.invoke(messages)
        assert note(answer)["mode"] == "continue"
        assert modes([chat.invoke([*messages, answer, HumanMessage("thanks")])]) == ["continue"]


class TestBatches:
    """Many continuations of one history: one continues, the others get conversations of their own."""

    @pytest.fixture
    def prefix(self, chat: ChatCustomGPT) -> list[BaseMessage]:
        question = HumanMessage(QUESTION)
        return [question, chat.invoke([question])]

    def check(self, answers: list[Any], emulator: Emulator) -> None:
        found = sorted(note(answer)["mode"] for answer in answers)
        assert found == ["continue", *["fork"] * (len(answers) - 1)]
        assert len({note(answer)["session_id"] for answer in answers}) == len(answers)
        assert max(map(len, sessions(emulator).values())) == 2

    def test_in_a_batch_one_continues_and_the_others_fork(
        self, chat: ChatCustomGPT, prefix: list[BaseMessage], emulator: Emulator
    ) -> None:
        inputs: list[Any] = [[*prefix, HumanMessage(f"And number {number}?")] for number in range(4)]
        self.check(chat.batch(inputs), emulator)

    def test_in_a_batch_of_many_threads_one_continues(
        self, chat: ChatCustomGPT, prefix: list[BaseMessage], emulator: Emulator
    ) -> None:
        inputs: list[Any] = [[*prefix, HumanMessage("And gift cards?")]] * 32
        self.check(chat.batch(inputs, {"max_concurrency": 16}), emulator)

    async def test_in_an_abatch_one_continues_and_the_others_fork(
        self, make_chat: MakeChat, emulator: Emulator
    ) -> None:
        chat, question = make_chat(), HumanMessage(QUESTION)
        prefix = [question, await chat.ainvoke([question])]
        inputs: list[Any] = [[*prefix, HumanMessage("And gift cards?")]] * 8
        self.check(await chat.abatch(inputs), emulator)


class TestMismatch:
    """on_mismatch, verify_tip, session_id, and conversations that are gone."""

    def talk(self, chat: ChatCustomGPT, *texts: str) -> list[Any]:
        messages: list[Any] = []
        for text in texts:
            messages.append(HumanMessage(text))
            messages.append(chat.invoke(messages))
        return messages

    def test_on_mismatch_error_raises_instead_of_forking(
        self, make_chat: MakeChat, emulator: Emulator
    ) -> None:
        chat = make_chat(on_mismatch="error")
        messages = self.talk(chat, QUESTION, "And gift cards?")
        edited = [HumanMessage("edited"), *messages[1:], HumanMessage("three")]
        again = [*messages[:2], HumanMessage("And gift cards?")]
        sent = len(emulator.journal.prompts())
        for wrong in (edited, again):
            with pytest.raises(ValueError, match="cannot be continued"):
                chat.invoke(wrong)
        assert len(emulator.journal.prompts()) == sent
        assert note(chat.invoke([AIMessage("foreign"), HumanMessage("x")]))["mode"] == "fork"

    def test_with_verify_tip_a_prompt_of_another_process_is_noticed(
        self, make_chat: MakeChat, emulator: Emulator
    ) -> None:
        chat = make_chat(verify_tip="remote")
        messages = self.talk(chat, QUESTION)
        session_id = note(messages[-1])["session_id"]
        assert note(chat.invoke([*messages, HumanMessage("two")]))["mode"] == "continue"
        messages = self.talk(chat, QUESTION)
        session_id = note(messages[-1])["session_id"]
        with Client(
            api_key=emulator.api_key, base_url=emulator.base_url, project_id=emulator.project_id
        ) as other:
            other.ask("from another process", session_id=session_id)
        later = [*messages, HumanMessage("two")]
        assert note(chat.invoke(later))["mode"] == "fork"
        assert note(asyncio.run(chat.ainvoke(later)))["mode"] == "fork"
        assert [len(prompts) for prompts in sessions(emulator).values()][1] == 2

    @pytest.mark.parametrize("verify_tip", [None, "remote"])
    def test_a_conversation_that_is_gone_is_forked(
        self, make_chat: MakeChat, emulator: Emulator, verify_tip: str | None
    ) -> None:
        chat = make_chat(verify_tip=verify_tip)
        asks: list[Callable[[Any], Any]] = [
            chat.invoke,
            lambda messages: list(chat.stream(messages))[-1],
            lambda messages: asyncio.run(chat.ainvoke(messages)),
        ]
        for ask in asks:
            messages = self.talk(chat, QUESTION)
            with Client(
                api_key=emulator.api_key, base_url=emulator.base_url, project_id=emulator.project_id
            ) as other:
                other.conversations.delete(note(messages[-1])["session_id"])
            answer = ask([*messages, HumanMessage("two")])
            assert note(answer)["mode"] == "fork"
            assert "five working days" in emulator.journal.prompts()[-1].fields["prompt"]

    def test_an_unknown_pinned_conversation_is_an_error(self, chat: ChatCustomGPT) -> None:
        with pytest.raises(NotFound):
            chat.invoke("hello", session_id="6f1fe2b1-62f9-44d8-9c4a-7f8e6f2c1d11")

    def test_a_pinned_conversation_gets_only_the_new_text(
        self, make_chat: MakeChat, emulator: Emulator
    ) -> None:
        first = make_chat().invoke(QUESTION)
        pinned = make_chat(session_id=note(first)["session_id"])
        pinned.invoke([SystemMessage("Be brief."), AIMessage("foreign"), HumanMessage("two")])
        assert list(sessions(emulator).values()) == [[QUESTION, "two"]]
        unpinned = make_chat().invoke([HumanMessage(QUESTION), first, HumanMessage("three")])
        assert note(unpinned)["mode"] == "fork", "the pinned prompt came in between"

    def test_stateless_names_its_conversation_and_never_continues(
        self, make_chat: MakeChat, emulator: Emulator
    ) -> None:
        messages = self.talk(make_chat(conversation="stateless"), QUESTION, "And gift cards?")
        assert modes(messages) == ["stateless", "stateless"]
        assert len(sessions(emulator)) == 2
        assert note(messages[-1])["session_id"]

    def test_what_a_stop_sequence_hid_is_not_continued(self, make_chat: MakeChat) -> None:
        messages = self.talk(make_chat(stop=["five"]), QUESTION)
        assert note(make_chat().invoke([*messages, HumanMessage("two")]))["mode"] == "fork"

    def test_max_history_chars_bounds_what_a_fork_is_told(
        self, make_chat: MakeChat, emulator: Emulator
    ) -> None:
        chat = make_chat(max_history_chars=40)
        chat.invoke([AIMessage("x" * 500), HumanMessage("why?")])
        assert len(emulator.journal.prompts()[-1].fields["prompt"]) < 300
        make_chat(max_history_chars=0).invoke([AIMessage("x" * 500), HumanMessage("why?")])
        assert emulator.journal.prompts()[-1].fields["prompt"] == "why?"
