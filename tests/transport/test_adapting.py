"""What the adapters share: clients made on demand, ready-made ones beside other arguments, the persona."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from customgpt_transport import AsyncClient, Client, ClientOptions, ConfigurationError, PromptSettings
from customgpt_transport.adapting import Clients, Connection, did_you_mean, with_persona

HERE = "http://127.0.0.1:1/api/v1"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUSTOMGPT_API_KEY", "CUSTOMGPT_PROJECT_ID", "CUSTOMGPT_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ready() -> Iterator[Client]:
    with Client(api_key="1|key", base_url=HERE, project_id=7) as client:
        yield client


def clients(connection: Connection, **others: object) -> Clients:
    return Clients(connection, adapter="test/1", **others)  # type: ignore[arg-type]


class TestMadeOnDemand:
    def test_importing_and_constructing_load_no_http_library(self) -> None:
        code = (
            "import sys; from customgpt_transport.adapting import Clients;"
            "Clients({'api_key': '1|key'}, adapter='a', project_id=1);"
            "sys.exit(len(sys.modules.keys() & {'requests', 'urllib3', 'aiohttp', 'pydantic'}))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_each_is_made_once_with_the_same_options(self) -> None:
        pair = clients({"api_key": "1|key", "base_url": HERE}, project_id="7")
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(lambda _: id(pair.sync), range(64)))) == 1
        assert pair.sync.options == pair.asynchronous.options == pair.options
        assert (pair.agent, pair.options.adapter) == (7, "test/1")

    async def test_after_closing_the_next_use_makes_others(self) -> None:
        pair = clients({"api_key": "1|key"}, project_id=7)
        first, other = pair.sync, await pair.on_this_loop()
        await pair.aclose()
        assert pair.sync is not first
        assert await pair.on_this_loop() is not other
        await pair.aclose()

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
    def test_copies_have_the_options_and_no_live_client(self, copied: Callable[[Clients], Clients]) -> None:
        pair = clients({"api_key": "1|key"}, project_id=7)
        assert copied(pair).sync is not pair.sync
        assert copied(pair).sync.options == pair.options

    def test_without_an_agent_it_is_refused_or_left_open(self) -> None:
        with pytest.raises(ConfigurationError, match="Which agent"):
            clients({"api_key": "1|key"})
        pair = clients({"api_key": "1|key"}, needs_project=False)
        with pytest.raises(ConfigurationError, match="Which agent"):
            _ = pair.agent

    def test_the_key_is_masked_where_a_traceback_shows_locals(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            clients({"api_key": "1|SECRETKEY", "base_url": "ftp://x"}, project_id=1)
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        below = [
            frame for frame in shown.stack if "adapting.py" in frame.filename and "test" not in frame.name
        ]
        assert below
        assert not [frame for frame in below if "SECRETKEY" in str(frame.locals)]


class TestReadyMadeClients:
    def test_it_is_used_never_closed_and_gives_its_partner_its_options(self, ready: Client) -> None:
        pair = clients({"client": ready})
        assert pair.sync is ready
        assert pair.agent == 7
        assert (pair.asynchronous.options.api_key, pair.asynchronous.options.base_url) == ("1|key", HERE)
        pair.close()
        assert pair.sync is ready

    @pytest.mark.parametrize(
        "contradiction",
        [
            {"api_key": "1|other"},
            {"base_url": "http://127.0.0.1:2"},
            {"client_options": ClientOptions(api_key="1|key", base_url=HERE)},
            {"async_client": AsyncClient(api_key="1|other", base_url=HERE)},
        ],
    )
    def test_what_contradicts_it_is_refused(self, ready: Client, contradiction: Connection) -> None:
        with pytest.raises(ConfigurationError, match="ready-made client"):
            clients({"client": ready, **contradiction})

    def test_saying_the_same_again_is_no_contradiction(self, ready: Client) -> None:
        pair = clients(
            {"client": ready, "api_key": "1|key", "base_url": "http://127.0.0.1:1"}, project_id="8"
        )
        assert (pair.sync, pair.agent) == (ready, 8)

    def test_patience_overrides_it_for_prompts(self, ready: Client) -> None:
        assert clients({"client": ready}).options_for() is None
        options = clients({"client": ready, "timeout": 3, "max_retries": 0}).options_for()
        assert options is not None
        assert (options.first_byte_timeout, options.retry.max_retries) == (3, 0)
        twin = Clients(clients({"client": ready, "timeout": 3}).shared(), adapter="twin")
        assert twin.sync is ready
        assert twin.options_for() is not None


@pytest.mark.parametrize(
    ("patience", "hint"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": (5, 60)}, "one number of seconds"),
        ({"timeout": True}, "timeout"),
        ({"max_retries": -1}, "whole number"),
        ({"max_retries": 1.5}, "whole number"),
        ({"max_retries": "many"}, "max_retries"),
    ],
)
def test_a_patience_that_is_no_fitting_number_is_refused(patience: Connection, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        clients({"api_key": "1|key", **patience}, project_id=1)
    with pytest.raises(ConfigurationError, match=hint):
        clients({"api_key": "1|key"}, project_id=1).options_for(**patience)  # type: ignore[arg-type]


def test_system_messages_join_the_persona_that_the_caller_set() -> None:
    assert with_persona(None, "") is None
    assert with_persona(None, "Be brief.") == PromptSettings(custom_persona="Be brief.")
    given = PromptSettings(custom_persona="You are Ada.", lang="de")
    assert with_persona(given, "") is given
    assert with_persona(given, "Be brief.") == PromptSettings(
        custom_persona="You are Ada.\n\nBe brief.", lang="de"
    )


def test_a_misspelt_keyword_is_answered_with_the_nearest_or_the_known_name() -> None:
    known = {"project_id", "api_key", "timeout"}
    assert did_you_mean("projct_id", known) == " Did you mean 'project_id'?"
    assert did_you_mean("agent_id", known) == " Did you mean 'project_id'?"
    assert did_you_mean("language", known) == did_you_mean("xyzzy", known) == ""
