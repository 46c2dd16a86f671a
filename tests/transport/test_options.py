"""Options: their defaults, the environment, and what is refused before any request."""

from __future__ import annotations

import dataclasses
import pickle
import re

import pytest
from pydantic import SecretStr

from customgpt_transport import (
    AsyncClient,
    Client,
    ClientOptions,
    ConfigurationError,
    PromptSettings,
    RetryPolicy,
)
from customgpt_transport._environment import proxy_for
from customgpt_transport.options import with_defaults

KEY = "123|SeCrEtSeCrEt"
BASE = "https://app.customgpt.ai/api/v1"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in (
        "CUSTOMGPT_API_KEY", "CUSTOMGPT_PROJECT_ID", "CUSTOMGPT_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY",
        "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def test_what_is_missing_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("CUSTOMGPT_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("CUSTOMGPT_PROJECT_ID", "4711")
    monkeypatch.setenv("CUSTOMGPT_BASE_URL", "https://proxy.test/customgpt/")
    found = ClientOptions().resolve()
    assert (KEY, 4711, "https://proxy.test/customgpt/api/v1") == (
        found.api_key,
        found.project_id,
        found.base_url,
    )


def test_what_is_given_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("CUSTOMGPT_API_KEY", "other")
    monkeypatch.setenv("CUSTOMGPT_PROJECT_ID", "1")
    client = Client(api_key=KEY, project_id="4711", options=ClientOptions(api_key="third", project_id=2))
    assert (KEY, 4711, BASE) == (client.options.api_key, client.options.project_id, client.options.base_url)


def test_resolving_twice_changes_nothing():
    once = ClientOptions(api_key=KEY, project_id=1).resolve()
    assert once == once.resolve()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://app.customgpt.ai", BASE), ("https://app.customgpt.ai/", BASE), (BASE, BASE),
        (BASE + "/", BASE), ("https://APP.customgpt.ai:443", BASE), ("https://h.test:8443", "https://h.test:8443/api/v1"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123/api/v1"), ("http://[::1]:80", "http://[::1]/api/v1"),
        ("http://localhost/x/", "http://localhost/x/api/v1"), (" https://h.test ", "https://h.test/api/v1"),
    ],
)  # fmt: skip
def test_base_urls_are_accepted_in_every_spelling(given, used):
    assert used == ClientOptions(api_key=KEY, base_url=given).resolve().base_url


@pytest.mark.parametrize(
    "given",
    [
        "app.customgpt.ai", "ftp://h.test", "https://", "http://app.customgpt.ai", "http://10.0.0.5",
        "https://user:pw@h.test", "https://h.test/?a=b", "https://h.test/#x", "https://h.test:99999",
        "https://a..test", f"https://{'a' * 64}.test", "https://\u2603.test", "https://xn--\xfc.test",
        "https://h .test", "https://h.test/a\nb", "http://127.0.0.1.evil.test", "http://localhost.evil.test",
    ],
)  # fmt: skip
def test_unfit_base_urls_are_refused(given):
    with pytest.raises(ConfigurationError, match="base_url"):
        Client(api_key=KEY, base_url=given)


def test_a_key_in_clear_must_be_asked_for():
    options = ClientOptions(api_key=KEY, base_url="http://10.0.0.5", allow_http=True).resolve()
    assert "http://10.0.0.5/api/v1" == options.base_url


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_no_key_says_where_one_comes_from(client):
    with pytest.raises(ConfigurationError, match="CUSTOMGPT_API_KEY"):
        client()


