from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from queuectl import system
from queuectl.errors import Conflict, InvalidInput, SpoolUnusable
from queuectl.job import Job
from queuectl.queue import enqueue as enqueue_module
from queuectl.spool import Spool
from queuectl.state import State
from queuectl.system import writing
from tests.support.invariants import check
from tests.support.spools import START, Desk

KNOWN_IN = ["pending", "processing/host-1-1-old", "failed", "done", "dead"]


def test_a_job_lies_in_pending_whole_when_its_id_is_given_back(desk: Desk) -> None:
    (place,) = desk.queue.enqueue([{"id": "a", "command": "echo hi", "priority": 2}])
    assert place.job_id == "a"
    record = desk.record("pending", "a")
    assert record == {
        "id": "a",
        "command": "echo hi",
        "priority": 2,
        "state": "pending",
        "attempts": 0,
        "crashes": 0,
        "created_at": "2027-01-15T08:00:00.000000Z",
        "updated_at": "2027-01-15T08:00:00.000000Z",
    }
    check(desk.root, ["a"])


def test_its_bytes_are_on_the_disk_before_it_enters_pending(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []
    moved: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        found = os.fstat(descriptor)
        synced.append((found.st_ino, found.st_size))

    def watched_replace(source: str, target: str) -> None:
        found = os.stat(source)
        assert (found.st_ino, found.st_size) in synced, "moved in before it was written through"
        moved.append(os.path.basename(target))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    desk.queue.enqueue([{"id": "a", "command": "x"}, {"id": "b", "command": "y"}])
    assert moved == ["a.json", "b.json"]


def test_a_name_that_differs_in_case_only_is_known_also_when_the_index_was_deleted(desk: Desk) -> None:
    desk.put_job("done", "a", state="completed")
    with pytest.raises(Conflict, match="in this spool already"):
        desk.queue.enqueue([{"id": "A", "command": "x"}])


def test_a_job_object_is_taken_as_well(desk: Desk) -> None:
    desk.queue.enqueue([Job(id="a", command=["x"])])
    assert desk.row("a")["command"] == ["x"]


def test_nothing_to_enqueue_is_no_error(desk: Desk) -> None:
    assert desk.queue.enqueue([]) == []


def test_a_job_without_an_id_gets_one_that_sorts_by_time(desk: Desk) -> None:
    places = desk.queue.enqueue([{"command": "x"}, {"command": "y"}])
    ids = [place.job_id for place in places]
    assert len(set(ids)) == 2
    assert all(one.startswith("20270115-080000-") for one in ids)
    assert [desk.row(one)["command"] for one in ids] == ["x", "y"]


def test_those_that_get_one_follow_one_another(desk: Desk) -> None:
    """Else of ten thousand two would have the same in one case of fifteen, and those that run one after the
    other would lie anywhere in the index.
    """
    ids = [place.job_id for place in desk.queue.enqueue([{"command": "x"} for _ in range(100)])]
    assert len(set(ids)) == 100
    assert sum(after < before for before, after in zip(ids, ids[1:])) <= 1


def test_another_program_begins_elsewhere() -> None:
    """Also one that forks: else both would give the same ids in one second."""
    assert next(enqueue_module._numbers(1)) != next(enqueue_module._numbers(2))


def test_one_that_gets_one_does_not_get_that_of_another(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(["made-a", "made-a", "made-b"])
    with monkeypatch.context() as patched:
        patched.setattr(enqueue_module, "new_id", lambda now: next(made))
        desk.queue.enqueue([{"command": "x"}, {"command": "y"}])
    assert desk.ids() == ["made-a", "made-b"]


def test_jobs_added_together_run_in_their_order(desk: Desk) -> None:
    desk.add("c", "a", "b")
    assert desk.ids() == ["c", "a", "b"]


def test_what_a_job_says_of_earlier_runs_is_forgotten_but_not_its_birth(desk: Desk) -> None:
    desk.add("a", state="dead", attempts=4, error="e", exit_code=1, created_at="2026-01-01T00:00:00Z")
    record = desk.record("pending", "a")
    assert (record["state"], record["attempts"], record["created_at"]) == (
        "pending",
        0,
        "2026-01-01T00:00:00Z",
    )
    assert not {"error", "exit_code", "history"} & set(record)


@pytest.mark.parametrize("folder", KNOWN_IN)
@pytest.mark.parametrize("job_id", ["backup", "Backup", "BACKUP"])
def test_a_known_id_is_refused_wherever_it_lies(desk: Desk, folder: str, job_id: str) -> None:
    desk.put_job(folder, "backup")
    desk.queue.refresh()
    before = desk.files()
    with pytest.raises(Conflict, match=f"a job '{job_id}' is in this spool already") as caught:
        desk.queue.enqueue([{"id": job_id, "command": "x"}])
    assert caught.value.hint == "give another id, or retry that one"
    assert desk.files() == before


@pytest.mark.parametrize("folder", KNOWN_IN)
def test_a_known_id_is_refused_though_the_index_has_not_seen_it(desk: Desk, folder: str) -> None:
    desk.put_job(folder, "backup")
    with pytest.raises(Conflict):
        desk.add("backup")


def test_ids_that_are_one_on_a_mac_are_one_everywhere(desk: Desk) -> None:
    desk.add("cafe\u0301")
    with pytest.raises(Conflict):
        desk.add("CAFÉ")


@pytest.mark.parametrize("folder", KNOWN_IN)
def test_a_known_id_can_be_given_the_next_number(desk: Desk, folder: str) -> None:
    desk.put_job(folder, "backup")
    desk.queue.refresh()
    jobs = [{"id": "Backup", "command": "x"}, {"id": "backup", "command": "y"}]
    places = desk.queue.enqueue(jobs, rename=True)
    assert [place.job_id for place in places] == ["Backup-2", "backup-3"]
    check(desk.root, ["backup", "Backup-2", "backup-3"])


class TestAllOrNone:
    def refused(self, desk: Desk, error: type[Exception], *jobs: Any) -> str:
        before = desk.files()
        with pytest.raises(error) as caught:
            desk.queue.enqueue(jobs)
        assert desk.files() == before
        assert list((desk.root / "tmp").iterdir()) == []
        return str(caught.value)

    def test_one_bad_job(self, desk: Desk) -> None:
        assert "command" in self.refused(desk, InvalidInput, {"command": "x"}, {"command": ""})

    @pytest.mark.parametrize("bad", [{}, {"command": "x", "comand": 1}, 3, None, ["x"], {"command": b"x"}])
    def test_one_that_is_no_job_at_all(self, desk: Desk, bad: Any) -> None:
        self.refused(desk, InvalidInput, {"command": "x"}, bad)

    @pytest.mark.parametrize(
        "bad", [{"command": 3}, {"command": "x", "priority": "high"}, {"command": "x", "env": 3}]
    )
    def test_one_job_object_with_a_value_of_the_wrong_kind(self, desk: Desk, bad: dict[str, Any]) -> None:
        self.refused(desk, InvalidInput, Job(command="x"), Job(**bad))

    def test_one_known_id(self, desk: Desk) -> None:
        desk.add("b")
        self.refused(desk, Conflict, {"id": "a", "command": "x"}, {"id": "b", "command": "x"})
        assert desk.ids() == ["b"]

    def test_one_id_given_twice(self, desk: Desk) -> None:
        text = self.refused(desk, Conflict, {"id": "a", "command": "x"}, {"id": "A", "command": "x"})
        assert text == "the id 'A' is given twice"

    @pytest.mark.parametrize("which", [1, 2, 3])
    def test_a_move_that_fails(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
        numbers, real = count(1), system.replace

        def failing(source: str, target: str, **options: Any) -> None:
            if next(numbers) == which:
                raise OSError(28, "No space left on device", target)
            real(source, target, **options)

        monkeypatch.setattr(system, "replace", failing)
        jobs = [{"id": name, "command": "x"} for name in "abc"]
        assert "No space left on device" in self.refused(desk, SpoolUnusable, *jobs)

    @pytest.mark.parametrize("which", [1, 3])
    def test_a_write_that_fails(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
        numbers, real = count(1), writing.sync_descriptors

        def failing(descriptors: Sequence[int]) -> None:
            if any(next(numbers) == which for _ in descriptors):
                raise OSError(28, "No space left on device")
            real(descriptors)

        monkeypatch.setattr(writing, "sync_descriptors", failing)
        self.refused(desk, SpoolUnusable, *({"id": name, "command": "x"} for name in "abc"))

    def test_a_folder_that_cannot_be_synced(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(path: str) -> None:
            raise OSError(5, "Input/output error", path)

        monkeypatch.setattr(system, "sync_folder", failing)
        self.refused(desk, SpoolUnusable, {"id": "a", "command": "x"})

    def test_but_for_one_that_cannot_be_taken_back_which_is_named(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = system.remove

        def unsynced(path: str) -> None:
            raise OSError(5, "Input/output error", path)

        def held(path: str, **options: Any) -> bool:
            if path == str(desk.path("pending", "b.json")):
                raise PermissionError(13, "held by a scanner", path)
            return real(path, **options)

        monkeypatch.setattr(system, "sync_folder", unsynced)
        monkeypatch.setattr(system, "remove", held)
        with pytest.raises(SpoolUnusable, match=r"Input/output error.* will run: pending/b\.json"):
            desk.add("a", "b", "c")
        assert desk.files() == {"pending": ["b.json"]}


def test_a_job_that_a_person_moves_at_once_is_in_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Spool.sync

    def moved_meanwhile(spool: Spool, *states: State) -> None:
        real(spool, *states)
        desk.drag("a", "pending", "dead")

    monkeypatch.setattr(Spool, "sync", moved_meanwhile)
    assert [place.job_id for place in desk.queue.enqueue([{"id": one, "command": "x"} for one in "ab"])] == [
        "a",
        "b",
    ]
    assert sorted(desk.ids()) == ["a", "b"]


def test_the_folder_is_synced_when_the_job_lies_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(system, "sync_folder", lambda path: seen.append((path, os.listdir(path))))
    desk.add("a")
    assert seen == [(str(desk.root / "pending"), ["a.json"])]


def test_what_is_enqueued_is_written_outside_of_pending(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = system.write_files

    def noting(files: Iterable[tuple[str, bytes]]) -> list[os.stat_result]:
        taken = list(files)
        written.extend(Path(path).parent.name for path, _ in taken)
        return real(taken)

    monkeypatch.setattr(system, "write_files", noting)
    desk.add("a")
    assert written == ["tmp"]


def test_a_job_for_later_waits_and_is_shown_to(desk: Desk) -> None:
    desk.add("later", run_at="2027-01-15T08:01:00Z")
    assert desk.run_once() is False
    assert desk.row("later")["run_at"] == "2027-01-15T08:01:00Z"
    assert desk.store.index.next_due() == START + 60
    desk.clock.advance(60)
    assert desk.run_once() is True


def test_a_job_of_many_small_numbers_nested_deeply_runs_and_is_retried(desk: Desk) -> None:
    """Indented it would be eleven times as large, and no job any more."""
    meta: Any = [1] * 500_000
    for key in "abcdefgh":
        meta = {key: meta}
    desk.queue.set_config("settle_time", "0")
    desk.queue.enqueue([{"id": "a", "command": "x", "meta": meta}])
    for _ in range(2):
        assert desk.run_once() is True
        assert desk.folder_of("a") == ["done"]
        desk.queue.retry(["a"])
