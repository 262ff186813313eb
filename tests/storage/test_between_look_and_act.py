"""What other programs and people do between our look and our act: each moment is brought about by hand."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any, Optional

import pytest

from queuectl import locks, system
from queuectl.crew import Crew
from queuectl.doorbell import Rings
from queuectl.errors import Conflict, SpoolUnusable
from queuectl.events import nobody
from queuectl.job import Job
from queuectl.queue import verbs
from queuectl.queue.claims import claim
from queuectl.queue.intake import settle_drops
from queuectl.queue.liveness import still_runs
from queuectl.queue.reconcile import reconcile_one, reconcile_some
from queuectl.queue.recovery import recover
from queuectl.queue.requests import FINISH, KILL
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.shift import Plan, Shift
from queuectl.spool import Place, Spool
from queuectl.spool.tmp import TmpFolder
from queuectl.state import State
from queuectl.supervisor import Supervisor
from queuectl.sweep import Sweep
from tests.support.invariants import check
from tests.support.spools import Clock, Desk, Run, during, interrupted, succeeding

LIVE = "host-1-1-abc"


class TestAFileThatIsTakenAway:
    def test_before_a_stamp_is_not_made_anew(self, desk: Desk) -> None:
        with pytest.raises(FileNotFoundError):
            desk.store.spool.stamp(Place(State.DEAD, "a"), Job(id="a", command="x"), read=(0, 0))
        assert desk.files() == {}
        assert list((desk.root / "tmp").iterdir()) == []

    def test_from_tmp_before_its_age_is_asked_does_not_stop_the_look(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, real = desk.drop("-~0123456789ab~a.json", folder="tmp"), TmpFolder._entries

        def moved_in_meanwhile(tmp: TmpFolder) -> Any:
            entries = real(tmp)
            path.unlink()
            return entries

        monkeypatch.setattr(TmpFolder, "_entries", moved_in_meanwhile)
        assert desk.store.spool.tmp.abandoned(system.now()) == []

    def test_before_a_claim_leaves_nothing_to_wait_for(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def held(*_: object, **__: object) -> None:
            raise PermissionError(13, "held by somebody")

        desk.add("a")
        with monkeypatch.context() as patch:
            patch.setattr(system, "replace", held)
            assert claim(desk.store, LIVE, desk.clock()) is None
        assert [row.id for row in desk.store.index.stuck()] == ["a"]
        monkeypatch.setattr(system, "now", desk.clock)
        assert desk.queue.status().problems == []
        desk.clock.advance(10)
        assert desk.queue.status().problems == ["job a cannot be moved: held by somebody"]
        desk.path("pending", "a.json").unlink()
        desk.clock.advance(1)
        assert claim(desk.store, LIVE, desk.clock()) is None
        assert desk.store.index.stuck() == []

    def test_before_an_interrupted_run_is_given_back_is_let_go(self, desk: Desk) -> None:
        desk.add("a")

        def ctrl_c(job: object, setting: object) -> Any:
            desk.path(f"processing/{LIVE}", "a.json").unlink()
            raise KeyboardInterrupt

        def never(_: float) -> None:
            raise AssertionError("there is nothing to wait for")

        with pytest.raises(KeyboardInterrupt):
            desk.run_once(ctrl_c, name=LIVE, pause=never)
        assert (desk.files(), desk.ids()) == ({}, [])


class TestAFileThatIsSaved:
    """Between our reading it and our stamping it: what a person has saved is not overwritten."""

    @pytest.fixture(autouse=True)
    def saved_before_the_first_stamp(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real, edits = Store.stamp, [{"command": "as saved just now"}]

        def stamp(store: Store, place: Place, *args: Any, **options: Any) -> Any:
            if edits:
                Path(store.spool.path(place)).write_text(json.dumps(edits.pop()), encoding="utf-8")
            return real(store, place, *args, **options)

        monkeypatch.setattr(Store, "stamp", stamp)

    @pytest.mark.parametrize("folder", ["failed", "pending"])
    def test_as_it_is_claimed(self, desk: Desk, folder: str) -> None:
        desk.put_job(folder, "a", state="failed", attempts=1)
        desk.queue.refresh()
        assert claim(desk.store, LIVE, desk.clock()) is None
        assert desk.record(folder, "a") == {"command": "as saved just now"}

    @pytest.mark.parametrize(
        ("how", "folder", "taken"),
        [(succeeding, "done", False), (succeeding, "done", True), (interrupted, "pending", True)],
    )
    def test_as_its_run_is_recorded(
        self, desk: Desk, how: Callable[[Clock], Run], folder: str, taken: bool
    ) -> None:
        def take_its_name(_: object) -> None:
            if taken:
                desk.put_job(folder, "a", command="another")

        desk.add("a")
        desk.run_once(during(take_its_name, how(desk.clock)), name=LIVE)
        assert desk.record(folder, "a-2" if taken else "a")["command"] == "as saved just now"

    @pytest.mark.parametrize(
        "record", [{"state": "pending"}, {"state": "failed"}, {"state": "completed", "id": "another"}]
    )
    def test_as_its_worker_is_found_dead(self, desk: Desk, record: dict[str, str]) -> None:
        desk.put_job(f"processing/{LIVE}", "a", **record)
        if record["state"] == "failed":
            desk.drop(f"{LIVE}.cancel", b"a", "locks")
        assert recover(desk.store, desk.clock(), 0.5) == []
        assert desk.record(f"processing/{LIVE}", "a") == {"command": "as saved just now"}

    def test_as_its_name_is_changed(self, desk: Desk) -> None:
        desk.put_job("done", "a", state="completed")
        desk.drop("a.json", {"id": "a", "command": "x"})
        desk.look()
        assert [one.job_id for one in desk.look()] == ["a-2"]
        assert desk.record("pending", "a-2")["command"] == "as saved just now"


class TestAJobThatMoves:
    def test_against_the_order_of_our_look_is_found(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.put_job("dead", "a", state="dead")
        real = Spool.places

        def retried_meanwhile(spool: Spool, job_id: str) -> Iterator[Place]:
            for place in real(spool, job_id):
                if place.state is State.DEAD and desk.folder_of("a") == ["dead"]:
                    desk.drag("a", "dead", "pending")
                yield place

        monkeypatch.setattr(Spool, "places", retried_meanwhile)
        assert desk.store.spool.locate("a") == Place(State.PENDING, "a")

    def test_before_it_is_read_is_shown_where_it_is_then(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        real = Spool.read

        def moved_meanwhile(spool: Spool, place: Place, *args: Any, **options: Any) -> Any:
            if place.state is State.PENDING:
                desk.drag("a", "pending", "dead")
            return real(spool, place, *args, **options)

        monkeypatch.setattr(Spool, "read", moved_meanwhile)
        assert desk.queue.show("a")["file"] == str(desk.path("dead", "a.json"))

    @pytest.mark.parametrize("folder", ["failed", "pending"])
    def test_and_waits_when_we_have_the_lock_is_cancelled_all_the_same(self, desk: Desk, folder: str) -> None:
        desk.put_job(folder, "a", state="failed", attempts=1)
        there = State.FAILED if folder == "pending" else State.PENDING
        verbs.cancel(desk.store, [Place(there, "a")], now=desk.clock(), deadline=0)
        assert desk.record("dead", "a")["error"] == "cancelled"
        check(desk.root, ["a"])

    def test_and_has_ended_when_we_have_the_lock_is_not_said_to_be_cancelled(self, desk: Desk) -> None:
        desk.put_job("done", "a", state="completed", attempts=1)
        with pytest.raises(Conflict, match="completed before it could be cancelled"):
            verbs.cancel(desk.store, [Place(State.PENDING, "a")], now=desk.clock(), deadline=0)
        assert desk.folder_of("a") == ["done"]

    def test_and_lives_again_when_we_have_the_lock_is_not_purged(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead")
        desk.put_job("dead", "b", state="dead")
        desk.drop("a.log", b"hi", "logs")
        desk.queue.retry(["a"])
        places = [Place(State.DEAD, "a"), Place(State.DEAD, "b")]
        assert verbs.purge(desk.store, places) == ["b"]
        assert desk.path("logs", "a.log").read_bytes() == b"hi"
        assert [entry.id for entry in desk.store.index.entries()] == ["a"]

    @pytest.mark.parametrize("by", ["delete", "drag"])
    def test_out_of_dead_does_not_keep_the_other_dead_from_their_retry(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, by: str
    ) -> None:
        for name in "abc":
            desk.put_job("dead", name, state="dead")
        desk.queue.refresh()
        if by == "delete":
            desk.path("dead", "b.json").unlink()
        else:
            desk.drag("b", "dead", "done")
        monkeypatch.setattr(desk.queue, "refresh", lambda: None)
        retried, refused = desk.queue.retry_all_dead()
        assert (sorted(retried), refused) == (["a", "c"], [])


class TestAnotherFileOfTheName:
    def test_that_comes_before_the_claim_is_not_run_under_it(self, desk: Desk) -> None:
        desk.add("a")
        desk.put_job("done", "a", state="completed")
        with desk.worker(succeeding(desk.clock)) as worker:
            assert worker.run_once() is False
        assert sorted(desk.folder_of("a")) == ["done", "pending"]
        assert [one.job_id for one in desk.look()] == ["a-2"]
        check(desk.root, ["a", "a-2"])

    def test_that_comes_before_the_name_of_ours_is_ours_no_more(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two `run` of one folder: names are chosen under one holding of the lock, and used under another."""
        real, others = Spool.prepare, iter(["a"])

        def while_somebody_else_is_quicker(spool: Spool, job: Any) -> str:
            for name in others:
                desk.put_job("pending", name)
            return real(spool, job)

        monkeypatch.setattr(Spool, "prepare", while_somebody_else_is_quicker)
        jobs = [{"id": "a", "command": "x"}, {"id": "b", "command": "x"}]
        assert [place.job_id for place in desk.queue.enqueue(jobs, rename=True)] == ["a-2", "b"]
        check(desk.root, ["a", "a-2", "b"])

    def test_that_comes_after_ours_has_gone_is_not_taken_for_ours(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The event is of a drop that has run meanwhile; the next drop of its name lies there by now."""
        desk.put_job("done", "a", state="completed")
        desk.queue.refresh()
        real, drops = Spool.look, ["a.json"]

        def gone_at_first(spool: Spool, *args: Any) -> Any:
            if not drops:
                return real(spool, *args)
            desk.drop(drops.pop(), {"command": "second"})
            return None

        monkeypatch.setattr(Spool, "look", gone_at_first)
        (unsettled,) = reconcile_some(desk.store, [(State.PENDING, "a.json")], desk.clock())
        assert unsettled.reason == "a second file of this id"
        assert [(entry.id, entry.state) for entry in desk.store.index.entries()] == [("a", "completed")]


class TestANewName:
    """Whoever gives a file one holds `claim.lock` until it has it: nobody else can take it meanwhile."""

    @pytest.fixture
    def moves(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The new names of files that were moved to one under the lock."""
        real, names = system.replace, list[str]()

        def replace(source: str, target: str, **options: Any) -> None:
            if locks.is_held(desk.store.spool.lock_path("claim.lock")):
                names.append(Path(target).name)
            real(source, target, **options)

        monkeypatch.setattr(system, "replace", replace)
        return names

    def test_of_a_second_file(self, desk: Desk, moves: list[str]) -> None:
        desk.put_job("done", "a", state="completed")
        desk.drop("a.json", {"command": "x"})
        desk.look()
        assert "a-2.json" in moves

    def test_of_what_is_no_job(self, desk: Desk, moves: list[str]) -> None:
        desk.put_job("done", "a", state="completed")
        desk.drop("a.json", b"rubbish", f"processing/{LIVE}")
        recover(desk.store, desk.clock(), 0.5)
        assert "a-2.json" in moves

    def test_of_what_a_running_job_was_edited_to(self, desk: Desk, moves: list[str]) -> None:
        def edit(_: object) -> None:
            desk.drop("a.json", b"rubbish", f"processing/{LIVE}")

        desk.add("a")
        desk.run_once(during(edit, succeeding(desk.clock)), name=LIVE)
        assert "a-2.json" in moves

    def test_of_a_job_that_ends_where_another_lies(self, desk: Desk, moves: list[str]) -> None:
        desk.add("a")
        taken = during(lambda _: desk.put_job("done", "a", state="completed"), succeeding(desk.clock))
        desk.run_once(taken, name=LIVE)
        assert "a-2.json" in moves

    @pytest.mark.parametrize("data", [b"rubbish", b'{"command": "x"}'])
    def test_that_is_taken_all_the_same_leaves_it_for_the_next_look(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, data: bytes
    ) -> None:
        def taken(*_: object, **__: object) -> None:
            raise Conflict("somebody has just put one there")

        desk.put_job("done", "a", state="completed")
        desk.drop("a.json", data)
        desk.queue.set_config("settle_time", "0")
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "move", taken)
            assert desk.look() == []
        assert "dead" not in desk.files(), "a note of no file"
        assert [one.job_id for one in desk.look()] == ["a-2"]


