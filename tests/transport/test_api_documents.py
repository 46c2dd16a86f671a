"""`client.sources` and `client.pages` through requests and through aiohttp, files in both directions."""

from __future__ import annotations

import io
import threading

import pytest
from blockbuster import blockbuster_ctx

from customgpt_transport import AsyncClient
from customgpt_transport.errors import (
    ConfigurationError,
    ConnectionLost,
    NotFound,
    PermissionDenied,
    ServerError,
)
from tests.transport.scripted import Answer

PDF = b"%PDF-1.5\n" + bytes(range(256)) * 2000


class TestSources:
    def test_a_sitemap_is_added(self, call, api):
        api.sample("POST /projects/7/sources", "sources.create.201.sitemap.json", status=201)
        source = call(lambda client: client.sources.add(sitemap_path="https://example.org/sitemap.xml"))
        assert source.id == 1592
        assert api.seen[0].fields == {"sitemap_path": "https://example.org/sitemap.xml"}

    def test_a_file_is_streamed_from_disk_with_its_length_and_progress(self, call, api, tmp_path):
        api.sample("POST /projects/7/sources", "sources.create.201.upload.json", status=201)
        path = tmp_path / "guide.pdf"
        path.write_bytes(PDF)
        told = []
        source = call(
            lambda client: client.sources.add(
                file=path,
                file_data_retention=True,
                on_progress=lambda sent, total: told.append((sent, total, threading.current_thread())),
            )
        )
        assert source.pages[0].is_file
        (seen,) = api.seen
        assert seen.fields == {"file_data_retension": "1", "file": ("guide.pdf", PDF)}
        assert seen.headers["content-length"] == str(len(seen.body))
        assert len(told) > 3
        assert told[-1] == (len(seen.body), len(seen.body), threading.current_thread())
        assert {thread for *_, thread in told} == {threading.current_thread()}

    def test_an_upload_is_sent_again_from_the_start_when_it_was_refused_unread(self, call, api, tmp_path):
        api.on("POST /projects/7/sources", Answer(429, b'{"message":"Too Many Attempts."}'))
        api.sample("POST /projects/7/sources", "sources.create.201.upload.json", status=201)
        path = tmp_path / "guide.pdf"
        path.write_bytes(PDF)
        call(lambda client: client.sources.add(file=path))
        assert [seen.fields["file"] for seen in api.seen] == [("guide.pdf", PDF)] * 2

    @pytest.mark.parametrize("answer", [Answer(500), Answer(503), Answer(drop=True)])
    def test_an_upload_that_may_have_arrived_is_not_sent_again(self, call, api, answer):
        api.on("POST /projects/7/sources", answer)
        with pytest.raises((ServerError, ConnectionLost), match="may have been carried out"):
            call(lambda client: client.sources.add(file=("a.txt", b"a")))
        assert len(api.seen) == 1

    def test_list_returns_sitemaps_and_uploads(self, call, api):
        api.data("GET /projects/7/sources", {"sitemaps": [{"id": 1}], "uploads": {"id": 2, "settings": []}})
        sources = call(lambda client: client.sources.list())
        assert ([source.id for source in sources.sitemaps], sources.uploads.id) == ([1], 2)

    def test_update_changes_how_a_sitemap_is_refreshed(self, call, api):
        api.data("PUT /projects/7/sources/9", {"id": 9}, status=201)
        call(lambda client: client.sources.update(9, remove_missing_pages=False, execute_js=True))
        assert api.seen[0].json == {"remove_unexist_pages": False, "executive_js": True}

    def test_a_source_is_deleted(self, call, api):
        api.sample("DELETE /projects/7/sources/9", "pages.delete.200.json")
        assert call(lambda client: client.sources.delete(9)) is None

    def test_a_sync_whose_answer_is_lost_is_not_sent_again_though_it_is_a_put(self, call, api):
        api.data("GET /projects/7/sources", {})
        api.on("PUT /projects/7/sources/9/instant-sync", Answer(drop=True))
        call(lambda client: client.sources.list())  # on a connection kept from before, aiohttp would resend
        with pytest.raises(ConnectionLost, match="may have been carried out"):
            call(lambda client: client.sources.sync(9))
        assert api.lines().count("PUT /projects/7/sources/9/instant-sync") == 1

    def test_a_refused_sync_raises_the_services_reason(self, call, api):
        api.on("PUT /projects/7/sources/9/instant-sync", Answer(403, b'{"message":"Your plan has no sync"}'))
        with pytest.raises(PermissionDenied, match="Your plan has no sync"):
            call(lambda client: client.sources.sync(9))

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"sitemap_path": "https://example.org/", "file": ("a", b"a")},
            {"file": "/nowhere/at/all.pdf"},
            {"file": "/"},
            {"sitemap_path": ""},
        ],
    )
    def test_bad_input_is_refused_before_any_request(self, call, api, given):
        with pytest.raises(ConfigurationError):
            call(lambda client: client.sources.add(**given))
        assert api.seen == []


