"""When an upload or an update fails half-way, nothing is lost and the next try finishes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.schema import Document, NodeRelationship, RelatedNodeInfo

from customgpt_transport import ClientOptions, ConfigurationError, CustomGPTError, RequestTimeout, ServerError
from llama_index_customgpt import CustomGPTIndex
from tests.llama_index.calls import Call

if TYPE_CHECKING:
    from customgpt_emulator import Emulator

OLD = Document(id_="box.md", text="The roof box carries 75 kilograms.", metadata={"title": "Roof box"})
NEW = Document(id_="box.md", text="The roof box carries 90 kilograms.", metadata={"title": "Roof box 2"})
TENT = Document(id_="tent.md", text="The tent Aurora sleeps four people.", metadata={"title": "Tent"})
LAMP = Document(id_="lamp.md", text="The lamp Vega shines for nine hours.", metadata={"title": "Lamp"})
UNREADABLE = Document(id_="box.md", text="\0 is not text to the service.")


@pytest.fixture
def index(where: dict[str, Any]) -> CustomGPTIndex:
    return CustomGPTIndex(poll_every=0.01, **where)


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Move the emulator's clock: what was queued for an hour is indexed."""
    later = SimpleNamespace(time=lambda: time.time() + 3601)
    return lambda: monkeypatch.setattr("customgpt_emulator.state.clock.time", later)


def pages(index: CustomGPTIndex, document: Document) -> list[str]:
    """Return the ids of a document's pages, as another process sees them."""
    info = index.ref_doc_info.get(document.id_)
    return info.node_ids if info else []


def title(index: CustomGPTIndex, document: Document) -> str | None:
    (page_id,) = pages(index, document)
    return index._clients.sync.pages.metadata(int(page_id), project_id=index.project_id).title


class TestAnUpdate:
    async def test_that_cannot_be_indexed_never_deletes_the_good_copy(
        self, index: CustomGPTIndex, call: Call
    ) -> None:
        await call(index, "insert", OLD)
        good = pages(index, OLD)
        for name, argument in (
            ("update_ref_doc", UNREADABLE),
            ("update_ref_doc", UNREADABLE),
            ("refresh_ref_docs", [UNREADABLE]),
            ("insert", UNREADABLE),
        ):
            with pytest.raises(CustomGPTError, match=r"1 of 1 documents could not be indexed: box\.md"):
                await call(index, name, argument)
            assert good[0] in pages(index, OLD)
            assert len(pages(index, OLD)) == 2, "the failed copies do not pile up"
        await call(index, "update_ref_doc", NEW)
        assert len(pages(index, OLD)) == 1
        assert title(index, OLD) == "Roof box 2"
        await index.aclose()

    async def test_whose_deletion_failed_is_finished_by_the_next(
        self, index: CustomGPTIndex, call: Call, emulator: Emulator
    ) -> None:
        await call(index, "insert", OLD)
        emulator.faults.error(500, on="pages.delete", times=None)
        with pytest.raises(ServerError):
            await call(index, "refresh_ref_docs", [NEW])
        assert len(pages(index, OLD)) == 2
        emulator.faults.clear()
        uploads = len(emulator.journal.entries("sources.create"))
        assert await call(index, "refresh_ref_docs", [NEW]) == [False]
        assert len(pages(index, OLD)) == 1
        assert len(emulator.journal.entries("sources.create")) == uploads
        await index.aclose()

    async def test_that_timed_out_is_finished_by_the_next(
        self,
        where: dict[str, Any],
        index: CustomGPTIndex,
        call: Call,
        emulator: Emulator,
        an_hour_later: Callable[[], None],
    ) -> None:
        await call(index, "insert", OLD)
        emulator.switches.readiness_delay = 3600
        impatient = CustomGPTIndex(poll_every=0.01, index_timeout=0, **where)
        for _ in range(2):
            with pytest.raises(RequestTimeout):
                await call(impatient, "update_ref_doc", NEW)
        assert len(pages(index, OLD)) == 2, "not uploaded a second time, and the old one is still there"
        an_hour_later()
        await call(impatient, "update_ref_doc", NEW)
        assert len(pages(index, OLD)) == 1
        assert title(index, OLD) == "Roof box 2"
        await index.aclose()
        await impatient.aclose()

    async def test_of_a_batch_with_one_bad_document_is_done_for_the_others(
        self, index: CustomGPTIndex, call: Call
    ) -> None:
        await call(index, "insert", OLD)
        bad = Document(id_="bad.md", text="\0")
        with pytest.raises(CustomGPTError, match=r"1 of 2 documents could not be indexed: bad\.md"):
            await call(index, "refresh_ref_docs", [NEW, bad])
        assert len(pages(index, NEW)) == 1
        assert title(index, NEW) == "Roof box 2"
        await index.aclose()

    async def test_whose_titles_were_not_written_is_finished_by_the_next(
        self, index: CustomGPTIndex, call: Call, emulator: Emulator
    ) -> None:
        emulator.faults.error(500, on="pages.update_metadata", times=None)
        with pytest.raises(ServerError):
            await call(index, "insert", OLD)
        assert title(index, OLD) != "Roof box"
        emulator.faults.clear()
        assert await call(index, "refresh_ref_docs", [OLD]) == [False]
        assert title(index, OLD) == "Roof box"
        await call(index, "refresh_ref_docs", [OLD])
        written = [e for e in emulator.journal.entries("pages.update_metadata") if e.status == 200]
        assert len(written) == 1, "what is shown already is not written again"
        await index.aclose()


