from __future__ import annotations

import pytest

from queuectl.moment import (
    format_duration,
    format_microseconds,
    format_moment,
    parse_duration,
    parse_moment,
    read_moment,
)

NINE = 1_798_794_000.0  # 2027-01-01T09:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-01T09:00:00Z",
        "2027-01-01t09:00:00z",
        "2027-01-01 09:00:00Z",
        "2027-01-01T09:00:00+00:00",
        "2027-01-01T09:00:00-00:00",
        "2027-01-01T10:00:00+01:00",
        "2026-12-31T23:30:00-09:30",
        "2027-01-01T09:00:00.000Z",
        "2027-01-01T09:00:00.0000000Z",
    ],
)
def test_one_moment_in_many_spellings(text: str) -> None:
    assert parse_moment(text) == NINE


@pytest.mark.parametrize(
    ("fraction", "seconds"), [(".5", 0.5), (".123", 0.123), (".1234567", 0.1234567), (".000000001", 1e-9)]
)
def test_a_fraction_of_a_second(fraction: str, seconds: float) -> None:
    assert parse_moment(f"2027-01-01T09:00:00{fraction}Z") == pytest.approx(NINE + seconds, abs=1e-6)


@pytest.mark.parametrize("text", ["2027-01-01T09:00:00", "2027-01-01 09:00:00", "2027-01-01T09:00:00.5"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no time zone; end it with Z"):
        parse_moment(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2027-01-01",
        "09:00:00Z",
        "2027-1-1T9:00:00Z",
        "2027-01-01T09:00Z",
        "2027-01-01T09:00:00+0100",
        "2027-01-01T09:00:00Z ",
        "2027-01-01T09:00:00Z\n",
        "1798794000",
        "٢٠٢٧-01-01T09:00:00Z",
    ],
)
def test_what_is_not_rfc_3339_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2027-01-01T09:00:00Z"):
        parse_moment(text)


@pytest.mark.parametrize(
    "text",
    [
        "2027-02-30T09:00:00Z",
        "2027-13-01T09:00:00Z",
        "2027-01-01T24:00:01Z",
        "2027-01-01T09:60:00Z",
        "2027-01-01T09:00:00+99:00",
        "0000-01-01T00:00:00Z",
    ],
)
def test_a_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a time that exists"):
        parse_moment(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_the_ends_of_the_calendar_do_not_overflow(text: str) -> None:
    assert isinstance(parse_moment(text), float)


def test_a_moment_is_written_in_utc_with_milliseconds() -> None:
    assert format_moment(NINE + 0.1234) == "2027-01-01T09:00:00.123Z"
    assert format_microseconds(1_798_794_000_123_457) == "2027-01-01T09:00:00.123457Z"


@pytest.mark.parametrize("early", [0.0001, 0.0005, 0.0009])
def test_a_moment_is_never_written_later_than_it_is(early: float) -> None:
    # What is due now must not become due half a millisecond later.
    assert format_moment(NINE - early) == "2027-01-01T08:59:59.999Z"


def test_a_whole_millisecond_is_written_as_it_is() -> None:
    written = [format_moment(NINE + milliseconds / 1000) for milliseconds in range(1000)]
    assert written == [f"2027-01-01T09:00:00.{milliseconds:03}Z" for milliseconds in range(1000)]


@pytest.mark.parametrize("seconds", [-86400.0, -11_644_473_600.0, 1e12, -1e12])
def test_the_time_of_a_file_with_an_absurd_date_can_still_be_written(seconds: float) -> None:
    # A zip of unknown age unpacks to 1601 on Windows, a broken clock or a `touch` gives the year 33658.
    assert format_moment(seconds).endswith("Z")


@pytest.mark.parametrize("text", [None, "", "soon", "2027-02-30T00:00:00Z"])
def test_other_tools_times_are_read_where_there_is_one_to_understand(text: str) -> None:
    assert read_moment(text) is None


def test_other_tools_times_without_a_zone_are_taken_as_utc() -> None:
    assert read_moment("2027-01-01T09:00:00") == NINE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("10m", 600),
        ("2h30m", 9000),
        ("1d", 86400),
        ("1D", 86400),
        (" 5 s ", 5),
        ("0", 0),
        ("1h30", 3630),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "s", "-5", "1e3", "5 5", "5x", "5s,", "1.5.5", "٣s", "inf", "nan", "5m-"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 90, 1\.5s, 10m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (0.44, "0.4 s"),
        (12.3, "12 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_duration_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
