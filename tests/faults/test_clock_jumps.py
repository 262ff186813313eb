"""The wall clock jumps while jobs run and wait: a laptop wakes up, a clock is set, daylight saving begins.

Who lives is told by locks and what has run by files, so no jump makes a job run twice or look crashed. What
waits for a moment (`run_at`: a job's own, or of its next retry) waits until the clock shows that moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queuectl import events, system
from queuectl.errors import SpoolUnusable
from queuectl.moment import read_moment
from queuectl.queue import Queue
from queuectl.queue.recovery import recover
from queuectl.spool import Spool
from queuectl.spool.tmp import TmpFolder
from queuectl.sweep import Sweep
from tests.support.invariants import check
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, WINDOWS
from tests.support.spools import Desk, during, failing, succeeding
from tests.support.storms.altered import CLOCK, Altered
from tests.support.waiting import wait_until

DAY = 86_400.0
LONG_SLEEP = 0.9 * DAY
"""Of programs whose files keep the real time: a day later, those on their way would look abandoned."""
JUMPS = [DAY, -DAY, 3600.0, -3600.0]
"""A night's sleep, a clock set back, the hours of daylight saving (which UTC does not know)."""


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    with Desk(tmp_path / "spool") as desk:
        yield desk


class TestWhatRuns:
    @pytest.mark.parametrize("jump", JUMPS)
    def test_is_not_taken_for_crashed_and_runs_once(self, desk: Desk, jump: float) -> None:
        """Another worker looks, recovers and claims right after the jump; it finds nothing to do."""
        desk.add("job")

        def meanwhile(job: Any) -> None:
            desk.clock.advance(jump)
            desk.look()
            assert recover(desk.store, desk.clock(), 0.5) == []
            with desk.worker(succeeding(desk.clock), name="host-2-1-other") as other:
                assert not other.run_once()
            assert desk.folder_of("job") == ["processing"]

        assert desk.run_once(during(meanwhile, succeeding(desk.clock)))
        assert desk.folder_of("job") == ["done"]
        record = desk.record("done", "job")
        assert (record["attempts"], record["crashes"], len(record["history"])) == (1, 0, 1)
        check(desk.root, ["job"])

    @pytest.mark.parametrize("jump", JUMPS)
    def test_whose_worker_died_before_the_jump_is_recovered_after_it(self, desk: Desk, jump: float) -> None:
        desk.put_job("processing/host-9-1-dead", "job")
        desk.clock.advance(jump)
        desk.look()
        assert [job.job_id for job in recover(desk.store, desk.clock(), 0.5)] == ["job"]
        desk.clock.advance(10)
        assert desk.run_once()
        assert desk.record("done", "job")["crashes"] == 1


class TestWhatWaits:
    def test_for_a_retry_is_due_at_once_when_the_clock_has_leapt_ahead(self, desk: Desk) -> None:
        desk.add("job", backoff_base=60, max_retries=5)
        desk.run_once(failing(desk.clock))
        assert not desk.run_once()
        desk.clock.advance(DAY)
        assert desk.run_once()
        assert desk.record("done", "job")["attempts"] == 2

    def test_for_a_retry_waits_until_its_moment_comes_when_the_clock_was_set_back(self, desk: Desk) -> None:
        """The record tells when: in a day and two seconds. It waits no longer, and `retry` runs it now."""
        desk.add("waits", "hurried")
        for _ in range(2):
            desk.run_once(failing(desk.clock))
        desk.clock.advance(-DAY)
        assert not desk.run_once()
        assert sorted(desk.ids("failed")) == ["hurried", "waits"]
        desk.queue.retry(["hurried"])
        assert desk.run_once()
        desk.clock.advance(DAY - 10)
        assert not desk.run_once()
        desk.clock.advance(20)
        assert desk.run_once()
        assert desk.files()["done"] == ["hurried.json", "waits.json"]

    def test_for_a_moment_of_its_own_waits_for_it_however_the_clock_gets_there(self, desk: Desk) -> None:
        desk.add("job", run_at="2027-01-15T09:00:00Z")
        for jump in (-DAY, DAY / 2, DAY / 2 + 3000):
            desk.clock.advance(jump)
            assert not desk.run_once()
        desk.clock.advance(601)
        assert desk.run_once()

    @pytest.mark.parametrize("jump", JUMPS)
    def test_for_nothing_runs_before_and_after_a_jump(self, desk: Desk, jump: float) -> None:
        desk.add("old")
        desk.clock.advance(jump)
        desk.drop("dropped.json")
        desk.add("new")
        ran = [desk.run_once() for _ in range(4)]
        assert ran == [True, True, True, False]
        check(desk.root, ["old", "dropped", "new"])

    def test_to_become_a_job_is_set_aside_though_the_clock_was_set_back(self, desk: Desk) -> None:
        desk.drop("half.json", '{"command": "ec')
        desk.look()
        desk.clock.advance(-DAY)
        desk.look()
        desk.clock.advance(60)
        assert [drop.job_id for drop in desk.look()] == ["half"]