class TestBuilding:
    @pytest.mark.parametrize("name", ["insert_nodes", "refresh_ref_docs"])
    async def test_again_after_a_failed_upload_uploads_only_what_is_not_held(
        self, index: CustomGPTIndex, call: Call, emulator: Emulator, name: str
    ) -> None:
        documents = [OLD, TENT, LAMP]
        emulator.faults.delay(0, on="sources.create", times=2)
        emulator.faults.error(500, on="sources.create", times=None)
        with pytest.raises(ServerError):
            await call(index, name, documents)
        emulator.faults.clear()
        await call(index, name, documents)
        assert [len(pages(index, document)) for document in documents] == [1, 1, 1]
        assert [title(index, document) for document in documents] == ["Roof box", "Tent", "Lamp"]
        await index.aclose()

    async def test_a_new_agent_that_is_not_ready_is_named_and_can_be_gone_on_with(
        self,
        where: dict[str, Any],
        call: Call,
        emulator: Emulator,
        an_hour_later: Callable[[], None],
    ) -> None:
        del where["project_id"]
        emulator.switches.readiness_delay = 3600
        with pytest.raises(RequestTimeout, match=r"from_documents\(documents, project_id=\d+\)") as error:
            await call(CustomGPTIndex, "from_documents", [OLD, TENT], name="Shop", index_timeout=0, **where)
        number = int(str(error.value).rpartition("project_id=")[2].partition(")")[0])
        assert error.value.clock == "index"
        an_hour_later()
        uploads = len(emulator.journal.entries("sources.create"))
        index = await call(
            CustomGPTIndex, "from_documents", [OLD, TENT], poll_every=0.01, project_id=number, **where
        )
        assert [title(index, document) for document in (OLD, TENT)] == ["Roof box", "Tent"]
        assert len(emulator.journal.entries("sources.create")) == uploads
        await index.aclose()

    async def test_a_new_agent_that_did_not_get_all_files_is_named_too(
        self, where: dict[str, Any], call: Call, emulator: Emulator
    ) -> None:
        del where["project_id"]
        emulator.faults.error(500, on="sources.create", times=None)
        with pytest.raises(ServerError, match=r"from_documents\(documents, project_id=\d+\)"):
            await call(CustomGPTIndex, "from_documents", [OLD, TENT, LAMP], **where)

    async def test_one_document_without_text_does_not_refuse_the_others(
        self, where: dict[str, Any], index: CustomGPTIndex, call: Call, caplog: pytest.LogCaptureFixture
    ) -> None:
        empty = Document(id_="empty.md", text="")
        with caplog.at_level(logging.WARNING):
            assert await call(index, "refresh_ref_docs", [empty, OLD]) == [False, True]
        assert "'empty.md' has no text" in caplog.text
        made = await call(CustomGPTIndex, "from_documents", [empty, OLD], name="Shop", **where)
        assert set(made.ref_doc_info) == {"box.md"}
        with pytest.raises(ConfigurationError, match="at least one document with text"):
            await call(CustomGPTIndex, "from_documents", [empty], name="Shop", **where)
        await index.aclose()
        await made.aclose()

    async def test_a_document_that_names_its_source_is_refreshed_as_that(
        self, index: CustomGPTIndex, call: Call
    ) -> None:
        part = Document(
            text="A part.", relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="whole.md")}
        )
        assert await call(index, "refresh_ref_docs", [part]) == [True]
        assert await call(index, "refresh_ref_docs", [part]) == [False]
        assert len(index.ref_doc_info["whole.md"].node_ids) == 1
        await index.aclose()


async def test_ids_that_are_no_pages_are_refused_before_any_page_is_deleted(
    index: CustomGPTIndex, call: Call
) -> None:
    await call(index, "insert", OLD)
    with pytest.raises(ConfigurationError, match="'answer-12'"):
        await call(index, "delete_nodes", [*pages(index, OLD), "answer-12"])
    assert len(pages(index, OLD)) == 1
    await index.aclose()


async def test_the_time_that_looking_takes_counts(
    where: dict[str, Any], call: Call, emulator: Emulator
) -> None:
    now = [0.0]
    paused: list[float] = []

    def clock() -> float:
        now[0] += 4.0
        return now[0]

    emulator.switches.readiness_delay = 3600
    del where["project_id"]
    options = ClientOptions(clock=clock, sleep=paused.append, **where)
    index = CustomGPTIndex(emulator.project_id, client_options=options, poll_every=1, index_timeout=60)
    with pytest.raises(RequestTimeout, match="within 60 s"):
        await call(index, "insert", OLD)
    assert 1 <= len(paused) <= 15, "pauses alone would be sixty"
    await index.aclose()


async def test_the_progress_bar_is_closed_when_waiting_fails(
    where: dict[str, Any], call: Call, emulator: Emulator
) -> None:
    from tqdm.auto import tqdm

    index = CustomGPTIndex(show_progress=True, index_timeout=0, **where)
    emulator.switches.readiness_delay = 3600
    with pytest.raises(RequestTimeout) as error:
        await call(index, "insert", OLD)
    assert error.value.__traceback__, "which keeps every frame, and what it holds, alive"
    assert not list(tqdm._instances)
    await index.aclose()
