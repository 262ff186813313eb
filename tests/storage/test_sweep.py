"""The supervisor's looks: what somebody tidied away is made anew, what nobody owns is removed or told."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from queuectl import events, full_look, locks, system
from queuectl import sweep as sweep_module
from queuectl.crew import Crew
from queuectl.errors import SpoolUnusable
from queuectl.full_look import FullLook
from queuectl.queue import looks, recovery, survey
from queuectl.queue.reconcile import reconcile_some
from queuectl.queue.recovery import ownerless_locks, recover
from queuectl.queue.store import Store
from queuectl.queue.survey import Survey, reconcile_all
from queuectl.spool import Spool, layout
from queuectl.state import State
from queuectl.sweep import Sweep
from tests.support.spools import Desk, Heard, succeeding

LIVE = "host-1-1-abc"
DEAD = "host-1-1-dead"
HOUR = 3600.0


class TestAFolderThatWasRemoved:
    def test_of_a_worker_is_made_anew_and_the_worker_goes_on(self, desk: Desk) -> None:
        desk.add("a")
        with desk.worker(succeeding(desk.clock), name=LIVE) as worker:
            (desk.root / "processing" / LIVE).rmdir()
            crew = Crew()
            crew.workers.append(worker)
            crew.keep_folders(desk.store.spool)
            assert worker.run_once() is True
        assert desk.folder_of("a") == ["done"]

    @pytest.mark.parametrize("name", layout.FOLDERS)
    def test_is_made_anew_and_told_once(self, desk: Desk, name: str) -> None:
        heard, before = Heard(), sorted(os.listdir(desk.root))
        sweep = Sweep(desk.store, heard)
        shutil.rmtree(desk.root / name)
        sweep.look((), [])
        assert sorted(os.listdir(desk.root)) == before
        sweep.hasten()
        sweep.look((), [])
        assert heard.kinds == [events.NOTICE]

    @pytest.mark.parametrize("name", ["pending", "failed", "locks"])
    def test_is_to_be_watched_again(self, desk: Desk, name: str) -> None:
        sweep = Sweep(desk.store, Heard())
        sweep.look((), [])
        assert sweep.remade is False
        shutil.rmtree(desk.root / name)
        sweep.hasten()
        sweep.look((), [])
        assert sweep.remade is True


def test_in_the_place_of_a_spool_that_goes_in_the_middle_of_a_look_nothing_is_made(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Seen on a busy Windows: its folders were missing already, the spool itself was not yet."""
    desk.store.close()
    root, elsewhere = str(desk.root), tmp_path / "elsewhere"

    def goes(_: str) -> bool:
        os.rename(root, elsewhere)
        return False

    monkeypatch.setattr(layout, "is_whole", goes)
    with pytest.raises(SpoolUnusable, match="has gone"):
        Sweep(desk.store, Heard())._remake_folders()
    assert not os.path.exists(root)
    os.rename(elsewhere, root)


@pytest.mark.parametrize(
    ("takes", "pauses"),
    [
        ((0.01, 0.01), (1.0, 1.0)),
        ((1.0, 1.0, 1.0), (1.0, 20.0, 20.0)),
        ((90.0, 90.0), (1.0, 300.0)),
        ((9.0, 0.1, 9.0, 0.1), (1.0, 2.0, 2.0, 2.0)),
    ],
    ids=["short", "long", "very long", "one waited"],
)
def test_full_looks_are_the_rarer_the_longer_they_take(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, takes: tuple[float, ...], pauses: tuple[float, ...]
) -> None:
    now, left = [0.0], list(takes)

    def steps(_: Survey) -> Iterator[None]:
        now[0] += left.pop(0)
        yield

    monkeypatch.setattr(system, "monotonic", lambda: now[0])
    monkeypatch.setattr(system, "now", lambda: 1_800_000_000.0 + now[0])
    monkeypatch.setattr(Survey, "steps", steps)
    sweep, seen = Sweep(desk.store, Heard()), []
    for _ in takes:
        sweep.hasten()
        while sweep.look((), []):
            pass
        seen.append(sweep.full._next - now[0])
    assert seen == [pytest.approx(pause) for pause in pauses]


