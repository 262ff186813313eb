from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.recurrence import (
    NICKNAMES,
    Recurrence,
    expression_problem,
    latest_moments,
    moments,
    next_moment,
    next_moments,
    zone_of,
)

BERLIN = "Europe/Berlin"
FORWARD = (2027, 3, 28)
"""02:00 CET becomes 03:00 CEST."""
BACK = (2027, 10, 31)
"""03:00 CEST becomes 02:00 CET."""


def at(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone_of(zone), fold=fold).timestamp()


def shown(found: list[float], zone: str = BERLIN) -> list[str]:
    return [f"{datetime.fromtimestamp(one, zone_of(zone)):%m-%d %H:%M %Z}" for one in found]


def cron(expression: str, zone: str = BERLIN) -> Recurrence:
    return Recurrence(expression, None, zone_of(zone))


def every(seconds: float, begin: float = 0.0, end: Optional[float] = None) -> Recurrence:
    return Recurrence(None, seconds, begin=begin, end=end)


class TestAsTheClocksChange:
    """What docs/schedules.md says of it."""

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            # At a time of day: none is lost, none runs twice.
            ("30 2 * * *", ["03-28 03:00 CEST", "03-29 02:30 CEST"]),
            ("0 3 * * *", ["03-28 03:00 CEST", "03-29 03:00 CEST"]),
            # By elapsed time: what is left out is left out.
            ("*/30 2 * * *", ["03-29 02:00 CEST", "03-29 02:30 CEST"]),
            ("15 * * * *", ["03-28 00:15 CET", "03-28 01:15 CET", "03-28 03:15 CEST"]),
        ],
    )
    def test_forward(self, expression: str, expected: list[str]) -> None:
        begin = at("2027-03-28 00:00", BERLIN)
        assert shown(next_moments(cron(expression), begin, len(expected))) == expected

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("30 2 * * *", ["10-31 02:30 CEST", "11-01 02:30 CET"]),
            ("0 3 * * *", ["10-31 03:00 CET", "11-01 03:00 CET"]),
            ("15 * * * *", ["10-31 01:15 CEST", "10-31 02:15 CEST", "10-31 02:15 CET", "10-31 03:15 CET"]),
        ],
    )
    def test_back(self, expression: str, expected: list[str]) -> None:
        begin = at("2027-10-31 01:00", BERLIN)
        assert shown(next_moments(cron(expression), begin, len(expected))) == expected

    def test_who_asks_within_the_second_of_two_equal_hours_is_told_of_none_that_has_passed(self) -> None:
        second = at("2027-10-31 02:10", BERLIN, fold=1)
        assert shown([next_moment(cron("30 2 * * *"), second) or 0]) == ["11-01 02:30 CET"]

    def test_an_interval_goes_by_elapsed_time(self) -> None:
        begin = at("2027-03-27 12:00", BERLIN)
        found = next_moments(every(86400.0, begin), begin, 2)
        assert shown(found) == ["03-28 13:00 CEST", "03-29 13:00 CEST"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * MON#2", ["02-08 09:00 CET", "03-08 09:00 CET"]),
        ("0 9 L * *", ["01-31 09:00 CET", "02-28 09:00 CET"]),
        ("0 9 * JAN 0", ["01-17 09:00 CET", "01-24 09:00 CET"]),
        ("0 9 * JAN 7", ["01-17 09:00 CET", "01-24 09:00 CET"]),
        # Both days are given: either will do, unless one begins with a star.
        ("0 9 20 * 0", ["01-17 09:00 CET", "01-20 09:00 CET"]),
        ("0 9 */10 * 0", ["01-31 09:00 CET", "02-21 09:00 CET"]),
    ],
)
def test_what_is_known_besides_numbers(expression: str, expected: list[str]) -> None:
    assert expression_problem(expression) is None
    begin = at("2027-01-15 12:00")
    assert shown(next_moments(cron(expression), begin, 2)) == expected


@pytest.mark.parametrize("nickname", NICKNAMES)
def test_a_nickname_is_what_it_stands_for(nickname: str) -> None:
    begin = at("2027-01-01 00:30")
    assert expression_problem(nickname.upper()) is None
    assert next_moments(cron(nickname.upper()), begin, 3) == next_moments(cron(NICKNAMES[nickname]), begin, 3)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 0 0 * * *", "five fields"),
        ("@often", "five fields"),
        ("61 * * * *", "bad minute"),
        ("0 25 * * *", "bad hour"),
        ("0 0 32 * *", "bad day-of-month"),
        ("0 0 * * FOO", "bad day-of-week"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("\x00 * * * *", "bad minute"),
    ],
)
def test_what_is_no_expression_is_told(expression: str, told: str) -> None:
    assert told in (expression_problem(expression) or "")


