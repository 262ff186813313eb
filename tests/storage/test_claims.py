from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl import system
from queuectl.index import Index
from queuectl.queue.claims import Claim, claim
from queuectl.queue.store import Store
from queuectl.spool import CLAIM_PATIENCE
from queuectl.state import State
from tests.support.spools import Desk, failing, succeeding

WORKER = "host-1-1-abc"


def take(desk: Desk, worker: str = WORKER) -> Optional[Claim]:
    (desk.root / "processing" / worker).mkdir(exist_ok=True)
    return claim(desk.store, worker, desk.clock())


def taken(desk: Desk) -> Optional[str]:
    got = take(desk)
    return got and got.place.job_id


def test_a_claim_moves_the_file_into_the_workers_folder(desk: Desk) -> None:
    desk.add("a")
    before = desk.path("pending", "a.json").read_bytes()
    got = take(desk)
    assert got is not None
    assert (got.job.id, got.place.worker) == ("a", WORKER)
    assert desk.files() == {"processing": [f"{WORKER}/a.json"]}
    assert desk.path(f"processing/{WORKER}", "a.json").read_bytes() == before
    assert desk.row("a")["worker"] == WORKER


def test_nothing_is_claimed_where_nothing_is(desk: Desk) -> None:
    assert taken(desk) is None


def test_the_higher_priority_first_then_the_older(desk: Desk) -> None:
    desk.add("first", "second")
    desk.add("high", priority=1)
    desk.add("low", priority=-1)
    assert [taken(desk) for _ in range(5)] == ["high", "first", "second", "low", None]


def test_dropped_files_run_in_the_order_of_their_coming_where_they_say_it(desk: Desk) -> None:
    desk.drop("b.json", {"command": "x", "created_at": "2026-01-01T00:00:00Z"})
    desk.drop("a.json", {"command": "x", "created_at": "2026-01-02T00:00:00Z"})
    desk.queue.refresh()
    assert [taken(desk), taken(desk)] == ["b", "a"]


def test_a_job_is_not_claimed_before_its_time(desk: Desk) -> None:
    desk.add("later", run_at="2027-01-15T09:00:05+01:00")
    desk.clock.advance(4.9)
    assert taken(desk) is None
    desk.clock.advance(0.1)
    assert taken(desk) == "later"


def test_a_time_that_is_put_off_by_hand_holds_though_the_index_has_not_seen_it(desk: Desk) -> None:
    desk.add("a")
    desk.drop("a.json", {"id": "a", "command": "x", "run_at": "2027-01-15T08:00:09Z"})
    assert taken(desk) is None
    desk.clock.advance(9)
    assert taken(desk) == "a"


def test_a_job_edited_by_hand_runs_as_edited_though_the_index_has_not_seen_it(desk: Desk) -> None:
    desk.add("a")
    desk.drop("a.json", {"id": "a", "command": "edited"})
    got = take(desk)
    assert got is not None
    assert got.job.command == "edited"


def test_a_job_deleted_by_hand_is_passed_over(desk: Desk) -> None:
    desk.add("a", "b")
    desk.path("pending", "a.json").unlink()
    assert taken(desk) == "b"
    assert desk.ids() == ["b"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]"])
def test_a_job_that_is_being_edited_is_passed_over_and_claimed_when_it_is_one_again(
    desk: Desk, data: bytes
) -> None:
    desk.add("a", "b")
    desk.drop("a.json", data)
    assert [taken(desk), taken(desk)] == ["b", None]
    desk.drop("a.json", {"command": "x"})
    desk.queue.refresh()
    assert taken(desk) == "a"


def test_a_record_that_gives_another_id_is_put_right(desk: Desk) -> None:
    desk.drop("a.json", {"id": "other", "command": "x"})
    desk.queue.refresh()
    assert taken(desk) == "a"
    assert desk.record(f"processing/{WORKER}", "a")["id"] == "a"


