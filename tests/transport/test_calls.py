"""What a call of the API looks like in each colour: to readers, to `inspect`, to type checkers."""

from __future__ import annotations

import inspect
import json
import pydoc
import subprocess
import sys
import typing
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from customgpt_transport import AsyncClient, Client
from customgpt_transport.errors import ConfigurationError
from customgpt_transport.flows import ApiFlows

ROOT = Path(__file__).resolve().parents[2]
TYPED = Path(__file__).with_name("typed_calls.py")

client = Client(api_key="k", project_id=7)
async_client = AsyncClient(api_key="k", project_id=7)
RESOURCES = ("conversations", "messages", "agents", "sources", "pages", "limits", "user")
METHODS = [
    (resource, name)
    for resource in RESOURCES
    for name in dir(getattr(client, resource))
    if not name.startswith("_")
]


@pytest.mark.parametrize(("resource", "name"), METHODS)
def test_both_colours_show_the_same_signature_and_docstring(resource: str, name: str):
    method, twin = (getattr(getattr(each, resource), name) for each in (client, async_client))
    signature, awaited = inspect.signature(method), inspect.signature(twin)
    assert signature.parameters == awaited.parameters
    assert "self" not in signature.parameters
    assert method.__doc__ == twin.__doc__
    assert len(method.__doc__) > 10
    assert method.__name__ == name
    returned = typing.get_type_hints(method)["return"]
    assert "Flow" not in str(returned)
    if name == "list" and resource != "sources":
        assert not inspect.iscoroutinefunction(twin)
        assert typing.get_origin(returned) is Iterator
        assert typing.get_origin(typing.get_type_hints(twin)["return"]) is AsyncIterator
    else:
        assert inspect.iscoroutinefunction(twin)
        assert typing.get_type_hints(twin)["return"] == returned
    assert not inspect.iscoroutinefunction(method)


def test_help_shows_the_method():
    shown = pydoc.render_doc(client.pages.list, renderer=pydoc.plaintext)
    assert "list(*, project_id: 'int | None' = None, crawl_status:" in shown
    assert "Iterate over all pages, newest first" in shown
    whole = pydoc.render_doc(client.pages, renderer=pydoc.plaintext)
    assert "delete(self, page_id: 'int', *, project_id: 'int | None' = None)" in whole


async def test_an_asynchronous_call_refuses_at_the_await_and_a_walk_at_once():
    coroutine = async_client.agents.create("")
    with pytest.raises(ConfigurationError, match="name"):
        await coroutine
    coroutine = AsyncClient(api_key="k").pages.delete(1)
    with pytest.raises(ConfigurationError, match="project_id"):
        await coroutine
    with pytest.raises(ConfigurationError, match="limit"):
        async_client.pages.list(limit=0)
    with pytest.raises(ConfigurationError, match="limit"):
        client.pages.list(limit=0)


@pytest.mark.parametrize("colour", ["blocking", "awaited", "flow"])
async def test_a_wrong_keyword_is_a_type_error(colour: str):
    api = {"blocking": client, "awaited": async_client, "flow": ApiFlows(client.options)}[colour]
    with pytest.raises(TypeError, match="agent"):
        await api.pages.delete(1, agent=7)  # type: ignore[union-attr]


def test_inside_a_flow_nothing_is_sent_before_the_flow_runs():
    api = ApiFlows(client.options)
    flow = api.pages.delete(17)
    assert next(flow).request.path == "/projects/7/pages/17"
    flow.close()
    assert api.pages.list().more


class TestTypeCheckers:
    """`typed_calls.py` is right to the last ignored complaint."""

    def test_mypy(self, tmp_path: Path):
        run("mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path, TYPED)

    def test_pyright(self, tmp_path: Path):
        config = {
            "include": [str(TYPED)],
            "extraPaths": [str(ROOT / "shared")],
            "typeCheckingMode": "standard",
            "pythonVersion": "3.10",
            "reportUnnecessaryTypeIgnoreComment": "error",
        }
        (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
        run("basedpyright", "--project", tmp_path, "--pythonpath", sys.executable)


def run(checker: str, *arguments: object) -> None:
    command = [sys.executable, "-m", checker, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