@given(st.text(alphabet="0123456789*/,-L# @W", max_size=20) | st.text(max_size=12))
def test_whatever_is_written_is_an_expression_or_told(text: str) -> None:
    problem = expression_problem(text)
    assert problem is None or repr(text) in problem


def test_no_zone_of_that_name() -> None:
    for name in ("Mars/Olympus", "Europe", "../../etc/passwd", "", "\x00", "a" * 5000):
        with pytest.raises(ValueError, match="no time zone"):
            zone_of(name)


class TestBetweenBeginAndEnd:
    def test_nothing_comes_before_it_begins_and_that_moment_counts(self) -> None:
        begin = at("2027-01-02 03:00")
        for one in (Recurrence("0 3 * * *", None, begin=begin), every(86400.0, begin)):
            assert next_moments(one, 0.0, 2) == [begin, begin + 86400]

    def test_nor_after_it_ends(self) -> None:
        begin = at("2027-01-02 03:00")
        one = Recurrence("0 3 * * *", None, begin=begin, end=begin + 86400)
        assert next_moments(one, 0.0, 9) == [begin, begin + 86400]
        assert next_moment(one, begin + 86400) is None

    def test_no_calendar_goes_on_for_ever(self) -> None:
        assert next_moment(cron("0 0 1 1 *", "UTC"), 1e18) is None


EXPRESSIONS = ("*/7 * * * *", "30 2 * * *", "0 */5 * * 1-5", "0 0 29 2 *", "5 4 L * *", "0 1,2,3 * * *")
ZONES = ("UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu")
some_moment = st.floats(at("2020-01-01"), at("2032-01-01"))


def recurrences() -> st.SearchStrategy[Recurrence]:
    crons = st.builds(cron, st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES))
    begins = st.integers(1_500_000_000, 1_900_000_000)
    ends = st.none() | st.integers(1_500_000_000, 1_900_000_000)
    intervals = st.integers(1_000, 10**9).map(lambda ms: ms / 1000)
    return crons | st.builds(every, intervals, begins, ends)


@given(recurrences(), some_moment)
def test_moments_rise_and_are_after_what_was_asked(recurrence: Recurrence, after: float) -> None:
    found = next_moments(recurrence, after, 20)
    assert all(one < two for one, two in zip([after, *found], found))


@given(recurrences(), some_moment, st.integers(0, 15))
def test_whoever_goes_on_from_a_moment_meets_the_same_ones(
    recurrence: Recurrence, after: float, cut: int
) -> None:
    found = next_moments(recurrence, after, 20)
    if cut < len(found):
        assert next_moments(recurrence, found[cut], len(found) - cut - 1) == found[cut + 1 :]


@given(recurrences(), some_moment, st.integers(1, 30), st.integers(1, 12))
def test_the_latest_are_the_end_of_all(recurrence: Recurrence, after: float, count: int, most: int) -> None:
    found = next_moments(recurrence, after, count)
    until = found[-1] if found else after + 1
    assert latest_moments(recurrence, after, until, most) == found[-most:]
    if recurrence.end is not None and next_moment(recurrence, until) is None:
        assert latest_moments(recurrence, after, until + 1e6, most) == found[-most:]
    assert latest_moments(recurrence, until, until, most) == []


def test_the_latest_of_one_that_ended_long_ago_are_its_last() -> None:
    minutely = every(60.0, 0.0, 600.0)
    assert latest_moments(minutely, 0.0, 1e9, 3) == [480.0, 540.0, 600.0]
    assert latest_moments(minutely, 600.0, 1e9, 3) == []


def test_the_latest_of_many_years_are_found_without_going_through_all() -> None:
    now = at("2027-01-15 08:00")
    minutely = cron("* * * * *", "UTC")
    assert latest_moments(minutely, 0.0, now, 3) == [now - 120, now - 60, now]
    seconds = every(1.0)
    assert latest_moments(seconds, 0.0, now, 2) == [now - 1, now]


def by_definition(expression: str, begin: datetime, count: int) -> list[float]:
    """Minutes, each asked whether it fits; in UTC, of `minute hour * * *`."""
    minute, hour = expression.split()[:2]
    fits: Optional[datetime] = begin.replace(second=0, microsecond=0) + timedelta(minutes=1)
    found: list[float] = []
    while len(found) < count:
        assert fits is not None
        if fits.minute == int(minute) and (hour == "*" or fits.hour == int(hour)):
            found.append(fits.timestamp())
        fits += timedelta(minutes=1)
    return found


@pytest.mark.parametrize("expression", ["5 * * * *", "30 2 * * *", "59 23 * * *", "0 0 * * *"])
def test_they_are_those_of_the_definition(expression: str) -> None:
    begin = datetime(2027, 1, 14, 23, 59, 30, tzinfo=timezone.utc)
    found = list(islice(moments(cron(expression, "UTC"), begin.timestamp()), 3))
    assert found == by_definition(expression, begin, 3)
