"""Numbers for a period, from the records."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from queuectl.errors import InvalidInput
from queuectl.index import lately
from queuectl.job import HISTORY_LIMIT
from queuectl.moment import format_moment, parse_moment
from queuectl.queue import stats
from queuectl.spool import Spool
from queuectl.state import State
from tests.support.spools import START, Desk, failing

HOUR = 3600.0


def run(began: float, took: float = 10.0, outcome: str = "completed") -> dict[str, Any]:
    return {
        "outcome": outcome,
        "attempt": 1,
        "started_at": format_moment(START - began),
        "finished_at": format_moment(START - began + took),
    }


def put(desk: Desk, job_id: str, *runs: dict[str, Any], folder: str = "done", **fields: Any) -> None:
    fields.setdefault("updated_at", runs[-1]["finished_at"] if runs else format_moment(START))
    created = {"created_at": format_moment(START - 3 * HOUR)}
    state = "completed" if folder == "done" else folder
    desk.put_job(folder, job_id, **{"state": state, "history": list(runs), **created, **fields})


def test_what_ended_and_how_it_went(desk: Desk) -> None:
    put(desk, "a", run(HOUR, 5.0), created_at=format_moment(START - HOUR - 2))
    put(desk, "b", run(HOUR, 7.0, "failed"), run(600, 1.0))
    put(desk, "c", run(60, 30.0, "timeout"), folder="dead")
    put(desk, "old", run(48 * HOUR))
    put(desk, "waits", run(120, 3.0, "failed"), folder="failed")
    desk.add("never")
    told = desk.queue.stats(2 * HOUR)
    assert (told["since"], told["until"]) == (format_moment(START - 2 * HOUR), format_moment(START))
    assert (told["ended"], told["completed"], told["dead"], told["per_hour"]) == (3, 2, 1, 1.5)
    assert (told["runs"], told["failed_runs"], told["failure_rate"], told["retries"]) == (5, 3, 0.6, 1)
    assert told["running"] == {"p50": 5, "p90": 30, "p99": 30, "max": 30}
    assert (told["waiting"]["p50"], told["waiting"]["max"]) == (7200, 10740), "a second run has not waited"
    assert sum(bar["completed"] + bar["dead"] for bar in told["bars"]) == 3
    assert (told["unread"], told["by"], told["each"]) == (0, None, [])


def test_runs_of_before_do_not_count_nor_do_those_that_never_were(desk: Desk) -> None:
    put(desk, "a", run(48 * HOUR, 5.0, "failed"), run(60, 1.0))
    put(desk, "skipped", {"outcome": "skipped", "finished_at": format_moment(START)})
    put(desk, "cancelled", folder="dead")
    put(desk, "stopped", run(60, 2.0, "cancelled"), folder="dead")
    told = desk.queue.stats(HOUR)
    assert (told["ended"], told["runs"], told["failed_runs"], told["retries"]) == (4, 2, 0, 1)


def test_a_crash_is_a_run_that_failed_of_which_nobody_knows_how_long_it_took(desk: Desk) -> None:
    put(desk, "a", {"outcome": "crashed", "finished_at": format_moment(START)}, folder="dead")
    told = desk.queue.stats(HOUR)
    assert (told["runs"], told["failed_runs"]) == (1, 1)
    assert (told["waiting"]["max"], told["running"]["max"]) == (None, None)


def test_where_the_history_is_cut_nobody_knows_the_first_run(desk: Desk) -> None:
    put(desk, "a", *(run(60, 1.0) for _ in range(HISTORY_LIMIT)))
    told = desk.queue.stats(HOUR)
    assert (told["runs"], told["retries"]) == (HISTORY_LIMIT, HISTORY_LIMIT)
    assert told["waiting"]["max"] is None


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("group", {"g": 2, None: 1}),
        ("tag", {"s": 1, "t": 2, None: 1}),
        ("state", {"completed": 2, "dead": 1}),
        (
            "hour",
            {
                "2027-01-15T05:00:00.000Z": 0,
                "2027-01-15T06:00:00.000Z": 1,
                "2027-01-15T07:00:00.000Z": 2,
                "2027-01-15T08:00:00.000Z": 0,
            },
        ),
        ("day", {"2027-01-15T00:00:00.000Z": 3}),
    ],
)
def test_they_are_told_apart(desk: Desk, by: str, keys: dict[Any, int]) -> None:
    put(desk, "a", run(90 * 60.0), group="g", tags=["t", "s"])
    put(desk, "b", run(60, 1.0), group="g", tags=["t"])
    put(desk, "c", run(60, 1.0, "failed"), folder="dead")
    told = desk.queue.stats(3 * HOUR, by=by)
    assert {one["key"]: one["ended"] for one in told["each"]} == keys
    assert {one["key"]: one["runs"] for one in told["each"]} == keys
    assert [one["key"] for one in told["each"]] == list(keys), "none comes last"


@pytest.mark.parametrize(
    ("zone", "day", "hour"),
    [
        ("Asia/Kolkata", "2027-01-14T18:30:00.000Z", "2027-01-15T06:30:00.000Z"),
        ("America/New_York", "2027-01-15T05:00:00.000Z", "2027-01-15T07:00:00.000Z"),
    ],
)
def test_days_and_hours_are_those_of_a_clock(desk: Desk, zone: str, day: str, hour: str) -> None:
    put(desk, "a", run(45 * 60.0))
    for by, key in (("day", day), ("hour", hour)):
        each = desk.queue.stats(24 * HOUR, by=by, zone=ZoneInfo(zone))["each"]
        assert [one["key"] for one in each if one["ended"]] == [key]


NIGHTS = {
    "New York": ("America/New_York", "2026-11-01", [4, 5, 6, 7], [1, 1, 1, 1], 25),
    "New York, forward": ("America/New_York", "2026-03-08", [6, 7], [1, 1], 23),
    # 01:00 to 02:00, and once more from 01:30.
    "Lord Howe": ("Australia/Lord_Howe", "2026-04-05", [-10, -9, -8.5], [1, 0.5, 1], 24.5),
}


@pytest.mark.parametrize(("zone", "date", "hours", "lengths", "day"), NIGHTS.values(), ids=NIGHTS)
def test_hours_and_days_are_as_long_as_they_are(
    desk: Desk, zone: str, date: str, hours: list[float], lengths: list[float], day: float
) -> None:
    """Of the night in which the clock is put back the hour that it shows twice is two."""
    midnight = parse_moment(f"{date}T00:00:00Z")
    desk.clock.time = midnight + 30 * HOUR
    for number, hour in enumerate(hours):
        put(desk, f"j{number}", updated_at=format_moment(midnight + hour * HOUR + 60))
    told = desk.queue.stats(3 * 24 * HOUR, by="hour", zone=ZoneInfo(zone))
    met = [one for one in told["each"] if one["ended"]]
    assert [one["key"] for one in met] == [format_moment(midnight + hour * HOUR) for hour in hours]
    assert [one["per_hour"] for one in met] == [1 / length for length in lengths]
    told = desk.queue.stats(3 * 24 * HOUR, by="day", zone=ZoneInfo(zone))
    assert [one["per_hour"] for one in told["each"] if one["ended"]] == [round(len(hours) / day, 3)]
    assert len(told["each"]) == 4, "those on which nothing happened are told, too"


def test_of_a_long_time_only_the_hours_that_had_something_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "MOST_FILLED", 2)
    put(desk, "a", run(45 * 60.0))
    assert len(desk.queue.stats(2 * HOUR, by="hour")["each"]) == 3
    (one,) = desk.queue.stats(3 * HOUR, by="hour")["each"]
    assert (one["key"], one["per_hour"]) == ("2027-01-15T07:00:00.000Z", 1)


def test_what_really_ran(desk: Desk) -> None:
    desk.add("a", max_retries=1, backoff_base=0)
    desk.clock.advance(5)
    desk.run_once(failing(desk.clock))
    desk.clock.advance(5)
    desk.run_once(failing(desk.clock))
    told = desk.queue.stats(HOUR)
    assert (told["dead"], told["runs"], told["failed_runs"], told["retries"]) == (1, 2, 2, 1)
    assert told["waiting"]["max"] == 5


def test_a_record_that_another_program_wrote_is_read(desk: Desk) -> None:
    put(desk, "a", run(60, 1.0))
    put(desk, "b", run(60, 1.0))
    desk.queue.refresh()
    path = desk.path("done", "a.json")
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    told = desk.queue.stats(HOUR)
    assert (told["ended"], told["runs"], told["unread"]) == (2, 2, 0)


def test_pieces_make_a_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lately, "_PIECE", 2)
    monkeypatch.setattr(stats, "TOLD_EVERY", 3)
    for number in range(7):
        # Some of one moment.
        put(desk, f"j{number}", run(60.0 + number // 3, 1.0))
    seen: list[tuple[int, int]] = []
    told = desk.queue.stats(HOUR, told=lambda count, total: seen.append((count, total)))
    assert (told["ended"], told["runs"]) == (7, 7)
    assert seen == [(0, 7), (3, 7), (6, 7)]


def test_the_index_is_asked_by_the_time_of_the_change(desk: Desk) -> None:
    """Else the numbers of an hour would take as long as there are jobs."""
    asked: list[str] = []
    connection = desk.store.index._sql
    connection.set_trace_callback(asked.append)
    desk.queue.stats(HOUR)
    connection.set_trace_callback(None)
    plans = [
        row[3]
        for query in asked
        if "updated_at" in query and query.startswith("SELECT")
        for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")
    ]
    assert len(plans) == 20
    assert all("jobs_state (state=? AND " in plan for plan in plans), plans


@pytest.mark.parametrize(
    ("seconds", "by"),
    [
        (HOUR, "colour"),
        (0.0, None),
        (-1.0, None),
        (float("inf"), None),
        (float("nan"), None),
        (-float("inf"), None),
    ],
)
def test_what_makes_no_sense_is_refused(desk: Desk, seconds: float, by: Any) -> None:
    with pytest.raises(InvalidInput):
        desk.queue.stats(seconds, by=by)


@pytest.mark.parametrize("by", [None, "hour", "day"])
def test_a_time_may_be_longer_than_any_calendar(desk: Desk, by: Any) -> None:
    put(desk, "a", run(60, 1.0))
    assert desk.queue.stats(1e15, by=by, zone=ZoneInfo("Asia/Kolkata"))["ended"] == 1


def test_what_ends_later_than_now_is_not_counted(desk: Desk) -> None:
    """By a clock that was put back since, or another machine's."""
    put(desk, "a", run(60, 1.0), run(-60, 1.0))
    put(desk, "b", run(60, 1.0))
    told = desk.queue.stats(HOUR)
    assert (told["ended"], told["runs"]) == (1, 2)


