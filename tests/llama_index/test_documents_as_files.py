from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import Document, NodeRelationship, RelatedNodeInfo, TextNode

from customgpt_transport.errors import ConfigurationError, CustomGPTError, RequestTimeout
from customgpt_transport.models import Page
from llama_index_customgpt._documents import files_of, page_ids, ref_doc_info
from llama_index_customgpt._reconciling import Reconciliation

PRICES = Document(id_="docs/prices.md", text="A lamp is 40 euros.", metadata={"title": "Prices"})


def page(n: int, filename: str, status: str | None = "ok") -> Page:
    return Page(
        n, url=f"https://app.example/preview/{n}", is_file=True, filename=filename, index_status=status
    )


@given(st.text(min_size=1, max_size=12))
def test_a_file_name_says_which_document_it_is(ref_doc_id):
    (file,) = files_of([Document(id_=ref_doc_id, text="x")])
    assert file.name.isascii()
    assert "/" not in file.name
    assert list(ref_doc_info([page(1, file.name)])) == [ref_doc_id]


def test_other_pages_of_the_agent_go_by_address_or_file_name():
    web = Page(3, url="https://lamps.example/about", index_status="ok")
    assert list(ref_doc_info([web, page(4, "guide.pdf")])) == ["https://lamps.example/about", "guide.pdf"]


def test_nodes_of_one_document_are_one_file():
    parts = [
        TextNode(text=text, relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc")})
        for text in ("One.", "Two.")
    ]
    (file,) = files_of(parts)
    assert (file.ref_doc_id, file.content) == ("doc", b"One.\n\nTwo.")


def test_citations_will_show_what_the_document_says():
    (file,) = files_of([Document(text="x", metadata={"title": "T" * 300, "url": "https://a.example/b"})])
    assert file.metadata == {"title": "T" * 255, "url": "https://a.example/b"}
    (plain,) = files_of([Document(id_="notes", text="x", metadata={"source": "a shelf"})])
    assert plain.metadata == {"title": "notes"}


def test_a_document_without_text_is_left_out_and_logged(caplog):
    with caplog.at_level(logging.WARNING):
        files = files_of([Document(id_="empty", text=" \n"), PRICES])
    assert [file.ref_doc_id for file in files] == ["docs/prices.md"]
    assert "'empty' has no text" in caplog.text


def test_an_id_too_long_is_refused():
    with pytest.raises(ConfigurationError, match="too long"):
        files_of([Document(id_="a" * 201, text="x")])


def test_ids_of_nodes_that_are_no_pages_are_refused():
    assert page_ids(["3", "4"]) == [3, 4]
    with pytest.raises(ConfigurationError, match="'answer-12'"):
        page_ids(["3", "answer-12"])


class TestReconciliation:
    (FILE,) = files_of([PRICES])

    def test_what_is_held_and_what_has_changed_is_told_by_names_and_states(self):
        (new,) = files_of([Document(id_="docs/new.md", text="New.")])
        held = Reconciliation([self.FILE, new], [page(1, self.FILE.name)])
        assert held.missing == [new]
        assert held.changed([PRICES, Document(id_="docs/new.md", text="New.")]) == [False, True]
        assert held.outdated() == []

    @pytest.mark.parametrize("status", [None, "queued"])
    def test_what_is_queued_is_waited_for(self, status):
        reconciliation = Reconciliation([self.FILE], [page(1, self.FILE.name, status)])
        assert not reconciliation.missing
        assert reconciliation.settled == 0
        assert reconciliation.changed([PRICES]) == [True]
        assert not list(reconciliation.unlabelled())
        reconciliation.look()
        assert reconciliation.see(page(1, self.FILE.name))
        assert list(reconciliation.unlabelled()) == [(1, {"title": "Prices"}, False)]

    @pytest.mark.parametrize("status", ["failed", "limited", "n/a"])
    def test_what_failed_is_not_held(self, status):
        reconciliation = Reconciliation([self.FILE], [page(2, self.FILE.name, status)])
        assert reconciliation.missing == [self.FILE]
        assert reconciliation.failed == [2]
        reconciliation.look()
        assert not reconciliation.see(page(2, self.FILE.name, status))

    def test_nothing_is_outdated_before_its_successor_is_indexed(self):
        (changed,) = files_of([Document(id_="docs/prices.md", text="A lamp is 45 euros.")])
        reconciliation = Reconciliation([changed], [page(1, self.FILE.name)])
        assert reconciliation.outdated() == []
        for status, outdated in ((None, []), ("failed", []), ("ok", [1])):
            reconciliation.look()
            assert reconciliation.see(page(2, changed.name, status))
            assert reconciliation.outdated() == outdated

    def test_of_pages_with_the_same_content_one_stays(self):
        before = [page(4, self.FILE.name, "queued"), page(3, self.FILE.name), page(2, self.FILE.name)]
        reconciliation = Reconciliation([self.FILE], before)
        assert not reconciliation.missing
        assert list(reconciliation.unlabelled()) == [(3, {"title": "Prices"}, True)]
        assert reconciliation.outdated() == [4, 2]

    def test_a_file_that_failed_is_named(self):
        reconciliation = Reconciliation([self.FILE], [], uploaded=[self.FILE])
        reconciliation.see(page(2, self.FILE.name, "failed"))
        with pytest.raises(CustomGPTError, match=r"docs/prices\.md"):
            reconciliation.check(60)

    def test_a_file_that_is_not_there_yet_is_a_timeout(self):
        reconciliation = Reconciliation([self.FILE], [], uploaded=[self.FILE])
        with pytest.raises(RequestTimeout, match="0 of 1 documents were indexed within 60 s") as error:
            reconciliation.check(60)
        assert error.value.clock == "index"