class TestMoments:
    """Half a second, ten seconds: what is no date in a record does not follow the wall clock's jumps."""

    @pytest.fixture
    def sweep(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Sweep:
        """The supervisor's looks, all of them full ones."""
        monkeypatch.setattr(system, "now", desk.clock)
        monkeypatch.setattr(Sweep, "pause", 0.0)
        return Sweep(desk.store, events.nobody)

    def test_a_job_whose_file_was_held_is_tried_again_soon(
        self, desk: Desk, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("job")
        sweep.look([], [])

        def held(*_: object, **__: object) -> None:
            raise PermissionError(13, "somebody has it open")

        with monkeypatch.context() as patch, desk.worker(succeeding(desk.clock)) as worker:
            patch.setattr(Spool, "move", held)
            assert not worker.run_once()
        desk.clock.advance(-DAY)
        sweep.look([], [])
        desk.clock.advance(60)
        with desk.worker(succeeding(desk.clock)) as worker:
            assert worker.run_once()

    def test_a_file_that_is_being_written_is_given_its_time(self, desk: Desk, sweep: Sweep) -> None:
        path = desk.drop("half.json", '{"command": "ec')
        sweep.look([], [])
        desk.clock.advance(DAY)
        sweep.look([], [])
        assert desk.files() == {"pending": ["half.json"]}
        path.write_text('{"command": "echo hi"}', encoding="utf-8")
        assert desk.run_once()
        assert desk.files() == {"done": ["half.json"]}


class TestWhatIsOnItsWay:
    """A file in `tmp/` looks abandoned after a leap of a day, and somebody removes it."""

    def test_an_enqueue_that_loses_its_file_is_refused_and_leaves_nothing(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leap_behind_prepare(desk, monkeypatch)
        with pytest.raises(SpoolUnusable):
            desk.add("one", "two")
        monkeypatch.undo()
        assert desk.files() == {}
        check(desk.root, [])
        desk.add("one", "two")

    def test_a_run_whose_record_was_lost_is_recorded_again(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("job")

        def leap(job: Any) -> None:
            leap_behind_prepare(desk, monkeypatch, once=True)

        assert desk.run_once(during(leap, succeeding(desk.clock)))
        assert desk.record("done", "job")["attempts"] == 1
        check(desk.root, ["job"])


def leap_behind_prepare(desk: Desk, monkeypatch: pytest.MonkeyPatch, *, once: bool = False) -> None:
    """Whenever a file was written to `tmp/`, the clock leaps two days ahead and another one tidies up."""
    prepare = Spool.prepare
    times = []

    def leaping(self: Spool, jobs: Any) -> Any:
        prepared = prepare(self, jobs)
        if not (once and times):
            for path, _ in prepared:
                times.append(path)
                os.utime(path, (desk.clock(), desk.clock()))
            desk.clock.advance(2 * DAY)
            for old in TmpFolder(str(desk.root)).abandoned(desk.clock()):
                os.unlink(old)
            assert not any(os.path.exists(path) for path, _ in prepared)
        return prepared

    monkeypatch.setattr(Spool, "prepare", leaping)


# Real programs, on a machine whose clock jumps.


class SetClock:
    """A clock of programs, which this test sets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self.ahead(0)

    def ahead(self, seconds: float) -> None:
        # In place, by one write of always the same length: programs read it at any moment.
        with open(self.path, "r+b", buffering=0) as file:
            file.write(b"%20.1f" % seconds)


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("jump", [LONG_SLEEP, -LONG_SLEEP])
def test_programs_go_on_when_their_clock_jumps(
    tmp_path: Path, jump: float, figure: Callable[[str, int], None]
) -> None:
    """One job runs with a timeout, one waits for a retry; no run is cut off, repeated or called crashed."""
    clock, ledger = SetClock(tmp_path / "clock"), Ledger(tmp_path / "ledger")
    program = Altered(tmp_path).altered("clock", **{CLOCK: str(clock.path)})
    with Queue.open(str(program.spool)) as queue:
        queue.set_config("poll_interval", "0.2")
    runs = ledger.job("runs", "hold", timeout=300)
    fails = ledger.job("fails", "run", 0, 1, max_retries=1, backoff_base=200)
    with program.workers(2) as first, program.workers(2) as second:
        program.drop("runs.json", runs)
        program.drop("fails.json", fails)
        ledger.wait_started("runs")
        program.wait_in("failed", "fails")
        clock.ahead(jump)
        program.drop("dropped.json", ledger.job("dropped"))
        program.ok("enqueue", "-", stdin=b'{"id": "enqueued", "command": "exit 0"}')
        program.wait_in("done", "dropped", "enqueued")
        if jump > 0:
            program.wait_in("dead", "fails")
        told = read_moment(program.record("done", "dropped")["updated_at"])
        assert told == pytest.approx(system.now() + jump, abs=60), "the clock has not jumped"
        assert program.json("status")["counts"]["processing"] == 1
        ledger.let_go("runs")
        program.wait_in("done", "runs")
        clock.ahead(0)
        program.drop("later.json", ledger.job("later"))
        program.wait_in("done", "later")
        program.ok("worker", "stop")
        ended = [first.end(), second.end()]
    assert [one.code for one in ended] == [0, 0]
    assert "recovered" not in "".join(one.err for one in ended)
    record = program.record("done", "runs")
    assert (record["attempts"], record["crashes"], ledger.runs("runs")) == (1, 0, 1)
    assert ledger.runs("fails") == (2 if jump > 0 else 1)
    assert ledger.overlaps() == []
    check(program.spool, ["runs", "fails", "dropped", "enqueued", "later"])
    figure("clock jumps of running programs", 2)


@pytest.mark.e2e
@pytest.mark.slow
def test_the_control_workers_that_hold_leases_are_noticed(tmp_path: Path) -> None:
    """They would be taken for dead when the clock leaps, and what they run would run twice."""
    clock, ledger = SetClock(tmp_path / "clock"), Ledger(tmp_path / "ledger")
    program = Altered(tmp_path).altered("clock_and_leases", **{CLOCK: str(clock.path)})
    with program.workers(), program.workers():
        program.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        clock.ahead(DAY)
        wait_until(lambda: program.where("runs") != ["processing"], "it is taken for crashed", PATIENCE)
    ledger.let_go("runs")
    ledger.wait_dead("runs")


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.skipif(WINDOWS, reason="the zone of a Windows program is not its own")
def test_the_time_zone_of_a_program_does_not_matter(tmp_path: Path) -> None:
    """One enqueues on one side of the world, one works on the other, one looks in a third place."""
    program = Altered(tmp_path)
    east, west, here = (program.altered("sound", TZ=zone) for zone in ("XXX-14", "XXX+12", "UTC"))
    east.ok("enqueue", "--id", "soon", "--delay", "1s", "--", "true")
    east.ok("enqueue", "--id", "tomorrow", "--delay", "24h", "--", "true")
    told = [one.json("list") for one in (east, west, here)]
    assert told[0] == told[1] == told[2]
    with west.workers() as worker:
        west.wait_in("done", "soon")
        here.ok("worker", "stop")
        assert worker.end().code == 0
    assert program.where("tomorrow") == ["pending"]
    wait_until(lambda: program.json("list") == east.json("list"), "all tell the same")