def test_one_that_ends_while_it_is_counted_is_counted_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(desk, "a", run(60, 1.0, "failed"), folder="failed")
    changed = lately.Lately.changed

    def and_end(self: lately.Lately, since: float) -> Iterator[lately.Changed]:
        for row in changed(self, since):
            yield row
            yield row._replace(state=State.COMPLETED)

    monkeypatch.setattr(lately.Lately, "changed", and_end)
    told = desk.queue.stats(HOUR)
    assert (told["runs"], told["ended"]) == (1, 0)


def test_a_tag_that_is_there_twice_counts_once(desk: Desk) -> None:
    put(desk, "a", run(60, 1.0), tags=["t", "t"])
    (one,) = desk.queue.stats(HOUR, by="tag")["each"]
    assert (one["key"], one["ended"], one["runs"]) == ("t", 1, 1)


def test_a_run_after_none_is_the_first(desk: Desk) -> None:
    """It was done without one, and somebody has retried it."""
    none = {"outcome": "skipped", "finished_at": format_moment(START - 120)}
    put(desk, "a", none, run(60, 1.0), created_at=format_moment(START - 90))
    told = desk.queue.stats(HOUR)
    assert (told["runs"], told["retries"], told["waiting"]["max"]) == (1, 0, 30)


def test_some_jobs_only(desk: Desk) -> None:
    put(desk, "a", run(60, 1.0), group="g", tags=["t", "s"])
    put(desk, "b", run(60, 1.0, "failed"), group="g", folder="dead")
    put(desk, "c", run(60, 1.0), tags=["t"])
    for options, numbers in (
        ({"group": "g"}, (2, 2, 1)),
        ({"tag": "t"}, (2, 2, 0)),
        ({"group": "g", "tag": "t"}, (1, 1, 0)),
        ({"group": "nope"}, (0, 0, 0)),
    ):
        told = desk.queue.stats(HOUR, **options)
        assert (told["ended"], told["runs"], told["failed_runs"]) == numbers
        assert sum(bar["failed_runs"] for bar in told["bars"]) == numbers[2]


