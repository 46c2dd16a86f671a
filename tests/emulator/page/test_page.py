"""The page in the browser, over plain HTTP: who is let in, what is shown, and that it is shown as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests

from customgpt_emulator import Emulator
from tests.emulator.conftest import Raw

EVIL = "<script>alert(1)</script>"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def browser(server: Emulator) -> Iterator[requests.Session]:
    """A browser without scripts, with the page open."""
    with requests.Session() as http:
        http.trust_env = False
        http.headers.update(BROWSER)
        assert http.get(server.page_url, timeout=20).status_code == 200
        yield http


def ask(
    browser: requests.Session, server: Emulator, prompt: str, session: str = "", **headers: str
) -> requests.Response:
    fields = {"agent": str(server.project_id), "session": session, "prompt": prompt}
    headers = {"Origin": server.base_url, **headers}
    return browser.post(f"{server.base_url}/page/ask", data=fields, headers=headers, timeout=20)


class Tags(HTMLParser):
    """Which elements a browser would make of the page, with their attributes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


class TestWhoIsLetIn:
    def test_the_key_in_the_address_becomes_a_cookie_for_this_site_only(self, server: Emulator):
        answer = requests.get(server.page_url, headers=BROWSER, allow_redirects=False, timeout=20)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert server.page_url.partition("key=")[2] not in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie

    def test_neither_address_nor_cookie_nor_page_holds_the_api_key(
        self, server: Emulator, browser: requests.Session
    ):
        seen = server.page_url + repr(browser.cookies) + browser.get(server.base_url, timeout=20).text
        assert server.api_key not in seen
        assert server.api_key.partition("|")[2] not in seen

    @pytest.mark.parametrize(
        "path", ["/", "/page/journal", "/page/sources?ids=12001", "/page/documents/12001"]
    )
    @pytest.mark.parametrize("accept", ["text/html", "*/*"])
    def test_without_the_cookie_nothing_is_shown(self, server: Emulator, path: str, accept: str):
        answer = requests.get(server.base_url + path, headers={"Accept": accept}, timeout=20)
        assert answer.status_code == 401
        assert "handbook" not in answer.text

    @pytest.mark.parametrize("key", ["", "wrong", "é"])
    def test_a_wrong_key_sets_no_cookie(self, server: Emulator, key: str):
        answer = requests.get(server.base_url, params={"key": key}, headers=BROWSER, timeout=20)
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers

    def test_the_api_accepts_neither_the_cookie_nor_the_page_s_key(
        self, server: Emulator, browser: requests.Session
    ):
        url = f"{server.base_url}/api/v1/projects"
        key = server.page_url.partition("key=")[2]
        assert browser.get(url, timeout=20).status_code == 401
        assert browser.get(url, params={"key": key}, timeout=20).status_code == 401
        assert requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=20).status_code == 401

    def test_emulators_on_other_ports_have_other_cookies(self, server: Emulator, browser: requests.Session):
        with Emulator() as other:
            assert browser.get(other.base_url, timeout=20).status_code == 401
            browser.get(other.page_url, timeout=20)
            assert browser.get(server.base_url, timeout=20).status_code == 200

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}"])
    def test_a_foreign_name_that_leads_here_is_refused(
        self, server: Emulator, browser: requests.Session, host: str
    ):
        """DNS rebinding: a site makes its own name point to 127.0.0.1 and would read the page as its own."""
        port = server.base_url.rpartition(":")[2]
        (cookie,) = browser.cookies
        name = f"customgpt_emulator_{port if '{port}' in host else 80}"
        headers = {"Host": host.format(port=port), "Cookie": f"{name}={cookie.value}", **BROWSER}
        answer = requests.get(server.base_url, headers=headers, timeout=20)
        assert answer.status_code == 403
        assert "handbook" not in answer.text

    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
    def test_loopback_names_are_answered_on_any_port(self, server: Emulator, name: str):
        """A forwarded port has another number outside than inside."""
        with requests.Session() as http:
            headers = {**BROWSER, "Host": f"{name}:9999"}
            into = http.get(server.page_url, headers=headers, allow_redirects=False, timeout=20)
            cookie = into.headers["Set-Cookie"].partition(";")[0]
            headers["Cookie"] = cookie
            assert http.get(server.base_url, headers=headers, timeout=20).status_code == 200

    @pytest.mark.parametrize("host", ["localhost:99999", "localhost:", "[::1"])
    def test_a_host_that_cannot_be_is_a_bad_request(self, server: Emulator, host: str):
        headers = {**BROWSER, "Host": host}
        assert requests.get(server.page_url, headers=headers, timeout=20).status_code == 400
        assert requests.get(server.base_url, headers=headers, timeout=20).status_code == 401

    def test_the_page_s_origin_has_its_scheme(self, server: Emulator, browser: requests.Session):
        other = server.base_url.replace("http://", "https://")
        assert ask(browser, server, "When?", Origin=other).status_code == 403

    @pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://evil.example", "null", None])
    def test_another_site_cannot_ask_in_the_browser_s_name(
        self, server: Emulator, browser: requests.Session, origin: str | None
    ):
        """Another port of this machine is the same site to `SameSite`, but not the same origin."""
        before = len(server.journal)
        assert ask(browser, server, "When?", Origin=origin).status_code == 403  # type: ignore[arg-type]  # None: no header
        assert len(server.journal) == before

    def test_only_its_own_style_and_script_may_run(self, server: Emulator, browser: requests.Session):
        answer = browser.get(server.base_url, timeout=20)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        outside = [
            attrs for tag, attrs in Tags(answer.text).found if tag in ("script", "link", "img") and attrs
        ]
        assert outside == [{"rel": "icon", "href": "data:,"}]


