"""One worker with real commands: claim, run, settle."""

from __future__ import annotations

import os
import sqlite3

import pytest

from queuectl import events, locks, system
from queuectl.errors import QueueError
from queuectl.runner import Outcome
from tests.support.commands import python
from tests.support.invariants import check
from tests.support.spools import Desk, Heard, during, failing, succeeding


def test_it_runs_one_job_and_then_has_none(desk: Desk) -> None:
    desk.add("a", command=python("print('hi')"))
    heard = Heard()
    with desk.worker(emit=heard) as worker:
        assert worker.run_once() is True
        assert worker.run_once() is False
        assert worker.current is None
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
    "error", [OSError(24, "Too many open files"), sqlite3.OperationalError("disk I/O error"), MemoryError()]
)
def test_a_job_whose_command_could_not_be_started_for_our_lack_waits_again(
    desk: Desk, error: Exception
) -> None:
    desk.add("a", max_retries=0)
    before = desk.path("pending", "a.json").read_bytes()

    def lacking(job: object, setting: object) -> Outcome:
        raise error

    with desk.worker(lacking) as worker:
        with pytest.raises(type(error)):
            worker.run_once()
        assert worker.current is None
        assert desk.path("pending", "a.json").read_bytes() == before
        worker.runner.run = succeeding(desk.clock)  # type: ignore[method-assign]
        assert worker.run_once() is True


def test_a_limit_that_is_set_while_a_job_runs_takes_nothing_from_it(desk: Desk) -> None:
    desk.add("a", meta={"text": "x" * 1000})

    def tighten(_: object) -> None:
        desk.queue.set_config("max_job_bytes", "64")

    assert desk.run_once(during(tighten, failing(desk.clock))) is True
    assert desk.files() == {"failed": ["a.json"]}
    desk.clock.advance(10)
    assert desk.run_once() is True
    assert desk.files() == {"done": ["a.json"]}
