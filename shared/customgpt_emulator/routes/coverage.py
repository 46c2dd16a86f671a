"""The README's table of what the emulator covers: `python -m customgpt_emulator.routes.coverage`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from customgpt_emulator.routes import ROUTES
from customgpt_emulator.routes.uncovered import uncovered
from customgpt_emulator.serving.call import Route

__all__ = ["covered", "table"]


def covered(routes: Iterable[Route] = ROUTES) -> list[Route]:
    """Return the routes that are covered; the others answer 501."""
    return [route for route in routes if route.handler is not uncovered]


def table(routes: Iterable[Route] = ROUTES) -> str:
    """Return the routes as a Markdown table, covered ones first: name, call, and how we know of it."""
    listed = list(routes)
    done = covered(listed)
    rest = [route for route in listed if route not in done]
    lines = ["| name | call | known from |", "|---|---|---|"]
    lines += [_row(route, route.evidence) for route in done]
    lines += [
        _row(route, f"{route.evidence.removesuffix('; not covered')}; **answers 501**") for route in rest
    ]
    return "\n".join(lines) + "\n"


def _row(route: Route, evidence: str) -> str:
    return f"| `{route.name}` | `{route.method} {route.path}` | {evidence} |"


if __name__ == "__main__":
    sys.stdout.write(table())
