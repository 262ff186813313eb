"""Numbers of many jobs, and their chart."""

from __future__ import annotations

from datetime import timezone
from zoneinfo import ZoneInfo

import pytest

from queuectl.cli.chart import Bar, bars, legend
from queuectl.moment import parse_moment
from queuectl.tally import MOST_BARS, Bars, Tally, percentiles

MIDNIGHT = parse_moment("2027-01-15T00:00:00Z")
HOUR, DAY = 3600.0, 86400.0


class TestPercentiles:
    def test_are_numbers_that_were_met(self) -> None:
        numbers = [float(number) for number in range(100, 0, -1)]
        assert percentiles(numbers) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}

    def test_of_one_and_of_none(self) -> None:
        assert set(percentiles([1.23456]).values()) == {1.235}
        assert set(percentiles([]).values()) == {None}


class TestATally:
    def test_counts_ends_and_runs(self) -> None:
        tally = Tally()
        tally.note_end(dead=False)
        tally.note_end(dead=True)
        tally.note_run(failed=True, again=False, waited=2.0, ran=4.0)
        tally.note_run(failed=False, again=True, waited=None, ran=6.0)
        told = tally.data(4.0)
        assert (told["ended"], told["completed"], told["dead"], told["per_hour"]) == (2, 1, 1, 0.5)
        assert (told["runs"], told["failed_runs"], told["failure_rate"], told["retries"]) == (2, 1, 0.5, 1)
        assert (told["waiting"]["max"], told["running"]["p50"], told["running"]["max"]) == (2, 4, 6)

    def test_a_rate_is_told_however_small(self) -> None:
        tally = Tally()
        for number in range(100_000):
            tally.note_run(failed=number < 3, again=False, waited=None, ran=None)
        assert tally.data(1.0)["failure_rate"] == 3 / 100_000

    def test_of_no_run_there_is_no_rate(self) -> None:
        assert Tally().data(1.0)["failure_rate"] is None

    def test_a_clock_that_was_put_back_makes_nothing_less_than_no_time(self) -> None:
        tally = Tally()
        tally.note_run(failed=False, again=False, waited=-5.0, ran=-1.0)
        assert (tally.data(1.0)["waiting"]["max"], tally.data(1.0)["running"]["max"]) == (0, 0)


class TestBars:
    def test_an_hour_each_for_a_day(self) -> None:
        made = Bars(MIDNIGHT - DAY, MIDNIGHT, timezone.utc)
        made.note_end(MIDNIGHT - DAY, dead=False)
        made.note_end(MIDNIGHT - 1, dead=True)
        made.note_run(MIDNIGHT - 1, failed=True)
        made.note_run(MIDNIGHT - 2, failed=False)
        told = made.data()
        nothing = {"completed": 0, "dead": 0, "runs": 0, "failed_runs": 0}
        assert (made.step, len(told)) == (HOUR, 25)
        assert told[0] == {**nothing, "at": "2027-01-14T00:00:00.000Z", "completed": 1}
        assert told[1] == {**nothing, "at": "2027-01-14T01:00:00.000Z"}
        assert told[23] == {
            "at": "2027-01-14T23:00:00.000Z",
            "completed": 0,
            "dead": 1,
            "runs": 2,
            "failed_runs": 1,
        }

    @pytest.mark.parametrize("length", [1.0, 59.0, HOUR, 7 * DAY, 30 * DAY, 400 * DAY, 1e9])
    def test_are_few_however_long_the_time(self, length: float) -> None:
        made = Bars(MIDNIGHT - length, MIDNIGHT, timezone.utc)
        made.note_end(MIDNIGHT, dead=False)
        made.note_end(MIDNIGHT - length, dead=False)
        told = made.data()
        assert len(told) <= MOST_BARS + 1
        assert sum(bar["completed"] for bar in told) == 2
        assert (told[0]["completed"], told[-1]["completed"]) == ((1, 1) if len(told) > 1 else (2, 2))

    @pytest.mark.parametrize(
        ("days", "first", "second"),
        [
            (1, "2027-01-13T18:30:00.000Z", "2027-01-13T19:30:00.000Z"),
            (2, "2027-01-12T18:30:00.000Z", "2027-01-12T20:30:00.000Z"),
            (7, "2027-01-07T18:30:00.000Z", "2027-01-08T00:30:00.000Z"),
            (30, "2026-12-15T18:30:00.000Z", "2026-12-16T18:30:00.000Z"),
            (100, "2026-10-04T18:30:00.000Z", "2026-10-11T18:30:00.000Z"),
        ],
    )
    def test_begin_at_hours_and_days_of_a_clock(self, days: int, first: str, second: str) -> None:
        """Midnight in Kolkata, where it is half past; a week begins on a Monday."""
        until = parse_moment("2027-01-15T00:00:00+05:30")
        told = Bars(until - days * DAY, until, ZoneInfo("Asia/Kolkata")).data()
        assert [told[0]["at"], told[1]["at"]] == [first, second]


class TestAChart:
    def test_goes_by_eighths(self) -> None:
        rows = [Bar("a", 8), Bar("bb", 1), Bar("c", 0)]
        assert bars(rows, 15, "utf-8") == ["a   8  ████████", "bb  1  █", "c   0"]
        assert bars([Bar("a", 16), Bar("b", 1)], 15, "utf-8") == ["a  16  ████████", "b   1  ▌"]

    def test_what_is_next_to_nothing_is_seen(self) -> None:
        assert bars([Bar("a", 1000), Bar("b", 1)], 30, "utf-8")[1].endswith("▏")
        assert bars([Bar("a", 1000), Bar("b", 1)], 30, "ascii")[1].endswith("#")

    def test_what_failed_is_its_own_part(self) -> None:
        rows = [Bar("a", 6, 2, "5 %"), Bar("b", 0, 1, "12 %"), Bar("c", 4)]
        assert bars(rows, 22, "utf-8") == ["a  8   5 %  ████████▒▒", "b  1  12 %  ▒", "c  4        █████"]
        assert bars(rows, 22, "ascii") == ["a  8   5 %  ########xx", "b  1  12 %  x", "c  4        #####"]
        assert legend("utf-8") == ("█", "▒")
        assert legend("ascii") == ("#", "x")

    @pytest.mark.parametrize(("good", "bad"), [(1000, 1), (1, 1000)])
    def test_each_part_is_seen(self, good: int, bad: int) -> None:
        (line,) = bars([Bar("a", good, bad)], 29, "utf-8")
        assert len(line) == 29
        assert line.count("█" if good == 1 else "▒") == 1

    @pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "no such encoding"])
    def test_is_plain_where_blocks_cannot_be_shown(self, encoding: str) -> None:
        assert bars([Bar("a", 2), Bar("b", 1)], 11, encoding) == ["a  2  #####", "b  1  " + "#" * 2]

    def test_has_room_for_something_on_a_narrow_terminal(self) -> None:
        assert bars([Bar("2027-01-15 00:00", 3)], 5, "utf-8") == ["2027-01-15 00:00  3  ██"]
        assert bars([], 80, "utf-8") == []