@pytest.mark.parametrize("key", ["a b", "a\nb", "clé", "a\x00b"])
def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown(key):
    with pytest.raises(ConfigurationError) as caught:
        Client(api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("number", [0, -1, "x", "", "1.5", True, 1.5, "٤٢"])
def test_an_agents_number_must_be_one(number):
    with pytest.raises(ConfigurationError, match="project_id"):
        Client(api_key=KEY, project_id=number)


@pytest.mark.parametrize(
    "fields",
    [
        {"connect_timeout": 0}, {"idle_timeout": -1}, {"event_timeout": float("inf")},
        {"first_byte_timeout": float("nan")}, {"first_byte_timeout": None}, {"session_wait": -1},
        {"recovery_patience": "5"}, {"max_concurrent_prompts": 0}, {"max_event_bytes": 0.5},
        {"new_session": "invent"}, {"proxy": "socks5://h:1"},
    ],
)  # fmt: skip
def test_options_that_cannot_work_are_refused(fields):
    with pytest.raises(ConfigurationError):
        Client(api_key=KEY, options=ClientOptions(**fields))


@pytest.mark.parametrize(
    ("construct", "misspelt", "meant"),
    [
        (Client, "project", "project_id"), (AsyncClient, "api_kye", "api_key"),
        (ClientOptions, "connect_timout", "connect_timeout"), (PromptSettings, "language", "lang"),
    ],
)  # fmt: skip
def test_a_misspelt_keyword_is_answered_with_the_one_that_was_meant(construct, misspelt, meant):
    with pytest.raises(TypeError, match=rf"Did you mean '{meant}'"):
        construct(**{misspelt: KEY})


def test_an_unfit_timeout_is_named_as_the_caller_wrote_it():
    for seconds in (-1, 0, float("nan"), "soon"):
        with pytest.raises(ConfigurationError, match=r"^timeout must be"):
            ClientOptions().with_timeout(seconds)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"settings": {"lang": "en"}}, "settings"), ({"options": {"proxy": ""}}, "options"),
        ({"settings": PromptSettings(lang=5)}, "lang"), ({"files": "a.txt"}, "files"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_named_before_anything_is_sent(wrong, name):
    with pytest.raises(ConfigurationError, match=rf"^{name} must be"):
        Client(api_key=KEY, project_id=1).ask("Why?", **wrong)


def test_a_timeout_sets_the_three_clocks_of_silence_and_shortens_the_connecting():
    short, long = ClientOptions().with_timeout(3), ClientOptions().with_timeout(300)
    assert (3, 3, 3, 3) == (
        short.connect_timeout, short.first_byte_timeout, short.idle_timeout, short.event_timeout,
    )  # fmt: skip
    assert (10, 300) == (long.connect_timeout, long.first_byte_timeout)


def test_the_key_is_shown_nowhere():
    options = ClientOptions(api_key=KEY, proxy="http://me:pw@h.test").resolve()
    shown = [options, Client(options=options), AsyncClient(options=options), dataclasses.asdict(options)]
    shown += [dataclasses.replace(options, project_id=1), vars(options), pickle.loads(pickle.dumps(options))]
    for one in shown:
        assert "SeCrEt" not in repr(one)
    assert "pw@" not in repr(options)


def test_options_and_settings_pickle_and_compare():
    options = ClientOptions(api_key=KEY, retry=RetryPolicy(max_retries=5), project_id=3)
    assert options == pickle.loads(pickle.dumps(options))
    assert PromptSettings(lang="de") == pickle.loads(pickle.dumps(PromptSettings(lang="de")))


def test_the_proxy_of_the_environment_is_worked_out_once(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "inside.test")
    assert "http://proxy.test:3128" == ClientOptions(api_key=KEY).resolve().proxy
    assert "" == ClientOptions(api_key=KEY, base_url="https://inside.test").resolve().proxy
    assert "" == ClientOptions(api_key=KEY, proxy="").resolve().proxy
    assert proxy_for("http://h.test") is None


def test_the_certificates_of_the_environment_are_worked_out_once(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/second.pem")
    assert "/second.pem" == ClientOptions(api_key=KEY).resolve().verify
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/first.pem")
    assert "/first.pem" == ClientOptions(api_key=KEY).resolve().verify
    assert ClientOptions(api_key=KEY, verify=False).resolve().verify is False


@pytest.mark.parametrize("prompt", ["", "  \n", None, 5])
def test_an_empty_prompt_is_refused_before_any_request(prompt):
    client = Client(api_key=KEY, project_id=1)
    for call in (client.ask, client.stream):
        with pytest.raises(ConfigurationError, match="prompt is empty"):
            call(prompt)


def test_no_agent_says_how_to_name_one():
    with pytest.raises(ConfigurationError, match="CUSTOMGPT_PROJECT_ID"):
        Client(api_key=KEY).ask("Why?")


@pytest.mark.parametrize("external_id", ["", "x" * 129])
def test_an_external_id_has_1_to_128_characters(external_id):
    with pytest.raises(ConfigurationError, match=re.escape("external_id")):
        Client(api_key=KEY, project_id=1).ask("Why?", settings=PromptSettings(external_id=external_id))


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_that_is_no_text_is_refused_and_not_sent_as_asterisks(kind):
    with pytest.raises(ConfigurationError, match="get_secret_value"):
        kind(api_key=SecretStr("1|k"), project_id=1)
    with pytest.raises(ConfigurationError, match="get_secret_value"):
        ClientOptions(api_key=SecretStr("1|k"))  # type: ignore[arg-type]  # that is the point


def test_options_of_one_call_keep_the_clients_address_and_key():
    own = ClientOptions(
        api_key="1|k",
        base_url="http://h.test",
        project_id=1,
        allow_http=True,
        proxy="http://p:1",
        verify=False,
    ).resolve()
    one = with_defaults(ClientOptions(idle_timeout=5), fallback=own)
    assert (own.base_url, "http://p:1", False) == (one.base_url, one.proxy, one.verify)
    assert "" == with_defaults(ClientOptions(proxy=""), fallback=own).proxy
