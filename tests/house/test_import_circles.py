"""No two files of a package import each other, not even in a roundabout way or for type checkers only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    path.parent.name: path.parent for path in [*ROOT.glob("*/py.typed"), *ROOT.glob("shared/*/py.typed")]
}


def imports(package: Path) -> dict[str, set[str]]:
    """For each module of a package the modules of the package that it imports, wherever in the file.

    A name that a package hands on is imported from the package: what its `__init__` imports is seen there.
    The packages above a module are left out, since importing a module runs them in any case.
    """
    files = {}
    for path in package.rglob("*.py"):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        targets = set()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                for name in (f"{node.module}.{alias.name}" for alias in node.names):
                    targets.add(name if name in files else node.module)
        found[module] = {t for t in targets & files.keys() if not f"{module}.".startswith(f"{t}.")}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle, as the modules along it; empty when there is none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for target in sorted(graph[module]):
            found = walk(target, [*path, module])
            if found:
                return found
        done.add(module)
        return []

    return next(filter(None, (walk(module, []) for module in sorted(graph))), [])


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_files_import_each_other(package: str) -> None:
    graph = imports(PACKAGES[package])
    assert len(graph) > 1
    assert [] == circle(graph)


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A package of three modules without a circle: `top` imports `rooms.middle`, and that `base`."""
    package = tmp_path / "made_up"
    (package / "rooms").mkdir(parents=True)
    (package / "__init__.py").write_text("from made_up.top import Top\n")
    (package / "rooms" / "__init__.py").write_text("from made_up.rooms import middle\n")
    (package / "top.py").write_text("from made_up.rooms import middle\nimport made_up.base\n")
    (package / "rooms" / "middle.py").write_text("from made_up.base import Base\n")
    (package / "base.py").write_text("import json\n")
    return package


def test_a_package_whose_imports_all_point_down_has_no_circle(made_up: Path) -> None:
    assert [] == circle(imports(made_up))


@pytest.mark.parametrize(
    "line",
    [
        "import made_up.top",
        "from made_up import top",
        "from made_up.top import Top",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made_up.top import Top",
        "def late():\n    from made_up.top import Top",
    ],
)
def test_an_import_that_closes_a_circle_is_found(made_up: Path, line: str) -> None:
    (made_up / "base.py").write_text(f"{line}\n")
    assert {"made_up.base", "made_up.top"} <= set(circle(imports(made_up)))


def test_a_circle_through_what_a_package_hands_on_is_found(made_up: Path) -> None:
    (made_up / "base.py").write_text("from made_up.rooms import anything\n")
    assert {"made_up.base", "made_up.rooms", "made_up.rooms.middle"} == set(circle(imports(made_up)))
