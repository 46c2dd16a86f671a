"""Upload bodies: exact lengths, safe names, and no file in memory."""

from __future__ import annotations

import os
import tracemalloc
from email.message import Message as Mail
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customgpt_transport._wire.multipart import MultipartBody, open_upload, open_uploads
from customgpt_transport.errors import ConfigurationError


def parts(body: MultipartBody) -> list[Mail]:
    """Parse the body with a parser that is not ours."""
    head = f"Content-Type: {body.content_type}\r\n\r\n".encode()
    mail = BytesParser().parsebytes(head + b"".join(body.chunks()))
    assert mail.is_multipart()
    assert not mail.defects
    return mail.get_payload()


@pytest.fixture
def guide(tmp_path):
    path = tmp_path / "guide.pdf"
    path.write_bytes(b"%PDF-1.5\r\n" + bytes(range(256)) * 4000)
    return path


class TestTheBody:
    def test_fields_and_files_come_out_as_they_went_in(self, guide):
        body = MultipartBody(
            {"project_name": "Größe 1", "sitemap_path": None, "is_ocr_enabled": False, "is_shared": True},
            [("file", open_upload(guide)), ("file", open_upload(("notes.txt", b"hello")))],
        )
        name, ocr, shared, file, notes = parts(body)
        assert name.get_param("name", header="content-disposition") == "project_name"
        assert name.get_payload(decode=True).decode() == "Größe 1"
        assert ocr.get_payload() == "0"
        assert shared.get_payload() == "1"
        assert file.get_filename() == "guide.pdf"
        assert file.get_content_type() == "application/pdf"
        assert file.get_payload(decode=True) == guide.read_bytes()
        assert notes.get_filename() == "notes.txt"
        assert notes.get_payload(decode=True) == b"hello"

    def test_its_length_is_known_and_each_attempt_gives_the_same_bytes(self, guide):
        body = MultipartBody({"a": "b"}, [("file", open_upload(guide))])
        first = b"".join(body.chunks())
        assert len(body) == len(first)
        assert b"".join(body.chunks()) == first

    def test_without_files_it_is_one_piece(self):
        body = MultipartBody([("example_questions[0]", "Why?"), ("example_questions[1]", "How?")])
        assert len(list(body.chunks())) == 1
        assert [part.get_payload() for part in parts(body)] == ["Why?", "How?"]

    def test_an_empty_file_is_sent_as_one(self):
        (part,) = parts(MultipartBody({}, [("file", open_upload(("empty.txt", b"")))]))
        assert part.get_payload() == ""

    def test_progress_is_told_against_the_whole_body(self):
        told = []
        body = MultipartBody({"a": "b"}, on_progress=lambda sent, total: told.append((sent, total)))
        body.sent(7)
        assert told == [(7, len(body))]

    def test_a_closed_generator_closes_its_file(self, guide):
        chunks = MultipartBody({}, [("file", open_upload(guide))]).chunks()
        next(chunks)
        chunks.close()  # -W error: a file left open would be a ResourceWarning

    def test_a_big_file_is_never_in_memory(self, tmp_path):
        path = tmp_path / "big.bin"
        with path.open("wb") as file:
            file.truncate(200 * 2**20)
        body = MultipartBody({}, [("file", open_upload(path))])
        tracemalloc.start()
        try:
            sent = sum(len(chunk) for chunk in body.chunks())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sent == len(body) > 200 * 2**20
        assert peak < 2 * 2**20


class TestNames:
    @pytest.mark.parametrize(
        ("name", "written"),
        [
            ('a"b.pdf', 'filename="a%22b.pdf"'),
            ("a\r\nX-Evil: 1\r\n\r\n.pdf", 'filename="a%0D%0AX-Evil: 1%0D%0A%0D%0A.pdf"'),
            ("a\\b\0.pdf", 'filename="a%5Cb%00.pdf"'),
            ("Übersicht 報告.pdf", 'filename="Übersicht 報告.pdf"'),
            ("../../etc/passwd", 'filename="passwd"'),
        ],
    )
    def test_a_file_name_cannot_leave_its_quotes_or_its_folder(self, name, written):
        body = b"".join(MultipartBody({}, [("file", open_upload((name, b"x")))]).chunks())
        assert written.encode() in body
        assert len(body.split(b"\r\n\r\n")[0].splitlines()) == 3

    @given(name=st.text(min_size=1), field=st.text(), value=st.text())
    def test_no_name_or_value_adds_a_part_or_a_header(self, name, field, value):
        try:
            upload = open_upload((name, b"x"))
        except ConfigurationError:
            return
        body = MultipartBody({field: value}, [("file", upload)])
        raw = b"".join(body.chunks())
        boundary = b"--" + body.content_type.split("boundary=")[1].encode()
        _, first, second, end = raw.split(boundary)
        assert end == b"--\r\n"
        assert first.split(b"\r\n\r\n", 1)[0].count(b"\r\n") == 1
        assert second.split(b"\r\n\r\n", 1)[0].count(b"\r\n") == 2
        assert len(raw) == len(body)

    def test_a_name_from_a_disk_in_another_encoding_is_sent(self):
        upload = open_upload(("caf\udce9.txt", b"x"))
        assert b'filename="caf?.txt"' in b"".join(MultipartBody({}, [("file", upload)]).chunks())


class TestWhatCannotBeSent:
    def test_a_missing_file_is_named_before_any_request(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"gone\.pdf: No such file"):
            open_upload(tmp_path / "gone.pdf")

    def test_a_folder_is_no_file(self, tmp_path):
        with pytest.raises(ConfigurationError, match="not a regular file"):
            open_upload(tmp_path)

    @pytest.mark.parametrize("junk", [None, 7, ("", b"x"), ("/", b"x"), ("a", "text"), ("a",), "nul\0.pdf"])
    def test_what_is_no_file_is_refused(self, junk):
        with pytest.raises(ConfigurationError):
            open_upload(junk)

    def test_one_path_where_a_list_belongs_is_refused(self, guide):
        with pytest.raises(ConfigurationError, match="files="):
            open_uploads(str(guide))

    @pytest.mark.parametrize("change", [-1, +1])
    def test_a_file_that_changed_its_size_is_an_error_and_never_overruns(self, guide, change):
        upload = open_upload(guide)
        os.truncate(guide, upload.size + change)
        body = MultipartBody({}, [("file", upload)])
        sent = 0
        with pytest.raises(ConfigurationError, match="changed its size"):
            for chunk in body.chunks():
                sent += len(chunk)
        assert sent < len(body)

    def test_a_file_that_went_away_since_is_an_error(self, guide):
        upload = open_upload(guide)
        guide.unlink()
        with pytest.raises(ConfigurationError, match="cannot read"):
            list(MultipartBody({}, [("file", upload)]).chunks())
