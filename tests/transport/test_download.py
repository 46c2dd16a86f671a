"""The target of a download: written whole or not at all, and from its start for each attempt."""

from __future__ import annotations

import io

import pytest

from customgpt_transport._wire.download import open_target
from customgpt_transport.errors import ConfigurationError


class Pipe(io.BytesIO):
    def seekable(self):
        return False


def put(sink, *chunks, complete=True):
    sink.open()
    for chunk in chunks:
        sink.write(chunk)
    sink.close(complete=complete)


class TestAPath:
    def test_it_holds_the_file_once_the_file_is_complete(self, tmp_path):
        path = tmp_path / "a.pdf"
        sink = open_target(path)
        sink.open()
        sink.write(b"one ")
        assert not path.exists()
        sink.write(b"two")
        sink.close(complete=True)
        assert path.read_bytes() == b"one two"
        assert [path] == list(tmp_path.iterdir())

    def test_what_is_not_complete_leaves_what_was_there(self, tmp_path):
        path = tmp_path / "a.pdf"
        path.write_bytes(b"before")
        put(open_target(str(path)), b"half", complete=False)
        assert path.read_bytes() == b"before"
        assert [path] == list(tmp_path.iterdir())

    def test_a_new_attempt_begins_again(self, tmp_path):
        path = tmp_path / "a.pdf"
        sink = open_target(path)
        put(sink, b"half", complete=False)
        sink.open()
        sink.write(b"half again, never closed")
        put(sink, b"whole")
        assert path.read_bytes() == b"whole"
        assert [path] == list(tmp_path.iterdir())

    def test_a_link_stays_a_link(self, tmp_path):
        path, link = tmp_path / "a.pdf", tmp_path / "link.pdf"
        path.write_bytes(b"before")
        link.symlink_to(path)
        put(open_target(link), b"after")
        assert link.is_symlink()
        assert path.read_bytes() == b"after"

    def test_closing_twice_or_unopened_does_nothing(self, tmp_path):
        sink = open_target(tmp_path / "a.pdf")
        sink.close(complete=True)
        put(sink, b"x")
        sink.close(complete=False)
        assert (tmp_path / "a.pdf").read_bytes() == b"x"

    @pytest.mark.parametrize("name", [".", "missing/a.pdf", "nul\0.pdf"])
    def test_a_place_that_cannot_be_written_is_found_before_any_request(self, tmp_path, name):
        with pytest.raises(ConfigurationError, match="cannot write"):
            open_target(tmp_path / name)


class TestAnOpenFile:
    def test_it_is_written_from_where_it_stands_and_stays_open(self):
        file = io.BytesIO(b"head")
        file.seek(4)
        put(open_target(file), b"one ", b"two")
        assert file.getvalue() == b"headone two"

    def test_a_new_attempt_writes_over_the_broken_one(self):
        file = io.BytesIO()
        sink = open_target(file)
        put(sink, b"a long half", complete=False)
        put(sink, b"whole")
        assert file.getvalue() == b"whole"

    def test_one_that_cannot_seek_takes_one_attempt_only(self):
        sink = open_target(Pipe())
        put(sink, complete=False)
        put(sink, b"half", complete=False)
        with pytest.raises(ConfigurationError, match="give a path"):
            sink.open()

    def test_what_is_neither_path_nor_file_is_refused(self):
        with pytest.raises(ConfigurationError, match="not int"):
            open_target(7)


def test_progress_callbacks_get_what_was_received():
    told = []
    sink = open_target(io.BytesIO(), lambda count, total: told.append((count, total)))
    sink.received(3, None)
    sink.received(5, 10)
    assert told == [(3, None), (5, 10)]
