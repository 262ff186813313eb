"""What other programs and people do between our look and our act: each moment is brought about by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from queuectl import system
from queuectl.errors import Conflict
from queuectl.job import Job
from queuectl.queue import verbs
from queuectl.queue.claims import claim
from queuectl.queue.reconcile import reconcile_all, reconcile_some
from queuectl.spool import Place, Spool
from queuectl.spool.tmp import TmpFolder
from queuectl.state import State
from tests.support.invariants import check
from tests.support.spools import Desk, during, succeeding

LIVE = "host-1-1-abc"


class TestAFileThatIsTakenAway:
    def test_before_a_stamp_is_not_made_anew(self, desk: Desk) -> None:
        with pytest.raises(FileNotFoundError):
            desk.store.spool.stamp(Place(State.DEAD, "a"), Job(id="a", command="x"))
        assert desk.files() == {}
        assert list((desk.root / "tmp").iterdir()) == []

    def test_from_tmp_before_its_age_is_asked_does_not_stop_the_look(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, real = desk.drop("-~ab~a.json", folder="tmp"), TmpFolder._files

        def moved_in_meanwhile(tmp: TmpFolder) -> Any:
            entries = real(tmp)
            path.unlink()
            return entries

        monkeypatch.setattr(TmpFolder, "_files", moved_in_meanwhile)
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


class TestANameThatTheFolderGivesTwice:
    """As a folder may while a file in it is replaced."""

    @pytest.fixture(autouse=True)
    def twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Spool.scan
        monkeypatch.setattr(Spool, "scan", lambda spool: (one for one in real(spool) for _ in range(2)))

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
