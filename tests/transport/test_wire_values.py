"""Single values of the API, in every form that was captured or described."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone

import pytest

from customgpt_transport._wire.values import (
    Paginated,
    Record,
    boolean,
    citation_ids,
    integer,
    paginated,
    text,
    timestamp,
)
from customgpt_transport.errors import ProtocolError

JUNE = datetime(2023, 6, 24, 21, 40, 24, tzinfo=timezone.utc)


class TestDates:
    @pytest.mark.parametrize(
        "written",
        [
            "2023-06-24T21:40:24.000000Z",
            "2023-06-24T21:40:24Z",
            "2023-06-24T21:40:24.0Z",
            "2023-06-24 21:40:24",
            "2023-06-24T23:40:24+02:00",
            "2023-06-24T23:40:24+0200",
            " 2023-06-24T21:40:24Z ",
            "24 Jun 2023 21:40:24",
            1687642824,
            1687642824.0,
        ],
    )
    def test_every_form_gives_the_same_moment_in_utc(self, written):
        assert timestamp(written) == JUNE
        assert timedelta(0) == timestamp(written).utcoffset()

    def test_a_fraction_is_kept_to_the_microsecond(self):
        assert timestamp("2023-06-24T21:40:24.123456789Z").microsecond == 123456
        assert timestamp("2023-06-24T21:40:24.5Z").microsecond == 500000

    @pytest.mark.parametrize(
        "junk",
        [
            None,
            "",
            "yesterday",
            "2023-13-24T21:40:24Z",
            "2023-02-30 00:00:00",
            "0000-01-01 00:00:00",
            "0001-01-01T00:00:00+23:00",
            "25 Foo 2023 05:01:11",
            "２０２３-06-24 21:40:24",  # noqa: RUF001 - full-width digits are the point
            True,
            float("nan"),
            float("inf"),
            1e300,
            10**400,
            [],
            {},
        ],
    )
    def test_what_is_no_date_is_none_and_never_an_error(self, junk):
        assert timestamp(junk) is None


class TestNumbersAndBooleans:
    @pytest.mark.parametrize("written", [12, 12.0, "12", "12.0", " 12 ", "12."])
    def test_a_whole_number_is_read_however_it_is_written(self, written):
        assert integer(written) == 12

    @pytest.mark.parametrize(
        "junk", [None, True, False, "", "x", "12.5", 12.5, float("nan"), 1e300, "9" * 5000, "1_0", "١٢", []]
    )
    def test_what_is_no_whole_number_is_none(self, junk):
        assert integer(junk) is None

    @pytest.mark.parametrize("written", [True, 1, 1.0, "1", "true", "True"])
    def test_truth_is_read_however_it_is_written(self, written):
        assert boolean(written) is True

    @pytest.mark.parametrize("written", [False, 0, 0.0, "0", "false", ""])
    def test_falsehood_is_read_however_it_is_written(self, written):
        assert boolean(written) is False

    @pytest.mark.parametrize("junk", [None, 2, -1, "maybe", [], {}])
    def test_what_is_no_truth_is_none(self, junk):
        assert boolean(junk) is None


class TestCitationIds:
    @pytest.mark.parametrize(
        ("listed", "ids"),
        [
            (None, ()),
            ([], ()),
            ([16334, 16331], (16334, 16331)),
            (["16331.0", "16334"], (16331, 16334)),
            ([3.0, "2", 1, 2, "3.0"], (3, 2, 1)),
            ([{"id": "7"}, {"page_id": 8}, {"id": None, "page_id": 9}, {"title": "no id"}], (7, 8, 9)),
            ([None, "x", 1.5, True, -4, 0, [], 5, float("nan")], (5,)),
            ("12", ()),
            ({"id": 12}, ()),
        ],
    )
    def test_ids_come_as_numbers_in_order_and_once(self, listed, ids):
        assert ids == citation_ids(listed)


class TestRecord:
    def test_extra_holds_what_nobody_asked_for_and_what_could_not_be_read(self):
        record = Record({"id": "7", "created_at": "some day", "name": None, "colour": "red"}, "agent")
        assert record.require("id", integer) == 7
        assert record.take("created_at", timestamp) is None
        assert record.take("name", text) is None
        assert record.take("absent", text) is None
        assert record.extra == {"created_at": "some day", "colour": "red"}

    def test_a_missing_required_field_is_named(self):
        with pytest.raises(ProtocolError, match=r"agent.*'id'") as caught:
            Record({"name": "x"}, "agent").require("id", integer)
        assert "name" in caught.value.excerpt
        assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))

    @pytest.mark.parametrize("junk", [None, [], "x", 3])
    def test_what_is_no_object_is_a_protocol_error(self, junk):
        with pytest.raises(ProtocolError, match="agent"):
            Record(junk, "agent")


def read(row: object) -> object:
    return row


class TestPaginator:
    def test_the_next_page_is_counted_from_the_last_page(self):
        page = {"current_page": 1, "last_page": 8, "data": [{}], "total": 74, "next_page_url": "https://x/"}
        assert Paginated(({},), 2, 74) == paginated(page, "agents", read)

    def test_the_last_page_has_no_next(self):
        page = {"current_page": 8, "last_page": 8, "data": [{}], "total": 74, "next_page_url": None}
        assert paginated(page, "agents", read).next_page is None

    def test_without_counts_the_next_address_decides(self):
        page = {"current_page": "2", "data": [{}], "next_page_url": "https://x/"}
        assert paginated(page, "agents", read).next_page == 3
        assert paginated(page | {"next_page_url": None}, "agents", read).next_page is None
        assert paginated({"data": [{}]}, "agents", read).next_page is None

    def test_a_page_without_rows_is_the_last(self):
        page = {"current_page": 1, "last_page": 9, "data": []}
        assert paginated(page, "agents", read).next_page is None

    @pytest.mark.parametrize("junk", [None, "x", [], {}, {"data": None}, {"data": {}}])
    def test_what_is_no_list_is_a_protocol_error(self, junk):
        with pytest.raises(ProtocolError, match="agents"):
            paginated(junk, "agents", read)