class TestWhatIsShown:
    def test_agent_documents_and_requests(self, server: Emulator, browser: requests.Session, raw: Raw):
        raw.send("How much does the Aurora cost?")
        page = browser.get(server.base_url, timeout=20).text
        assert "<h1>handbook</h1>" in page
        assert str(server.project_id) in page
        assert all(text in page for text in ("refunds.md", "Prices", "care/cleaning.txt", "3 documents"))
        assert "How much does the Aurora cost?" in page
        assert "/messages" in page

    def test_its_own_requests_are_not_in_the_journal(self, server: Emulator, browser: requests.Session):
        browser.get(server.base_url, timeout=20)
        assert browser.get(f"{server.base_url}/page/journal", timeout=20).text.count("<tr>") == 1
        assert len(server.journal) == 0

    def test_a_question_without_script_shows_the_answer_and_its_sources(
        self, server: Emulator, browser: requests.Session
    ):
        page = ask(browser, server, "How much does the Aurora cost?")
        assert page.status_code == 200
        assert "| Aurora | 120 euros |" in page.text
        assert '<a href="https://shop.example/prices" rel="noreferrer">Prices</a>' in page.text
        (entry,) = server.journal.prompts()
        assert entry.prompt == "How much does the Aurora cost?"

    def test_a_follow_up_stays_in_the_conversation(self, server: Emulator, browser: requests.Session):
        first = ask(browser, server, "How much does the Aurora cost?")
        session = next(a["value"] for _, a in Tags(first.text).found if a.get("name") == "session")
        assert session
        second = ask(browser, server, "And how are gift cards refunded?", session)
        assert second.text.count('<article class="turn">') == 3  # two, and the blank one for the script

    def test_a_stream_comes_through_as_the_api_sends_it(self, server: Emulator, browser: requests.Session):
        answer = ask(browser, server, "How much does the Aurora cost?", Accept="text/event-stream")
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["X-Conversation"]
        assert answer.text.startswith("event: start\ndata: ")
        (ids,) = re.findall(r'"citations":\[(\d+)\]', answer.text)
        url = f"{server.base_url}/page/sources"
        assert "Prices" in browser.get(url, params={"ids": ids}, timeout=20).text
        assert "Prices" in browser.get(url, params={"ids": f"{ids}.0"}, timeout=20).text

    def test_a_document_without_an_address_is_shown_as_it_is_indexed(
        self, server: Emulator, browser: requests.Session
    ):
        page = ask(browser, server, "How are purchases with a gift card refunded?").text
        (path,) = set(re.findall(r'<li><a href="(/page/documents/\d+)"', page))
        shown = browser.get(server.base_url + path, timeout=20).text
        assert "<h1>Refunds</h1>" in shown
        assert "above 50 euros after a check" in shown

    def test_a_refusal_of_the_api_is_told_and_the_question_kept(
        self, server: Emulator, browser: requests.Session
    ):
        page = ask(browser, server, "When?", session="1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed")
        assert page.status_code == 404
        assert "Conversation with id 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed not found" in page.text
        assert any(a.get("value") == "When?" for _, a in Tags(page.text).found)

    @pytest.mark.parametrize(
        "path",
        ["/page/documents/1", "/page/documents/x", "/?agent=1", "/?agent=x", "/?session=x", "/?page=999"],
    )
    def test_what_is_not_there_is_no_failure_of_the_server(
        self, server: Emulator, browser: requests.Session, path: str
    ):
        assert browser.get(server.base_url + path, timeout=20).status_code in (200, 404)

    def test_long_lists_come_in_parts(self, tmp_path: Path):
        for number in range(60):
            (tmp_path / f"{number:02}.md").write_text(f"# Title {number}\n\nText.")
        with Emulator(tmp_path) as emulator, requests.Session() as http:
            first = http.get(emulator.page_url, headers=BROWSER, timeout=20).text
            second = http.get(f"{emulator.base_url}/?page=2", timeout=20).text
        assert ("Title 49" in first, "Title 50" in first) == (True, False)
        assert ("Title 49" in second, "Title 50" in second) == (False, True)

    def test_without_any_document_it_says_what_is_missing(self):
        with Emulator() as emulator, requests.Session() as http:
            assert http.get(emulator.page_url, headers=BROWSER, timeout=20).status_code == 200
            page = ask(http, emulator, "When?", Accept="text/html")
            assert page.status_code == 403
            assert "Agent is not active" in page.text