class TestANameThatTheFolderGivesTwice:
    """As a folder may while a file in it is replaced."""

    @pytest.fixture(autouse=True)
    def twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Spool.scan_state
        monkeypatch.setattr(
            Spool, "scan_state", lambda spool, state: (one for one in real(spool, state) for _ in range(2))
        )

    @pytest.mark.parametrize("folder", ["pending", f"processing/{LIVE}", "failed", "done", "dead"])
    def test_is_one_job(self, desk: Desk, folder: str) -> None:
        desk.put_job(folder, "a", attempts=1)
        before = desk.files()
        assert reconcile_all(desk.store, desk.clock()) == []
        assert desk.look() == []
        assert desk.files() == before
        assert desk.ids() == ["a"]
        assert not [text for text in desk.queue.status().problems if "second" in text]


class TestARequest:
    def test_of_somebody_else_is_not_withdrawn_with_ours(self, desk: Desk) -> None:
        """A cancelled `a`, whose worker has gone on to `b`, which B wants cancelled."""
        desk.add("a")

        def b_asks(_: object) -> None:
            desk.ask(LIVE, ".cancel", "b")

        with desk.worker(during(b_asks, succeeding(desk.clock)), name=LIVE) as worker:
            worker.run_once()
            assert desk.asked(LIVE, ".cancel") == "b"

    def test_that_is_taken_back_as_it_is_read_is_none(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request, real = desk.drop(f"{LIVE}.cancel", b"a", "locks"), system.read_file

        def taken_back(path: str, *args: Any, **options: Any) -> Any:
            request.unlink()
            return real(path, *args, **options)

        monkeypatch.setattr(system, "read_file", taken_back)
        assert desk.asked(LIVE, ".cancel") is None

    def test_of_somebody_else_outlives_the_end_of_our_waiting(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ends_and_b_asks(_: float) -> None:
            desk.drag("a", f"processing/{LIVE}", "dead")
            desk.ask(LIVE, ".cancel", "b")

        with desk.worker(name=LIVE):
            desk.put_job(f"processing/{LIVE}", "a")
            monkeypatch.setattr(system, "sleep", ends_and_b_asks)
            desk.queue.cancel(["a"], deadline=60)
            assert desk.asked(LIVE, ".cancel") == "b"


class TestAJobThatMovesOnAsItIsLookedFor:
    """It is nowhere gone: whoever lists the jobs at that moment sees it."""

    @pytest.mark.parametrize("look", [reconcile_all, lambda store, now: reconcile_one(store, "a", now)])
    def test_keeps_its_row(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, look: Callable[[Store, float], object]
    ) -> None:
        desk.add("a")
        desk.drag("a", "pending", "failed")
        real, moves = Spool.locate, iter([("failed", "done"), ("done", "dead")])

        def locate(spool: Spool, job_id: str) -> Optional[Place]:
            place = real(spool, job_id)
            if move := next(moves, None):
                desk.drag("a", *move)
            return place

        monkeypatch.setattr(Spool, "locate", locate)
        # As when it was passed by.
        monkeypatch.setattr(Spool, "scan_state", lambda *_: iter(()))
        look(desk.store, desk.clock())
        entry = desk.store.index.get("a")
        assert entry is not None
        assert entry.state == "dead"


class TestTheLastLookBeforeAClaim:
    def test_sees_a_pause_that_came_while_the_lock_was_waited_for(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Store.claiming

        def claiming(store: Store) -> Any:
            desk.queue.pause()
            return real(store)

        desk.add("a")
        desk.look()
        with desk.worker(name=LIVE) as worker:
            monkeypatch.setattr(Store, "claiming", claiming)
            assert worker.run_once() is False
        assert desk.folder_of("a") == ["pending"]

    def test_does_not_say_that_nothing_runs_when_it_cannot_be_told(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lacking(*_: object, **__: object) -> Any:
            raise OSError(errno.EMFILE, "too many open files")

        desk.drop("a.log", b"x", "logs")
        desk.drop("host-1-1-dead.run", b"a", "locks")
        assert still_runs(desk.store.spool, "a") is False
        monkeypatch.setattr(system, "read_file", lacking)
        with pytest.raises(OSError, match="too many open files"):
            still_runs(desk.store.spool, "a")


def test_a_note_that_could_not_be_cleared_does_not_keep_its_own_worker_from_the_job(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a command dies with its worker, the note of one that lives tells what runs."""
    monkeypatch.setattr(system, "SHARES_LOCKS", False)
    desk.add("a")
    desk.drop("a.log", b"x", "logs")
    with desk.worker(succeeding(desk.clock), name=LIVE) as worker:
        desk.drop(f"{LIVE}.run", b"a", "locks")
        assert still_runs(desk.store.spool, "a")
        assert worker.run_once() is True
    assert desk.folder_of("a") == ["done"]


class TestADropThatIsTakenAway:
    def test_before_it_is_set_aside_does_not_stop_the_look(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = desk.drop("x.json.txt", b"rubbish")
        desk.queue.set_config("settle_time", "0")
        unsettled = reconcile_all(desk.store, desk.clock())
        assert len(unsettled) == 1
        real = Spool.move

        def taken_away(spool: Spool, place: Place, target: Place, **options: Any) -> None:
            path.unlink()
            real(spool, place, target, **options)

        monkeypatch.setattr(Spool, "move", taken_away)
        assert settle_drops(desk.store, unsettled, desk.clock()) == ([], [])


class TestARequestThatCannotBeRead:
    """A folder of that name, or a file that somebody else owns: the others are heard, and all go on."""

    def test_stops_nobody_but_its_worker(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def held(path: str, *_: object) -> None:
            raise PermissionError(13, "denied", path)

        desk.add("a", "b")
        desk.look()
        (desk.root / "locks" / f"{LIVE}.cancel").mkdir()
        with desk.worker(succeeding(desk.clock), name=LIVE) as worker:
            assert worker.run_once() is True
            crew = Crew()
            crew.workers.append(worker)
            assert crew.hear_requests(desk.store.spool) is None
            desk.drop(f"{LIVE}.stop", b"now", "locks")
            with monkeypatch.context() as patch:
                patch.setattr(system, "read_file", held)
                assert crew.hear_requests(desk.store.spool) == FINISH
            assert crew.hear_requests(desk.store.spool) == KILL
            assert worker.run_once() is False
            (desk.root / "locks" / f"{LIVE}.stop").unlink()
            assert worker.run_once() is True
        assert desk.files() == {"done": ["a.json", "b.json"]}

    def test_left_from_an_earlier_run_does_not_meet_the_next(self, desk: Desk) -> None:
        asked: list[Optional[str]] = []
        desk.add("a")
        desk.look()
        run = during(lambda _: asked.append(desk.asked(LIVE, ".cancel")), succeeding(desk.clock))
        with desk.worker(run, name=LIVE) as worker:
            desk.drop(f"{LIVE}.cancel", b"a", "locks")
            worker.run_once()
        assert asked == [None]


def test_locks_are_kept_though_each_look_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else others take a living worker, whose lock's file was deleted, for dead."""

    def fails(*_: object) -> bool:
        raise PermissionError(13, "denied")

    kept: list[str] = []
    supervisor = Supervisor(Shift(str(desk.root), Plan(), nobody), desk.store)
    monkeypatch.setattr(supervisor.shift.crew, "keep_locks", kept.append)
    monkeypatch.setattr(Sweep, "look", fails)
    assert supervisor.attempt(Rings(frozenset(), False)) is False
    assert kept == [str(desk.root)]


def test_locks_that_cannot_be_kept_do_not_hide_what_is_wrong(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the place of `locks`: only the look tells that the spool is none any more."""

    def fails(*_: object) -> bool:
        raise NotADirectoryError(20, "Not a directory")

    supervisor = Supervisor(Shift(str(desk.root), Plan(), nobody), desk.store)
    monkeypatch.setattr(supervisor.shift.crew, "keep_locks", fails)
    rmtree(desk.root / "locks")
    (desk.root / "locks").write_bytes(b"")
    assert supervisor.attempt(Rings(frozenset(), True)) is False
    assert isinstance(supervisor.shift.error, SpoolUnusable)
