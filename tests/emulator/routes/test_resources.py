"""Agents, settings, sources, pages, account: what the vendor's clients do with them, over plain HTTP."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.emulator.conftest import Raw, Time

TEXT = {"file": ("terms.txt", b"Terms\n\nThe warranty of a kettle is seven years.")}


def data(answer: requests.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == "success"
    return answer.json()["data"]


def message(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    if status == 422:
        return str(body["message"])
    assert (body["status"], body["data"]["code"]) == ("error", status)
    return str(body["data"]["message"])


class TestAgents:
    @pytest.mark.parametrize("encoding", ["json", "data", "files"])
    def test_are_created_in_every_encoding(self, raw: Raw, encoding: str):
        fields = {"project_name": "Shop", "sitemap_path": "https://shop.example/sitemap.xml"}
        body = {name: (None, value) for name, value in fields.items()} if encoding == "files" else fields
        agent = data(raw.call("POST", "/projects", **{encoding: body}), 201)
        assert agent["is_chat_active"] is None
        assert data(raw.call("GET", f"/projects/{agent['id']}"))["is_chat_active"] is True

    def test_a_name_is_needed(self, raw: Raw):
        assert message(raw.call("POST", "/projects", json={}), 400) == "Agent name can't be empty"

    def test_a_sitemap_that_is_sent_empty_is_refused(self, raw: Raw):
        answer = raw.call("POST", "/projects", json={"project_name": "a", "sitemap_path": ""})
        assert message(answer, 400) == "Sitemap path can't be empty"

    def test_a_name_alone_makes_an_agent_that_does_not_answer_yet(self, raw: Raw):
        agent = data(raw.call("POST", "/projects", data={"project_name": "a", "is_chat_active": "1"}), 201)
        session = data(raw.call("POST", f"/projects/{agent['id']}/conversations", json={"name": "x"}), 201)
        url = f"/projects/{agent['id']}/conversations/{session['session_id']}/messages"
        assert message(raw.call("POST", url, json={"prompt": "hello"}), 403) == "Agent is not active"

    def test_are_listed_newest_first_and_filtered_by_name(self, raw: Raw):
        for name in ("Blue", "Green"):
            raw.call("POST", "/projects", json={"project_name": name})
        assert [row["project_name"] for row in data(raw.call("GET", "/projects"))["data"]][:2] == [
            "Green",
            "Blue",
        ]
        assert [row["project_name"] for row in data(raw.call("GET", "/projects?name=blu"))["data"]] == [
            "Blue"
        ]
        assert data(raw.call("GET", "/projects?order=asc"))["data"][-1]["project_name"] == "Green"

    def test_are_renamed_and_shared(self, raw: Raw):
        agent = data(raw.call("POST", "", data={"project_name": "New", "is_shared": "true"}))
        assert (agent["project_name"], agent["is_shared"]) == ("New", True)
        assert agent["shareable_slug"] in agent["shareable_link"]

    def test_are_deleted_with_all_that_belongs_to_them(self, raw: Raw):
        session = raw.session()
        page = data(raw.call("GET", "pages"))["pages"]["data"][0]["id"]
        assert data(raw.call("DELETE", "")) == {"deleted": True}
        assert raw.call("GET", "").status_code == 404
        assert raw.call("GET", f"conversations/{session}/messages").status_code == 404
        assert raw.call("GET", f"/preview/{page}").status_code == 404

    def test_are_replicated_with_their_pages_and_settings(self, raw: Raw):
        raw.call("POST", "settings", data={"no_answer_message": "Dunno"})
        copy = data(raw.call("POST", "replicate"), 201)
        assert copy["id"] != raw.emulator.project_id
        session = data(raw.call("POST", f"/projects/{copy['id']}/conversations", json={"name": "x"}), 201)
        url = f"/projects/{copy['id']}/conversations/{session['session_id']}/messages"
        answer = data(raw.call("POST", url, json={"prompt": "How much is the Aurora?"}))
        assert "120 euros" in answer["openai_response"]
        assert (
            data(raw.call("GET", f"/projects/{copy['id']}/citations/{answer['citations'][0]}"))["title"]
            == "Prices"
        )
        assert data(raw.call("POST", url, json={"prompt": "zebra"}))["openai_response"] == "Dunno"

    def test_one_agent_does_not_see_anothers_pages_and_conversations(self, raw: Raw):
        other = data(raw.call("POST", "/projects", json={"project_name": "Other"}), 201)["id"]
        page = data(raw.call("GET", "pages"))["pages"]["data"][0]["id"]
        assert (
            message(raw.call("GET", f"/projects/{other}/citations/{page}"), 404)
            == f"Page with id {page} not found"
        )
        assert raw.call("GET", f"/projects/{other}/conversations/{raw.session()}/messages").status_code == 404

    def test_statistics_count_pages_words_and_queries(self, raw: Raw):
        session = raw.session()
        raw.send("Aurora", session)
        raw.call("DELETE", f"conversations/{session}")
        stats = data(raw.call("GET", "stats"))
        assert len(stats) == 8
        assert (stats["pages_found"], stats["pages_indexed"], stats["total_queries"]) == (3, 3, 1)
        raw.emulator.switches.stats_keys = 7
        assert "total_storage_credits_used" not in data(raw.call("GET", "stats"))


class TestSettings:
    def test_have_the_documented_names_and_defaults(self, raw: Raw):
        settings = data(raw.call("GET", "settings"))
        assert len(settings) == 52
        assert settings["default_prompt"] == "Ask Me Anything ..."
        assert settings["example_questions"] is None

    @pytest.mark.parametrize("encoding", ["json", "data", "files"])
    def test_are_changed_in_every_encoding(self, raw: Raw, encoding: str):
        fields = {"no_answer_message": "Ask a human.", "remove_branding": "true", "enable_citations": "1"}
        body: dict[str, Any] = dict(fields)
        if encoding == "files":
            body = {name: (None, value) for name, value in fields.items()}
        assert data(raw.call("POST", "settings", **{encoding: body})) == {"updated": True}
        settings = data(raw.call("GET", "settings"))
        assert settings["remove_branding"] is True
        assert settings["enable_citations"] == 1
        assert data(raw.send("zebra"))["openai_response"] == "Ask a human."

    def test_example_questions_come_one_by_one(self, raw: Raw):
        raw.call("POST", "settings", data={"example_questions[0]": "One?", "example_questions[1]": "Two?"})
        assert data(raw.call("GET", "settings"))["example_questions"] == ["One?", "Two?"]

    def test_pictures_must_be_pictures(self, raw: Raw):
        answer = raw.call("POST", "settings", files={"chat_bot_avatar": ("a.png", b"no")})
        assert message(answer, 400) == "Please upload a valid image file for avatar"
        raw.call("POST", "settings", files={"chat_bot_avatar": ("a.png", b"\x89PNG\r\n")})
        assert data(raw.call("GET", "settings"))["chatbot_avatar"].endswith("/a.png")

    def test_a_value_that_cannot_be_is_refused(self, raw: Raw):
        assert "response source" in message(raw.call("POST", "settings", json={"response_source": "x"}), 400)
        assert message(raw.call("POST", "settings", json={"chatbot_msg_lang": ""}), 400) == (
            "Language Proficiency is required."
        )

    def test_hidden_sources_appear_nowhere(self, raw: Raw):
        raw.call("POST", "settings", data={"hide_sources_from_responses": "1"})
        assert data(raw.send("Aurora"))["citations"] is None

    def test_inline_marks_are_asked_for_by_a_setting(self, raw: Raw):
        raw.call("POST", "settings", data={"enable_inline_citations_api": "1"})
        assert ":cit[1/" in data(raw.send("Aurora"))["openai_response"]


class TestSources:
    def test_an_upload_is_indexed_and_previewed(self, raw: Raw):
        source = data(raw.call("POST", "sources", files=TEXT), 201)
        (page,) = source["pages"]
        assert (source["type"], source["settings"]) == ("upload", {})
        assert (page["crawl_status"], page["index_status"], page["filename"]) == (None, None, "terms.txt")
        assert page["page_url"].endswith(f"/api/v1/preview/{page['id']}")
        answer = data(raw.send("kettle warranty"))
        assert answer["citations"] == [page["id"]]
        assert raw.http.get(page["page_url"], timeout=20).content == TEXT["file"][1]

    def test_a_word_document_is_indexed(self, raw: Raw):
        docx = pytest.importorskip("docx")
        file = io.BytesIO()
        document = docx.Document()
        document.add_heading("Kettles", 1)
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip(
            [cell for row in table.rows for cell in row.cells],
            ["Kettle", "Price", "Vesuvius", "60 euros"],
            strict=True,
        ):
            cell.text = text
        document.save(file)
        raw.call("POST", "sources", files={"file": ("k.docx", file.getvalue())})
        assert "| Vesuvius | 60 euros |" in data(raw.send("Vesuvius price"))["openai_response"]

    def test_a_pdf_is_indexed(self, raw: Raw):
        pytest.importorskip("pypdf")
        raw.call("POST", "sources", files={"file": ("k.pdf", pdf("Kettles boil within ninety seconds."))})
        assert "ninety seconds" in data(raw.send("How fast do kettles boil?"))["openai_response"]

    @pytest.mark.parametrize("name", ["bad.pdf", "bad.docx", "picture.exe", "empty.txt"])
    def test_what_cannot_be_read_is_a_failed_page(self, raw: Raw, name: str):
        source = data(
            raw.call("POST", "sources", files={"file": (name, b"" if name == "empty.txt" else b"?")}), 201
        )
        listed = data(raw.call("GET", "pages?index_status=failed"))["pages"]["data"]
        assert [row["id"] for row in listed] == [source["pages"][0]["id"]]

    @pytest.mark.parametrize("name", ["../../../etc/passwd.txt", "..\\..\\evil.txt", "/abs.txt"])
    def test_the_name_of_an_upload_is_a_label_and_no_path(self, raw: Raw, handbook: Path, name: str):
        before = sorted(handbook.parent.rglob("*"))
        source = data(raw.call("POST", "sources", files={"file": (name, b"quokka facts")}), 201)
        assert "/" not in source["pages"][0]["filename"]
        assert "\\" not in source["pages"][0]["filename"]
        assert sorted(handbook.parent.rglob("*")) == before
        assert raw.call("GET", f"/preview/{source['pages'][0]['id']}").content == b"quokka facts"

    def test_a_file_that_is_not_kept_has_no_preview(self, raw: Raw):
        source = data(raw.call("POST", "sources", files=TEXT, data={"file_data_retension": "false"}), 201)
        number = source["pages"][0]["id"]
        assert source["pages"][0]["is_file_kept"] is False
        assert raw.call("GET", f"/preview/{number}").status_code == 404
        text = f"The Document with the id {number} couldn't have been updated"
        assert message(raw.call("POST", f"pages/{number}/reindex"), 403) == text

    def test_a_sitemap_has_pages_that_say_they_were_not_fetched(self, raw: Raw):
        source = data(
            raw.call("POST", "sources", json={"sitemap_path": "https://a.example/sitemap.xml"}), 201
        )
        assert source["settings"]["sitemap_path"] == "https://a.example/sitemap.xml"
        pages = data(raw.call("GET", "pages?limit=5"))["pages"]["data"]
        assert {page["page_url"] for page in pages} >= {"https://a.example/pricing", "https://a.example/"}
        answer = data(raw.send("What is the pricing of a.example?"))
        assert "does not fetch" in answer["openai_response"]

    def test_a_sitemap_without_a_scheme_is_taken_as_https(self, raw: Raw):
        source = data(raw.call("POST", "sources", json={"sitemap_path": "sitemap.com"}), 201)
        assert source["settings"]["sitemap_path"] == "https://sitemap.com"
        for nonsense in ("sitemap", "ftp://a.example", "a b.example"):
            assert raw.call("POST", "sources", json={"sitemap_path": nonsense}).status_code == 400

    def test_nothing_to_add_is_refused(self, raw: Raw):
        assert message(raw.call("POST", "sources", json={}), 400) == "Sitemap URL is empty"

    def test_are_listed_changed_synced_and_deleted(self, raw: Raw):
        number = data(
            raw.call("POST", "sources", json={"sitemap_path": "https://a.example/sitemap.xml"}), 201
        )["id"]
        listed = data(raw.call("GET", "sources"))
        assert [row["id"] for row in listed["sitemaps"]] == [number]
        assert len(listed["uploads"]["pages"]) == 3
        changed = raw.call("PUT", f"sources/{number}", json={"data_refresh_frequency": "daily"})
        assert data(changed, 201)["settings"]["data_refresh_frequency"] == "daily"
        assert data(raw.call("PUT", f"sources/{number}/instant-sync"), 201)["id"] == number
        assert data(raw.call("DELETE", f"sources/{number}")) == {"deleted": True}
        again = raw.call("DELETE", f"sources/{number}")
        assert message(again, 404) == f"Agent source with id {number} not found"
        assert data(raw.call("GET", "pages"))["pages"]["total"] == 3

    def test_uploads_cannot_be_synced(self, raw: Raw):
        number = data(raw.call("GET", "sources"))["uploads"]["id"]
        assert raw.call("PUT", f"sources/{number}/instant-sync").status_code == 403


class TestPages:
    def test_are_listed_with_their_agent(self, raw: Raw):
        listed = data(raw.call("GET", "pages?limit=2&order=asc"))
        assert listed["project"]["id"] == raw.emulator.project_id
        assert [row["filename"] for row in listed["pages"]["data"]] == ["cleaning.txt", "prices.html"]
        assert listed["pages"]["next_page_url"].endswith("/pages?page=2&limit=2&order=asc")

    def test_a_deleted_page_is_not_quoted_any_more(self, raw: Raw):
        (number,) = data(raw.send("Aurora"))["citations"]
        assert data(raw.call("DELETE", f"pages/{number}")) == {"deleted": True}
        assert data(raw.send("Aurora"))["citations"] is None
        assert message(raw.call("GET", f"citations/{number}"), 404) == f"Page with id {number} not found"

    def test_metadata_change_what_a_citation_shows(self, raw: Raw):
        (number,) = data(raw.send("Aurora"))["citations"]
        assert set(data(raw.call("GET", f"pages/{number}/metadata"))) == {
            "id",
            "url",
            "title",
            "description",
            "image",
        }
        changed = {"title": "Our prices", "image": "https://shop.example/a.png"}
        put = data(raw.call("PUT", f"pages/{number}/metadata", json=changed))
        assert (put["page_id"], put["title"], put["description"]) == (
            number,
            "Our prices",
            "What our lamps cost.",
        )
        assert data(raw.call("GET", f"citations/{number}"))["title"] == "Our prices"

    def test_metadata_are_checked_in_the_documented_words(self, raw: Raw):
        (number,) = data(raw.send("Aurora"))["citations"]
        answer = raw.call("PUT", f"pages/{number}/metadata", json={"image": "nowhere"})
        assert message(answer, 400) == "Image must be valid url."
        assert raw.call("PUT", f"pages/{number}/metadata", json={"title": "x" * 256}).status_code == 400

    @pytest.mark.parametrize("seed", [None, 1])
    def test_are_queued_until_the_delay_is_over(self, handbook: Path, real_time: Time, seed: int | None):
        from customgpt_emulator import Emulator, Switches

        with (
            Emulator(handbook, seed=seed, switches=Switches(readiness_delay=3)) as emulator,
            requests.Session() as http,
        ):
            http.headers["Authorization"] = f"Bearer {emulator.api_key}"
            raw = Raw(emulator, http)
            agent = data(
                raw.call(
                    "POST", "/projects", json={"project_name": "a", "sitemap_path": "https://a.example"}
                ),
                201,
            )
            seen = []
            for _ in range(4):
                listed = data(raw.call("GET", f"/projects/{agent['id']}/pages"))
                page = listed["pages"]["data"][0]
                stats = data(raw.call("GET", f"/projects/{agent['id']}/stats"))
                queued = data(
                    raw.call("GET", f"/projects/{agent['id']}/pages", params={"crawl_status": "queued"})
                )
                seen.append(
                    (
                        (page["crawl_status"], page["index_status"], listed["project"]["is_chat_active"]),
                        (
                            stats["pages_crawled"] > 0,
                            stats["pages_indexed"] > 0,
                            queued["pages"]["total"] > 0,
                        ),
                    )
                )
                real_time.now += 1
        assert seen == [
            (("queued", "queued", False), (False, False, True)),
            (("queued", "queued", False), (False, False, True)),
            (("ok", "queued", False), (True, False, False)),
            (("ok", "ok", True), (True, True, False)),
        ]

    def test_reindexing_is_accepted(self, raw: Raw):
        (number,) = data(raw.send("Aurora"))["citations"]
        assert data(raw.call("POST", f"pages/{number}/reindex")) == {"updated": True}


class TestTheAccount:
    def test_the_user_can_be_renamed(self, raw: Raw):
        keys = {"id", "name", "email", "current_team_id", "profile_photo_url", "created_at", "updated_at"}
        assert set(data(raw.call("GET", "/user"))) == keys
        assert data(raw.call("POST", "/user", files={"name": (None, "Ada")}))["name"] == "Ada"
        assert data(raw.call("GET", "/user"))["name"] == "Ada"

    def test_limits_count_what_is_used(self, raw: Raw):
        raw.send("Aurora")
        limits = data(raw.call("GET", "/limits/usage"))
        assert (limits["current_projects_num"], limits["current_queries"]) == (1, 1)


def pdf(text: str) -> bytes:
    """The smallest PDF that holds one line."""
    stream = f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 200] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(out)
    return (
        out
        + b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
        % (
            table,
            start,
        )
    )


def test_a_copy_counts_as_an_agent_too(raw: Raw):
    for number in range(99):
        data(raw.call("POST", "/projects", json={"project_name": f"agent {number}"}), 201)
    assert message(raw.call("POST", "replicate"), 400) == "You have reached your agent limit"
