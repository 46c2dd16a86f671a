"""The fixture `customgpt_emulator` for your own tests. pytest finds it without configuration.

This module is loaded at the start of every pytest run, so it imports nothing but pytest.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from customgpt_emulator.emulator import Emulator

__all__ = ["customgpt_emulator"]

DOCUMENTS = "customgpt_documents"
FACTS = "customgpt_facts"
SAMPLE = Path(__file__).with_name("sample")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini options `customgpt_documents` and `customgpt_facts`."""
    parser.addini(
        DOCUMENTS,
        "Folder of documents that the fixture customgpt_emulator answers from, relative to the ini file; "
        "by default a small sample.",
        default="",
    )
    parser.addini(
        FACTS,
        'JSON file, {"facts": {switch: value}}, relative to the ini file: the fixture '
        "customgpt_emulator then behaves as a service was seen to behave.",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker `customgpt_documents`, for `--strict-markers` and `--markers`."""
    config.addinivalue_line(
        "markers",
        f"{DOCUMENTS}(path): the fixture customgpt_emulator answers from this folder, "
        "relative to the test's file.",
    )


@pytest.fixture
def customgpt_emulator(
    request: pytest.FixtureRequest, _customgpt_index: Callable[[Path], Path]
) -> Iterator[Emulator]:
    """A CustomGPT API for one test: a running `customgpt_emulator.Emulator`.

    During the test `CUSTOMGPT_API_KEY`, `CUSTOMGPT_BASE_URL` and `CUSTOMGPT_PROJECT_ID` point to it. It
    answers from the folder that the marker or else the ini option `customgpt_documents` names, or from a
    small sample, and behaves as the service whose facts the ini option `customgpt_facts` names.
    """
    from customgpt_emulator.emulator import Emulator

    documents = _documents(request)
    state = _customgpt_index(documents)
    try:
        try:
            made = Emulator(documents, state=state, facts=_from_ini(request.config, FACTS))
        except ValueError as error:
            raise pytest.UsageError(f"the ini option {FACTS}: {error}") from error
        with made as emulator, pytest.MonkeyPatch.context() as patch:
            patch.setenv("CUSTOMGPT_API_KEY", emulator.api_key)
            patch.setenv("CUSTOMGPT_BASE_URL", emulator.base_url)
            patch.setenv("CUSTOMGPT_PROJECT_ID", str(emulator.project_id))
            yield emulator
    finally:
        state.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def _customgpt_index(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Index each folder once per session. Every test starts from a copy of the index, which is quick."""
    made: dict[Path, Path] = {}
    home = tmp_path_factory.mktemp("customgpt-emulator")

    def copy(documents: Path) -> Path:
        from customgpt_emulator.emulator import Emulator

        if documents not in made:
            index = home / f"{len(made)}.db"
            with Emulator(documents, state=index):
                made[documents] = index
        return Path(shutil.copyfile(made[documents], home / "test.db"))

    return copy


def _documents(request: pytest.FixtureRequest) -> Path:
    """Return the folder for this test. Raises `pytest.UsageError` if it is not one."""
    marker = request.node.get_closest_marker(DOCUMENTS)
    if marker is not None:
        if len(marker.args) != 1 or marker.kwargs:
            raise pytest.UsageError(f"write @pytest.mark.{DOCUMENTS}(path), with the folder's path alone")
        folder, said = Path(request.path.parent, marker.args[0]), "the marker"
    elif (named := _from_ini(request.config, DOCUMENTS)) is not None:
        folder, said = named, "the ini option"
    else:
        return SAMPLE
    if not folder.is_dir():
        raise pytest.UsageError(f"{said} {DOCUMENTS} names {folder}, which is not a folder")
    return folder.resolve()


def _from_ini(config: pytest.Config, option: str) -> Path | None:
    """Return the path that an ini option names, relative to the ini file; None when it names none."""
    value = config.getini(option)
    base = config.inipath.parent if config.inipath else config.rootpath
    return Path(base, value) if value else None
