"""`ask_once`: the answer to a prompt under a key, sent at most once, whoever asks it how often."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import requests

from customgpt_emulator import Emulator
from customgpt_transport import (
    AsyncClient,
    BadRequest,
    Client,
    ClientOptions,
    ConfigurationError,
    CreditsExhausted,
    Message,
    PromptSettings,
    ProtocolError,
    RateLimited,
    RetryPolicy,
    Unresolved,
)
from customgpt_transport.options import RequestInfo
from tests.doors import DOORS, Door

KEY, QUESTION = "ticket-4711", "How do refunds work?"


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, service: Emulator) -> Any:
    """Each client in turn, on the module's emulator; nothing sleeps."""
    opened = DOORS[request.param](service, retry=RetryPolicy(backoff_base=0.001))
    yield opened
    opened.close()


def once(door: Door, key: str = KEY, prompt: str = QUESTION, **more: Any) -> Message:
    return door.call("ask_once", key, prompt, **more)  # type: ignore[no-any-return]  # it is a Message


def accepted(service: Emulator) -> list[str | None]:
    return [entry.prompt for entry in service.journal.prompts(accepted=True)]


def conversations(service: Emulator) -> str:
    return f"{service.base_url}/api/v1/projects/{service.project_id}/conversations"


def rival(service: Emulator, name: str) -> str:
    """Another caller makes the mark; its session id."""
    key = {"Authorization": f"Bearer {service.api_key}"}
    made = requests.post(conversations(service), json={"name": name}, headers=key, timeout=10)
    return str(made.json()["data"]["session_id"])


def name_of(service: Emulator) -> str:
    return str(service.journal.entries("conversations.create")[0].fields["name"])


class TestTheFirstCall:
    def test_sends_the_prompt_and_later_ones_find_its_answer(self, door: Door, service: Emulator):
        first = once(door)
        assert not first.recovered
        again = once(door)
        assert again.recovered
        assert (again.answer, again.prompt_id, again.citation_ids) == (
            *(first.answer, first.prompt_id, first.citation_ids),
        )
        assert accepted(service) == [QUESTION]

    def test_names_its_conversation_after_the_key(self, door: Door, service: Emulator):
        once(door, "a  key " + "x" * 400)
        assert name_of(service).startswith("a key xxx")
        assert len(name_of(service)) <= 255
        assert service.journal.prompts()[0].external_id == once(door, "a  key " + "x" * 400).external_id

    def test_costs_three_requests_more_than_a_prompt_and_two_when_it_need_not_exclude_others(
        self, door: Door, service: Emulator
    ):
        once(door)
        assert len(service.journal) == 4
        once(door, "another", exclusive=False)
        assert len(service.journal) == 7

    def test_sends_settings_and_files(self, door: Door, service: Emulator):
        settings = PromptSettings(lang="de")
        once(door, settings=settings, files=[("note.txt", b"Note.")])
        (sent,) = service.journal.prompts()
        assert sent.query["lang"] == "de"
        assert "note.txt" in str(sent.fields)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"key": "  "},
            {"prompt": ""},
            {"settings": PromptSettings(external_id="mine")},
            {"wait": -1},
        ],
    )
    def test_refuses_what_cannot_work(self, door: Door, service: Emulator, wrong: dict[str, Any]):
        with pytest.raises(ConfigurationError):
            once(door, **wrong)
        assert len(service.journal) == 0


class TestAnotherCall:
    def test_through_the_other_client_finds_the_answer(self, door: Door, service: Emulator):
        first = once(door)
        other = DOORS["aiohttp" if door.name == "requests" else "requests"](service)
        assert once(other, settings=PromptSettings(lang="de")).prompt_id == first.prompt_id
        other.close()
        assert len(accepted(service)) == 1

    def test_with_another_prompt_is_refused(self, door: Door, service: Emulator):
        once(door)
        with pytest.raises(ConfigurationError, match="'ticket-4711' was used for another prompt"):
            once(door, prompt="What do gift cards cost?")
        assert accepted(service) == [QUESTION]

    def test_after_the_conversation_was_deleted_asks_again(self, door: Door, service: Emulator):
        door.call("conversations.delete", once(door).session_id)
        assert not once(door).recovered
        assert len(accepted(service)) == 2

    def test_under_a_key_that_is_part_of_another_is_another(self, door: Door, service: Emulator):
        once(door, "ticket-47")
        once(door, "ticket-4")
        assert len(accepted(service)) == 2


class TestAMarkWithoutAnAnswer:
    def test_is_waited_for_and_never_sent_again_unless_asked(self, door: Door, service: Emulator):
        once(door, "other")
        mark = rival(service, name_of(service).replace("other", KEY))  # another key's hash: no mark of ours
        service.faults.drop_before_answer(persist=False)
        with pytest.raises(Unresolved) as lost:
            once(door, wait=3)
        assert lost.value.session_id not in (None, mark)
        assert not lost.value.resend_safe
        service.journal.clear()
        door.naps.clear()
        with pytest.raises(Unresolved, match="'ticket-4711' was sent before"):
            once(door, wait=3)
        assert door.naps == [0.5, 1.0, 1.5]
        assert service.journal.prompts() == []
        assert once(door, wait=0, resend_unresolved=True).session_id == lost.value.session_id
        assert once(door).recovered
        assert accepted(service) == [QUESTION]

    @pytest.mark.parametrize("lost", ["drop_before_answer", "bad_gateway", "reset_before_answer"])
    def test_gives_the_answer_when_it_comes(self, door: Door, service: Emulator, lost: str):
        getattr(service.faults, lost)(persist=True, visible_after=3)
        with pytest.raises(Unresolved):
            once(door, wait=1)  # two looks
        found = once(door, wait=3)
        assert found.recovered
        assert accepted(service) == [QUESTION]

    def test_is_told_when_another_made_it_and_died(self, door: Door, service: Emulator):
        once(door)
        session_id, name = service.journal.prompts()[0].session_id, name_of(service)
        door.call("conversations.delete", session_id)
        rival(service, name)
        with pytest.raises(Unresolved):
            once(door, wait=1)
        assert len(accepted(service)) == 1


