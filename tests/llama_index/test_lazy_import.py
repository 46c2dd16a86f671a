from __future__ import annotations

import json
import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after `code`."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_importing_the_package_loads_neither_the_framework_nor_an_http_library():
    loaded = modules_after("import llama_index_customgpt")
    assert not loaded & {"llama_index.core", "requests", "aiohttp", "pydantic"}


@pytest.mark.timeout(60)
def test_an_engine_loads_no_client_before_it_asks():
    loaded = modules_after(
        "import llama_index_customgpt as l; l.CustomGPTQueryEngine(1, api_key='1|made-up')"
    )
    assert "customgpt_transport._sync.client" not in loaded
    assert "customgpt_transport._async.client" not in loaded


def test_without_the_framework_the_error_says_which_extra_to_install():
    code = (
        "import sys; sys.modules['llama_index'] = None\n"
        "import llama_index_customgpt\n"
        "try: llama_index_customgpt.CustomGPTQueryEngine\n"
        "except ImportError as error: assert 'customgpt-adapters[llama-index]' in str(error), error\n"
        "else: raise SystemExit('no error')"
    )
    modules_after(code)
