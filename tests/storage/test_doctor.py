"""Every finding of the doctor, and what mending it does."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import closing
from typing import Any

import pytest

from queuectl import locks, system
from queuectl.queue import doctor
from queuectl.queue.doctor import examine
from queuectl.queue.intake import set_aside
from queuectl.spool import Place, Spool
from queuectl.state import State
from tests.support.invariants import check
from tests.support.spools import START, Clock, Desk, succeeding

DEAD = "host-1-1-dead"


@pytest.fixture(autouse=True)
def wall_clock(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The doctor's clock is the system's: it is the desk's now."""
    monkeypatch.setattr(system, "now", desk.clock)
    return desk.clock


def told(desk: Desk, *, fix: bool = False) -> list[str]:
    return [finding.text for finding in examine(desk.store, fix=fix)]


def mended(desk: Desk) -> list[tuple[str, bool]]:
    found = [(finding.text, finding.fixed) for finding in examine(desk.store, fix=True)]
    assert told(desk) == []
    return found


def test_a_clean_spool_has_no_finding(desk: Desk) -> None:
    desk.add("a", "b")
    desk.run_once(succeeding(desk.clock))
    with desk.worker():
        assert told(desk) == []
        assert told(desk, fix=True) == []


def test_looking_alone_mends_no_file(desk: Desk) -> None:
    desk.drop("bad.json", b"{")
    desk.drop("a.json.txt")
    desk.put_job(f"processing/{DEAD}", "b")
    desk.drop("-~0123456789ab~old.json", b"x", "tmp")
    before = desk.files()
    desk.clock.advance(1e6)
    assert len(told(desk)) >= 4
    assert desk.files() == before
    assert desk.path("tmp", "-~0123456789ab~old.json").exists()


@pytest.mark.parametrize("name", ["failed", "logs", "tmp", "locks"])
def test_a_missing_folder(desk: Desk, name: str) -> None:
    shutil.rmtree(desk.root / name)
    assert told(desk)[0] == f"{name}: the folder is missing"
    assert (f"{name}: the folder is missing", True) in mended(desk)
    assert (desk.root / name).is_dir()


def test_a_folder_that_this_user_may_not_use(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: "done" not in str(path) and real(path, mode))
    assert told(desk) == ["done: this user may not read and write here"]


def test_an_index_that_is_behind(desk: Desk) -> None:
    desk.add("a", "gone")
    desk.drop("b.json")
    desk.drop("a.json", {"command": "edited"})
    desk.path("pending", "gone.json").unlink()
    found = told(desk)
    assert len(found) == 2
    assert "2" in found[0]
    assert "1 rows" in found[1]
    assert told(desk) == []
    assert sorted(desk.ids()) == ["a", "b"]


class TestADeadWorker:
    def test_with_a_job(self, desk: Desk) -> None:
        desk.put_job(f"processing/{DEAD}", "a")
        desk.queue.refresh()
        assert told(desk) == [f"processing/{DEAD}: its worker has died"]
        assert mended(desk) == [(f"processing/{DEAD}: its worker has died", True)]
        assert desk.folder_of("a") == ["failed"]
        check(desk.root, ["a"])

    def test_with_nothing(self, desk: Desk) -> None:
        (desk.root / "processing" / DEAD).mkdir()
        assert mended(desk) == [(f"processing/{DEAD}: its worker has died", True)]

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows a command dies with its worker")
    def test_whose_command_still_runs(self, desk: Desk) -> None:
        desk.put_job(f"processing/{DEAD}", "a")
        desk.queue.refresh()
        held = locks.try_lock(desk.store.spool.lock_path(f"{DEAD}.run"))
        assert held is not None
        with closing(held):
            found = [(one.text, one.fixed) for one in examine(desk.store, fix=True)]
        assert found == [(f"processing/{DEAD}: its worker has died and its command still runs", False)]
        assert desk.folder_of("a") == ["processing"]

    def test_of_whom_only_the_lock_is_left(self, desk: Desk) -> None:
        for suffix in (".lock", ".run", ".stop"):
            desk.drop(f"{DEAD}{suffix}", b"", "locks")
        assert mended(desk) == [(f"locks/{DEAD}.*: its worker has gone", True)]
        assert [path.name for path in (desk.root / "locks").iterdir()] == ["claim.lock"]


class TestARecord:
    @pytest.mark.parametrize("folder", ["done", "failed", "dead"])
    def test_of_another_id(self, desk: Desk, folder: str) -> None:
        desk.drop("a.json", {"id": "b", "command": "x"}, folder)
        desk.queue.refresh()
        if folder == "dead":
            assert told(desk) == []
        else:
            assert told(desk) == [f"{folder}/a.json: its record gives another id; the file's name counts"]

    def test_that_is_none(self, desk: Desk) -> None:
        desk.drop("a.json", b"{", "done")
        desk.queue.refresh()
        (found,) = told(desk)
        assert found.startswith("done/a.json: holds no job: not JSON")
        assert told(desk, fix=True) == [found]
        assert desk.path("done", "a.json").read_bytes() == b"{"


