"""LangChain messages as turns of a history: every class and part, and the note that travels with answers."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)

from customgpt_transport.histories import NOTE_KEY, Plan, make_plan
from customgpt_transport.models import Message
from langchain_customgpt._messages import read_turns
from langchain_customgpt.errors import ConfigurationError


class Model:
    """A model in memory: answers what a plan sends, always in one conversation."""

    def __init__(self) -> None:
        self._prompts = 0

    def answer(self, plan: Plan) -> AIMessage:
        self._prompts += 1
        message = Message(f"answer {self._prompts}", plan.prompt, 1, "session-1", self._prompts)
        return AIMessage(message.answer, response_metadata={NOTE_KEY: plan.note(message, "here")})


@pytest.fixture
def model() -> Model:
    return Model()


def planned(messages: list[BaseMessage]) -> Plan:
    return make_plan(read_turns(messages), service="here", project_id=1)


def talk(model: Model, *prompts: str) -> list[BaseMessage]:
    messages: list[BaseMessage] = []
    for prompt in prompts:
        messages.append(HumanMessage(prompt))
        messages.append(model.answer(planned(messages)))
    return messages


def test_messages_survive_json(model: Model) -> None:
    stored = json.loads(json.dumps(messages_to_dict(talk(model, "one", "two"))))
    assert planned([*messages_from_dict(stored), HumanMessage("three")]).mode == "continue"


def test_v1_content_counts_as_the_same_text(model: Model) -> None:
    messages = talk(model, "one", "two")
    for message in messages:
        message.content = [{"type": "text", "text": message.content}]
    assert planned([*messages, HumanMessage("three")]).mode == "continue"


def test_other_models_since_then_are_told(model: Model) -> None:
    messages = talk(model, "one")
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
    messages += [*other, model.answer(plan)]
    assert planned([*messages, HumanMessage("five")]).mode == "continue"


@pytest.mark.parametrize("kind", ["image_url", "image", "audio", "file", "video"])
def test_parts_that_are_not_text_are_refused_by_name(kind: str) -> None:
    with pytest.raises(ConfigurationError, match=repr(kind)):
        read_turns([HumanMessage([{"type": "text", "text": "what is this?"}, {"type": kind}])])


def test_parts_of_text_are_joined() -> None:
    (turn,) = read_turns([HumanMessage(["one ", {"type": "text", "text": "two"}])])
    assert turn.text == "one two"


def test_foreign_messages_of_every_kind_are_told() -> None:
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


def test_a_history_that_the_first_release_saved_is_continued() -> None:
    """The digests below were written by that release."""
    saved = {"v": 1, "service": "here", "project_id": 1, "session_id": "session-1"}
    first = {
        **saved, "prompt_id": 1, "parent_id": None, "mode": "fork", "base_digest": ["50483953", "446e44e2"],
        "prompt_digest": "268f31c2094e76d7678c63da9d74ce56",
        "answer_digest": "6c94683a02bdda38721278e54660a422",
    }  # fmt: skip
    second = {
        **saved, "prompt_id": 2, "parent_id": 1, "mode": "continue", "base_digest": None,
        "prompt_digest": "098b1569df3b9d2de922a48ead0e9a63",
        "answer_digest": "f05116872230f0b18715d85cbe21e607",
    }  # fmt: skip
    messages: list[BaseMessage] = [
        HumanMessage("zéro"),
        AIMessage("from another model"),
        HumanMessage("one"),
        AIMessage("answer 1", response_metadata={NOTE_KEY: first}),
        HumanMessage("two"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "1"}]),
        ToolMessage("3", tool_call_id="1", name="add"),
        AIMessage("It is 3. 🙂", name="calculator"),
        ChatMessage("an aside", role="narrator"),
        HumanMessage("and refunds?"),
        AIMessage("answer 2", response_metadata={NOTE_KEY: second}),
        HumanMessage("next"),
    ]
    plan = planned(messages)
    assert (plan.mode, plan.session_id, plan.parent_id, plan.prompt) == ("continue", "session-1", 2, "next")
    for edited in range(len(messages) - 1):
        changed = [*messages]
        changed[edited] = changed[edited].model_copy(update={"content": "edited"})
        assert planned(changed).mode == "fork", edited