class TestTwoCallersAtOnce:
    def open(self, kind: str, service: Emulator, at: str, nth: int) -> Door:
        """A door; just before its nth request of a kind, another caller makes the mark, too."""
        seen: list[str] = []

        def interfere(info: RequestInfo) -> None:
            seen.append(info.method)
            if info.method == at and seen.count(at) == nth and "messages" not in info.path:
                rival(service, self.name)

        return DOORS[kind](service, on_request=interfere)

    @pytest.fixture(autouse=True)
    def _name(self, service: Emulator) -> None:
        with Client(options=ClientOptions(service.api_key, service.base_url, service.project_id)) as client:
            client.ask_once(KEY, QUESTION)
            self.name = name_of(service)
            client.conversations.delete(service.journal.prompts()[0].session_id or "")
        service.journal.clear()

    @pytest.mark.parametrize("kind", DOORS)
    def test_the_later_mark_waits(self, kind: str, service: Emulator):
        door = self.open(kind, service, "POST", 1)
        with pytest.raises(Unresolved):
            once(door, wait=1)
        assert service.journal.prompts() == []
        door.close()

    @pytest.mark.parametrize("kind", DOORS)
    def test_the_earlier_mark_sends(self, kind: str, service: Emulator):
        door = self.open(kind, service, "GET", 2)
        assert not once(door, wait=1).recovered
        assert once(door).recovered
        assert accepted(service) == [QUESTION]
        door.close()


class TestCallersOfOneProcess:
    def test_share_one_flight_in_threads(self, service: Emulator):
        service.faults.slow_first_byte(0.1)
        answers: list[Message] = []
        with Client(options=ClientOptions(service.api_key, service.base_url, service.project_id)) as client:
            threads = [
                threading.Thread(target=lambda: answers.append(client.ask_once(KEY, QUESTION)))
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len({answer.prompt_id for answer in answers}) == 1
        assert len(service.journal) == 4

    async def test_share_one_flight_in_tasks_and_one_error(self, service: Emulator):
        options = ClientOptions(service.api_key, service.base_url, service.project_id)
        async with AsyncClient(options=options) as client:
            asked = [client.ask_once(KEY, QUESTION) for _ in range(8)]
            assert len({message.prompt_id for message in await asyncio.gather(*asked)}) == 1
            assert len(service.journal) == 4
            service.faults.unprocessable()
            failing = [client.ask_once("b", QUESTION) for _ in range(8)]
            errors = await asyncio.gather(*failing, return_exceptions=True)
        assert [type(error) for error in errors] == [BadRequest] * 8
        assert len(service.journal.prompts()) == 2

    async def test_one_that_is_cancelled_leaves_the_question_to_the_others(self, service: Emulator):
        options = ClientOptions(service.api_key, service.base_url, service.project_id)
        async with AsyncClient(options=options) as client:
            leading = asyncio.ensure_future(client.ask_once(KEY, QUESTION))
            await asyncio.sleep(0)
            following = asyncio.ensure_future(client.ask_once(KEY, QUESTION))
            await asyncio.sleep(0)
            leading.cancel()
            assert (await following).answer
        assert accepted(service) == [QUESTION]

    async def test_with_another_prompt_under_the_same_key_is_refused(self, service: Emulator):
        options = ClientOptions(service.api_key, service.base_url, service.project_id)
        async with AsyncClient(options=options) as client:
            first = asyncio.ensure_future(client.ask_once(KEY, QUESTION))
            await asyncio.sleep(0)
            with pytest.raises(ConfigurationError, match="another prompt"):
                await client.ask_once(KEY, "Another?")
            assert (await first).answer


class TestARefusal:
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("unprocessable", BadRequest),
            ("exhaust_credits", CreditsExhausted),
            ("rate_limit", RateLimited),
        ],
    )
    def test_takes_the_mark_back_so_that_the_key_can_be_asked_again(
        self, door: Door, service: Emulator, fault: str, error: type[Exception]
    ):
        getattr(service.faults, fault)(times=3)
        with pytest.raises(error):
            once(door)
        service.faults.clear()
        assert not once(door).recovered
        assert accepted(service) == [QUESTION]


def test_a_service_that_does_not_filter_by_name_gets_no_prompt(
    door: Door, service: Emulator, monkeypatch: pytest.MonkeyPatch
):
    rival(service, "Something else")
    monkeypatch.setattr(service.switches, "name_filter", "ignored")
    with pytest.raises(ProtocolError, match="does not filter conversations by name"):
        once(door)
    assert len(service.journal) == 2


@pytest.mark.parametrize(("filter_", "echo"), [("exact", True), ("contains", True), ("contains", False)])
def test_a_service_may_filter_exactly_or_not_and_echo_no_external_id(
    door: Door, service: Emulator, filter_: str, echo: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service.switches, "name_filter", filter_)
    monkeypatch.setattr(service.switches, "external_id_echo", echo)
    once(door, "ticket-47")
    assert once(door, "ticket-47").recovered
    assert accepted(service) == [QUESTION]
