"""The OpenAPI document is valid, names what the emulator serves, and is what the emulator answers by."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from customgpt_emulator import Emulator
from customgpt_emulator.routes.coverage import covered
from customgpt_emulator.routes.openapi import load_document
from tests.conftest import DOCUMENTS
from tests.contract.things import Things

DOCUMENT = load_document()
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """For a schema of the document, whose references lead into the document."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def resolved(thing: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in thing:
        _, kind, name = thing["$ref"].removeprefix("#/").split("/")
        thing = DOCUMENT["components"][kind][name]
    return thing


def test_it_names_the_endpoints_that_the_route_table_covers():
    named = {name: (method, path) for name, (method, path, _) in OPERATIONS.items()}
    assert {route.name: (route.method, "/api/v1" + route.path) for route in covered()} == named


def test_its_schemas_are_schemas_and_its_references_lead_somewhere():
    def walk(thing: Any) -> None:
        if isinstance(thing, dict):
            if "$ref" in thing:
                resolved(thing)
            for key, value in thing.items():
                if key == "schema":
                    Draft202012Validator.check_schema(value)
                walk(value)
        elif isinstance(thing, list):
            for item in thing:
                walk(item)

    walk(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert "3.1.0" == DOCUMENT["openapi"]


def test_its_enumerations_are_flat():
    """The vendor's document nests some of them one level too deep."""
    flat = json.dumps(DOCUMENT)
    assert '"enum": [[' not in flat


def test_the_statuses_are_the_vendors_odd_ones():
    success = {name: min(operation["responses"]) for name, (_, _, operation) in OPERATIONS.items()}
    assert {name for name, status in success.items() if status == "201"} == {
        "agents.create",
        "agents.replicate",
        "conversations.create",
        "sources.create",
        "sources.update",
        "sources.sync",
    }
    assert {"501"} < set(OPERATIONS["completions.create"][2]["responses"])
    assert all({"401", "429", "500"} < set(operation["responses"]) for _, _, operation in OPERATIONS.values())


def test_the_emulator_serves_it_to_those_who_have_the_key(emulator: Emulator):
    url = f"{emulator.base_url}/_emulator/openapi.json"
    assert 401 == requests.get(url, timeout=20).status_code
    answer = requests.get(url, headers={"Authorization": f"Bearer {emulator.api_key}"}, timeout=20)
    assert ("application/json; charset=utf-8", DOCUMENT) == (answer.headers["Content-Type"], answer.json())


BODIES: dict[str, dict[str, Any]] = {
    "agents.create": {"json": {"project_name": "A", "sitemap_path": "https://shop.example/"}},
    "agents.update": {"json": {"is_shared": True}},
    "settings.update": {"data": {"default_prompt": "Ask"}},
    "conversations.create": {"json": {"name": "A"}},
    "conversations.rename": {"json": {"name": "B"}},
    "messages.send": {"json": {"prompt": "Hello!"}},
    "messages.feedback": {"json": {"reaction": "liked"}},
    "completions.create": {"json": {"messages": [{"role": "user", "content": "How do refunds work?"}]}},
    "pages.update_metadata": {"json": {"title": "T"}},
    "sources.create": {"files": {"file": ("a.md", b"# A\n\nText.")}},
    "sources.update": {"json": {"create_new_pages": False}},
    "user.update": {"json": {"name": "N"}},
}


def check(answer: requests.Response, operation: dict[str, Any]) -> None:
    """Status, headers, content type and body are as documented."""
    documented = resolved(operation["responses"][str(answer.status_code)])
    assert set(documented["headers"]) - {"Retry-After"} <= set(answer.headers)
    content = documented["content"][answer.headers["Content-Type"].split(";")[0]]
    if answer.headers["Content-Type"] == "application/json":
        validator(content["schema"]).validate(answer.json())


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_endpoints_answers_are_as_documented(emulator: Emulator, name: str):
    """Its success, the refusal of a wrong key, and the refusals of ids that are none or nobody's."""
    method, path, operation = OPERATIONS[name]
    with Things(emulator) as things:
        done = things.ask(method, path.format(**things.ids), **BODIES.get(name, {}))
        assert done.status_code == int(min(operation["responses"])), done.text
        check(done, operation)
        for odd in ({"project_id": "seven"}, *({key: 10**9} for key in things.ids)):
            if next(iter(odd)) in path:
                check(
                    things.ask(method, path.format(**{**things.ids, **odd}), **BODIES.get(name, {})),
                    operation,
                )
        things.http.headers["Authorization"] = "Bearer wrong"
        denied = things.ask(method, path.format(**things.ids))
        assert 401 == denied.status_code
        check(denied, operation)


def test_another_method_is_refused_with_those_that_there_are(emulator: Emulator):
    with Things(emulator) as things:
        for path, methods in DOCUMENT["paths"].items():
            refused = things.ask("PATCH", path.format(**things.ids), json={})
            allowed = ", ".join(sorted(method.upper() for method in methods))
            assert (405, allowed) == (refused.status_code, refused.headers["Allow"]), path
            validator({"$ref": "#/components/schemas/Error"}).validate(refused.json())


def test_each_event_of_a_stream_is_as_documented(emulator: Emulator):
    with Things(emulator) as things:
        for name, schema in (("messages.send", "Event"), ("completions.create", "ChunkEvent")):
            method, path, _ = OPERATIONS[name]
            body = {"stream": True, **BODIES[name]["json"]}
            text = things.ask(method, path.format(**things.ids), json=body).text
            blocks = [block.split("\n") for block in text.removesuffix("\n\n").split("\n\n")]
            events = [dict(line.split(": ", 1) for line in block) for block in blocks]
            shape = DOCUMENT["components"]["schemas"][schema]
            for event in events[:-1] if schema == "ChunkEvent" else events:
                validator(shape).validate(event)
                validator(shape["properties"]["data"]["contentSchema"]).validate(json.loads(event["data"]))
        assert "[DONE]" == events[-1]["data"]


def test_no_schema_is_left_over():
    """A schema that nothing refers to would prove nothing."""
    text = json.dumps({"paths": DOCUMENT["paths"], "components": DOCUMENT["components"]})
    for name in DOCUMENT["components"]["schemas"]:
        assert f'#/components/schemas/{name}"' in text, name


@pytest.mark.parametrize(
    "switch", [{"stats_keys": 7}, {"citation_type": "float_string"}, {"upload_settings": "list"}]
)
def test_it_allows_what_the_switches_change(switch: dict[str, Any]):
    """Except the dates of 2023, which it mentions only."""
    with Emulator(documents=DOCUMENTS) as emulator:
        for name, value in switch.items():
            setattr(emulator.switches, name, value)
        with Things(emulator) as things:
            for name in ("agents.stats", "messages.list", "sources.list"):
                method, path, operation = OPERATIONS[name]
                check(things.ask(method, path.format(**things.ids)), operation)
