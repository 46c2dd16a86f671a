"""The page in a real Chromium, and the README's screenshot: `make browser`. Not part of a plain test run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from customgpt_emulator import Emulator

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[3]
HANDBOOK = ROOT / "shared" / "customgpt_demo" / "documents"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
QUESTION = "Can I get a refund for a gift card?"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)), None)
    assert path, f"none of {', '.join(NAMES)} is on PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Emulator]:
    """In place of the other tests' server: one with more to show."""
    handbook = shutil.copytree(HANDBOOK, tmp_path / "kestrel-handbook")
    with Emulator(handbook, seed=1) as emulator:
        yield emulator


class Opened:
    """The emulator's page in a browser window, and all that the browser complained about."""

    def __init__(self, chromium: Browser, server: Emulator, **options: Any) -> None:
        self.context = chromium.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("a dialog"), dialog.dismiss()))
        self.page.goto(server.page_url)

    def ask(self, question: str) -> None:
        turns = self.page.locator("#turns .turn")
        before = turns.count()
        self.page.get_by_label("Your question").fill(question)
        self.page.get_by_role("button", name="Ask").click()
        turns.nth(before).wait_for()


@pytest.fixture
def opened(chromium: Browser, server: Emulator) -> Iterator[Opened]:
    window = Opened(chromium, server)
    yield window
    window.context.close()
    assert window.complaints == []


def settled(page: Page) -> None:
    """The answer has ended, well or badly."""
    page.locator(".arriving").wait_for(state="detached")
    page.locator("#stop").wait_for(state="hidden")


def test_the_key_leaves_the_address_and_no_script_can_read_the_cookie(opened: Opened, server: Emulator):
    assert opened.page.url == f"{server.base_url}/"
    assert opened.page.evaluate("document.cookie") == ""


def test_the_stream_arrives_piece_by_piece_and_then_the_sources(opened: Opened, server: Emulator):
    held = server.faults.stall(after_events=6, times=1)
    opened.ask(QUESTION)
    page = opened.page
    page.locator(".arriving .answer", has_text=re.compile(r"\w+ \w+")).wait_for()
    part = page.locator(".turn .answer").inner_text()
    assert page.get_by_role("heading", name="Sources").count() == 0
    held.release()
    settled(page)
    whole = page.locator(".turn .answer").inner_text()
    assert whole.startswith(part.strip())
    assert len(whole) > len(part)
    assert "gift card" in page.locator(".turn .sources").inner_text().lower()
    assert page.locator("#journal").get_by_text(QUESTION).count() == 1


def test_a_follow_up_stays_in_the_conversation(opened: Opened, server: Emulator):
    opened.ask(QUESTION)
    settled(opened.page)
    opened.ask("And how long does it take?")
    settled(opened.page)
    assert opened.page.locator("#turns .turn").count() == 2
    assert len(server.journal.entries("conversations.create")) == 1
    opened.page.get_by_role("link", name="New conversation").click()
    assert opened.page.locator("#turns .turn").count() == 0


def test_a_stream_that_breaks_is_shown_as_broken(opened: Opened, server: Emulator):
    server.faults.cut_after(events=4, times=1)
    opened.ask(QUESTION)
    settled(opened.page)
    assert "broke in mid-stream" in opened.page.locator("#problem").inner_text()
    server.faults.end_without_finish(events=4, times=1)
    opened.ask(QUESTION)
    settled(opened.page)
    assert "ended before the answer was finished" in opened.page.locator("#problem").inner_text()
    assert opened.page.locator("#turns .turn").count() == 2


def test_stopping_hangs_up(opened: Opened, server: Emulator):
    server.faults.stall(after_events=4, times=1)
    opened.ask(QUESTION)
    opened.page.locator(".arriving .answer", has_text=re.compile(r"\w+")).wait_for()
    opened.page.get_by_role("button", name="Stop").click()
    settled(opened.page)
    assert opened.page.locator("#problem").inner_text() == "Stopped."
    opened.page.locator("#journal").get_by_text("client left").wait_for()


def test_what_documents_and_prompts_say_is_never_run(chromium: Browser, tmp_path: Path):
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    (tmp_path / "<img src=x onerror=alert(3)>.md").write_text(
        f"---\ntitle: {evil}\nurl: javascript:alert(4)\n---\n# Zebras {evil}\n\nZebras eat {evil}."
    )
    with Emulator(tmp_path) as emulator:
        window = Opened(chromium, emulator)
        window.ask(f"What do zebras eat? {evil}")
        settled(window.page)
        assert evil in window.page.locator(".turn .answer").inner_text()
        assert window.page.locator("#turns img, #turns script, table img, #turns a").count() == 0
        window.page.locator("#documents a").first.click()
        assert evil in window.page.locator("main").inner_text()
        window.context.close()
        assert window.complaints == []


def test_without_scripts_all_but_the_streaming_works(chromium: Browser, server: Emulator):
    window = Opened(chromium, server, java_script_enabled=False)
    window.ask(QUESTION)
    page = window.page
    page.get_by_role("heading", name="Sources").wait_for()
    assert "gift card" in page.locator(".turn .answer").inner_text().lower()
    page.locator(".turn .sources a").first.click()
    page.get_by_role("link", name="Back to the emulator").click()
    assert page.locator("#journal").get_by_text(QUESTION).count() == 1
    window.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_cut_off_on_narrow_screens(chromium: Browser, server: Emulator, width: int, scheme: str):
    window = Opened(chromium, server, viewport={"width": width, "height": 800}, color_scheme=scheme)
    window.ask(QUESTION)
    settled(window.page)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    window.context.close()


def test_the_screenshot_of_the_readme(chromium: Browser, server: Emulator):
    window = Opened(chromium, server, viewport={"width": 1200, "height": 860}, color_scheme="light")
    window.ask(QUESTION)
    settled(window.page)
    window.page.get_by_label("Your question").blur()
    window.page.evaluate("scrollTo(0, 0)")
    target = ROOT / "docs" / "emulator.png"
    target.parent.mkdir(exist_ok=True)
    window.page.screenshot(path=target)
    window.context.close()
    assert target.stat().st_size < 200_000
