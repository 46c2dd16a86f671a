from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import Document, NodeRelationship, RelatedNodeInfo, TextNode

from customgpt_transport.errors import ConfigurationError, CustomGPTError, RequestTimeout
from customgpt_transport.models import Page
from llama_index_customgpt._documents import Watch, changes, files_of, ids_of, outdated, ref_doc_info

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


def test_a_document_without_text_and_an_id_too_long_are_refused():
    with pytest.raises(ConfigurationError, match="no text"):
        files_of([Document(id_="a", text=" \n")])
    with pytest.raises(ConfigurationError, match="too long"):
        files_of([Document(id_="a" * 201, text="x")])


def test_what_changed_is_told_by_the_names_that_the_agent_holds():
    (file,) = files_of([PRICES])
    changed = Document(id_="docs/prices.md", text="A lamp is 45 euros.")
    new = Document(id_="docs/new.md", text="New.")
    held = [page(1, file.name)]
    assert changes([PRICES, new], held)[1] == [False, True]
    files, told = changes([changed], held)
    assert told == [True]
    assert outdated(files, held) == [1]
    assert outdated([file], held) == []
    assert ids_of(held, ["docs/prices.md"]) == [1]


class TestWatch:
    (FILE,) = files_of([PRICES])

    def test_it_is_done_when_all_are_indexed(self):
        watch = Watch([self.FILE], patience=60)
        for status, done in ((None, False), ("queued", False), ("ok", True)):
            watch.look()
            assert not watch.see(page(1, "other.txt"))
            assert watch.see(page(2, self.FILE.name, status))
            assert watch.is_done() is done
        assert watch.metadata() == [(2, {"title": "Prices"})]

    def test_a_file_that_failed_is_named(self):
        watch = Watch([self.FILE], patience=60)
        watch.see(page(2, self.FILE.name, "failed"))
        with pytest.raises(CustomGPTError, match=r"docs/prices\.md"):
            watch.is_done()

    def test_of_two_uploads_of_one_file_the_newest_counts(self):
        watch = Watch([self.FILE], patience=60)
        for newest_first in (page(3, self.FILE.name), page(2, self.FILE.name, "failed")):
            watch.see(newest_first)
        assert watch.is_done()
        assert [page_id for page_id, _ in watch.metadata()] == [3]

    def test_patience_ends(self):
        watch = Watch([self.FILE], patience=3)
        assert [watch.spend(2), watch.spend(2)] == [2, 1]
        with pytest.raises(RequestTimeout, match="0 of 1 documents") as error:
            watch.spend(2)
        assert error.value.clock == "index"
