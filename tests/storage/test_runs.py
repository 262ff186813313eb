"""The numbers of runs: each is counted once, by whoever records it, and they outlive the records."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from queuectl.index import Index
from queuectl.index.runs import Runs
from queuectl.job import Run
from queuectl.measures import UNKNOWN, Measured, bound_of
from queuectl.moment import format_moment
from queuectl.queue.claims import claim
from queuectl.queue.recovery import recover
from queuectl.queue.settling import End, settle_together
from queuectl.retry import Decision
from queuectl.runner import COMPLETED
from queuectl.state import State
from tests.support.spools import Desk, during, failing, interrupted, succeeding

MINUTE = 60.0
NOW = 1_800_000_000.0 // 86400 * 86400 + 43200


@pytest.fixture
def index(tmp_path: Path) -> Any:
    made = Index(str(tmp_path / "index.sqlite3"), str(tmp_path / "claim.lock"))
    yield made
    made.close()


def one(outcome: str = COMPLETED, **changes: Any) -> Measured:
    return Measured(None, outcome, False, False, 1.0, 2.0)._replace(**changes)


def table(index: Index) -> list[Any]:
    return index.runs.connection.execute("SELECT part, what, count FROM runs ORDER BY 1, 2").fetchall()


def test_totals_add_up(index: Index) -> None:
    index.runs.count([one(), one(group="g"), one("failed", again=True, dead=True)], NOW)
    index.runs.count([one()], NOW + 5 * MINUTE)
    found = {
        (total.group, total.what): (total.bound, total.times, total.seconds) for total in index.runs.totals()
    }
    assert found == {
        ("", "time:completed"): (bound_of(2.0), 2, 4.0),
        ("", "time:failed"): (bound_of(2.0), 1, 2.0),
        ("", "wait"): (bound_of(1.0), 2, 2.0),
        ("", "wait again"): (bound_of(1.0), 1, 1.0),
        ("", "dead"): (UNKNOWN, 1, 0.0),
        ("g", "time:completed"): (bound_of(2.0), 1, 2.0),
        ("g", "wait"): (bound_of(1.0), 1, 1.0),
    }


def test_parts_tell_when(index: Index) -> None:
    for minute in range(10):
        index.runs.count([one()] * minute, NOW + minute * MINUTE)
    index.runs.count([one("failed", dead=True), one("cancelled")], NOW + 9 * MINUTE)
    parts = index.runs.parts(NOW, NOW + 10 * MINUTE, MINUTE)
    assert [part.completed for part in parts] == list(range(10))
    assert (parts[9].runs, parts[9].failed, parts[9].dead) == (11, 1, 1)
    assert parts[9].waited == {bound_of(1.0): 11} and parts[9].ran == {bound_of(2.0): 11}
    halves = index.runs.parts(NOW, NOW + 10 * MINUTE, 5 * MINUTE)
    assert [part.completed for part in halves] == [10, 35]


def test_older_parts_are_longer_and_nothing_is_lost(index: Index) -> None:
    total = 0
    for minute in range(0, 3 * 24 * 60, 7):
        index.runs.count([one()], NOW + minute * MINUTE)
        total += 1
    rows = [row for row in table(index) if row[1] == "wait"]
    assert sum(row[2] for row in rows) == total
    # A row for all that is old, 46 to 50 of half hours, and those of the last two hours and a half.
    assert len(rows) < 1 + 50 + 150 / 7 + 1
    assert rows[0][0] == 0
    end = NOW + 3 * 24 * 60 * MINUTE
    day = index.runs.parts(end - 86400, end, 1800)
    assert sum(part.completed for part in day) == pytest.approx(86400 / 60 / 7, abs=2)
    assert all(3 <= part.completed <= 6 for part in day)
    assert sum(found.times for found in index.runs.totals()) == 2 * total


def test_programs_that_count_at_once(index: Index, tmp_path: Path) -> None:
    other = Index(str(tmp_path / "index.sqlite3"), str(tmp_path / "claim.lock"))
    try:
        for minute in (0, 1, 40, 41, 100, 300):
            for each in (index, other):
                each.runs.count([one()], NOW + minute * MINUTE)
    finally:
        other.close()
    assert sum(found.times for found in index.runs.totals() if found.what == "wait") == 12


def test_a_clock_that_goes_back_loses_nothing(index: Index) -> None:
    for moment in (NOW, NOW - 86400 * 10, NOW + 86400 * 10, NOW):
        index.runs.count([one()], moment)
    assert sum(found.times for found in index.runs.totals() if found.what == "wait") == 4


def test_an_index_of_an_older_program_and_one_that_is_damaged(index: Index) -> None:
    assert index.runs.totals() == [] and index.runs.parts(NOW, NOW + 60, 60)[0].runs == 0
    index.runs.count([one()], NOW)
    index.runs.connection.execute(
        "INSERT INTO runs VALUES (?, 'x', 'wait', 'many', 'a', 'b')", (int(NOW // 60),)
    )
    index.runs.connection.execute("INSERT INTO runs VALUES (?, 'x', 'wait', 99, 1, 1.0)", (int(NOW // 60),))
    assert sum(part.runs for part in index.runs.parts(NOW, NOW + 60, 60)) == 1
    assert all(isinstance(total.times, int) for total in index.runs.totals())
    index.runs.connection.execute("DROP TABLE runs")
    assert index.runs.totals() == []
    with pytest.raises(sqlite3.Error):
        index.runs.count([one()], NOW)


def test_reindex_keeps_them(index: Index) -> None:
    index.runs.count([one()], NOW)
    index.clear()
    assert len(index.runs.totals()) == 2


# Who counts

WORKER, DEAD_ONE = "host-1-1-abc", "host-1-1-dead"


def counted(desk: Desk) -> dict[str, int]:
    """Of each way to end how many."""
    found: dict[str, int] = {}
    for total in desk.store.index.runs.totals():
        found[total.what] = found.get(total.what, 0) + total.times
    return found


def test_a_run_is_counted_when_it_is_recorded(desk: Desk) -> None:
    desk.add("a", group="g", max_retries=1)
    desk.clock.advance(7)
    desk.run_once(failing(desk.clock))
    assert counted(desk) == {"time:failed": 1, "wait": 1}
    (wait,) = [total for total in desk.store.index.runs.totals() if total.what == "wait"]
    assert (wait.group, wait.seconds) == ("g", pytest.approx(7))
    desk.clock.advance(2 + 5)
    desk.run_once(failing(desk.clock))
    assert counted(desk) == {"time:failed": 2, "wait": 1, "wait again": 1, "dead": 1}
    (again,) = [total for total in desk.store.index.runs.totals() if total.what == "wait again"]
    assert again.seconds == pytest.approx(5), "since its retry was due"


def test_runs_that_are_recorded_together(desk: Desk) -> None:
    desk.add(*"abcdefgh")
    desk.look()
    with desk.worker(succeeding(desk.clock)) as worker:
        while worker.run_once():
            pass
    assert desk.ids("completed") and counted(desk) == {"time:completed": 8, "wait": 8}


def test_settled_together_or_by_itself_each_counts_once(desk: Desk) -> None:
    desk.add("a", "b")
    with desk.worker() as worker:
        got = [claim(desk.store, worker.name, desk.clock()) for _ in "ab"]
        moments = {"started_at": format_moment(desk.clock()), "finished_at": format_moment(desk.clock())}
        run = Run(outcome=COMPLETED, attempt=1, worker=worker.name, **moments)
        ends = [End(one, run, Decision(State.COMPLETED)) for one in got if one is not None]
        assert len(settle_together(desk.store, ends, desk.clock())) == 2
    assert counted(desk) == {"time:completed": 2, "wait": 2}


def test_what_was_interrupted_or_taken_away_is_none(desk: Desk) -> None:
    desk.add("a")
    desk.run_once(interrupted(desk.clock))
    assert counted(desk) == {}
    path = desk.root / "processing" / WORKER / "a.json"
    desk.run_once(during(lambda job: path.unlink(), succeeding(desk.clock)))
    assert counted(desk) == {}


def test_a_crash_is_counted_by_who_finds_it(desk: Desk) -> None:
    desk.put_job(f"processing/{DEAD_ONE}", "a")
    for _ in range(2):
        recover(desk.store, desk.clock(), 0.5)
    assert counted(desk) == {"time:crashed": 1, "wait": 1}


def test_a_run_whose_worker_died_before_it_moved_the_file_is_counted_by_who_moves_it(desk: Desk) -> None:
    ran = {"outcome": "failed", "worker": DEAD_ONE, "attempt": 1}
    times = {"started_at": "2027-01-15T07:00:10.000Z", "finished_at": "2027-01-15T07:00:12.000Z"}
    desk.put_job(f"processing/{DEAD_ONE}", "a", state="dead", attempts=1, history=[{**ran, **times}])
    for _ in range(2):
        recover(desk.store, desk.clock(), 0.5)
    assert counted(desk) == {"time:failed": 1, "wait": 1, "dead": 1}
    (wait,) = [total for total in desk.store.index.runs.totals() if total.what == "wait"]
    assert wait.seconds == pytest.approx(10)


def test_numbers_that_cannot_be_kept_hold_nothing_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Runs, runs: object, now: float) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Runs, "count", refuse)
    desk.add(*"abc")
    desk.look()
    with desk.worker(succeeding(desk.clock)) as worker:
        while worker.run_once():
            pass
    assert sorted(desk.ids("completed")) == ["a", "b", "c"]


def test_they_outlive_the_records(desk: Desk) -> None:
    desk.add("a", max_retries=0)
    desk.run_once(failing(desk.clock))
    desk.queue.purge()
    desk.queue.reindex()
    assert desk.ids() == [] and counted(desk)["dead"] == 1
