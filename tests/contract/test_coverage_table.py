"""The README's table of what the emulator covers is the one that the route table makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from customgpt_emulator import Emulator
from customgpt_emulator.routes import ROUTES
from customgpt_emulator.routes.coverage import covered, table
from tests.contract.things import Things

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- coverage -->", "<!-- /coverage -->"


def test_the_readme_has_the_table_of_today():
    """When it has not: put what `python -m customgpt_emulator.routes.coverage` prints between the markers."""
    text = README.read_text(encoding="utf-8")
    assert (1, 1) == (text.count(BEGIN), text.count(END))
    assert table() == text.partition(BEGIN + "\n")[2].partition(END)[0]


def test_the_command_prints_the_table():
    command = [sys.executable, "-m", "customgpt_emulator.routes.coverage"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (table(), "") == (printed.stdout, printed.stderr)


def test_every_route_says_where_its_behaviour_is_known_from():
    known = ("OpenAPI", "clients")
    assert [] == [route.name for route in ROUTES if not route.evidence.startswith(known)]


def test_what_is_not_covered_says_501_in_the_table():
    lines = {line.split("`")[1]: line for line in table().splitlines()[2:]}
    assert len(ROUTES) == len(lines)
    done = {route.name for route in covered()}
    assert {"messages.send", "completions.create"} <= done
    assert {name for name, line in lines.items() if "**answers 501**" in line} == lines.keys() - done


def test_what_is_not_covered_answers_501_and_says_so(emulator: Emulator):
    with Things(emulator) as things:
        for route in set(ROUTES) - set(covered()):
            path = "/api/v1" + route.path.format(**things.ids, license_id=1)
            refused = things.ask(route.method, path, json={})
            text = f"{route.method} {path} is not covered by the emulator."
            assert (501, {"code": 501, "message": text}) == (refused.status_code, refused.json()["data"])
