"""Schemathesis asks the emulator whatever the OpenAPI document allows, and much that it does not.

Bounded, and the same in every run: examples are derandomized, and meet an agent that has one of everything.
What is refused is refused in a documented way, and nothing is ever an internal error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, settings

from customgpt_emulator import Emulator
from customgpt_emulator.routes.openapi import load_document
from tests.contract.things import Things

schemathesis = pytest.importorskip(
    "schemathesis",
    reason="schemathesis needs Python 3.11; tests/contract/test_openapi_document.py runs anyway",
)
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

SCHEMA = schemathesis.openapi.from_dict(load_document())
BOUNDED = settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),  # an emulator is shared by the examples of one endpoint
)
# The explicit examples are schemathesis' own: a value at and beyond each bound of the document, some 3,000.
THOROUGH = settings(BOUNDED, phases=[Phase.explicit, Phase.generate])
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# Not asked for: `negative_data_rejection` (the API is lenient: an unknown field or a page number that is none
# is ignored), `positive_data_acceptance` (a sitemap must be an address, an image a picture) and
# `not_a_server_error` (501 is documented; that 500 does not happen is asserted below).


@pytest.fixture
def things(emulator: Emulator) -> Iterator[list[Things]]:
    """The one agent with its things; the list so that a test may put a fresh one in its place."""
    made = [Things(emulator)]
    yield made
    for each in made:
        each.http.close()


def ask(case: Any, emulator: Emulator, http: requests.Session) -> None:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    answer = case.call(base_url=emulator.base_url, headers=headers, session=http, timeout=20)
    assert answer.status_code != 500, answer.text
    case.validate_response(answer, checks=CHECKS)


@SCHEMA.parametrize()
@THOROUGH
def test_what_is_there_is_answered_as_documented(case: Any, emulator: Emulator, things: list[Things]):
    if case.method == "DELETE":
        things.append(Things(emulator))
    case.path_parameters = {name: things[-1].ids[name] for name in case.path_parameters or {}}
    ask(case, emulator, things[0].http)


@SCHEMA.parametrize()
@BOUNDED
def test_what_is_not_there_is_refused_as_documented(case: Any, emulator: Emulator, things: list[Things]):
    ask(case, emulator, things[0].http)