class TestWhatDoesNotSayWhen:
    def old(self, path: Path, age: float) -> None:
        os.utime(path, (START - age, START - age))

    def test_ended_when_its_file_was_written(self, desk: Desk) -> None:
        for job_id, age in (("a", 60), ("b", 2 * HOUR)):
            self.old(desk.drop(f"{job_id}.json", {"command": "x"}, "done"), age)
        assert (desk.queue.stats(HOUR)["ended"], desk.queue.stats(3 * HOUR)["ended"]) == (1, 2)

    def test_is_told_where_it_could_not_be_read(self, desk: Desk) -> None:
        for job_id, age in (("a", 60), ("b", 2 * HOUR)):
            self.old(desk.drop(f"{job_id}.json", b"{", "done"), age)
        told = desk.queue.stats(HOUR)
        assert (told["unread"], told["ended"]) == (1, 0)
        assert desk.queue.stats(3 * HOUR)["unread"] == 2

    def test_one_that_cannot_be_read_just_now_is_told(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(desk, "a", run(60, 1.0))
        desk.queue.refresh()

        def refuse(spool: Spool, *given: Any, **options: Any) -> None:
            raise PermissionError(13, "held by somebody")

        monkeypatch.setattr(Spool, "read_bytes", refuse)
        told = desk.queue.stats(HOUR)
        assert (told["unread"], told["ended"], told["runs"]) == (1, 1, 0)

    def test_is_read_piece_by_piece(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lately, "_PIECE", 2)
        for number in range(5):
            self.old(desk.drop(f"j{number}.json", {"command": "x"}, "done"), 60)
        assert desk.queue.stats(HOUR)["ended"] == 5
