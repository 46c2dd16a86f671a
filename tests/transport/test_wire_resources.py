"""Agents, sources, pages and the account on the wire, against captured answers.

The bodies in `tests/contract/samples` are captures; its README says where each was published.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from customgpt_transport._wire import account, agents, pages, sources
from customgpt_transport._wire.http import Response
from customgpt_transport.errors import ConfigurationError, PermissionDenied, ProtocolError
from customgpt_transport.models import Agent, UsageLimits, User

SAMPLES = Path(__file__).parent.parent / "contract" / "samples"


def sample(name: str, status: int = 200) -> Response:
    return Response(status, body=(SAMPLES / name).read_bytes())


def answer(data: object) -> Response:
    return Response(200, body=json.dumps({"status": "success", "data": data}).encode())


class TestAgents:
    def test_a_fresh_agent_has_nulls_and_is_not_active_yet(self):
        agent = agents.parse_agent(sample("projects.create.201.json", 201))
        assert agent == Agent(
            id=1242,
            name="Example ChatBot using Sitemap",
            is_chat_active=False,
            type="SITEMAP",
            created_at=datetime(2023, 9, 29, 11, 16, 43, tzinfo=timezone.utc),
            updated_at=datetime(2023, 9, 29, 11, 16, 43, tzinfo=timezone.utc),
        )
        assert agent.extra == {"sitemap_path": None, "user_id": 42, "deleted_at": None}

    def test_booleans_written_as_numbers_are_booleans(self):
        agent = agents.parse_agent(sample("projects.update.200.json"))
        assert agent.is_chat_active is True
        assert agent.is_shared is False

    def test_what_sharing_adds_is_kept(self):
        extra = agents.parse_agent(sample("projects.update.share.200.json")).extra
        assert extra["shareable_link"].startswith("https://")
        assert "embed.js" in extra["embed_code"]

    def test_a_list_with_two_forms_of_date_in_one_row_reads(self):
        page = agents.parse_agents(sample("projects.list.200.json"))
        assert (len(page.rows), page.next_page, page.total) == (10, 2, 74)
        assert page.rows[0].created_at == datetime(2023, 7, 12, 18, 15, 58, tzinfo=timezone.utc)
        assert page.rows[0].updated_at == datetime(2023, 7, 12, 18, 16, 6, tzinfo=timezone.utc)

    def test_stats_of_2023_lack_a_count_that_the_newest_document_has(self):
        stats = agents.parse_stats(sample("projects.stats.200.json"))
        assert (stats.pages_found, stats.pages_indexed, stats.total_words_indexed) == (10, 8, 15656)
        assert stats.total_storage_credits_used is None

    def test_settings_read_before_and_after_they_are_set(self):
        before = agents.parse_settings(sample("settings.get.200.json"))
        assert (before.default_prompt, before.example_questions) == ("Ask Me Anything ...", ())
        after = agents.parse_settings(sample("settings.get.after-update.200.json"))
        assert after.example_questions == ("Test1", "Test2")
        assert after.chatbot_msg_lang == "ur"
        assert after.extra["remove_branding"] == 0

    def test_an_unreadable_value_is_none_and_stays_in_extra(self):
        agent = agents.parse_agent(answer({"id": "7", "created_at": "Tuesday", "is_chat_active": "1"}))
        assert (agent.id, agent.name, agent.created_at, agent.is_chat_active) == (7, "", None, True)
        assert agent.extra == {"created_at": "Tuesday"}

    def test_a_refusal_without_the_envelope_is_named(self):
        with pytest.raises(PermissionDenied, match="unauthorized"):
            agents.parse_agent(
                Response(403, body=(SAMPLES / "projects.delete.unauthorized.json").read_bytes())
            )

    def test_an_agent_without_an_id_is_a_protocol_error(self):
        with pytest.raises(ProtocolError, match="id"):
            agents.parse_agent(answer({"project_name": "x"}))

    def test_settings_are_sent_as_a_form_lists_by_index_and_null_as_empty(self):
        request = agents.update_settings(
            7,
            {
                "default_prompt": "Hi",
                "example_questions": ["Why?", "How?"],
                "enable_citations": 3,
                "markdown_enabled": False,
                "persona_instructions": None,
            },
        )
        sent = b"".join(request.body.chunks()).decode()
        fields = [part.split("\r\n\r\n") for part in sent.split("name=")[1:]]
        assert [(name.strip('"'), value.split("\r\n")[0]) for name, value in fields] == [
            ("default_prompt", "Hi"),
            ("example_questions[0]", "Why?"),
            ("example_questions[1]", "How?"),
            ("enable_citations", "3"),
            ("markdown_enabled", "0"),
            ("persona_instructions", ""),
        ]
        assert request.path == "/projects/7/settings"

    @pytest.mark.parametrize("fields", [{}, {"default_prompt": {}}, {"example_questions": [1]}, {"x": 1.5}])
    def test_settings_that_cannot_be_sent_are_refused(self, fields):
        with pytest.raises(ConfigurationError):
            agents.update_settings(7, fields)

    @pytest.mark.parametrize("name", ["", "  ", None, "x" * 256])
    def test_a_name_must_have_one_to_255_characters(self, name):
        with pytest.raises(ConfigurationError, match="name"):
            agents.checked_name(name)

    @pytest.mark.parametrize("sitemap", ["", "sitemap.xml", "ftp://x/", None])
    def test_a_sitemap_must_be_a_web_address(self, sitemap):
        with pytest.raises(ConfigurationError, match="http"):
            agents.checked_sitemap(sitemap)


class TestPages:
    @pytest.mark.parametrize(
        ("name", "status"), [("pages.list.200.ok.json", "ok"), ("pages.list.200.queued.json", "queued")]
    )
    def test_a_captured_list_reads(self, name, status):
        page = pages.parse_pages(sample(name))
        assert (len(page.rows), page.next_page) == (10, None)
        assert page.rows[0].index_status == status
        assert page.rows[0].url.startswith("https://apnews.com/")
        assert page.rows[0].updated_at.tzinfo is timezone.utc
        assert set(page.rows[0].extra) == {"page_url_hash"}

    def test_metadata_is_keyed_by_the_page_and_not_by_its_own_row(self):
        metadata = pages.parse_metadata(sample("pages.metadata.update.200.json"), 29814)
        assert (metadata.page_id, metadata.title) == (29814, "Test2")
        assert metadata.extra["id"] == 27

    def test_metadata_without_a_page_id_has_the_one_asked_for(self):
        assert pages.parse_metadata(answer({"id": 27, "title": None}), 5).page_id == 5

    @pytest.mark.parametrize(
        "filters", [{"crawl_status": "done"}, {"index_status": ""}, {"limit": 0}, {"order": "up"}]
    )
    def test_filters_that_the_api_does_not_know_are_refused(self, filters):
        known = {"limit": None, "order": "desc", "crawl_status": None, "index_status": None}
        with pytest.raises(ConfigurationError):
            pages.list_page(7, 1, **(known | filters))

    @pytest.mark.parametrize("fields", [{}, {"title": ...}, {"title": "x" * 256}, {"description": "x" * 501}])
    def test_metadata_that_the_api_would_not_take_is_refused(self, fields):
        with pytest.raises(ConfigurationError):
            pages.update_metadata(7, 9, fields)

    def test_null_clears_a_field_and_one_left_out_stays(self):
        assert pages.update_metadata(7, 9, {"title": None, "url": ...}).json == {"title": None}


class TestSources:
    def test_a_sitemap_source_reads(self):
        source = sources.parse_source(sample("sources.create.201.sitemap.json", 201))
        assert (source.id, source.type) == (1592, "sitemap")
        assert source.sitemap_path == "https://adorosario.github.io/small-sitemap.xml"
        assert source.settings["executive_js"] is True

    def test_an_upload_has_a_list_for_settings_and_its_page_no_status_yet(self):
        source = sources.parse_source(sample("sources.create.201.upload.json", 201))
        assert (source.id, source.type, source.settings) == (1600, "upload", {})
        (page,) = source.pages
        assert (page.id, page.is_file, page.index_status, page.filesize) == (15190, True, None, 195740)
        assert page.extra["s3_path"].endswith(".pdf")

    def test_all_sources_come_as_sitemaps_and_uploads(self):
        data = {
            "sitemaps": [{"id": 1, "type": "sitemap"}],
            "uploads": {"id": 2, "settings": [], "pages": None},
        }
        everything = sources.parse_sources(answer(data))
        assert [source.id for source in everything.sitemaps] == [1]
        assert everything.uploads.id == 2

    @pytest.mark.parametrize(
        "data", [{}, {"sitemaps": None, "uploads": None}, {"sitemaps": [], "uploads": []}]
    )
    def test_an_agent_without_sources_has_none(self, data):
        everything = sources.parse_sources(answer(data))
        assert (everything.sitemaps, everything.uploads) == ((), None)

    def test_the_vendors_misspelt_names_are_what_is_sent(self):
        request = sources.update(
            7,
            9,
            execute_js=False,
            refresh_frequency="daily",
            create_new_pages=None,
            remove_missing_pages=True,
            refresh_existing_pages=None,
            refresh_schedule=None,
        )
        assert request.json == {
            "executive_js": False,
            "data_refresh_frequency": "daily",
            "remove_unexist_pages": True,
        }
        assert set(agents.intake(file_data_retention=True, is_ocr_enabled=None, is_anonymized=None)) == {
            "file_data_retension",
            "is_ocr_enabled",
            "is_anonymized",
        }

    def test_a_sync_is_never_sent_twice_though_it_is_a_put(self):
        assert sources.sync(7, 9).kind == "create"
        assert sources.delete(7, 9).kind == "repeatable"


class TestAccount:
    def test_limits_read(self):
        data = {"max_projects_num": 10, "current_projects_num": "3", "max_queries": None, "new": 1}
        limits = account.parse_limits(answer(data))
        assert limits == UsageLimits(max_projects=10, current_projects=3)
        assert limits.extra == {"new": 1}

    def test_a_user_reads(self):
        data = {"id": 42, "name": "Ann", "email": "a@example.org", "profile_photo_url": None}
        assert account.parse_user(answer(data)) == User(id=42, name="Ann", email="a@example.org")


@pytest.mark.parametrize(
    ("build", "path"),
    [
        (lambda: agents.get("../user"), None),
        (lambda: agents.delete("7?x=1"), "/projects/7%3Fx%3D1"),
        (lambda: pages.metadata(7, "9#top"), "/projects/7/pages/9%23top/metadata"),
        (lambda: sources.delete(7, "9\n"), None),
    ],
)
def test_an_id_cannot_change_the_address(build, path):
    if path is None:
        with pytest.raises(ConfigurationError):
            build()
    else:
        assert build().path == path
