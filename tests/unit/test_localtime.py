from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.localtime import format_local, read_local
from queuectl.moment import format_moment, parse_moment
from queuectl.recurrence import zone_of

BERLIN = zone_of("Europe/Berlin")
NOW = 1_798_794_000.0
"""2027-01-01 10:00 in Berlin."""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-01 09:00", "2027-01-01T08:00:00.000Z"),
        ("2027-01-01T09:00", "2027-01-01T08:00:00.000Z"),
        ("2027-07-01 09:00:30", "2027-07-01T07:00:30.000Z"),
        ("2027-01-01", "2026-12-31T23:00:00.000Z"),
        ("  2027-01-01 9:00  ", "2027-01-01T08:00:00.000Z"),
        ("11:00", "2027-01-01T10:00:00.000Z"),
        ("9:00", "2027-01-02T08:00:00.000Z"),
        ("10:00", "2027-01-02T09:00:00.000Z"),
        ("2027-01-01T09:00:00Z", "2027-01-01T09:00:00.000Z"),
        ("2027-01-01 09:00+02:00", "2027-01-01T07:00:00.000Z"),
        ("2027-03-28 03:00", "2027-03-28T01:00:00.000Z"),
    ],
)
def test_what_is_understood(text: str, moment: str) -> None:
    told = read_local(text, BERLIN, NOW)
    assert (format_moment(told.moment), told.remark) == (moment, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a time such as"),
        ("tomorrow", "is not a time such as"),
        ("9", "is not a time such as"),
        ("2027-01-01 9", "is not a time such as"),
        ("2027-01-01x", "is not a time such as"),
        ("2027-02-30 09:00", "not a time that exists"),
        ("24:00", "not a time that exists"),
        ("09:60", "not a time that exists"),
        ("9999-12-31 23:59", "not a time that exists"),
        ("2027-03-28 02:30", "the clocks are put forward over it: is 03:30 meant?"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("?", r"\?")):
        read_local(text, BERLIN, NOW)


def test_of_a_time_that_comes_twice_the_first_is_meant_and_the_second_can_be_said() -> None:
    first = read_local("2027-10-31 02:30", BERLIN, NOW)
    assert format_moment(first.moment) == "2027-10-31T00:30:00.000Z"
    assert first.remark is not None
    second = read_local(first.remark.rsplit(" ", 1)[1], BERLIN, NOW)
    assert (second.moment - first.moment, second.remark) == (3600.0, None)


@pytest.mark.parametrize(
    ("now", "text", "moment"),
    [
        # In the night in which the hour comes twice: what the clock will show next.
        ("2027-10-31T00:10:00Z", "02:30", "2027-10-31T00:30:00.000Z"),
        ("2027-10-31T01:10:00Z", "02:30", "2027-10-31T01:30:00.000Z"),
        ("2027-10-31T01:40:00Z", "02:30", "2027-11-01T01:30:00.000Z"),
        # On the day without it, later.
        ("2027-03-28T01:10:00Z", "02:30", "2027-03-29T00:30:00.000Z"),
    ],
)
def test_a_time_of_day_is_the_next_that_the_clock_shows(now: str, text: str, moment: str) -> None:
    assert format_moment(read_local(text, BERLIN, parse_moment(now)).moment) == moment


def test_one_that_the_clock_leaves_out_today_is_refused_until_then() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_local("02:30", BERLIN, parse_moment("2027-03-28T00:10:00Z"))


def test_a_zone_without_a_name_is_the_machines() -> None:
    with pytest.raises(ValueError, match="does not exist in the time zone of this machine"):
        read_local("2027-03-28 02:30", _Nameless(), NOW)


class _Nameless(tzinfo):
    """As of a file that was copied to /etc/localtime."""

    def utcoffset(self, when: Optional[datetime]) -> Optional[timedelta]:
        return None if when is None else when.replace(tzinfo=BERLIN).utcoffset()

    def dst(self, when: Optional[datetime]) -> Optional[timedelta]:
        return None if when is None else when.replace(tzinfo=BERLIN).dst()

    def fromutc(self, when: datetime) -> datetime:
        return BERLIN.fromutc(when.replace(tzinfo=BERLIN)).replace(tzinfo=self)

    def __str__(self) -> str:
        return "local"


def test_a_moment_is_shown_by_the_clock_of_the_zone() -> None:
    assert format_local(NOW, BERLIN) == "2027-01-01 10:00:00 CET"
    assert format_local(1e18, BERLIN), "whatever a file says"


@given(st.text(alphabet="0123456789-: TZ+", max_size=25) | st.text(max_size=10))
def test_whatever_is_written_is_a_moment_or_told(text: str) -> None:
    try:
        told = read_local(text, BERLIN, NOW)
    except ValueError:
        return
    assert format_moment(told.moment)
