"""Jobs of workers that have died."""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import closing
from typing import Any

import pytest

from queuectl import locks, system
from queuectl.errors import Conflict
from queuectl.job import Job
from queuectl.names import MAX_ID_BYTES
from queuectl.queue.claims import claim
from queuectl.queue.liveness import GRACE, is_alive
from queuectl.queue.recovery import Recovered, clear_away, lost, recover
from queuectl.queue.store import Store
from queuectl.spool import Place, Spool
from queuectl.state import State
from tests.support.invariants import check
from tests.support.spools import Desk, during, failing, succeeding
from tests.support.waiting import wait_until

DEAD = "host-1-1-dead"
THEIRS = f"processing/{DEAD}"
LIVE = "host-1-1-live"


def free(desk: Desk, luck: float = 0.5) -> list[Recovered]:
    return recover(desk.store, desk.clock(), luck)


def test_where_nobody_has_died_there_is_nothing_to_do(desk: Desk) -> None:
    desk.add("a")
    assert free(desk) == []


class TestARecordedRun:
    @pytest.mark.parametrize(
        ("state", "folder"), [("completed", "done"), ("failed", "failed"), ("dead", "dead")]
    )
    def test_is_moved_to_where_it_belongs_and_changed_no_more(
        self, desk: Desk, state: str, folder: str
    ) -> None:
        before = desk.put_job(THEIRS, "a", state=state, attempts=1).read_bytes()
        (job,) = free(desk)
        assert (job.job_id, job.worker, job.state.value, job.delay) == ("a", DEAD, state, 0.0)
        assert desk.path(folder, "a.json").read_bytes() == before
        assert desk.files() == {folder: ["a.json"]}
        check(desk.root, ["a"])

    def test_of_a_job_that_was_to_be_cancelled_is_its_last(self, desk: Desk) -> None:
        desk.put_job(THEIRS, "a", state="failed", attempts=1)
        desk.drop(f"{DEAD}.cancel", b"a", "locks")
        free(desk)
        record = desk.record("dead", "a")
        assert (record["state"], record["error"], record["attempts"]) == ("dead", "cancelled", 1)

    @pytest.mark.parametrize(("state", "folder"), [("completed", "done"), ("dead", "dead")])
    def test_that_was_its_last_is_no_cancel_however_late_one_was_asked(
        self, desk: Desk, state: str, folder: str
    ) -> None:
        desk.put_job(THEIRS, "a", state=state, attempts=1, error="as it ended")
        desk.drop(f"{DEAD}.cancel", b"a", "locks")
        free(desk)
        record = desk.record(folder, "a")
        assert (record["state"], record["error"]) == (state, "as it ended")

    def test_onto_a_name_that_is_taken_loses_neither(self, desk: Desk) -> None:
        kept = desk.put_job("done", "a", state="completed", command="other").read_bytes()
        desk.put_job(THEIRS, "a", state="completed", attempts=1)
        free(desk)
        assert desk.path("done", "a.json").read_bytes() == kept
        assert desk.record("done", "a-2")["attempts"] == 1
        check(desk.root, ["a", "a-2"])


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files to others")
class TestAFileOfSomebodyElse:
    """Written anew by us it would be ours, and run."""

    def test_in_a_dead_workers_folder_is_set_aside(self, desk: Desk) -> None:
        os.chown(desk.put_job(THEIRS, "a"), 54321, 54321)
        (job,) = free(desk)
        assert job.state is State.DEAD
        assert desk.files() == {"dead": ["a.error.txt", "a.json"]}
        assert desk.run_once() is False

    @pytest.mark.parametrize("folder", ["pending", "failed"])
    def test_that_was_ours_at_the_last_look_is_not_claimed(self, desk: Desk, folder: str) -> None:
        path = desk.put_job(folder, "a", state=folder, attempts=1)
        desk.queue.refresh()
        os.chown(path, 54321, 54321)
        with desk.worker(succeeding(desk.clock)) as worker:
            assert worker.run_once() is False
        assert desk.folder_of("a") == [folder]

    def test_instead_of_what_runs_is_kept_aside(self, desk: Desk) -> None:
        def exchange(_: object) -> None:
            path = desk.path("processing/host-1-1-abc", "a.json")
            path.write_text(json.dumps({"command": "theirs"}) + " " * 99)
            os.chown(path, 54321, 54321)

        desk.add("a")
        desk.look()
        assert desk.run_once(during(exchange, succeeding(desk.clock))) is True
        assert desk.record("done", "a")["command"] == "echo hi"
        (aside,) = [name for name in desk.files()["dead"] if name.endswith(".json")]
        assert desk.record("dead", aside[: -len(".json")])["command"] == "theirs"


