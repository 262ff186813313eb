"""A person's hands on the folders themselves while a job runs: deleted, renamed, replaced, the spool too."""

from __future__ import annotations

import os
import shutil
from typing import Callable

import pytest

from queuectl.errors import SpoolUnusable
from queuectl.queue import liveness
from queuectl.queue.doctor import examine
from queuectl.queue.recovery import recover
from queuectl.spool.layout import FOLDERS
from queuectl.sweep import Sweep
from tests.support.invariants import check
from tests.support.person.shop import RESTS, WINDOWS, WORKER, Shop, allowed
from tests.support.spools import Desk

Figure = Callable[[str, int], None]


@pytest.fixture
def shop(desk: Desk) -> Shop:
    return Shop(desk)


@pytest.mark.parametrize("seen", [False, True], ids=["missed", "seen at once"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_deleted_takes_its_jobs_and_no_other(
    shop: Shop, folder: str, seen: bool, figure: Figure
) -> None:

    def act() -> None:
        assert allowed(lambda: shutil.rmtree(shop.desk.root / folder)) or folder == "locks"
        assert shop.ask() == []
        if seen:
            shop.look()

    shop.work(act)
    wanted = {**RESTS, "waits": "done", "runs": "done"}
    deleted = {name for name, place in {**RESTS, "runs": "processing"}.items() if place == folder}
    assert {name: place for name in wanted for place in shop.desk.folder_of(name)} == {
        name: place for name, place in wanted.items() if name not in deleted
    }
    assert ("taken away while it ran" in shop.notices) == (folder == "processing")
    assert shop.ran == ["runs"] if "waits" in deleted else ["runs", "waits"]
    assert [one.text for one in examine(shop.desk.store, fix=False)] == []
    check(shop.desk.root, wanted.keys() - deleted)
    figure("person in the folder: cells", 1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_renamed_is_made_again_and_what_was_in_it_can_be_dragged_back(
    shop: Shop, folder: str, figure: Figure
) -> None:
    old = shop.desk.root / f"{folder}-old"
    shop.work(lambda: allowed(lambda: os.rename(shop.desk.root / folder, old)))
    moved = old.exists()
    for path in sorted(old.rglob("*.json")):
        # Out of a worker's folder it is dragged to where it will run.
        home = "pending" if folder == "processing" else folder
        os.rename(path, shop.desk.root / home / path.name)
    shutil.rmtree(old, ignore_errors=not moved)
    shop.work(lambda: None)
    assert shop.ran == (["runs", "waits", "runs"] if folder == "processing" and moved else ["runs", "waits"])
    wanted = {**RESTS, "waits": "done", "runs": "done"}
    assert {name: shop.desk.folder_of(name) for name in wanted} == {
        name: [place] for name, place in wanted.items()
    }
    assert [one.text for one in examine(shop.desk.store, fix=False)] == []
    check(shop.desk.root, wanted)
    figure("person in the folder: cells", 1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_file_in_a_folders_place_stops_the_workers_and_says_so(
    shop: Shop, folder: str, figure: Figure
) -> None:
    there, old = shop.desk.root / folder, shop.desk.root / f"{folder}-old"

    def act() -> None:
        if not allowed(lambda: os.rename(there, old)):
            return
        there.write_bytes(b"")
        shop.ask()
        with pytest.raises(SpoolUnusable, match=r"cannot use .*spool as a spool"):
            shop.look()
        # The person sees what that has done.
        there.unlink()
        os.rename(old, there)

    shop.work(act)
    wanted = {**RESTS, "waits": "done", "runs": "done"}
    assert {name: shop.desk.folder_of(name) for name in wanted} == {
        name: [place] for name, place in wanted.items()
    }
    check(shop.desk.root, wanted)
    figure("person in the folder: cells", 1)


def test_a_file_in_a_folders_place_is_named(shop: Shop) -> None:
    shutil.rmtree(shop.desk.root / "done")
    (shop.desk.root / "done").write_bytes(b"")
    with pytest.raises(SpoolUnusable, match=r"spool.*done"):
        shop.look()


class TestTheSpoolItself:
    def test_renamed_while_a_job_runs_ends_the_workers_and_is_a_spool_afterwards(self, shop: Shop) -> None:
        root, elsewhere = shop.desk.root, shop.desk.root.with_name("elsewhere")

        def act() -> None:
            if not allowed(lambda: os.rename(root, elsewhere)):
                pytest.skip("a folder with open files cannot be renamed here")
            with pytest.raises(SpoolUnusable, match="has gone: the workers stop"):
                shop.look()

        with shop.worker(shop.run_with(act)) as worker:
            assert worker.run_once()
            assert not root.exists(), "nothing is made in its place"
            assert not worker.run_once()
        assert "taken away while it ran: not recorded" in shop.notices
        with Desk(elsewhere) as desk:
            assert desk.folder_of("runs") == ["processing"]
            assert [job.state.value for job in recover(desk.store, desk.clock(), 0.5)] == ["failed"]
            desk.clock.advance(60)
            while desk.run_once(name="host-2-1-abc"):
                pass
        os.rename(elsewhere, root)
        record = shop.desk.record("done", "runs")
        assert [run["outcome"] for run in record["history"]] == ["crashed", "completed"]
        check(root, {*RESTS, "runs"})

    def test_renamed_and_back_before_anybody_looks_is_nothing(self, shop: Shop) -> None:
        root, elsewhere = shop.desk.root, shop.desk.root.with_name("elsewhere")

        def act() -> None:
            if allowed(lambda: os.rename(root, elsewhere)):
                os.rename(elsewhere, root)

        shop.work(act)
        assert (shop.ran, shop.notices) == (["runs", "waits"], "")
        check(root, {*RESTS, "runs"})


class TestTheIndex:
    @pytest.mark.parametrize("pattern", ["index.sqlite3*", "index.sqlite3", "index.sqlite3-shm"])
    def test_deleted_while_a_job_runs_is_built_anew(self, shop: Shop, pattern: str, figure: Figure) -> None:
        def act() -> None:
            for path in shop.desk.root.glob(pattern):
                allowed(path.unlink)
            assert shop.ask() == []

        shop.work(act)
        assert shop.ran == ["runs", "waits"]
        assert shop.desk.queue.status().counts == {
            "pending": 0, "processing": 0, "completed": 3, "failed": 1, "dead": 1,
        }  # fmt: skip
        check(shop.desk.root, {*RESTS, "runs"})
        figure("person in the folder: cells", 1)


class TestLocks:
    """A worker whose lock's file has been deleted lives all the same."""

    def test_deleted_while_a_job_runs_do_not_make_its_worker_look_dead(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:

        def act() -> None:
            allowed(lambda: shutil.rmtree(shop.desk.root / "locks"))
            self.others_look(shop)
            worker.life.keep()
            # However long it takes from here on.
            monkeypatch.setattr(liveness, "GRACE", 0.0)
            self.others_look(shop)
            assert [row.job for row in shop.desk.queue.status().workers] == ["runs"]

        with shop.worker(shop.run_with(act)) as worker:
            while worker.run_once():
                pass
        assert shop.ran == ["runs", "waits"]
        assert "job_recovered" not in shop.heard.kinds
        check(shop.desk.root, {*RESTS, "runs"})
        assert os.listdir(shop.desk.root / "locks") in ([], ["claim.lock"])

    @pytest.mark.skipif(WINDOWS, reason="a lock that is held cannot be deleted there")
    def test_not_taken_anew_would_be_those_of_a_dead_worker(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The control: without `keep_lock` its job would be freed."""

        def act() -> None:
            shutil.rmtree(shop.desk.root / "locks")
            self.others_look(shop)
            monkeypatch.setattr(liveness, "GRACE", 0.0)
            self.others_look(shop)

        with shop.worker(shop.run_with(act)) as worker:
            worker.run_once()
        assert [event.job_id for event in shop.heard.events if event.kind == "job_recovered"] == ["runs"]

    @staticmethod
    def others_look(shop: Shop) -> None:
        with Desk(shop.desk.root, shop.desk.clock) as other:
            Sweep(other.store, shop.heard).look((), [])


def test_what_a_person_puts_into_a_living_workers_folder_runs_when_it_comes_to_rest(shop: Shop) -> None:
    folder = shop.desk.root / "processing" / WORKER

    def act() -> None:
        shop.desk.drag("ended", "done", f"processing/{WORKER}")
        shop.desk.drop("new.json", {"command": "echo hi"}, f"processing/{WORKER}")
        os.rename(folder / "runs.json", folder / "renamed.json")

    shop.work(act)
    assert sorted(shop.ran) == ["new", "renamed", "runs", "waits"]
    assert list(folder.parent.iterdir()) == []
    assert {name: shop.desk.folder_of(name) for name in ("new", "renamed", "ended")} == {
        "new": ["done"],
        "renamed": ["done"],
        "ended": ["done"],
    }
    check(shop.desk.root, {*RESTS, "new", "renamed"})
