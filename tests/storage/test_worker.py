"""One worker with real commands: claim, run, settle."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import Any, Optional

import pytest

from queuectl import events, locks, system
from queuectl.engine import Conditions
from queuectl.errors import QueueError
from queuectl.job import Job
from queuectl.queue.liveness import noted_runs, still_runs
from queuectl.runner import Outcome
from queuectl.spool import Place, Spool
from tests.support.commands import python
from tests.support.invariants import check
from tests.support.spools import Desk, Heard, during, failing, succeeding


def test_it_runs_one_job_and_then_has_none(desk: Desk) -> None:
    desk.add("a", command=python("print('hi')"))
    heard = Heard()
    with desk.worker(emit=heard) as worker:
        assert worker.run_once() is True
        assert worker.run_once() is False
        assert worker.batch.current is None
    assert desk.record("done", "a")["exit_code"] == 0
    assert desk.path("logs", "a.log").read_text().strip() == "hi"
    assert [(one.kind, one.job_id, one.attempt) for one in heard.events] == [
        (events.JOB_STARTED, "a", 1),
        (events.JOB_COMPLETED, "a", 1),
    ]
    check(desk.root, ["a"])


def test_it_takes_the_settings_where_the_job_says_nothing(desk: Desk) -> None:
    desk.queue.set_config("timeout", "0.2")
    desk.queue.set_config("max_retries", "0")
    desk.add("a", command=python("import time; time.sleep(600)"))
    with desk.worker() as worker:
        worker.run_once()
    record = desk.record("dead", "a")
    assert record["error"] == "timed out after 0.2 s"


def test_the_jobs_own_timeout_wins(desk: Desk) -> None:
    desk.queue.set_config("timeout", "0.001")
    desk.add("a", command=python("pass"), timeout=600)
    with desk.worker() as worker:
        worker.run_once()
    assert desk.folder_of("a") == ["done"]


def test_a_program_that_is_not_there_is_tried_again(desk: Desk) -> None:
    desk.add("a", command=["no-such-program-anywhere"])
    with desk.worker() as worker:
        worker.run_once()
    record = desk.record("failed", "a")
    assert (record["error"], "exit_code" in record) == ("program not found: no-such-program-anywhere", False)


def test_while_it_lives_its_lock_and_folder_are_there(desk: Desk) -> None:
    with desk.worker(name="host-1-1-abc") as worker:
        assert (desk.root / "processing" / worker.name).is_dir()
        assert desk.queue.living([worker.name]) == [worker.name]
        with pytest.raises(QueueError, match="there is a worker host-1-1-abc already"):
            type(worker)(desk.store, worker.name).start()
    assert list((desk.root / "processing").iterdir()) == []
    assert desk.queue.living([worker.name]) == []


def test_it_makes_its_lock_and_folder_under_the_lock(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever clears away what nobody owns would else take the one without the other for a dead worker's."""
    held: list[bool] = []
    real = system.make_folder

    def make_folder(path: str) -> bool:
        held.append(locks.is_held(desk.store.spool.lock_path("claim.lock")))
        assert locks.is_held(desk.store.spool.lock_path("host-1-1-abc.lock"))
        return real(path)

    monkeypatch.setattr(system, "make_folder", make_folder)
    with desk.worker(name="host-1-1-abc"):
        assert held == [True]


def test_a_worker_that_was_never_started_can_be_closed(desk: Desk) -> None:
    with desk.worker() as worker:
        type(worker)(desk.store, "host-1-2-abc").close()
    worker.close()


def test_what_it_could_not_move_out_stays_for_recovery(desk: Desk) -> None:
    with desk.worker(name="host-1-1-abc") as worker:
        desk.put_job(f"processing/{worker.name}", "a")
    assert desk.files() == {"processing": ["host-1-1-abc/a.json"]}


@pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows a command dies with its worker")
def test_its_command_holds_a_lock_that_outlives_it(desk: Desk) -> None:
    desk.add("a")
    held: list[bool] = []

    def run(job: object, setting: object) -> object:
        held.append(locks.is_held(desk.store.spool.lock_path("host-1-1-abc.run")))
        assert setting.inherit is not None  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), desk.worker(run, name="host-1-1-abc") as worker:  # type: ignore[arg-type]
        worker.run_once()
    assert held == [True]
    assert not locks.is_held(desk.store.spool.lock_path("host-1-1-abc.run"))


def test_a_spool_by_a_relative_path_is_told_by_its_whole_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.root.parent)
    with Desk("spool", desk.clock) as here:
        here.add("a", command=python("import os; print(os.environ['QUEUECTL_SPOOL']); print(os.getcwd())"))
        with here.worker() as worker:
            worker.run_once()
    told = desk.path("logs", "a.log").read_text().splitlines()
    assert os.path.samefile(told[0], desk.root)
    assert os.path.samefile(told[1], desk.root.parent)


@pytest.mark.parametrize(
    "error",
    [
        OSError(24, "Too many open files"),
        sqlite3.OperationalError("disk I/O error"),
        MemoryError(),
        KeyboardInterrupt(),
    ],
)
def test_a_job_whose_command_could_not_be_started_for_our_lack_waits_again(
    desk: Desk, error: BaseException
) -> None:
    desk.add("a", max_retries=0)
    before = desk.path("pending", "a.json").read_bytes()

    def lacking(job: object, setting: object) -> Outcome:
        raise error

    with desk.worker(lacking) as worker:
        with pytest.raises(type(error)):
            worker.run_once()
        assert worker.batch.current is None
        assert desk.path("pending", "a.json").read_bytes() == before
        worker.runner.run = succeeding(desk.clock)  # type: ignore[method-assign]
        desk.clock.advance(1)
        assert worker.run_once() is True


