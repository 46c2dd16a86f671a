"""From a history to a prompt: continue what the server holds, fork where the history differs. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from customgpt_transport.errors import ConfigurationError
from customgpt_transport.histories import Plan, make_plan, notes_of, read_place
from customgpt_transport.models import Message
from customgpt_transport.transcript import HistoryTurn

PLACE_KEYS = (
    "v", "service", "project_id", "session_id", "prompt_id", "parent_id", "mode", "prompt_digest",
    "answer_digest", "base_digest",
)  # fmt: skip


def human(text: str) -> HistoryTurn:
    return HistoryTurn("User", text, "human")


def ai(text: str, note: Mapping[str, Any] | None = None) -> HistoryTurn:
    return HistoryTurn("Assistant", text, "ai", note)


def rules(text: str) -> HistoryTurn:
    return HistoryTurn("System", text, "system")


def noted(plan: Plan, message: Message) -> HistoryTurn:
    return ai(message.answer, plan.note(message, "here"))


class Server:
    """A server in memory: answers what a plan sends, and remembers each conversation."""

    def __init__(self) -> None:
        self.sessions: dict[str, list[str]] = {}
        self._prompts = 0

    def answer(self, plan: Plan) -> HistoryTurn:
        session_id = plan.session_id or f"session-{len(self.sessions) + 1}"
        self.sessions.setdefault(session_id, []).append(plan.prompt)
        self._prompts += 1
        answer = f"answer {self._prompts}"
        return noted(plan, Message(answer, plan.prompt, 1, session_id, self._prompts))


@pytest.fixture
def server() -> Server:
    return Server()


def planned(messages: list[HistoryTurn], **settings: Any) -> Plan:
    return make_plan(messages, **{"service": "here", "project_id": 1, **settings})


def talk(server: Server, *prompts: str, start: list[HistoryTurn] | None = None) -> list[HistoryTurn]:
    messages = list(start or [])
    for prompt in prompts:
        messages.append(human(prompt))
        messages.append(server.answer(planned(messages)))
    return messages


class TestContinuing:
    """The history is exactly what the server holds: only the new text is sent."""

    def test_a_first_question_begins_a_conversation(self) -> None:
        plan = planned([human("hi")])
        assert (plan.mode, plan.session_id, plan.prompt) == ("new", None, "hi")

    def test_later_turns_send_only_what_is_new(self, server: Server) -> None:
        messages = talk(server, "one", "two", "three")
        plan = planned([*messages, human("four")])
        assert (plan.mode, plan.session_id, plan.prompt, plan.parent_id) == (
            "continue",
            "session-1",
            "four",
            3,
        )
        assert server.sessions == {"session-1": ["one", "two", "three"]}

    def test_human_messages_in_a_row_are_one_prompt(self, server: Server) -> None:
        messages = talk(server, "one")
        assert planned([*messages, human("two"), human("three")]).prompt == "two\n\nthree"
        messages += [human("two"), human("three")]
        messages.append(server.answer(planned(messages)))
        assert planned([*messages, human("four")]).mode == "continue"

    def test_a_trimmed_beginning_is_no_reason_to_fork(self, server: Server) -> None:
        messages = talk(server, "one", "two", "three")
        for start in range(len(messages)):
            plan = planned([*messages[start:], human("four")])
            assert plan.mode == "continue", start

    def test_trimming_every_turn_keeps_one_conversation(self, server: Server) -> None:
        messages: list[HistoryTurn] = []
        for turn in range(6):
            messages = [*messages[-3:], human(f"turn {turn}")]
            messages.append(server.answer(planned(messages)))
        assert list(server.sessions) == ["session-1"]

    def test_system_messages_may_come_and_go(self, server: Server) -> None:
        messages = talk(server, "one")
        plan = planned([rules("Be brief."), *messages, human("two")])
        assert (plan.mode, plan.system, plan.prompt) == ("continue", "Be brief.", "two")

    def test_an_empty_answer_is_an_answer(self, server: Server) -> None:
        messages: list[HistoryTurn] = [human("one")]
        plan = planned(messages)
        messages += [noted(plan, Message("", "one", 1, "s", 1)), human("two")]
        assert (planned(messages).mode, planned(messages).prompt) == ("continue", "two")


class TestNotes:
    """What an answer says about its place, in `response_metadata["customgpt"]` of LangChain for example."""

    def test_notes_survive_json(self, server: Server) -> None:
        messages = [
            replace(turn, note=turn.note and json.loads(json.dumps(turn.note)))
            for turn in talk(server, "one", "two")
        ]
        assert planned([*messages, human("three")]).mode == "continue"

    def test_version_1_is_written_as_ever(self) -> None:
        """Byte for byte what the first release wrote: saved histories go on."""
        start = [human("zéro"), ai("from another model")]
        plan = planned([*start, human("one")])
        message = Message("answer 1", plan.prompt, 1, "session-1", 1, external_id="x")
        assert list(plan.note(message, "here").items()) == [
            ("v", 1),
            ("service", "here"),
            ("project_id", 1),
            ("session_id", "session-1"),
            ("prompt_id", 1),
            ("parent_id", None),
            ("mode", "fork"),
            ("prompt_digest", "268f31c2094e76d7678c63da9d74ce56"),
            ("answer_digest", "6c94683a02bdda38721278e54660a422"),
            ("base_digest", ["50483953", "446e44e2"]),
            ("external_id", "x"),
            ("recovered", False),
        ]

    def test_a_conversation_read_from_the_server_can_be_continued(self) -> None:
        rows = [Message(f"answer {n}", f"prompt {n}", 1, "s", n) for n in (1, 2, 3)]
        turns = [
            turn
            for row, note in zip(rows, notes_of(rows, "here"), strict=True)
            for turn in (human(row.prompt), ai(row.answer, note))
        ]
        plan = planned([*turns, human("four")])
        assert (plan.mode, plan.session_id, plan.parent_id) == ("continue", "s", 3)
        turns[0] = human("edited")
        assert planned([*turns, human("four")]).mode == "fork"


class TestForking:
    """The history differs from the server's: the earlier turns are told to a new conversation."""

    def test_an_edited_question_forks(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        for edited in (0, 2):
            changed = [*messages]
            changed[edited] = human("something else")
            plan = planned([*changed, human("three")])
            assert (plan.mode, plan.session_id) == ("fork", None)
            assert plan.mismatch
            assert "User: something else" in plan.prompt
            assert plan.prompt.endswith("three")

    def test_an_edited_answer_forks(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        for edited in (1, 3):
            changed = [*messages]
            changed[edited] = replace(changed[edited], text="No.")
            assert planned([*changed, human("three")]).mode == "fork"

    def test_a_turn_missing_from_the_middle_forks(self, server: Server) -> None:
        messages = talk(server, "one", "two", "three")
        assert planned([*messages[:2], *messages[4:], human("four")]).mode == "fork"

    def test_time_travel_plans_to_continue_and_leaves_the_claim_to_decide(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        plan = planned([*messages[:2], human("other two")])
        assert (plan.mode, plan.parent_id) == ("continue", 1)
        assert plan.fork("taken").mode == "fork"

    def test_a_foreign_history_is_told_once_and_then_continued(self, server: Server) -> None:
        start: list[HistoryTurn] = [human("zero"), ai("from another model")]
        messages = talk(server, "one", "two", "three", start=start)
        assert list(server.sessions) == ["session-1"]
        assert "from another model" in server.sessions["session-1"][0]
        assert server.sessions["session-1"][1:] == ["two", "three"]
        assert planned([*messages[2:], human("four")]).mode == "continue", "the told part may be trimmed"
        assert planned([human("edited"), *messages[1:], human("four")]).mode == "fork"

    def test_what_a_fork_was_told_may_be_trimmed_from_its_beginning(self, server: Server) -> None:
        start: list[HistoryTurn] = [ai(f"foreign {number}") for number in range(4)]
        messages = talk(server, "one", "two", start=start)
        for first in range(5):
            assert planned([*messages[first:], human("three")]).mode == "continue", first
        edited = [ai("edited"), *messages[2:], human("three")]
        assert planned(edited).mode == "fork", "as long as it was, but not what was told"

    @pytest.mark.parametrize("told", [4, 64, 65, 70])
    def test_of_what_a_fork_was_told_no_turn_can_be_edited(self, server: Server, told: int) -> None:
        start: list[HistoryTurn] = [ai(f"foreign {number}") for number in range(told)]
        messages = [*talk(server, "one", start=start), human("two")]
        assert planned(messages).mode == "continue"
        for edited in (0, told // 2, told - 1):
            changed = [*messages]
            changed[edited] = ai("edited")
            assert planned(changed).mode == "fork", edited
        assert planned([ai("more"), *messages]).mode == "fork"

    def test_a_sliding_window_keeps_the_conversation_of_a_fork(self, server: Server) -> None:
        messages: list[HistoryTurn] = [ai(f"foreign {number}") for number in range(6)]
        for turn in range(6):
            messages = [*messages[-5:], human(f"turn {turn}")]
            messages.append(server.answer(planned(messages)))
        assert list(server.sessions) == ["session-1"]

    def test_after_a_fork_the_new_conversation_is_continued(self, server: Server) -> None:
        messages = talk(server, "one", "two")
        messages = talk(server, "three", "four", start=[human("edited"), *messages[1:]])
        assert list(server.sessions) == ["session-1", "session-2"]
        assert server.sessions["session-2"][1:] == ["four"]

    def test_another_agent_is_another_model(self, server: Server) -> None:
        messages = talk(server, "one")
        assert planned([*messages, human("two")], project_id=2).mode == "fork"
        assert planned([*messages, human("two")], service="elsewhere").mode == "fork"

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
        messages[1] = replace(messages[1], note={**(messages[1].note or {}), **damage})
        assert read_place(messages[1].note) is None
        assert planned([*messages, human("two")]).mode == "fork"

    def test_a_note_with_keys_missing_forks(self, server: Server) -> None:
        asked, answered = talk(server, "one")
        for key in PLACE_KEYS:
            note = {**(answered.note or {})}
            del note[key]
            assert planned([asked, replace(answered, note=note), human("two")]).mode == "fork", key

    def test_what_came_after_a_stop_sequence_forks(self, server: Server) -> None:
        """The server holds more than the user saw."""
        messages = talk(server, "one")
        messages[1] = replace(messages[1], text="ans")
        assert planned([*messages, human("two")]).mode == "fork"

    def test_max_history_chars_bounds_what_is_told(self) -> None:
        history: list[HistoryTurn] = [ai("x" * 90), ai("y" * 90), human("why?")]
        prompt = planned(history, max_history_chars=120).prompt
        assert "y" * 90 in prompt
        assert "x" * 90 not in prompt
        assert planned(history, max_history_chars=0).prompt == "why?"


class TestPinnedAndStateless:
    """The caller's choice of conversation is obeyed."""

    def test_a_pinned_conversation_gets_the_question_whatever_the_history_says(self) -> None:
        plan = planned([ai("foreign"), human("one")], session_id="mine")
        assert (plan.mode, plan.session_id, plan.prompt) == ("pinned", "mine", "one")

    def test_a_pinned_answer_can_be_continued(self, server: Server) -> None:
        messages: list[HistoryTurn] = [ai("foreign"), human("one")]
        messages.append(server.answer(planned(messages, session_id="mine")))
        plan = planned([*messages, human("two")])
        assert (plan.mode, plan.session_id, plan.prompt) == ("continue", "mine", "two")

    def test_stateless_always_begins_afresh(self, server: Server) -> None:
        messages = talk(server, "one")
        plan = planned([*messages, human("two")], stateless=True)
        assert (plan.mode, plan.session_id) == ("stateless", None)
        assert "Assistant: answer 1" in plan.prompt


class TestMessages:
    """What a list of messages may hold."""

    @pytest.mark.parametrize(
        ("policy", "system", "prompt"),
        [("persona", "Be brief.", "hi"), ("prepend", "", "Be brief.\n\nhi"), ("ignore", "", "hi")],
    )
    def test_system_message_policies(self, policy: Any, system: str, prompt: str) -> None:
        plan = planned([rules("Be brief."), human("hi")], system_message=policy)
        assert (plan.system, plan.prompt) == (system, prompt)

    def test_system_message_error(self) -> None:
        with pytest.raises(ConfigurationError, match="system message"):
            planned([rules("Be brief."), human("hi")], system_message="error")

    @pytest.mark.parametrize(
        "messages",
        [
            [],
            [rules("x")],
            [human("x"), ai("y")],
            [human("x"), HistoryTurn("Tool", "y")],
            [human("x"), human(" ")],
        ],
    )
    def test_a_list_that_does_not_end_in_a_question_raises(self, messages: list[HistoryTurn]) -> None:
        with pytest.raises(ValueError, match="human message"):
            planned(messages)
