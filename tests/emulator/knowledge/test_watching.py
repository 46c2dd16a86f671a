"""The documents folder is followed: what changes there is in the next answer."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from customgpt_emulator import Emulator
from customgpt_emulator.knowledge.folder import Folder, sync
from customgpt_emulator.knowledge.library import Library
from customgpt_emulator.state.store import Store
from tests.emulator.conftest import Raw


@pytest.fixture
def server(handbook: Path) -> Iterator[Emulator]:
    """In place of the other tests' server: this one watches."""
    with Emulator(documents=handbook, watch=True) as emulator:
        yield emulator


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come true within 30 seconds"
        time.sleep(0.02)  # between looks, not for the condition


def answer(raw: Raw, prompt: str) -> str:
    return str(raw.send(prompt).json()["data"]["openai_response"])


def cited(raw: Raw, prompt: str) -> dict[str, object]:
    (citation, *_) = raw.send(prompt).json()["data"]["citations"]
    data: dict[str, object] = raw.call("GET", f"citations/{citation}").json()["data"]
    return data


def test_an_added_document_is_answered_from_and_cited(raw: Raw, handbook: Path):
    assert "know" in answer(raw, "What do zebras eat?")
    (handbook / "zebras.md").write_text("# Zebras\n\nZebras eat grass.")
    eventually(lambda: "Zebras eat grass." in answer(raw, "What do zebras eat?"))
    assert cited(raw, "What do zebras eat?")["title"] == "Zebras"


def test_a_changed_document_is_read_again_and_every_page_keeps_its_id(raw: Raw, handbook: Path):
    """Answers that were given before cite them."""
    prices, care = "How much does the Aurora cost?", "How is the shade cleaned? Wipe with a dry cloth?"
    before = cited(raw, prices)["id"], cited(raw, care)["id"]
    page = handbook / "prices.html"
    page.write_text(page.read_text().replace("120 euros", "99 euros").replace("What our lamps", "What lamps"))
    eventually(lambda: "99 euros" in answer(raw, prices))
    assert "120 euros" not in answer(raw, prices)
    assert (cited(raw, prices)["id"], cited(raw, care)["id"]) == before
    assert cited(raw, prices)["description"] == "What lamps cost."


def test_each_document_is_changed_in_a_transaction_of_its_own(handbook: Path):
    """So a kill finds every page with its id, and a request waits for one document at most."""
    store = Store()
    library = Library(store)
    project = store.add_agent("a", "a", 0.0)
    arguments = {"project_id": project, "source_id": 1601, "now": 0.0}
    for _ in sync(Folder(handbook), store, library, **arguments):  # type: ignore[arg-type] # both numbers
        pass
    before = {row["key"]: row["id"] for row in store.all("SELECT key, id FROM pages")}
    for key in before:
        (handbook / key).write_text("Changed, and longer than before. " * 99)
    rounds = 0
    for _ in sync(Folder(handbook), store, library, **arguments, batch=1):  # type: ignore[arg-type] # as above
        rounds += 1
        assert not store.db.in_transaction
        assert {row["key"]: row["id"] for row in store.all("SELECT key, id FROM pages")} == before
    assert rounds == len(before) > 1
    store.close()


def test_links_are_not_followed_out_of_the_folder_unless_asked(handbook: Path, tmp_path: Path):
    secret = tmp_path / "secret.md"
    secret.write_text("# Quokkas\n\nQuokkas smile.")
    (handbook / "link.md").symlink_to(secret)
    (handbook / "alias.md").symlink_to(handbook / "refunds.md")
    assert "link.md" not in Folder(handbook).stamps()
    assert "alias.md" in Folder(handbook).stamps()
    assert "link.md" in Folder(handbook, follow_links=True).stamps()


def test_a_removed_document_is_forgotten(raw: Raw, handbook: Path):
    gone = cited(raw, "How much does the Comet cost?")["id"]
    (handbook / "prices.html").unlink()
    eventually(lambda: "80 euros" not in answer(raw, "How much does the Comet cost?"))
    assert raw.call("GET", f"citations/{gone}").status_code == 404


def test_a_folder_that_was_replaced_is_followed_on(raw: Raw, handbook: Path):
    """Some editors and every `git worktree` put a new folder where the old one was."""
    shutil.rmtree(handbook)
    eventually(lambda: raw.call("GET", "").json()["data"]["is_chat_active"] is False)
    handbook.mkdir()
    (handbook / "one.md").write_text("# Otters\n\nOtters hold hands.")
    eventually(lambda: raw.call("GET", "").json()["data"]["is_chat_active"] is True)
    (handbook / "two.md").write_text("# Zebras\n\nZebras eat grass.")
    eventually(lambda: "Zebras eat grass." in answer(raw, "What do zebras eat?"))


def test_what_changed_is_logged(raw: Raw, handbook: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "customgpt_emulator")
    (handbook / "zebras.md").write_text("# Zebras\n\nZebras eat grass.")
    (handbook / "notes.swp").write_text("an editor's own business")
    eventually(lambda: bool(caplog.messages))
    assert "Zebras eat grass." in answer(raw, "What do zebras eat?")
    assert caplog.messages == ["Documents: zebras.md added"]


def test_the_thread_ends_with_the_emulator(handbook: Path):
    with Emulator(documents=handbook, watch=True):
        assert "customgpt-emulator-watch" in {thread.name for thread in threading.enumerate()}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("customgpt-emulator")]


def test_nothing_is_watched_unless_asked(handbook: Path):
    with Emulator(documents=handbook):
        assert "customgpt-emulator-watch" not in {thread.name for thread in threading.enumerate()}


def test_a_folder_is_needed():
    with pytest.raises(ValueError, match="needs documents"):
        Emulator(watch=True)


def test_without_watchfiles_a_sentence_says_what_to_install(handbook: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ImportError, match=r"customgpt-adapters\[emulator\]"):
        Emulator(documents=handbook, watch=True).start()
    with Emulator(documents=handbook) as emulator:
        assert requests.get(emulator.base_url, timeout=20).status_code == 401