def test_one_that_cannot_be_started_again_and_again_leaves_the_others_their_turns(desk: Desk) -> None:
    desk.add("large", "largest", priority=9)
    desk.add(*(f"small-{number}" for number in range(9)))
    tries: list[str] = []

    def lacking(job: Job, setting: Conditions) -> Outcome:
        if job.name.startswith("large"):
            tries.append(job.name)
            raise OSError(28, "No space left on device")
        return succeeding(desk.clock)(job, setting)

    with desk.worker(lacking) as worker:
        for _ in range(120):
            with suppress(OSError):
                worker.run_once()
            # As in the pool, after an error.
            desk.clock.advance(0.5)
        assert len(desk.files()["done"]) == 9
        # Their waits double: after 0, 1, 2, 4, … seconds of the 60.
        assert len(tries) <= 2 * 8
        stuck = desk.store.index.stuck()
        assert {row.stuck_why for row in stuck} == {"cannot be started: No space left on device"}
        assert desk.record("pending", "large").get("attempts", 0) == 0
        worker.runner.run = succeeding(desk.clock)  # type: ignore[method-assign]
        desk.clock.advance(60)
        assert worker.run_once() is worker.run_once() is True
    assert desk.store.index.stuck() == []


def test_one_that_could_not_be_started_for_long_is_tried_each_minute(desk: Desk) -> None:
    waits: list[float] = []

    def lacking(job: Job, setting: Conditions) -> Outcome:
        raise OSError(28, "No space left on device")

    desk.add("a")
    with desk.worker(lacking) as worker:
        for _ in range(10):
            with pytest.raises(OSError, match="No space"):
                worker.run_once()
            due = desk.store.index.next_due()
            assert due is not None
            waits.append(due - desk.clock())
            desk.clock.advance(waits[-1])
    assert waits == [1, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_it_runs_is_noted_while_it_runs_and_does_not_run_afterwards(desk: Desk) -> None:
    """On Windows a job whose name stays there is not run again while this worker lives."""
    noted: list[Any] = []

    def run(job: Job, setting: Conditions) -> Outcome:
        desk.drop("a.log", b"hi", "logs")
        noted.append((noted_runs(desk.store.spool, "host-1-1-abc"), still_runs(desk.store.spool, "a")))
        return succeeding(desk.clock)(job, setting)

    desk.add("a")
    with desk.worker(run, name="host-1-1-abc") as worker:
        assert worker.run_once() is True
        noted.append(still_runs(desk.store.spool, "a"))
    assert noted == [(["a"], True), False]


def test_what_it_ran_is_noted_until_that_is_recorded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed before it has recorded how a run ended has crashed with that."""
    noted: list[Any] = []
    real = Spool.move

    def move(spool: Spool, place: Place, target: Place, **options: Any) -> None:
        noted.append(noted_runs(spool, "host-1-1-abc"))
        real(spool, place, target, **options)

    monkeypatch.setattr(Spool, "move", move)
    desk.add("a")
    desk.run_once(name="host-1-1-abc")
    assert noted[-1] == ["a"]


@pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows a command dies with its worker")
def test_a_daemon_that_an_earlier_command_has_left_does_not_own_the_next_job(desk: Desk) -> None:
    path = desk.store.spool.lock_path("host-1-1-abc.run")
    inherited: list[Optional[int]] = []

    def run(job: Job, setting: Conditions) -> Outcome:
        inherited.append(setting.inherit)
        assert locks.is_held(path)
        return succeeding(desk.clock)(job, setting)

    desk.add("a")
    with desk.worker(run, name="host-1-1-abc") as worker:
        daemon = locks.try_lock(path)
        assert daemon is not None
        with closing(daemon):
            assert worker.run_once() is True
            assert inherited not in ([], [None], [daemon.fileno()])
            assert not locks.is_held(path)


def test_a_request_that_cannot_be_taken_away_stops_no_worker(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = system.remove

    def held(path: str, **options: Any) -> bool:
        if path.endswith(".cancel"):
            raise PermissionError(13, "held by somebody", path)
        return real(path, **options)

    def asked_too_late(job: Job) -> None:
        desk.ask("host-1-1-abc", ".cancel", "a")
        monkeypatch.setattr(system, "remove", held)

    desk.add("a", "b")
    with desk.worker(during(asked_too_late, succeeding(desk.clock)), name="host-1-1-abc") as worker:
        assert worker.run_once() is worker.run_once() is True
    assert desk.files() == {"done": ["a.json", "b.json"]}


def test_a_limit_that_is_set_while_a_job_runs_takes_nothing_from_it(desk: Desk) -> None:
    desk.add("a", meta={"text": "x" * 1000})

    def tighten(_: object) -> None:
        desk.queue.set_config("max_job_bytes", "64")

    assert desk.run_once(during(tighten, failing(desk.clock))) is True
    assert desk.files() == {"failed": ["a.json"]}
    desk.clock.advance(10)
    assert desk.run_once() is True
    assert desk.files() == {"done": ["a.json"]}