class TestAStray:
    @pytest.mark.parametrize(
        ("name", "data", "text"),
        [
            ("notes.txt", b"x", "pending/notes.txt: not named like a job: a job's file ends in .json"),
            ("new.json", b"", "pending/new.json: empty: waiting for its content"),
        ],
    )
    def test_that_only_a_person_can_judge(self, desk: Desk, name: str, data: bytes, text: str) -> None:
        desk.drop(name, data)
        assert told(desk) == [text]
        desk.clock.advance(1e6)
        assert told(desk, fix=True) == [text]
        assert desk.path("pending", name).read_bytes() == data

    def test_of_another_ending(self, desk: Desk) -> None:
        desk.drop("a.json.txt")
        assert told(desk) == ["pending/a.json.txt: to be renamed: a job's file ends in .json"]
        assert [fixed for _, fixed in mended(desk)] == [True]
        assert desk.files() == {"pending": ["a.json"]}

    def test_of_a_known_name(self, desk: Desk) -> None:
        desk.put_job("done", "a", state="completed")
        desk.queue.refresh()
        desk.drop("a.json")
        assert told(desk) == ["a lies in 2 places: pending/a.json, done/a.json"]
        assert mended(desk) == [("pending/a.json: a second file of this id", True)]
        check(desk.root, ["a", "a-2"])

    def test_that_is_no_job_and_has_lain_still(self, desk: Desk) -> None:
        desk.drop("a.json", b"{")
        assert len(told(desk, fix=True)) == 1
        assert desk.folder_of("a") == ["pending"]
        desk.clock.advance(10)
        assert [fixed for _, fixed in mended(desk)] == [True]
        assert desk.folder_of("a") == ["dead"]


class TestALeftover:
    def aged(self, path: Any, seconds: float) -> None:
        os.utime(path, (START - seconds, START - seconds))

    def test_in_tmp_that_is_old(self, desk: Desk) -> None:
        self.aged(desk.drop("-~0123456789ab~old.json", b"x", "tmp"), 86401)
        self.aged(desk.drop("-~0123456789cd~new.json", b"x", "tmp"), 86399)
        self.aged(desk.drop(".gitkeep", b"", "tmp"), 1e6)
        assert mended(desk) == [("tmp/-~0123456789ab~old.json: left by a program that was killed", True)]
        assert sorted(path.name for path in (desk.root / "tmp").iterdir()) == [
            "-~0123456789cd~new.json",
            ".gitkeep",
        ]

    def test_what_a_command_has_made_in_place_of_what_it_may_write(self, desk: Desk) -> None:
        """By a worker that is gone, and could not remove it. A folder of another name is a person's."""
        tmp = desk.store.spool.tmp
        tmp.owner = "host-1-1-dead"
        result, progress = tmp.tidings(1, "a")
        theirs = desk.root / "tmp" / "-~0123456789ab~old.json"
        for path in (result, theirs):
            os.makedirs(os.path.join(path, "in it"))
        make = getattr(os, "mkfifo", os.mkdir)
        make(progress)
        for path in (result, progress, theirs):
            os.utime(path, (0, 0))
        told = {f"tmp/{os.path.basename(path)}": path != theirs for path in (result, progress, theirs)}
        assert dict(examine(desk.store, fix=True)) == {
            f"{name}: left by a program that was killed": gone for name, gone in told.items()
        }
        assert os.listdir(desk.root / "tmp") == [theirs.name]

    def test_note_whose_file_is_gone(self, desk: Desk) -> None:
        desk.drop("a.error.txt", b"x", "dead")
        desk.drop("b.json", b"{", "dead")
        desk.drop("b.error.txt", b"x", "dead")
        desk.queue.refresh()
        assert mended(desk) == [("dead/a.error.txt: the file it speaks of is gone", True)]
        assert desk.files() == {"dead": ["b.error.txt", "b.json"]}

    def test_note_whose_file_is_just_coming_stays(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.drop("a.json", b"{")
        found: list[str] = []

        def examine() -> None:
            with Desk(desk.root, desk.clock) as other:
                found.extend(told(other, fix=True))

        doctor, real = threading.Thread(target=examine), Spool.move

        def meanwhile(spool: Spool, place: Place, target: Place, **options: Any) -> None:
            doctor.start()
            # It waits for us, so that nothing can be waited for here; without the lock this is enough.
            doctor.join(0.5)
            real(spool, place, target, **options)

        monkeypatch.setattr(Spool, "move", meanwhile)
        set_aside(desk.store, Place(State.PENDING, "a"), "a", "no job", desk.clock())
        doctor.join(30)
        assert desk.files() == {"dead": ["a.error.txt", "a.json"]}
        assert not any("error.txt" in text for text in found)


def test_an_index_that_cannot_be_written(desk: Desk) -> None:
    desk.store.index.why_in_memory = "a test"
    assert told(desk) == ["index.sqlite3: cannot be changed: a test"]


def test_a_folder_on_another_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link or a mount in its place: no file can be moved there in one step."""
    real, elsewhere = os.stat, str(desk.root / "done")

    def stat(path: Any, **options: Any) -> os.stat_result:
        found = real(path, **options)
        if path != elsewhere:
            return found
        return os.stat_result(
            (*found[:2], found.st_dev + 1, *found[3:10]), {"st_ctime_ns": found.st_ctime_ns}
        )

    monkeypatch.setattr(doctor.os, "stat", stat)
    assert told(desk) == ["done: lies on another disk than the spool, so no file can be moved to it"]
