"""Jobs of workers that have died."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from queuectl import locks, system
from queuectl.queue.claims import claim
from queuectl.queue.recovery import Recovered, recover
from queuectl.state import State
from tests.support.invariants import check
from tests.support.spools import Desk, failing

DEAD = "host-1-1-dead"
THEIRS = f"processing/{DEAD}"


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

    def test_onto_a_name_that_is_taken_loses_neither(self, desk: Desk) -> None:
        kept = desk.put_job("done", "a", state="completed", command="other").read_bytes()
        desk.put_job(THEIRS, "a", state="completed", attempts=1)
        free(desk)
        assert desk.path("done", "a.json").read_bytes() == kept
        assert desk.record("done", "a-2")["attempts"] == 1
        check(desk.root, ["a", "a-2"])


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
            (desk.root / THEIRS).mkdir()
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
        assert desk.folder_of("a") == ["dead"]

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
        free(desk)
        assert list((desk.root / "processing").iterdir()) == []
        assert [path.name for path in (desk.root / "locks").iterdir() if path.name != "claim.lock"] == []

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

    def test_many_jobs_of_many_workers_are_all_freed(self, desk: Desk) -> None:
        for number in range(3):
            for name in "ab":
                desk.put_job(f"processing/host-{number}-1-dead", f"{name}{number}")
        assert len(free(desk)) == 6
        assert len(desk.files()["failed"]) == 6
