"""What a user's own test suite gets from the fixture `customgpt_emulator`, with nothing configured."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

ASK = """
import os

import requests


def ask(prompt):
    root = f"{os.environ['CUSTOMGPT_BASE_URL']}/api/v1/projects/{os.environ['CUSTOMGPT_PROJECT_ID']}"
    with requests.Session() as http:
        http.headers["Authorization"] = "Bearer " + os.environ["CUSTOMGPT_API_KEY"]
        session = http.post(root + "/conversations", json={"name": "x"}).json()["data"]["session_id"]
        answer = http.post(f"{root}/conversations/{session}/messages", json={"prompt": prompt})
        return answer.json()["data"]["openai_response"]
"""


@pytest.fixture(autouse=True)
def _asking(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(asking=ASK)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # a dozen plugins take seconds to load


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "customgpt_emulator.pytest_plugin", *args, timeout=100)


def test_a_test_that_asks_for_it_has_a_server_with_a_few_documents(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    """As a user would: the plugin is found by its entry point, beside pytest-asyncio."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    pytester.makepyfile("""
        from asking import ask

        def test_refunds(customgpt_emulator):
            assert "five working days" in ask("When are refunds paid?")
            (sent,) = customgpt_emulator.journal.prompts()
            assert sent.prompt == "When are refunds paid?"

        async def test_in_a_coroutine(customgpt_emulator):
            import aiohttp
            headers = {"Authorization": f"Bearer {customgpt_emulator.api_key}"}
            async with aiohttp.ClientSession(headers=headers) as http:
                url = f"{customgpt_emulator.base_url}/api/v1/projects/{customgpt_emulator.project_id}"
                async with http.get(url) as answer:
                    assert (await answer.json())["data"]["is_chat_active"]
    """)
    pytester.runpytest_subprocess(timeout=100).assert_outcomes(passed=2)


def test_every_test_has_a_fresh_one(pytester: pytest.Pytester):
    """Same first ids, an empty journal, switches back at their defaults; in any number of workers."""
    pytester.makepyfile("""
        import pytest
        from asking import ask

        @pytest.mark.parametrize("number", range(6))
        def test_alone(customgpt_emulator, number):
            assert len(customgpt_emulator.journal) == 0
            assert customgpt_emulator.switches.unknown_session == "404"
            customgpt_emulator.switches.unknown_session = "create"
            ask("When are refunds paid?")
            row = customgpt_emulator._context.store.one("SELECT MAX(id) AS id, COUNT(*) AS n FROM messages")
            assert tuple(row) == (700001, 1)
    """)
    run(pytester).assert_outcomes(passed=6)
    run(pytester, "-p", "xdist.plugin", "-n2").assert_outcomes(passed=6)


def test_the_environment_is_set_for_the_test_and_restored(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CUSTOMGPT_API_KEY", "my own")
    monkeypatch.delenv("CUSTOMGPT_BASE_URL", raising=False)
    pytester.makepyfile("""
        import os

        def test_during(customgpt_emulator):
            assert os.environ["CUSTOMGPT_API_KEY"] == customgpt_emulator.api_key
            assert os.environ["CUSTOMGPT_BASE_URL"] == customgpt_emulator.base_url
            assert os.environ["CUSTOMGPT_PROJECT_ID"] == str(customgpt_emulator.project_id)

        def test_after():
            assert os.environ["CUSTOMGPT_API_KEY"] == "my own"
            assert "CUSTOMGPT_BASE_URL" not in os.environ
    """)
    run(pytester).assert_outcomes(passed=2)


def _documents(pytester: pytest.Pytester, name: str, text: str) -> None:
    folder = pytester.mkdir(name)
    (folder / "page.md").write_text(f"# Page\n\n{text}")


def test_documents_are_named_in_the_ini_file_or_nearer_by_a_marker(pytester: pytest.Pytester):
    _documents(pytester, "zoo", "Zebras eat grass.")
    _documents(pytester, "sea", "Otters hold hands.")
    pytester.makeini("[pytest]\ncustomgpt_documents = zoo\naddopts = --strict-markers\n")
    pytester.makepyfile("""
        import pytest
        from asking import ask

        def test_ini(customgpt_emulator):
            assert "Zebras eat grass." in ask("What do zebras eat?")

        @pytest.mark.customgpt_documents("sea")
        def test_marker(customgpt_emulator):
            assert "Otters hold hands." in ask("What do otters hold?")

        def test_ini_again(customgpt_emulator):
            assert "Zebras eat grass." in ask("What do zebras eat?")
    """)
    run(pytester).assert_outcomes(passed=3)


def test_a_folder_that_is_not_there_is_named_in_one_sentence(pytester: pytest.Pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.customgpt_documents("nowhere")
        def test_marker(customgpt_emulator):
            pass

        @pytest.mark.customgpt_documents()
        def test_empty_marker(customgpt_emulator):
            pass
    """)
    result = run(pytester)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*the marker customgpt_documents names */nowhere, which is not a folder"])
    result.stdout.fnmatch_lines(
        ["*write @pytest.mark.customgpt_documents(path), with the folder's path alone"]
    )


def test_marker_option_and_fixture_explain_themselves(pytester: pytest.Pytester):
    run(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.customgpt_documents(path): *"])
    run(pytester, "--fixtures").stdout.fnmatch_lines(
        ["customgpt_emulator*", "    A CustomGPT API for one test:*"]
    )
    run(pytester, "--help").stdout.fnmatch_lines(["*customgpt_documents*"])


def test_a_run_that_does_not_use_it_loads_nothing_for_it(pytester: pytest.Pytester):
    """Every pytest run of every user of this distribution loads the plugin: it must cost nothing."""
    program = "import sys, customgpt_emulator.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "customgpt_emulator.pytest_plugin" in done.stdout.split()
    heavy = {"aiohttp", "sqlite3", "asyncio", "click", "rich", "customgpt_emulator.emulator"}
    assert not heavy & set(done.stdout.split())


def test_the_ini_option_customgpt_facts_makes_it_behave_as_a_service_was_seen_to(pytester: pytest.Pytester):
    pytester.makepyfile("""
        def test_seven_keys(customgpt_emulator):
            assert customgpt_emulator.switches.stats_keys == 7
    """)
    pytester.makeini("[pytest]\ncustomgpt_facts = seen.json\n")
    pytester.path.joinpath("seen.json").write_text('{"facts": {"stats_keys": 7, "strict_name": null}}')
    run(pytester).assert_outcomes(passed=1)
    pytester.path.joinpath("seen.json").write_text('{"facts": {"stats_keys": 9}}')
    refused = run(pytester)
    refused.assert_outcomes(errors=1)
    refused.stdout.fnmatch_lines(["*the ini option customgpt_facts: *seen.json: stats_keys must be 7 or 8*"])
