"""`client.agents`, `client.limits` and `client.user` through requests and through aiohttp."""

from __future__ import annotations

import pytest

from customgpt_transport.errors import (
    ConfigurationError,
    ConnectionLost,
    CustomGPTError,
    NotFound,
    PermissionDenied,
    RequestTimeout,
    ServerError,
)
from tests.transport.scripted import Answer


class TestOneAgent:
    def test_get_returns_it(self, call, api):
        api.sample("GET /projects/1242", "projects.create.201.json")
        assert call(lambda client: client.agents.get(1242)).name == "Example ChatBot using Sitemap"

    def test_without_an_id_it_is_the_clients_own(self, call, api):
        api.data("GET /projects/7/stats", {"pages_found": 3})
        assert call(lambda client: client.agents.stats()).pages_found == 3

    def test_update_sends_a_form(self, call, api):
        api.sample("POST /projects/7", "projects.update.200.json")
        call(lambda client: client.agents.update(7, name="New", is_shared=True))
        assert api.seen[0].fields == {"project_name": "New", "is_shared": "1"}

    def test_settings_are_read_and_changed(self, call, api):
        api.sample("GET /projects/7/settings", "settings.get.after-update.200.json")
        api.sample("POST /projects/7/settings", "settings.update.200.json")
        assert call(lambda client: client.agents.settings(7)).example_questions == ("Test1", "Test2")
        call(lambda client: client.agents.update_settings(7, example_questions=["Why?"], default_prompt="Hi"))
        assert api.seen[1].fields == {"example_questions[0]": "Why?", "default_prompt": "Hi"}

    def test_replicate_returns_the_copy(self, call, api):
        api.data("POST /projects/7/replicate", {"id": 8}, status=201)
        assert call(lambda client: client.agents.replicate(7)).id == 8

    def test_an_update_is_tried_again_and_a_replication_is_not(self, call, api):
        api.on("POST /projects/7", Answer(502, b"<html><title>Bad Gateway</title>"))
        api.sample("POST /projects/7", "projects.update.200.json")
        api.on("POST /projects/7/replicate", Answer(502, b"<html><title>Bad Gateway</title>"))
        call(lambda client: client.agents.update(7, name="New"))
        with pytest.raises(ServerError, match="may have been carried out"):
            call(lambda client: client.agents.replicate(7))
        assert api.lines() == ["POST /projects/7"] * 2 + ["POST /projects/7/replicate"]


class TestDeleting:
    def test_delete_returns_nothing(self, call, api):
        api.sample("DELETE /projects/7", "projects.delete.200.json")
        assert call(lambda client: client.agents.delete(7)) is None

    def test_a_404_after_a_lost_answer_means_that_it_worked(self, call, api):
        api.on("DELETE /projects/7", Answer(504), Answer(404, b'{"message":"not found"}'))
        assert call(lambda client: client.agents.delete(7)) is None

    def test_a_404_at_once_is_an_error(self, call, api):
        with pytest.raises(NotFound):
            call(lambda client: client.agents.delete(7))

    def test_a_refusal_without_the_envelope_is_typed(self, call, api):
        api.sample("DELETE /projects/7", "projects.delete.unauthorized.json", status=403)
        with pytest.raises(PermissionDenied, match="unauthorized"):
            call(lambda client: client.agents.delete(7))


class TestAllAgents:
    def test_every_page_of_the_list_is_walked(self, call, api):
        first = {"current_page": 1, "last_page": 2, "data": [{"id": 3}, {"id": 2}], "total": 3}
        second = {"current_page": 2, "last_page": 2, "data": [{"id": 1}], "total": 3}
        api.data("GET /projects", first, second)
        found = call(lambda client: client.agents.list(name="Help & more"))
        assert [agent.id for agent in found] == [3, 2, 1]
        assert [seen.query["page"] for seen in api.seen] == ["1", "2"]
        assert api.seen[1].query["name"] == "Help & more"

    def test_bad_input_is_refused_before_any_request(self, call, api):
        with pytest.raises(ConfigurationError):
            call(lambda client: client.agents.list(order="up"))
        assert api.seen == []


