"""From messages to a prompt: continue what the server holds, fork where the history differs. No I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)

from langchain_customgpt._history import METADATA_KEY, Plan, make_plan, read_place, write_place
from langchain_customgpt.errors import ConfigurationError


class Server:
    """A server in memory: answers what a plan sends, and remembers each conversation."""

    def __init__(self) -> None:
        self.sessions: dict[str, list[str]] = {}
        self._prompts = 0

    def answer(self, plan: Plan) -> AIMessage:
        session_id = plan.session_id or f"session-{len(self.sessions) + 1}"
        self.sessions.setdefault(session_id, []).append(plan.prompt)
        self._prompts += 1
        text = f"answer {self._prompts}"
        note = write_place(
            plan,
            service="here",
            project_id=1,
            session_id=session_id,
            prompt_id=self._prompts,
            answer=text,
        )
        return AIMessage(text, response_metadata={METADATA_KEY: note})


@pytest.fixture
def server() -> Server:
    return Server()


def planned(messages: list[BaseMessage], **settings: Any) -> Plan:
    return make_plan(messages, **{"service": "here", "project_id": 1, **settings})


def talk(server: Server, *prompts: str, start: list[BaseMessage] | None = None) -> list[BaseMessage]:
    messages = list(start or [])
    for prompt in prompts:
        messages.append(HumanMessage(prompt))
        messages.append(server.answer(planned(messages)))
    return messages


class TestContinuing:
    """The history is exactly what the server holds: only the new text is sent."""

    def test_a_first_question_begins_a_conversation(self) -> None:
        plan = planned([HumanMessage("hi")])
        assert (plan.mode, plan.session_id, plan.prompt) == ("new", None, "hi")

    def test_later_turns_send_only_what_is_new(self, server: Server) -> None:
        messages = talk(server, "one", "two", "three")
        plan = planned([*messages, HumanMessage("four")])
        assert (plan.mode, plan.session_id, plan.prompt, plan.parent_id) == (
            "continue",
            "session-1",
            "four",
            3,
        )
        assert server.sessions == {"session-1": ["one", "two", "three"]}

    def test_human_messages_in_a_row_are_one_prompt(self, server: Server) -> None:
        messages = talk(server, "one")
        assert planned([*messages, HumanMessage("two"), HumanMessage("three")]).prompt == "two\n\nthree"
        messages += [HumanMessage("two"), HumanMessage("three")]
        messages.append(server.answer(planned(messages)))
        assert planned([*messages, HumanMessage("four")]).mode == "continue"

    def test_a_trimmed_beginning_is_no_reason_to_fork(self, server: Server) -> None:
        messages = talk(server, "one", "two", "three")
        for start in range(len(messages)):
            plan = planned([*messages[start:], HumanMessage("four")])
            assert plan.mode == "continue", start

    def test_trimming_every_turn_keeps_one_conversation(self, server: Server) -> None:
        messages: list[BaseMessage] = []
        for turn in range(6):
            messages = [*messages[-3:], HumanMessage(f"turn {turn}")]
            messages.append(server.answer(planned(messages)))
        assert list(server.sessions) == ["session-1"]

    def test_messages_survive_json(self, server: Server) -> None:
        stored = json.loads(json.dumps(messages_to_dict(talk(server, "one", "two"))))
        assert planned([*messages_from_dict(stored), HumanMessage("three")]).mode == "continue"

    def test_v1_content_counts_as_the_same_text(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        for message in messages:
            message.content = [{"type": "text", "text": message.content}]
        assert planned([*messages, HumanMessage("three")]).mode == "continue"

    def test_system_messages_may_come_and_go(self, server: Server) -> None:
        messages = talk(server, "one")
        plan = planned([SystemMessage("Be brief."), *messages, HumanMessage("two")])
        assert (plan.mode, plan.system, plan.prompt) == ("continue", "Be brief.", "two")

    def test_other_models_since_then_are_told(self, server: Server) -> None:
        messages = talk(server, "one")
        other: list[BaseMessage] = [
            HumanMessage("two"),
            AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "1"}]),
            ToolMessage("3", tool_call_id="1", name="add"),
            AIMessage("It is 3.", name="calculator"),
            HumanMessage("and refunds?"),
        ]
        plan = planned([*messages, *other])
        assert plan.mode == "continue"
        for said in (
            "User: two",
            'called add with {"a": 1}',
            "Tool add: 3",
            "Assistant (calculator): It is 3.",
        ):
            assert said in plan.prompt
        assert plan.prompt.endswith("and refunds?")
        assert "one" not in plan.prompt.splitlines()
        messages += [*other, server.answer(plan)]
        assert planned([*messages, HumanMessage("five")]).mode == "continue"

    def test_an_empty_answer_is_an_answer(self, server: Server) -> None:
        messages: list[BaseMessage] = [HumanMessage("one")]
        plan = planned(messages)
        note = write_place(plan, service="here", project_id=1, session_id="s", prompt_id=1, answer="")
        messages += [AIMessage("", response_metadata={METADATA_KEY: note}), HumanMessage("two")]
        assert (planned(messages).mode, planned(messages).prompt) == ("continue", "two")


class TestForking:
    """The history differs from the server's: the earlier turns are told to a new conversation."""

    def test_an_edited_question_forks(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        for edited in (0, 2):
            changed = [*messages]
            changed[edited] = HumanMessage("something else")
            plan = planned([*changed, HumanMessage("three")])
            assert (plan.mode, plan.session_id) == ("fork", None)
            assert plan.mismatch
            assert "User: something else" in plan.prompt
            assert plan.prompt.endswith("three")

    def test_an_edited_answer_forks(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        for edited in (1, 3):
            changed = [*messages]
            changed[edited] = changed[edited].model_copy(update={"content": "No."})
            assert planned([*changed, HumanMessage("three")]).mode == "fork"

    def test_a_turn_missing_from_the_middle_forks(self, server: Server) -> None:
        messages = talk(server, "one", "two", "three")
        assert planned([*messages[:2], *messages[4:], HumanMessage("four")]).mode == "fork"

    def test_time_travel_plans_to_continue_and_leaves_the_claim_to_decide(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        plan = planned([*messages[:2], HumanMessage("other two")])
        assert (plan.mode, plan.parent_id) == ("continue", 1)
        assert plan.fork("taken").mode == "fork"

    def test_a_foreign_history_is_told_once_and_then_continued(self, server: Server) -> None:
        start: list[BaseMessage] = [HumanMessage("zero"), AIMessage("from another model")]
        messages = talk(server, "one", "two", "three", start=start)
        assert list(server.sessions) == ["session-1"]
        assert "from another model" in server.sessions["session-1"][0]
        assert server.sessions["session-1"][1:] == ["two", "three"]
        assert planned([*messages[2:], HumanMessage("four")]).mode == "continue", (
            "the told part may be trimmed"
        )
        assert planned([HumanMessage("edited"), *messages[1:], HumanMessage("four")]).mode == "fork"

    def test_what_a_fork_was_told_may_be_trimmed_from_its_beginning(self, server: Server) -> None:
        start: list[BaseMessage] = [AIMessage(f"foreign {number}") for number in range(4)]
        messages = talk(server, "one", "two", start=start)
        for first in range(5):
            assert planned([*messages[first:], HumanMessage("three")]).mode == "continue", first
        edited = [AIMessage("edited"), *messages[2:], HumanMessage("three")]
        assert planned(edited).mode == "fork", "as long as it was, but not what was told"

    @pytest.mark.parametrize("told", [4, 64, 65, 70])
    def test_of_what_a_fork_was_told_no_turn_can_be_edited(self, server: Server, told: int) -> None:
        start: list[BaseMessage] = [AIMessage(f"foreign {number}") for number in range(told)]
        messages = [*talk(server, "one", start=start), HumanMessage("two")]
        assert planned(messages).mode == "continue"
        for edited in (0, told // 2, told - 1):
            changed = [*messages]
            changed[edited] = AIMessage("edited")
            assert planned(changed).mode == "fork", edited
        assert planned([AIMessage("more"), *messages]).mode == "fork"

    def test_a_sliding_window_keeps_the_conversation_of_a_fork(self, server: Server) -> None:
        messages: list[BaseMessage] = [AIMessage(f"foreign {number}") for number in range(6)]
        for turn in range(6):
            messages = [*messages[-5:], HumanMessage(f"turn {turn}")]
            messages.append(server.answer(planned(messages)))
        assert list(server.sessions) == ["session-1"]

    def test_after_a_fork_the_new_conversation_is_continued(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        messages = talk(server, "three", "four", start=[HumanMessage("edited"), *messages[1:]])
        assert list(server.sessions) == ["session-1", "session-2"]
        assert server.sessions["session-2"][1:] == ["four"]

    def test_another_agent_is_another_model(self, server: Server) -> None:
        messages = talk(server, "one")
        assert planned([*messages, HumanMessage("two")], project_id=2).mode == "fork"
        assert planned([*messages, HumanMessage("two")], service="elsewhere").mode == "fork"

    @pytest.mark.parametrize(
        "damage",
        [
            {"v": 2},
            {"v": None},
            {"prompt_id": None},
            {"session_id": None},
            {"session_id": ""},
            {"prompt_id": "7"},
        ],
    )
    def test_an_unknown_version_or_a_damaged_note_forks(self, server: Server, damage: dict[str, Any]) -> None:
        messages = talk(server, "one")
        messages[1].response_metadata[METADATA_KEY].update(damage)
        assert read_place(messages[1]) is None
        assert planned([*messages, HumanMessage("two")]).mode == "fork"

    def test_a_note_with_keys_missing_forks(self, server: Server) -> None:
        messages = talk(server, "one")
        for key in list(messages[1].response_metadata[METADATA_KEY]):
            note = {**messages[1].response_metadata[METADATA_KEY]}
            del note[key]
            damaged = AIMessage("answer 1", response_metadata={METADATA_KEY: note})
            assert planned([messages[0], damaged, HumanMessage("two")]).mode == "fork", key

    def test_what_came_after_a_stop_sequence_forks(self, server: Server) -> None:
        """The server holds more than the user saw."""
        messages = talk(server, "one")
        messages[1] = messages[1].model_copy(update={"content": "ans"})
        assert planned([*messages, HumanMessage("two")]).mode == "fork"

    def test_max_history_chars_bounds_what_is_told(self) -> None:
        history: list[BaseMessage] = [AIMessage("x" * 90), AIMessage("y" * 90), HumanMessage("why?")]
        prompt = planned(history, max_history_chars=120).prompt
        assert "y" * 90 in prompt
        assert "x" * 90 not in prompt
        assert planned(history, max_history_chars=0).prompt == "why?"


class TestPinnedAndStateless:
    """The caller's choice of conversation is obeyed."""

    def test_a_pinned_conversation_gets_the_question_whatever_the_history_says(self) -> None:
        plan = planned([AIMessage("foreign"), HumanMessage("one")], session_id="mine")
        assert (plan.mode, plan.session_id, plan.prompt) == ("pinned", "mine", "one")

    def test_a_pinned_answer_can_be_continued(self, server: Server) -> None:
        messages: list[BaseMessage] = [AIMessage("foreign"), HumanMessage("one")]
        messages.append(server.answer(planned(messages, session_id="mine")))
        plan = planned([*messages, HumanMessage("two")])
        assert (plan.mode, plan.session_id, plan.prompt) == ("continue", "mine", "two")

    def test_stateless_always_begins_afresh(self, server: Server) -> None:
        messages = talk(server, "one")
        plan = planned([*messages, HumanMessage("two")], stateless=True)
        assert (plan.mode, plan.session_id) == ("stateless", None)
        assert "Assistant: answer 1" in plan.prompt


class TestMessages:
    """What a list of messages may hold."""

    @pytest.mark.parametrize(
        ("policy", "system", "prompt"),
        [("persona", "Be brief.", "hi"), ("prepend", "", "Be brief.\n\nhi"), ("ignore", "", "hi")],
    )
    def test_system_message_policies(self, policy: Any, system: str, prompt: str) -> None:
        plan = planned([SystemMessage("Be brief."), HumanMessage("hi")], system_message=policy)
        assert (plan.system, plan.prompt) == (system, prompt)

    def test_system_message_error(self) -> None:
        with pytest.raises(ConfigurationError, match="system message"):
            planned([SystemMessage("Be brief."), HumanMessage("hi")], system_message="error")

    @pytest.mark.parametrize(
        "messages",
        [
            [],
            [SystemMessage("x")],
            [HumanMessage("x"), AIMessage("y")],
            [HumanMessage("x"), ToolMessage("y", tool_call_id="1")],
            [HumanMessage("x"), HumanMessage(" ")],
        ],
    )
    def test_a_list_that_does_not_end_in_a_question_raises(self, messages: list[BaseMessage]) -> None:
        with pytest.raises(ValueError, match="human message"):
            planned(messages)

    @pytest.mark.parametrize("kind", ["image_url", "image", "audio", "file", "video"])
    def test_parts_that_are_not_text_are_refused_by_name(self, kind: str) -> None:
        with pytest.raises(ConfigurationError, match=repr(kind)):
            planned([HumanMessage([{"type": "text", "text": "what is this?"}, {"type": kind}])])

    def test_parts_of_text_are_joined(self) -> None:
        assert planned([HumanMessage(["one ", {"type": "text", "text": "two"}])]).prompt == "one two"

    def test_foreign_messages_of_every_kind_are_told(self) -> None:
        plan = planned(
            [
                ChatMessage("rules", role="developer"),
                ChatMessage("a question", role="user"),
                ChatMessage("an aside", role="narrator"),
                FunctionMessage("42", name="compute"),
                AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "image", "url": "u"}, "so"]),
                ToolMessage([{"type": "image", "url": "u"}], tool_call_id="1"),
                RemoveMessage("id"),
                ChatMessage("and now?", role="human"),
            ]
        )
        assert plan.system == "rules"
        for said in ("User: a question", "narrator: an aside", "Tool compute: 42", "Assistant: so\n[image]"):
            assert said in plan.prompt
        assert "Tool: [image]" in plan.prompt
        assert "hm" not in plan.prompt
        assert plan.prompt.endswith("and now?")
