"""Numbers for a period, from the records."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from queuectl.errors import InvalidInput
from queuectl.index import lately
from queuectl.job import HISTORY_LIMIT
from queuectl.moment import format_moment
from queuectl.queue import stats
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
        ("hour", {"2027-01-15T06:00:00.000Z": 1, "2027-01-15T07:00:00.000Z": 2}),
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
        (one,) = desk.queue.stats(24 * HOUR, by=by, zone=ZoneInfo(zone))["each"]
        assert one["key"] == key


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
    assert len(plans) == 10
    assert all("jobs_state (state=? AND " in plan for plan in plans), plans


@pytest.mark.parametrize(("seconds", "by"), [(HOUR, "colour"), (0.0, None), (-1.0, None)])
def test_what_makes_no_sense_is_refused(desk: Desk, seconds: float, by: Any) -> None:
    with pytest.raises(InvalidInput):
        desk.queue.stats(seconds, by=by)