class TestAFileThatCannotBeMoved:
    @pytest.fixture
    def held(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Names of files that somebody holds open, as Windows has it."""
        names: set[str] = set()
        real = system.replace

        def replace(source: str, target: str, **options: Any) -> None:
            if Path(source).name in names:
                raise PermissionError(13, "held by somebody", source)
            real(source, target, **options)

        monkeypatch.setattr(system, "replace", replace)
        return names

    def test_is_passed_over_and_claimed_soon_after(self, desk: Desk, held: set[str]) -> None:
        desk.add("a", priority=9)
        desk.add("b", "c")
        held.add("a.json")
        assert taken(desk) == "b"
        held.clear()
        assert taken(desk) == "c"
        assert taken(desk) is None
        desk.clock.advance(0.5)
        assert taken(desk) == "a"

    def test_is_still_pending_meanwhile(self, desk: Desk, held: set[str]) -> None:
        desk.add("a")
        held.add("a.json")
        assert taken(desk) is None
        assert desk.folder_of("a") == ["pending"]
        assert desk.row("a")["state"] == "pending"

    def test_nor_a_hundred_of_them_hide_the_next(self, desk: Desk, held: set[str]) -> None:
        names = [f"held-{number:03}" for number in range(100)]
        desk.add(*names, priority=9)
        desk.add("free")
        held.update(f"{name}.json" for name in names)
        assert "free" in [taken(desk) for _ in range(4)]

    def test_a_claim_never_overwrites_what_lies_in_the_workers_folder(self, desk: Desk) -> None:
        desk.add("a", "b")
        kept = desk.drop("a.json", {"command": "mine"}, f"processing/{WORKER}").read_bytes()
        assert taken(desk) == "b"
        assert desk.path(f"processing/{WORKER}", "a.json").read_bytes() == kept
        assert desk.folder_of("a") == ["pending", "processing"]

    def test_holds_the_others_up_for_a_moment_only(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """All of them wait for `claim.lock` meanwhile."""
        patience: dict[str, float] = {}

        def watch(call: str) -> None:
            real = getattr(system, call)

            def watching(*args: Any, **options: Any) -> Any:
                path = Path(args[-1] if call == "replace" else args[0])
                if path.name == "a.json":
                    patience[f"{call} {path.parent.name}"] = options.get("patience", 2.0)
                return real(*args, **options)

            monkeypatch.setattr(system, call, watching)

        desk.put_job("failed", "a", state="failed", attempts=1)
        desk.queue.refresh()
        watch("read_file")
        watch("replace")
        assert taken(desk) == "a"
        assert patience == dict.fromkeys(
            ("read_file failed", "replace failed", f"replace {WORKER}"), CLAIM_PATIENCE
        )


def test_a_note_that_somebody_reads_does_not_stop_a_job_that_is_claimed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = system.remove

    def held(path: str, **options: Any) -> bool:
        if path.endswith(".error.txt"):
            raise PermissionError(13, "held by somebody", path)
        return real(path, **options)

    desk.add("a")
    desk.drop("a.error.txt", b"it was no job", "dead")
    monkeypatch.setattr(system, "remove", held)
    assert taken(desk) == "a"


def test_what_is_claimed_is_run_though_its_row_cannot_be_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    desk.add("a")
    monkeypatch.setattr(Index, "put", locked)
    monkeypatch.setattr(Index, "change", locked)
    assert taken(desk) == "a"


@pytest.mark.parametrize("folder", ["failed", "done", "dead", "processing/host-1-1-other"])
def test_of_an_id_that_lies_in_two_folders_none_is_claimed(desk: Desk, folder: str) -> None:
    """Where the index knows of one alone, too; others are claimed meanwhile."""
    desk.add("a", "b")
    desk.path(folder, "a.json").parent.mkdir(exist_ok=True)
    kept = desk.drop("a.json", {"command": "another"}, folder).read_bytes()
    assert taken(desk) == "b"
    assert desk.path(folder, "a.json").read_bytes() == kept
    assert desk.path("pending", "a.json").exists()


def test_the_folder_of_a_worker_that_may_not_be_looked_into_stops_no_claim(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two users may share a spool; a lack of this machine is no such thing."""
    real, error = system.names_in, OSError(13, "Permission denied")

    def names_in(path: str) -> list[str]:
        if os.path.basename(path) == "host-2-1-other":
            raise error
        return real(path)

    desk.add("a", "b")
    desk.path("processing/host-2-1-other", "x").parent.mkdir()
    monkeypatch.setattr(system, "names_in", names_in)
    assert taken(desk) == "a"
    error = OSError(24, "Too many open files")
    with pytest.raises(OSError, match="Too many"):
        taken(desk)


def test_of_jobs_that_have_crashed_a_program_runs_one_at_a_time(desk: Desk) -> None:
    """It may be the one that kills its worker, and would count as a crash of the others, too."""
    for name in ("first", "second", "third"):
        desk.put_job("failed", name, state="failed", crashes=1, priority=9)
    desk.add("sound")
    desk.queue.refresh()
    assert taken(desk) == "first"
    assert [got and got.place.job_id for got in (take(desk, "host-1-2-abc"), take(desk, "host-1-3-abc"))] == [
        "sound",
        None,
    ]
    # Another process of the same start falls with it.
    assert take(desk, "host-3-1-abc") is None
    other = take(desk, "host-2-1-other")
    assert other is not None
    assert other.place.job_id == "second"


@pytest.mark.parametrize("folder", ["done", "failed", "processing/host-1-1-other"])
def test_a_row_that_is_behind_its_file_is_no_second_job(desk: Desk, folder: str) -> None:
    """Others see it all the time: its row is not dropped, but set right."""
    desk.add("a")
    desk.look()
    desk.path(folder, "x").parent.mkdir(exist_ok=True)
    desk.drag("a", "pending", folder)
    with desk.worker() as worker:
        assert claim(worker.store, worker.name, desk.clock()) is None
        row = worker.store.index.get("a")
        assert row is not None
        assert State(row.state).folder == folder.split("/", maxsplit=1)[0]


class TestAJobThatIsTriedAgain:
    def test_is_claimed_from_failed_when_it_is_due(self, desk: Desk) -> None:
        desk.put_job("failed", "a", state="failed", attempts=2, run_at="2027-01-15T08:00:04Z", error="e")
        desk.queue.refresh()
        assert taken(desk) is None
        desk.clock.advance(4)
        got = take(desk)
        assert got is not None
        assert got.job.attempts == 2

    def test_has_no_run_left_when_the_setting_was_lowered_meanwhile(self, desk: Desk) -> None:
        desk.add("a")
        desk.run_once(failing(desk.clock))
        desk.queue.set_config("max_retries", "0")
        desk.clock.advance(2)
        assert claim(desk.store, "host-1-1-abc", desk.clock()) is None
        assert desk.folder_of("a") == ["dead"]
        assert (desk.row("a")["attempts"], desk.row("a")["error"]) == (1, "exit code 1")

    def test_does_not_look_finished_while_it_runs(self, desk: Desk) -> None:
        desk.put_job("failed", "a", state="failed", attempts=2)
        desk.queue.refresh()
        take(desk)
        record = desk.record(f"processing/{WORKER}", "a")
        assert (record["state"], record["attempts"]) == ("processing", 2)

    @pytest.mark.parametrize(
        ("folder", "state"), [("dead", "dead"), ("failed", "failed"), ("done", "completed")]
    )
    @pytest.mark.parametrize("seen", [True, False])
    def test_by_dragging_it_to_pending_begins_anew(
        self, desk: Desk, folder: str, state: str, seen: bool
    ) -> None:
        desk.put_job(
            folder, "a", state=state, attempts=4, crashes=2, error="e", run_at="2099-01-01T00:00:00Z"
        )
        desk.queue.refresh()
        desk.drag("a", folder, "pending")
        if seen:
            desk.queue.refresh()
        desk.look()
        got = take(desk)
        assert got is not None
        assert (got.job.attempts, got.job.crashes, got.job.run_at) == (0, 0, None)
        record = desk.record(f"processing/{WORKER}", "a")
        assert (record["state"], record["attempts"], record["crashes"]) == ("pending", 0, 0)

    def test_by_dragging_it_has_all_its_runs_again(self, desk: Desk) -> None:
        desk.add("a", max_retries=1)
        for _ in range(2):
            desk.run_once(failing(desk.clock))
            desk.clock.advance(10)
        assert desk.folder_of("a") == ["dead"]
        desk.drag("a", "dead", "pending")
        desk.run_once(failing(desk.clock))
        assert desk.folder_of("a") == ["failed"]
        assert desk.record("failed", "a")["attempts"] == 1


def test_a_paused_spool_gives_no_job(desk: Desk) -> None:
    desk.add("a")
    desk.queue.pause()
    assert taken(desk) is None
    desk.queue.resume()
    assert taken(desk) == "a"


class TestManyAtOnce:
    THREADS = 8
    JOBS = 60 if os.name == "nt" else 200  # A claim there can take a tenth of a second.

    @pytest.mark.parametrize("dropped", [False, True])
    def test_each_job_is_claimed_once(self, desk: Desk, dropped: bool) -> None:
        names = [f"job-{number}" for number in range(self.JOBS)]
        if dropped:
            for name in names:
                desk.drop(f"{name}.json")
        else:
            desk.add(*names)
        desk.queue.refresh()
        got: list[list[str]] = [[] for _ in range(self.THREADS)]
        errors: list[BaseException] = []
        barrier = threading.Barrier(self.THREADS)

        def work(number: int) -> None:
            worker = f"host-1-{number}-abc"
            (desk.root / "processing" / worker).mkdir()
            barrier.wait()
            try:
                with Store.open(str(desk.root)) as store:
                    while one := claim(store, worker, desk.clock()):
                        got[number].append(one.place.job_id)
            except BaseException as error:  # noqa: BLE001 (told below)
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(self.THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sorted(one for mine in got for one in mine) == sorted(names)
        for number, mine in enumerate(got):
            folder = desk.root / "processing" / f"host-1-{number}-abc"
            assert sorted(path.stem for path in folder.iterdir()) == sorted(mine)

    def test_a_worker_works_on_while_others_look(self, desk: Desk) -> None:
        desk.add(*(f"job-{number}" for number in range(30)))
        stop = threading.Event()

        def look() -> None:
            with Desk(desk.root, desk.clock) as own:
                while not stop.is_set():
                    own.look()

        looker = threading.Thread(target=look)
        looker.start()
        runs = 0
        with desk.worker(succeeding(desk.clock)) as worker:
            while worker.run_once():
                runs += 1
        stop.set()
        looker.join()
        assert runs == 30
        assert desk.queue.status().counts["completed"] == 30