class TestEscaping:
    @pytest.fixture
    def handbook(self, tmp_path: Path) -> Path:
        """A folder that attacks whoever looks at it."""
        folder = tmp_path / EVIL.replace("/", "")
        folder.mkdir()
        (folder / "<img src=x onerror=alert(1)>.md").write_text(
            f"---\ntitle: {EVIL}\nurl: javascript:alert(1)\ndescription: {EVIL}\n---\n"
            f"# {EVIL}\n\nZebras eat {EVIL} and {{agent}} & &lt;b&gt;.\n"
        )
        return folder

    def test_documents_prompts_answers_and_requests_are_text(
        self, server: Emulator, browser: requests.Session, raw: Raw
    ):
        raw.call("GET", f"/{EVIL}", headers={"User-Agent": EVIL}, params={EVIL: EVIL})
        pages = [
            ask(browser, server, f"What do zebras eat? {EVIL}").text,
            ask(browser, server, f'">{EVIL}', session="1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed").text,
            browser.get(f"{server.base_url}/page/documents/12001", timeout=20).text,
            browser.get(f"{server.base_url}/page/sources?ids=12001", timeout=20).text,
            browser.get(f"{server.base_url}/?page={EVIL}&session={EVIL}&agent={EVIL}", timeout=20).text,
        ]
        assert "Zebras eat" in pages[0]
        for page in pages:
            scripts = page.count("<script>")
            assert "alert(1)</script>" not in page
            assert scripts == page.startswith("<!doctype")
            found = Tags(page).found
            assert not [tag for tag, _ in found if tag == "img"]
            assert not [a for _, a in found if any(name.startswith("on") for name in a)]
            assert not [a for _, a in found if str(a.get("href")).startswith("javascript")]

    def test_text_that_looks_like_a_place_to_fill_in_stays_text(
        self, server: Emulator, browser: requests.Session
    ):
        assert "{agent}" in ask(browser, server, "What do zebras eat?").text