def _locked(*_: object) -> bool:
    raise sqlite3.OperationalError("database is locked")


class TestAFlood:
    """Of very many names at once: what came is read along the folder, and not name by name."""

    @pytest.fixture(autouse=True)
    def _few_are_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweep_module, "FLOOD", 3)

    @pytest.fixture
    def named(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What was looked at by its name."""
        seen: list[str] = []

        def some(store: Store, names: Any, now: float) -> Any:
            seen.extend(name for _, name in names)
            return reconcile_some(store, names, now)

        monkeypatch.setattr(sweep_module, "reconcile_some", some)
        return seen

    def drops(self, desk: Desk, begin: str, count: int) -> list[tuple[State, str]]:
        names = [f"{begin}{number}.json" for number in range(count)]
        for name in names:
            desk.drop(name)
        return [(State.PENDING, name) for name in names]

    def ready(self, desk: Desk) -> int:
        return len(list(desk.store.index.ready(99)))

    def test_is_taken_in_by_a_full_look_at_once(self, desk: Desk, named: list[str]) -> None:
        sweep = Sweep(desk.store, Heard())
        sweep.look((), [])
        assert sweep.pause > 0
        more = sweep.look(self.drops(desk, "a", 5), [])
        while more:
            more = sweep.look((), [])
        assert (self.ready(desk), named) == (5, [])

    def step_by_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(survey, "_PIECE", 1)
        monkeypatch.setattr(full_look, "STEP", 0.0)

    def rested(self, desk: Desk) -> Sweep:
        """After a full look."""
        sweep = Sweep(desk.store, Heard())
        while sweep.look((), []):
            pass
        return sweep

    def test_in_the_middle_of_a_full_look_is_taken_in_name_by_name(
        self, desk: Desk, named: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That one may take long."""
        self.step_by_step(monkeypatch)
        desk.put_job("done", "old", state="completed")
        desk.put_job("dead", "older", state="dead")
        sweep = Sweep(desk.store, Heard())
        assert sweep.look((), []) is True
        assert sweep.look(self.drops(desk, "a", 5), []) is True
        assert (self.ready(desk), len(named)) == (5, 5)

    def test_looks_into_no_other_folder(
        self, desk: Desk, named: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before they run; there may be a million in `done`."""
        sweep, looked_into, real = self.rested(desk), set[State](), Spool.scan_state

        def scan_state(spool: Spool, state: State) -> Any:
            looked_into.add(state)
            return real(spool, state)

        monkeypatch.setattr(Spool, "scan_state", scan_state)
        more = sweep.look(self.drops(desk, "a", 5), [])
        while more:
            # It was interrupted: this machine is slow just now.
            more = sweep.look((), [])
        assert (self.ready(desk), looked_into) == (5, {State.PENDING})

    def test_that_comes_while_another_is_taken_in_waits_for_that(
        self, desk: Desk, named: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.step_by_step(monkeypatch)
        sweep = self.rested(desk)
        assert sweep.look(self.drops(desk, "a", 5), []) is True
        more = sweep.look(self.drops(desk, "b", 2), [])
        assert named == []
        while more:
            more = sweep.look((), [])
        assert (self.ready(desk), sorted(named)) == (7, ["b0.json", "b1.json"])

    @pytest.mark.parametrize("what", ["nothing", "the clock is set", "the index is locked", "another index"])
    def test_is_not_forgotten_when_its_look_does_not_come_to_its_end(
        self, desk: Desk, named: list[str], monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        """Edits of files in their places change no folder: nothing else tells of them."""
        self.step_by_step(monkeypatch)
        monkeypatch.setattr(looks, "FEW", 2)
        now = [time.time() + 10]
        monkeypatch.setattr(system, "now", lambda: now[0])
        for number in range(5):
            desk.drop(f"a{number}.json", {"command": "x", "run_at": "2999-01-01T00:00:00Z"})
        desk.store.spool.tmp.owner = "host-1-0-abc"
        sweep = self.rested(desk)
        sweep.full.hears = True
        sweep.hasten()
        while sweep.look((), []):
            pass
        assert sweep.look(self.drops(desk, "a", 5), []) is True
        if what == "the clock is set":
            now[0] += 100
        elif what == "another index":
            desk.store.index.heal()
        elif what == "the index is locked":
            with monkeypatch.context() as patch:
                patch.setattr(FullLook, "_step", _locked)
                with pytest.raises(sqlite3.OperationalError):
                    sweep.look((), [])
            assert sweep.pause > 0
            sweep.hasten()
        while sweep.look((), []):
            pass
        assert (self.ready(desk), named) == (5, [])

    def test_beside_very_many_that_wait_is_taken_in_name_by_name(self, desk: Desk, named: list[str]) -> None:
        sweep = Sweep(desk.store, Heard())
        self.drops(desk, "old", 30)
        more = sweep.look((), [])
        while more:
            more = sweep.look((), [])
        sweep.look(self.drops(desk, "new", 5), [])
        assert (self.ready(desk), len(named)) == (35, 5)


class TestALongLook:
    """Goes on in steps: what comes meanwhile does not wait for it."""

    @pytest.fixture(autouse=True)
    def _slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each step is a file, and takes as long as one go may."""
        monkeypatch.setattr(survey, "_PIECE", 1)
        monkeypatch.setattr(full_look, "STEP", 0.0)

    def test_sees_all_in_the_end(self, desk: Desk) -> None:
        for number in range(5):
            desk.drop(f"job{number}.json")
        sweep, looks = Sweep(desk.store, Heard()), 1
        while sweep.look((), []):
            looks += 1
        assert looks > 5
        assert len(list(desk.store.index.ready(9))) == 5
        assert sweep.pause > 0

    def test_a_name_is_looked_at_at_once(self, desk: Desk) -> None:
        for number in range(5):
            desk.put_job("done", f"job{number}", state="completed")
        sweep = Sweep(desk.store, Heard())
        assert sweep.look((), []) is True
        desk.drop("new.json")
        assert sweep.look([(State.PENDING, "new.json")], []) is True
        assert [entry.id for entry in desk.store.index.ready(9)] == ["new"]

    def test_the_jobs_of_the_dead_are_freed_at_once(self, desk: Desk) -> None:
        for number in range(5):
            desk.put_job("done", f"job{number}", state="completed")
        sweep = Sweep(desk.store, Heard())
        assert sweep.look((), []) is True
        desk.put_job(f"processing/{DEAD}", "a")
        sweep._next_round = 0.0
        assert sweep.look((), []) is True
        assert desk.folder_of("a") == ["failed"]

    def test_begins_anew_in_an_index_that_was_made_anew(self, desk: Desk) -> None:
        for number in range(9):
            desk.put_job("done", f"job{number}", state="completed")
        sweep = Sweep(desk.store, Heard())
        for _ in range(5):
            assert sweep.look((), []) is True
        desk.store.index.heal()
        while sweep.look((), []):
            pass
        assert desk.store.index.counts()["completed"] == 9

    def test_comes_to_its_end_in_an_index_in_memory_too(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which else looks every half a minute whether its file can be used again, and begins anew."""
        for number in range(9):
            desk.put_job("done", f"job{number}", state="completed")
        now = [system.now()]
        monkeypatch.setattr(system, "now", lambda: now[0])
        monkeypatch.setattr(system, "monotonic", lambda: now[0])
        desk.store.index.leave_disk("of a reason")
        sweep, looks = Sweep(desk.store, Heard()), 1
        while sweep.look((), []):
            looks += 1
            now[0] += 20.0
        assert looks > 5
        assert desk.store.index.in_memory
        assert desk.store.index.counts()["completed"] == 9
        now[0] += 60.0
        sweep.look((), [])
        assert not desk.store.index.in_memory

    def test_that_fails_is_not_begun_again_at_once(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> Iterator[None]:
            raise OSError(5, "input/output error")

        sweep = Sweep(desk.store, Heard())
        monkeypatch.setattr(Survey, "steps", refuse)
        with pytest.raises(OSError, match="input/output"):
            sweep.look((), [])
        assert sweep.pause > 0


class TestARoundThatFails:
    def test_keeps_no_look_from_being_taken(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor does the supervisor ask again at once."""
        desk.drop("a.json")
        sweep = Sweep(desk.store, Heard())
        monkeypatch.setattr(sweep_module, "recover", _refuse)
        with pytest.raises(OSError, match="input/output"):
            sweep.look((), [])
        while sweep.full.goes_on:
            # It was interrupted: this machine is slow just now.
            sweep.look((), [])
        assert [entry.id for entry in desk.store.index.ready(9)] == ["a"]
        assert sweep.pause > 0

    def test_a_file_in_tmp_that_cannot_be_removed_is_left(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = desk.drop("-~0123456789ab~old.json", b"", "tmp")
        os.utime(left, (0, 0))
        with monkeypatch.context() as refusing:
            refusing.setattr(system, "remove", _refuse)
            Sweep(desk.store, Heard()).look((), [])
        assert left.exists()
        Sweep(desk.store, Heard()).look((), [])
        assert not left.exists()


def _refuse(*_: object, **__: object) -> Any:
    raise OSError(5, "input/output error")


class TestDropsThatAreNoJobs:
    def test_one_that_is_gone_when_the_clock_is_set_is_not_waited_for(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [system.now()]
        monkeypatch.setattr(system, "now", lambda: now[0])
        bad = desk.drop("bad.json", b"{")
        sweep = Sweep(desk.store, Heard())
        while sweep.look((), []):
            pass
        assert sweep.next_ripe is not None
        bad.unlink()
        now[0] += 86400.0
        while sweep.look((), []):
            pass
        assert sweep.next_ripe is None

    def test_what_an_event_told_is_newer_than_what_a_long_look_had_seen(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [system.now()]
        monkeypatch.setattr(system, "now", lambda: now[0])
        monkeypatch.setattr(system, "monotonic", lambda: now[0])
        bad = desk.drop("bad.json", b"{")
        sweep, real = Sweep(desk.store, Heard()), Survey.steps

        def interrupted(look: Survey) -> Iterator[None]:
            yield from real(look)
            now[0] += 0.5
            bad.write_bytes(b'{"a')
            yield

        monkeypatch.setattr(Survey, "steps", interrupted)
        monkeypatch.setattr(full_look, "STEP", 0.1)
        assert sweep.look((), []) is True
        assert sweep.look([(State.PENDING, "bad.json")], []) is False
        (drop,) = sweep._drops.values()
        assert drop.oddity.size == 3


@pytest.mark.skipif(os.sep == "\\", reason="on Windows a file that is open cannot be deleted")
class TestAnIndexThatIsReplaced:
    """However long it is until the next full look: it is told at once of what lies in the folders."""

    @pytest.fixture(autouse=True)
    def _seldom(self, desk: Desk) -> None:
        desk.queue.set_config("poll_interval", "60")

    def _replace(self, desk: Desk) -> None:
        for path in desk.root.glob("index.sqlite3*"):
            path.unlink()
        # As a worker does that comes to claim.
        Store.open(str(desk.root)).close()

    def test_between_two_looks(self, desk: Desk) -> None:
        desk.add("a")
        sweep = Sweep(desk.store, Heard())
        sweep.look((), [])
        self._replace(desk)
        assert sweep.pause > 0
        desk.drop("b.json")
        sweep.look([(State.PENDING, "b.json")], [])
        self._knows_both(desk)

    def test_in_the_middle_of_a_look(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.add("a", "b")
        sweep = Sweep(desk.store, Heard())
        with monkeypatch.context() as patch:
            patch.setattr(Survey, "steps", lambda _: self._replace(desk) or iter(()))
            sweep.look((), [])
        assert sweep.pause > 0
        sweep.look((), [])
        self._knows_both(desk)

    def test_by_ourselves_as_a_name_is_chosen(self, desk: Desk) -> None:
        desk.add("a", "b")
        sweep = Sweep(desk.store, Heard())
        sweep.look((), [])
        self._replace(desk)
        with desk.store.naming():
            assert sweep.pause > 0
        sweep.look((), [])
        self._knows_both(desk)

    def _knows_both(self, desk: Desk) -> None:
        with closing(Store.open(str(desk.root))) as others:
            assert {entry.id for entry in others.index.ready(9)} == {"a", "b"}


def test_a_file_in_tmp_is_somebodys_for_a_day(desk: Desk) -> None:
    young, old, theirs = "-~0123456789ab~young.json", "-~0123456789ab~old.json", "on-its-way.json"
    for name, age in ((young, HOUR), (old, 25 * HOUR), (theirs, 1000 * HOUR)):
        moment = system.now() - age
        os.utime(desk.drop(name, folder="tmp"), (moment, moment))
    Sweep(desk.store, Heard()).look((), [])
    assert {path.name for path in (desk.root / "tmp").iterdir()} == {young, theirs}


def test_a_note_goes_when_its_file_has_been_mended_and_dragged_back(desk: Desk) -> None:
    desk.drop("a.json", b"{")
    desk.look()
    desk.clock.advance(11)
    desk.look()
    assert desk.files() == {"dead": ["a.error.txt", "a.json"]}
    desk.drop("a.json", {"command": "x"}, "dead")
    desk.drag("a", "dead", "pending")
    assert desk.run_once() is True
    assert desk.files() == {"done": ["a.json"]}


class TestAFolderThatIsNoWorkers:
    """Whatever somebody puts into `processing`."""

    @pytest.mark.parametrize("name", ["foo", "claim", "a" * 200])
    def test_is_told_and_left(self, desk: Desk, name: str) -> None:
        desk.put_job(f"processing/{name}", "a")
        desk.look()
        claim_lock = desk.root / "locks" / "claim.lock"
        before = claim_lock.stat().st_ino
        Sweep(desk.store, Heard()).look((), [])
        assert desk.queue.status().problems == [
            f"processing/{name}: no worker's folder; move what is in it to pending"
        ]
        assert (desk.files(), desk.ids()) == ({"processing": [f"{name}/a.json"]}, [])
        assert claim_lock.stat().st_ino == before, "whoever waits for the lock waits for this one"

    def test_does_not_keep_the_others_from_being_freed(self, desk: Desk) -> None:
        desk.put_job("processing/foo", "a")
        desk.put_job(f"processing/{DEAD}", "b")
        Sweep(desk.store, Heard()).look((), [])
        assert desk.folder_of("b") == ["failed"]

    @pytest.mark.skipif(os.sep == "\\", reason="Windows names are Unicode")
    @pytest.mark.parametrize("inside", [False, True])
    def test_of_no_unicode_name_is_told_and_left(self, desk: Desk, inside: bool) -> None:
        path = os.fsencode(desk.root / "processing") + b"/\xff"
        try:
            os.mkdir(path)
        except OSError:
            pytest.skip("this file system takes Unicode names only")
        if inside:
            with open(path + b"/a.json", "wb") as file:
                file.write(b'{"command": "x"}')
        Sweep(desk.store, Heard()).look((), [])
        (problem,) = desk.queue.status().problems
        assert problem == "processing/\\udcff: the folder's name is not valid Unicode; rename it"
        assert desk.ids() == []


@pytest.mark.parametrize("data", [b"", b"{", b'{"command": "x"}'])
def test_no_look_waits_for_a_file_that_somebody_holds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """It is looked at again soon; stops, requests and all other drops would wait with it."""
    patience: list[float] = []
    real = system.read_file

    def watching(path: str, limit: int, **options: Any) -> Any:
        patience.append(options.get("patience", 2.0))
        if data.endswith(b"}"):
            raise PermissionError(13, "held by somebody", path)
        return real(path, limit, **options)

    desk.drop("a.json", data)
    monkeypatch.setattr(system, "read_file", watching)
    reconcile_all(desk.store, desk.clock())
    assert set(patience) == {0}
    (oddity,) = desk.store.index.oddities()
    if data.endswith(b"}"):
        assert oddity.reason == "cannot be read just now: held by somebody"


def test_a_name_of_no_unicode_that_has_gone_stops_no_look(desk: Desk) -> None:
    assert reconcile_some(desk.store, [(State.PENDING, "\udcff.json")], desk.clock()) == []


def test_of_two_that_differ_in_case_only_in_failed_one_runs_and_one_is_told(desk: Desk) -> None:
    desk.put_job("failed", "X", state="failed", attempts=1)
    if desk.path("failed", "x.json").exists():
        pytest.skip("two such files cannot lie in one folder here")
    desk.put_job("failed", "x", state="failed", attempts=1)
    desk.look()
    (problem,) = desk.queue.status().problems
    assert problem.startswith("failed/")
    assert "a second file of this id" in problem
    assert [desk.run_once() for _ in range(2)] == [True, False]
    assert len(desk.files()["failed"]) == 1


class TestTheDead:
    def test_of_whom_one_cannot_be_seen_to_do_not_wait_for_him(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            desk.put_job(f"processing/host-{number}-1-dead", f"a{number}")
        real = locks.try_lock

        def refused(path: str) -> Any:
            if "host-1-1" in path:
                raise OSError(36, "File name too long", path)
            return real(path)

        monkeypatch.setattr(locks, "try_lock", refused)
        assert sorted(job.job_id for job in recover(desk.store, desk.clock(), 0.5)) == ["a0", "a2"]

    def test_whose_folder_somebody_stands_in_are_cleared_away_but_for_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Windows: a cmd.exe has it as its folder."""

        def stood_in(path: str, **_: object) -> bool:
            raise PermissionError(13, "used by another process", path)

        with monkeypatch.context() as patch, desk.worker(name=LIVE):
            patch.setattr(system, "remove_folder", stood_in)
        assert [path.name for path in (desk.root / "locks").iterdir()] == ["claim.lock"]
        assert (desk.root / "processing" / LIVE).is_dir()
        Sweep(desk.store, Heard()).look((), [])
        assert not (desk.root / "processing" / LIVE).exists()

    def test_are_told_from_those_that_just_start_under_the_lock(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """To ask whether a lock is held is to take it for a moment, which must not meet a start."""
        desk.drop(f"{DEAD}.lock", b"", "locks")
        held: list[bool] = []

        def asking(*_: object) -> bool:
            held.append(locks.is_held(str(desk.root / "locks" / "claim.lock")))
            return False

        monkeypatch.setattr(recovery, "is_alive", asking)
        assert ownerless_locks(desk.store, clear=False) == [DEAD]
        assert held == [True]
        assert desk.path("locks", f"{DEAD}.lock").exists()

    def test_are_left_what_they_are_asked_when_they_turn_out_to_have_a_job(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that has started and died while the lock was waited for."""
        claiming = Store.claiming

        def claims_and_dies(store: Store) -> Any:
            desk.put_job(f"processing/{DEAD}", "a")
            return claiming(store)

        desk.drop(f"{DEAD}.cancel", b"a", "locks")
        monkeypatch.setattr(Store, "claiming", claims_and_dies)
        assert ownerless_locks(desk.store, clear=True) == []
        assert desk.asked(DEAD, ".cancel") == "a"

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows a command dies with its worker")
    def test_keep_the_lock_by_which_a_command_that_outlives_them_is_known(self, desk: Desk) -> None:
        """Its folder has been deleted; were the lock, too, its job could be run beside it."""
        run = desk.drop(f"{DEAD}.run", b"a", "locks")
        held = locks.try_lock(str(run))
        assert held is not None
        with closing(held):
            assert ownerless_locks(desk.store, clear=True) == []
            assert run.exists()
        assert ownerless_locks(desk.store, clear=True) == [DEAD]

    def test_are_not_looked_for_where_everybody_has_a_folder(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unwanted() -> Any:
            raise AssertionError("the lock is for claims")

        with desk.worker(name=LIVE):
            monkeypatch.setattr(desk.store, "claiming", unwanted)
            assert ownerless_locks(desk.store, clear=True) == []
            monkeypatch.undo()