def test_what_is_no_request_does_not_keep_a_job(desk: Desk) -> None:
    desk.put_job(THEIRS, "a")
    (desk.root / "locks" / f"{DEAD}.cancel").mkdir()
    assert [job.state for job in free(desk)] == [State.FAILED]


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_a_request_for_another_job_is_not_met_by_this_one(desk: Desk, state: str) -> None:
    desk.put_job(THEIRS, "a", state=state, attempts=1)
    desk.drop(f"{DEAD}.cancel", b"b", "locks")
    assert [job.state for job in free(desk)] == [State.FAILED]


def test_a_request_that_cannot_be_read_just_now_is_met_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put_job(THEIRS, "a")
    request = desk.root / "locks" / f"{DEAD}.cancel"
    request.write_text("a")
    read_file = system.read_file

    def held(path: str, *args: Any, **options: Any) -> Any:
        if path == str(request):
            raise PermissionError(13, "Access is denied", path)
        return read_file(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(system, "read_file", held)
        assert free(desk) == []
    assert [job.state for job in free(desk)] == [State.DEAD]


class TestAnUnrecordedRun:
    @pytest.mark.parametrize("state", ["pending", "processing"])
    def test_counts_a_crash_and_no_attempt_and_waits(self, desk: Desk, state: str) -> None:
        desk.put_job(THEIRS, "a", state=state, attempts=1)
        (job,) = free(desk)
        assert (job.state, job.delay) == (State.FAILED, 2)
        record = desk.record("failed", "a")
        assert (record["attempts"], record["crashes"], record["state"]) == (1, 1, "failed")
        assert record["run_at"] == "2027-01-15T08:00:02.000Z"
        assert record["error"] == f"worker {DEAD} died while it ran"
        assert record["history"][-1]["outcome"] == "crashed"
        check(desk.root, ["a"])

    def test_as_often_as_allowed_and_then_the_job_is_dead(self, desk: Desk) -> None:
        desk.add("a")
        outcomes = []
        for _ in range(3):
            desk.clock.advance(10)
            desk.look()
            (desk.root / THEIRS).mkdir(exist_ok=True)
            (desk.root / "locks" / f"{DEAD}.lock").touch()
            assert claim(desk.store, DEAD, desk.clock()) is not None
            outcomes += [(job.state.value, job.delay) for job in free(desk)]
        assert outcomes == [("failed", 2), ("failed", 4), ("dead", 0)]
        assert desk.record("dead", "a")["crashes"] == 3
        check(desk.root, ["a"])

    def test_by_the_setting(self, desk: Desk) -> None:
        desk.queue.set_config("max_crashes", "1")
        desk.put_job(THEIRS, "a")
        assert [job.state for job in free(desk)] == [State.DEAD]

    def test_of_a_job_that_was_to_be_cancelled_is_its_last(self, desk: Desk) -> None:
        desk.put_job(THEIRS, "a")
        desk.drop(f"{DEAD}.cancel", b"a", "locks")
        free(desk)
        record = desk.record("dead", "a")
        assert (record["crashes"], record["error"]) == (1, f"cancelled; worker {DEAD} died while it ran")

    def test_does_not_hold_up_a_job_that_runs_well(self, desk: Desk) -> None:
        desk.put_job(THEIRS, "a")
        free(desk)
        desk.clock.advance(2)
        assert desk.run_once() is True
        record = desk.record("done", "a")
        assert (record["attempts"], record["crashes"]) == (1, 1)


class TestDoingItTwice:
    @pytest.mark.parametrize("fields", [{"state": "completed", "attempts": 1}, {}])
    def test_is_doing_it_once(self, desk: Desk, fields: dict[str, Any]) -> None:
        desk.put_job(THEIRS, "a", **fields)
        free(desk)
        files = {path: (desk.root / path).read_bytes() for path in _paths(desk)}
        assert free(desk) == []
        assert {path: (desk.root / path).read_bytes() for path in _paths(desk)} == files

    def test_after_a_death_between_stamp_and_move_counts_one_crash(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.put_job(THEIRS, "a")
        real = system.replace

        def dying(source: str, target: str, **options: Any) -> None:
            if "failed" in target:
                raise OSError(5, "dead by now")
            real(source, target, **options)

        with monkeypatch.context() as patch:
            patch.setattr(system, "replace", dying)
            assert free(desk) == []
        assert desk.record(THEIRS, "a")["crashes"] == 1
        assert len(free(desk)) == 1
        assert desk.record("failed", "a")["crashes"] == 1


def _paths(desk: Desk) -> list[str]:
    return [f"{folder}/{name}" for folder, names in desk.files().items() for name in names]


class TestWhoLives:
    def test_is_left_alone(self, desk: Desk) -> None:
        desk.add("a")
        desk.look()
        seen: list[Any] = []
        run = failing(desk.clock)

        def watching(job: Any, setting: Any) -> Any:
            seen.append((free(desk), desk.folder_of("a"), [one.name for one in desk.queue.status().workers]))
            return run(job, setting)

        with desk.worker(watching) as worker:
            worker.run_once()
        assert seen == [([], ["processing"], [worker.name])]

    def test_is_told_with_what_it_runs(self, desk: Desk) -> None:
        desk.add("a")
        desk.look()
        rows: list[Any] = []
        run = failing(desk.clock)

        def watching(job: Any, setting: Any) -> Any:
            rows.extend(desk.queue.status().workers)
            return run(job, setting)

        with desk.worker(watching, name="my-laptop-4711-1-abc") as worker:
            worker.run_once()
        assert [(row.pid, row.host, row.job) for row in rows] == [(4711, "my-laptop", "a")]
        assert rows[0].since.endswith("Z")

    def test_one_that_has_died_with_a_job_is_told(self, desk: Desk) -> None:
        desk.put_job(THEIRS, "a")
        assert desk.queue.status().problems == [
            f"worker {DEAD} has died with job a; the next worker that runs frees it"
        ]

    def test_no_two_workers_have_one_name(self, desk: Desk) -> None:
        with (
            desk.worker() as first,
            pytest.raises(Exception, match="there is a worker"),
            desk.worker(name=first.name),
        ):
            pass
        assert list((desk.root / "processing").iterdir()) == []

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows a command dies with its worker")
    def test_a_command_that_outlives_its_worker_still_owns_its_job(self, desk: Desk) -> None:
        desk.put_job(THEIRS, "a")
        held = locks.try_lock(desk.store.spool.lock_path(f"{DEAD}.run"))
        assert held is not None
        with closing(held):
            assert free(desk) == []
            assert desk.folder_of("a") == ["processing"]
            assert desk.queue.status().problems == [
                f"worker {DEAD} has died; the command of its job a still runs and is waited for"
            ]
        assert [job.job_id for job in free(desk)] == ["a"]


class TestWhatElseLiesThere:
    def test_a_file_that_is_no_job_is_set_aside(self, desk: Desk) -> None:
        desk.drop("a.json", b"rubbish", THEIRS)
        (job,) = free(desk)
        assert (job.state, "no job" in job.reason) == (State.DEAD, True)
        assert desk.path("dead", "a.json").read_bytes() == b"rubbish"
        assert desk.path("dead", "a.error.txt").read_text().startswith("not JSON")
        check(desk.root, ["a"])

    def test_everything_of_the_dead_is_cleared_away(self, desk: Desk) -> None:
        desk.put_job(THEIRS, "a")
        for suffix in (".lock", ".run", ".stop", ".cancel"):
            desk.drop(f"{DEAD}{suffix}", b"", "locks")
        desk.drop(f"{DEAD}~ab~a.json", b"half a rec", "tmp")
        free(desk)
        assert list((desk.root / "processing").iterdir()) == []
        assert list((desk.root / "tmp").iterdir()) == []
        assert [path.name for path in (desk.root / "locks").iterdir() if path.name != "claim.lock"] == []

    @pytest.mark.parametrize("folder", ["tmp", "locks"])
    def test_what_somebody_holds_keeps_nothing_else(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, folder: str
    ) -> None:
        remove = system.remove

        def held(path: str, **options: Any) -> bool:
            if path in (str(desk.path("tmp", f"{DEAD}~ab~a.json")), str(desk.path("locks", f"{DEAD}.stop"))):
                refused.add(os.path.basename(os.path.dirname(path)))
                raise PermissionError(13, "held by somebody", path)
            return remove(path, **options)

        refused: set[str] = set()
        desk.put_job(THEIRS, "a")
        desk.drop(f"{DEAD}~ab~a.json" if folder == "tmp" else f"{DEAD}.stop", b"", folder)
        monkeypatch.setattr(system, "remove", held)
        assert [job.job_id for job in free(desk)] == ["a"]
        assert folder in refused
        assert not desk.path("locks", f"{DEAD}.lock").exists()

    def test_the_lock_of_one_with_a_job_left_stays(self, desk: Desk) -> None:
        """Without it, nobody could tell at once that its worker is dead."""
        with desk.worker(name=DEAD):
            desk.put_job(THEIRS, "a")
        assert desk.path("locks", f"{DEAD}.lock").exists()
        assert [job.job_id for job in free(desk)] == ["a"]

    def test_a_folder_that_cannot_be_looked_into_is_not_said_to_be_empty(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> Any:
            raise PermissionError(13, "denied")

        desk.put_job(THEIRS, "a")
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "scan_worker", refused)
            clear_away(desk.store, DEAD)
            assert desk.path("locks", f"{DEAD}.lock").exists()
            desk.path("locks", f"{DEAD}.lock").unlink()
            assert lost(desk.store) == [DEAD]

    def test_an_empty_folder_is_removed(self, desk: Desk) -> None:
        (desk.root / THEIRS).mkdir()
        assert free(desk) == []
        assert not (desk.root / THEIRS).exists()

    def test_a_file_of_somebody_else_keeps_the_folder(self, desk: Desk) -> None:
        desk.put_job(THEIRS, "a")
        desk.drop("notes.txt", b"mine", THEIRS)
        free(desk)
        assert desk.files() == {"failed": ["a.json"], "processing": [f"{DEAD}/notes.txt"]}
        assert free(desk) == []

    def test_nor_does_it_go_with_what_the_system_has_put_beside_it(self, desk: Desk) -> None:
        for name in ("desktop.ini", "notes.txt", "Thumbs.db"):
            desk.drop(name, b"x", THEIRS)
        assert free(desk) == []
        assert f"{DEAD}/notes.txt" in desk.files()["processing"]

    @pytest.mark.parametrize("name", ["desktop.ini", "Thumbs.db", ".DS_Store"])
    def test_what_the_system_leaves_in_a_folder_does_not_keep_it(self, desk: Desk, name: str) -> None:
        desk.put_job(THEIRS, "a")
        desk.drop(name, b"x", THEIRS)
        free(desk)
        assert desk.files() == {"failed": ["a.json"]}
        assert not (desk.root / THEIRS).exists()

    @pytest.mark.parametrize("error", [PermissionError(13, "held by somebody"), Conflict("just taken")])
    def test_a_job_that_cannot_be_moved_does_not_keep_the_others(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        real = Spool.move

        def move(spool: Spool, place: Place, *args: Any, **options: Any) -> None:
            if place.job_id == "b":
                raise error
            real(spool, place, *args, **options)

        for name in "abc":
            desk.put_job(THEIRS, name)
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "move", move)
            assert sorted(job.job_id for job in free(desk)) == ["a", "c"]
        assert [job.job_id for job in free(desk)] == ["b"]

    def test_many_jobs_of_many_workers_are_all_freed(self, desk: Desk) -> None:
        for number in range(3):
            for name in "ab":
                desk.put_job(f"processing/host-{number}-1-dead", f"{name}{number}")
        assert len(free(desk)) == 6
        assert len(desk.files()["failed"]) == 6


class TestALockThatSomebodyHasDeleted:
    """Its worker may live: it is given time to take the lock anew before its jobs are freed."""

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="Windows deletes no file that is open")
    def test_does_not_free_the_job_of_a_worker_that_lives(self, desk: Desk) -> None:
        desk.add("a")

        def taken_for_dead(job: Job) -> None:
            (desk.root / "locks" / f"{LIVE}.lock").unlink()
            assert free(desk) == []
            worker.life.keep()
            assert is_alive(desk.store.spool, LIVE)
            assert free(desk) == []

        with desk.worker(during(taken_for_dead, succeeding(desk.clock)), name=LIVE) as worker:
            assert worker.run_once()
        assert desk.folder_of("a") == ["done"]
        assert desk.record("done", "a")["crashes"] == 0

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="Windows deletes no file that is open")
    def test_does_not_claim_while_others_take_it_for_dead(self, desk: Desk) -> None:
        desk.add("a")
        with desk.worker(succeeding(desk.clock), name=LIVE) as worker:
            lock = desk.root / "locks" / f"{LIVE}.lock"
            lock.unlink()
            taken = locks.try_lock(str(lock))
            assert taken is not None
            assert worker.run_once() is False
            assert desk.folder_of("a") == ["pending"]
            taken.release()
            assert worker.run_once() is True
            assert is_alive(desk.store.spool, LIVE)

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="Windows deletes no file that is open")
    def test_is_not_taken_for_dead_in_the_middle_of_a_claim(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its lock's file is deleted when it has just made sure of it."""
        desk.add("a")
        waits, claiming, replace = threading.Event(), Store.claiming, system.replace

        def see_to_the_dead() -> None:
            with Store.open(str(desk.root)) as store:
                recover(store, desk.clock(), 0.5)

        other = threading.Thread(target=see_to_the_dead)

        def claiming_as_other(store: Store) -> Any:
            if threading.current_thread() is other:
                waits.set()
            return claiming(store)

        def deleting(source: str, target: str, **options: Any) -> None:
            if LIVE in target:
                monkeypatch.setattr(system, "replace", replace)
                (desk.root / "locks" / f"{LIVE}.lock").unlink()
                other.start()
                wait_until(lambda: waits.is_set() or not other.is_alive(), "it looks whether we live", 60)
                assert waits.is_set()
            replace(source, target, **options)

        def run(*_: Any) -> Any:
            other.join()
            assert desk.folder_of("a") == ["processing"]
            return succeeding(desk.clock)(*_)

        monkeypatch.setattr(Store, "claiming", claiming_as_other)
        monkeypatch.setattr(system, "replace", deleting)
        with desk.worker(run, name=LIVE) as worker:
            assert worker.run_once() is True
        assert desk.record("done", "a")["crashes"] == 0

    @pytest.mark.parametrize("jump", [GRACE, -86400], ids=["later", "the clock is set back"])
    def test_of_a_dead_one_holds_its_job_up_for_a_moment_only(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, jump: float
    ) -> None:
        desk.put_job(THEIRS, "a")
        (desk.root / "locks" / f"{DEAD}.lock").unlink()
        assert free(desk) == []
        assert lost(desk.store) == [DEAD]
        assert free(desk) == []
        later = system.now() + jump
        monkeypatch.setattr(system, "now", lambda: later)
        assert lost(desk.store) == []
        assert [job.job_id for job in free(desk)] == ["a"]


class TestWhatALivingWorkerDoesNotRun:
    """A person has put it into the worker's folder, or has renamed it there."""

    def test_goes_back_to_pending_and_counts_no_crash(self, desk: Desk) -> None:
        with desk.worker(succeeding(desk.clock), name=LIVE) as worker:
            desk.put_job(f"processing/{LIVE}", "stray", attempts=1)
            desk.put_job(f"processing/{LIVE}", "ended", state="failed", attempts=1)
            desk.drop("rubbish.json", b"{", f"processing/{LIVE}")
            assert worker.run_once()
            assert desk.record("pending", "stray")["crashes"] == 0
            assert desk.record("failed", "ended")["attempts"] == 1
            assert desk.path("dead", "rubbish.json").read_bytes() == b"{"
            desk.look()
            while worker.run_once():
                pass
        assert desk.folder_of("stray") == ["done"]


class TestAJobDraggedOutOfAWorkersFolder:
    def test_waits_until_its_first_run_has_ended(self, desk: Desk) -> None:
        desk.add("a")
        log = desk.path("logs", "a.log")

        def dragged(job: Job) -> None:
            log.touch()
            desk.drag("a", f"processing/{LIVE}", "pending")
            desk.look()
            with desk.worker(succeeding(desk.clock), name="host-2-1-abc") as other:
                assert not other.run_once()
            (stuck,) = desk.store.index.stuck()
            assert stuck.stuck_why == "cannot be moved: its earlier run still goes on"

        with desk.worker(during(dragged, succeeding(desk.clock)), name=LIVE) as worker:
            assert worker.run_once()
            assert desk.folder_of("a") == ["pending"]
            desk.look()
            worker.runner.run = succeeding(desk.clock)  # type: ignore[method-assign]
            assert worker.run_once()
        assert desk.folder_of("a") == ["done"]
        assert desk.record("done", "a")["attempts"] == 1

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows a command dies with its worker")
    @pytest.mark.parametrize("job_id", ["a", "a" * MAX_ID_BYTES], ids=["short", "long"])
    def test_waits_for_a_command_that_has_outlived_its_worker(self, desk: Desk, job_id: str) -> None:
        desk.put_job(THEIRS, job_id)
        desk.path("logs", f"{job_id}.log").touch()
        held = locks.try_lock(str(desk.drop(f"{DEAD}.run", job_id, "locks")))
        assert held is not None
        with closing(held):
            desk.drag(job_id, THEIRS, "pending")
            assert desk.run_once(name=LIVE) is False
            assert desk.folder_of(job_id) == ["pending"]
        desk.clock.advance(1)
        assert desk.run_once(name=LIVE) is True
