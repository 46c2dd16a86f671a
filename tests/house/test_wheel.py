"""What the built distribution holds, and what it costs to import."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "customgpt_bulk",
    "customgpt_cli",
    "customgpt_demo",
    "customgpt_emulator",
    "customgpt_transport",
    "langchain_customgpt",
    "llama_index_customgpt",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source tree with what is installed: no network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


def test_the_top_level_is_the_packages_and_no_shared(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert PACKAGES == {name for name in top if not name.endswith(".dist-info")}


def test_every_package_says_that_it_is_typed_and_the_demo_has_its_documents(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert "customgpt_demo/documents/refunds-and-returns.md" in names


def _modules_after(code: str, *, without: tuple[str, ...] = (), path: Path | None = None) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after `code`, some packages not installed."""
    block = "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    first = f"sys.path.insert(0, {str(path)!r})\n" if path else ""
    program = f"import sys\n{first}{block}{code}\nprint(*(n for n, m in sys.modules.items() if m))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "package", ["customgpt_transport", "customgpt_bulk", "langchain_customgpt", "llama_index_customgpt"]
)
def test_importing_a_package_loads_no_http_library_and_no_framework(package: str) -> None:
    loaded = _modules_after(f"import {package}")
    assert not {"requests", "urllib3", "aiohttp", "socket", "langchain_core", "llama_index"} & loaded


def test_each_client_loads_only_its_own_http_library() -> None:
    options = "api_key='k', project_id=1"
    sync = _modules_after(f"from customgpt_transport import Client\nClient({options}).close()")
    assert "aiohttp" not in sync
    both = _modules_after(f"from customgpt_transport import AsyncClient\nAsyncClient({options})")
    assert "requests" not in both


@pytest.mark.parametrize(
    ("adapter", "name", "other"),
    [
        ("langchain_customgpt", "ChatCustomGPT", "llama_index"),
        ("llama_index_customgpt", "CustomGPTQueryEngine", "langchain_core"),
    ],
)
def test_the_wheel_works_with_one_framework_alone(
    wheel: Path, tmp_path: Path, adapter: str, name: str, other: str
) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"from {adapter} import {name}\n{name}(api_key='k', project_id=1)"
    assert adapter in _modules_after(code, without=(other,), path=tmp_path)


@pytest.mark.parametrize(
    ("adapter", "name", "framework", "extra"),
    [
        ("langchain_customgpt", "ChatCustomGPT", "langchain_core", "customgpt-adapters[langchain]"),
        ("llama_index_customgpt", "CustomGPTQueryEngine", "llama_index", "customgpt-adapters[llama-index]"),
    ],
)
def test_an_adapter_without_its_framework_names_the_extra(
    adapter: str, name: str, framework: str, extra: str
) -> None:
    program = f"import sys\nsys.modules[{framework!r}] = None\nfrom {adapter} import {name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert extra in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [
        ("customgpt_cli", "click", "customgpt-adapters[cli]"),
        ("customgpt_emulator", "click", "customgpt-adapters[emulator]"),
        ("customgpt_demo", "rich", "customgpt-adapters[all]"),
        ("customgpt_demo", "llama_index", "customgpt-adapters[all]"),
    ],
)
def test_a_command_without_its_extra_says_which_one_to_install(module: str, missing: str, extra: str) -> None:
    program = f"import sys\nsys.modules[{missing!r}] = None\nfrom {module}.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert extra in done.stderr
    assert "Traceback" not in done.stderr