class TestMakingOne:
    def test_an_agent_is_made_from_a_sitemap(self, call, api):
        api.sample("POST /projects", "projects.create.201.json", status=201)
        agent = call(
            lambda client: client.agents.create(
                "Docs", sitemap_path="https://example.org/sitemap.xml", is_ocr_enabled=True
            )
        )
        assert agent.id == 1242
        assert api.seen[0].fields == {
            "project_name": "Docs",
            "sitemap_path": "https://example.org/sitemap.xml",
            "is_ocr_enabled": "1",
        }

    def test_the_first_file_goes_with_the_call_and_the_others_after_it(self, call, api, tmp_path):
        api.sample("POST /projects", "projects.create.201.json", status=201)
        api.sample("POST /projects/1242/sources", "sources.create.201.upload.json", status=201)
        one = tmp_path / "one.txt"
        one.write_bytes(b"first" * 30_000)
        told = []
        call(
            lambda client: client.agents.create(
                "Docs",
                files=[one, ("two.txt", b"second"), ("three.txt", b"third")],
                file_data_retention=True,
                on_progress=lambda sent, total: told.append((sent, total)),
            )
        )
        assert [seen.fields["file"] for seen in api.seen] == [
            ("one.txt", b"first" * 30_000),
            ("two.txt", b"second"),
            ("three.txt", b"third"),
        ]
        assert [seen.fields["file_data_retension"] for seen in api.seen] == ["1", "1", "1"]
        assert told[-1] == (150_011, 150_011)
        assert told == sorted(told)
        assert api.seen[0].headers["content-length"] == str(len(api.seen[0].body))

    def test_with_a_sitemap_all_files_are_sent_after_the_call(self, call, api):
        api.data("POST /projects", {"id": 9}, status=201)
        api.data("POST /projects/9/sources", {"id": 1}, status=201)
        call(
            lambda client: client.agents.create(
                "Docs", sitemap_path="https://example.org/s.xml", files=[("a.txt", b"a")]
            )
        )
        assert api.lines() == ["POST /projects", "POST /projects/9/sources"]

    def test_when_a_later_file_fails_the_error_says_what_exists(self, call, api):
        api.data("POST /projects", {"id": 9}, status=201)
        api.on("POST /projects/9/sources", Answer(500))
        with pytest.raises(ServerError, match=r"Agent 9 was created.*'b\.txt'"):
            call(lambda client: client.agents.create("Docs", files=[("a.txt", b"a"), ("b.txt", b"b")]))
        assert len(api.seen) == 2

    def test_a_create_whose_answer_was_lost_is_not_sent_again(self, call, api):
        api.on("POST /projects", Answer(drop=True))
        with pytest.raises(ConnectionLost, match="may have been carried out"):
            call(lambda client: client.agents.create("Docs"))
        assert len(api.seen) == 1

    @pytest.mark.parametrize(
        "given",
        [
            {"name": ""},
            {"name": "x" * 256},
            {"name": "x", "sitemap_path": "not an address"},
            {"name": "x", "files": ["/nowhere/at/all.pdf"]},
            {"name": "x", "files": "one.pdf"},
        ],
    )
    def test_bad_input_is_refused_before_any_request(self, call, api, given):
        with pytest.raises(ConfigurationError):
            call(lambda client: client.agents.create(**given))
        assert api.seen == []


class TestWaiting:
    def test_it_ends_as_soon_as_the_agent_can_answer(self, call, api):
        api.data("GET /projects/7", {"id": 7, "is_chat_active": None}, {"id": 7, "is_chat_active": 1})
        api.data(
            "GET /projects/7/stats",
            {"pages_found": 0, "pages_indexed": 0},
            {"pages_found": 2, "pages_indexed": 1},
        )
        told = []
        agent = call(
            lambda client: client.agents.wait_until_ready(
                7, poll_every=3, on_progress=lambda stats: told.append(stats.pages_indexed)
            )
        )
        assert agent.is_chat_active
        assert told == [0, 1]
        assert call.naps == [3]

    def test_when_time_is_up_the_error_says_how_far_it_came(self, call, api):
        api.data("GET /projects/7", {"id": 7, "is_chat_active": False})
        api.data("GET /projects/7/stats", {"pages_found": 5, "pages_crawled": 2, "pages_indexed": 0})
        api.data("GET /projects/7/pages", {"pages": {"data": [{"id": 1, "crawl_status": "queued"}]}})
        with pytest.raises(RequestTimeout, match="0 of 5 pages indexed, 2 crawled") as caught:
            call(lambda client: client.agents.wait_until_ready(7, timeout=10, poll_every=4))
        assert caught.value.clock == "ready"
        assert call.naps == [4, 4, 2]

    def test_when_every_page_failed_it_does_not_wait(self, call, api):
        api.data("GET /projects/7", {"id": 7, "is_chat_active": False})
        api.data("GET /projects/7/stats", {"pages_found": 2, "pages_indexed": 0})
        rows = [
            {"id": 1, "crawl_status": "failed", "index_status": "n/a", "page_url": "https://example.org/a"},
            {"id": 2, "crawl_status": "ok", "index_status": "failed", "filename": "scan.pdf"},
        ]
        api.data("GET /projects/7/pages", {"pages": {"data": rows}})
        with pytest.raises(CustomGPTError, match=r"every page of it failed.*scan\.pdf") as caught:
            call(lambda client: client.agents.wait_until_ready(7))
        assert type(caught.value) is CustomGPTError
        assert call.naps == []

    @pytest.mark.parametrize("given", [{"timeout": 0}, {"poll_every": 0}, {"timeout": float("nan")}])
    def test_times_that_are_not_positive_numbers_are_refused(self, call, api, given):
        with pytest.raises(ConfigurationError):
            call(lambda client: client.agents.wait_until_ready(7, **given))
        assert api.seen == []


class TestTheAccount:
    def test_limits_get_returns_the_limits(self, call, api):
        api.data("GET /limits/usage", {"max_queries": 500, "current_queries": 3})
        limits = call(lambda client: client.limits.get())
        assert (limits.max_queries, limits.current_queries) == (500, 3)

    def test_the_user_is_read_and_renamed(self, call, api):
        api.data("GET /user", {"id": 42, "name": "Ann"})
        api.data("POST /user", {"id": 42, "name": "Bea"})
        assert call(lambda client: client.user.get()).name == "Ann"
        assert call(lambda client: client.user.update("Bea")).name == "Bea"
        assert api.seen[1].fields == {"name": "Bea"}

    def test_an_empty_name_is_refused(self, call, api):
        with pytest.raises(ConfigurationError):
            call(lambda client: client.user.update(" "))
        assert api.seen == []