class TestPages:
    def test_every_page_of_a_filtered_list_is_walked(self, call, api):
        first = {"current_page": 1, "last_page": 2, "data": [{"id": 3}], "total": 2}
        second = {"current_page": 2, "last_page": 2, "data": [{"id": 2}], "total": 2}
        api.data("GET /projects/7/pages", {"pages": first}, {"pages": second})
        found = call(lambda client: client.pages.list(index_status="ok", limit=1))
        assert [page.id for page in found] == [3, 2]
        assert api.seen[1].query == {"page": "2", "limit": "1", "order": "desc", "index_status": "ok"}

    def test_a_page_is_deleted_and_reindexed(self, call, api):
        api.sample("DELETE /projects/7/pages/9", "pages.delete.200.json")
        api.sample("POST /projects/7/pages/9/reindex", "settings.update.200.json")
        call(lambda client: client.pages.delete(9))
        call(lambda client: client.pages.reindex(9))
        assert len(api.seen) == 2

    def test_a_reindex_is_never_sent_twice(self, call, api):
        api.on("POST /projects/7/pages/9/reindex", Answer(502))
        with pytest.raises(ServerError, match="may have been carried out"):
            call(lambda client: client.pages.reindex(9))
        assert len(api.seen) == 1

    def test_metadata_is_read_and_changed(self, call, api):
        api.sample("GET /projects/7/pages/29814/metadata", "pages.metadata.update.200.json")
        api.sample("PUT /projects/7/pages/29814/metadata", "pages.metadata.update.200.json")
        assert call(lambda client: client.pages.metadata(29814)).title == "Test2"
        call(lambda client: client.pages.update_metadata(29814, title="T", image_url=None))
        assert api.seen[1].json == {"title": "T", "image": None}

    def test_metadata_too_long_is_refused(self, call, api):
        with pytest.raises(ConfigurationError, match="501"):
            call(lambda client: client.pages.update_metadata(9, description="x" * 501))
        assert api.seen == []


class TestPreview:
    def test_the_stored_file_is_written_to_a_path(self, call, api, tmp_path):
        api.on("GET /preview/9", Answer(200, PDF, {"Content-Type": "application/pdf"}))
        path, told = tmp_path / "guide.pdf", []
        size = call(
            lambda client: client.pages.preview(
                9,
                to=path,
                on_progress=lambda got, total: told.append((got, total, threading.current_thread())),
            )
        )
        assert size == len(PDF)
        assert path.read_bytes() == PDF
        assert list(tmp_path.iterdir()) == [path]
        assert told[-1] == (len(PDF), len(PDF), threading.current_thread())
        assert {thread for *_, thread in told} == {threading.current_thread()}
        assert "application/json" not in api.seen[0].headers["accept"]

    def test_the_stored_file_is_written_into_an_open_file(self, call, api):
        api.on("GET /preview/9", Answer(200, PDF))
        file = io.BytesIO()
        call(lambda client: client.pages.preview(9, to=file))
        assert file.getvalue() == PDF

    def test_a_file_that_breaks_off_is_fetched_again_from_its_start(self, call, api, tmp_path):
        api.on("GET /preview/9", Answer(200, PDF, cut_after=1000), Answer(200, PDF))
        path = tmp_path / "guide.pdf"
        call(lambda client: client.pages.preview(9, to=path))
        assert path.read_bytes() == PDF
        assert list(tmp_path.iterdir()) == [path]

    def test_when_it_keeps_breaking_off_nothing_is_left_behind(self, call, api, tmp_path):
        api.on("GET /preview/9", Answer(200, PDF, cut_after=1000))
        path = tmp_path / "guide.pdf"
        path.write_bytes(b"before")
        with pytest.raises(ConnectionLost):
            call(lambda client: client.pages.preview(9, to=path))
        assert path.read_bytes() == b"before"
        assert list(tmp_path.iterdir()) == [path]
        assert len(api.seen) == 3

    def test_a_file_that_was_not_kept_is_not_found_and_nothing_is_written(self, call, api, tmp_path):
        with pytest.raises(NotFound):
            call(lambda client: client.pages.preview(9, to=tmp_path / "guide.pdf"))
        assert list(tmp_path.iterdir()) == []

    def test_a_target_that_cannot_be_written_is_refused_before_any_request(self, call, api, tmp_path):
        with pytest.raises(ConfigurationError):
            call(lambda client: client.pages.preview(9, to=tmp_path))
        assert api.seen == []

    def test_a_full_disk_is_raised_as_it_is(self, call, api):
        class Full(io.BytesIO):
            def write(self, data):
                raise OSError(28, "No space left on device")

        api.on("GET /preview/9", Answer(200, PDF))
        with pytest.raises(OSError, match="No space left"):
            call(lambda client: client.pages.preview(9, to=Full()))
        assert len(api.seen) == 1


async def test_no_file_is_touched_on_the_event_loop(api, tmp_path):
    api.data("POST /projects/7/sources", {"id": 1}, status=201)
    api.data("POST /projects", {"id": 8}, status=201)
    api.on("GET /preview/9", Answer(200, PDF))
    source, target = tmp_path / "guide.pdf", tmp_path / "copy.pdf"
    source.write_bytes(PDF)
    client = AsyncClient(api_key=api.api_key, base_url=api.base_url, project_id=7)
    with blockbuster_ctx("customgpt_transport"):
        async with client:
            await client.sources.add(file=source)
            await client.agents.create("Docs", files=[source])
            await client.pages.preview(9, to=target)
    assert target.read_bytes() == PDF
