"""Quick jobs are claimed several at a time: those that wait for the one before them are lost by nobody."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Optional
from unittest.mock import patch

import pytest

from queuectl import batch as batches
from queuectl import events, locks, system
from queuectl.batch import HORIZON, Batch
from queuectl.crew import Crew
from queuectl.engine import Conditions
from queuectl.errors import QueueError
from queuectl.job import Job
from queuectl.queue import Queue
from queuectl.queue.claims import Claim, claim_some
from queuectl.queue.liveness import noted_runs
from queuectl.queue.recovery import recover
from queuectl.queue.requests import pause
from queuectl.queue.store import Store
from queuectl.spool import Place, Spool
from queuectl.state import State
from queuectl.system import clock
from queuectl.worker import Worker
from tests.support.invariants import check
from tests.support.spools import Desk, Heard, Run, during, failing, succeeding

NAME = "host-1-1-abc"


def jobs(count: int) -> list[str]:
    return [f"job{number:02}" for number in range(count)]


@contextmanager
def quick_worker(desk: Desk, run: Optional[Run] = None, name: str = NAME, **hands: Any) -> Iterator[Worker]:
    """A worker that claims several at once, however slow this machine is."""
    run = run or succeeding(desk.clock)
    slow = patch.multiple(batches, HORIZON=1000.0, PATIENCE=1000.0)
    with slow, desk.worker(run, name=name, **hands) as worker:
        worker.batch.most = 16
        yield worker


def refusing(*held: str) -> Any:
    """A move that these jobs do not take part in: somebody holds their files."""
    real = Spool.move

    def move(spool: Spool, place: Place, target: Place, **options: Any) -> None:
        if place.job_id in held:
            raise PermissionError(13, "held")
        real(spool, place, target, **options)

    return move


def settled(desk: Desk) -> list[str]:
    return [name[: -len(".json")] for name in desk.files().get("done", [])]


def rows_of(desk: Desk) -> list[tuple[Any, ...]]:
    return desk.store.index._sql.execute("SELECT * FROM jobs ORDER BY id").fetchall()


def claims_of(desk: Desk, *ids: str) -> list[Claim]:
    return [Claim(Job(id=one, command="x"), Place(State.PROCESSING, one, NAME), (0, 0)) for one in ids]


class TestHowMany:
    """By what the last one took."""

    def after(self, monkeypatch: pytest.MonkeyPatch, *, took: float, most: int = 16) -> int:
        batch, moment = Batch(most), [0.0]
        monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
        monkeypatch.setattr(system, "monotonic", lambda: moment[0])
        batch.add([Claim(Job(id="a", command="x"), Place(State.PROCESSING, "a", NAME), (0, 0))])
        batch.start_next()
        moment[0] += took
        batch.end()
        return batch.room

    def test_the_first_one_is_claimed_alone(self) -> None:
        assert Batch(16).room == 1

    @pytest.mark.parametrize(
        ("took", "room"), [(0.0, 16), (HORIZON / 16, 16), (HORIZON / 4, 4), (HORIZON, 1), (3600, 1)]
    )
    def test_as_many_as_fit_into_the_horizon(
        self, monkeypatch: pytest.MonkeyPatch, took: float, room: int
    ) -> None:
        assert self.after(monkeypatch, took=took) == room

    @pytest.mark.parametrize(("seconds", "room"), [(0.0, 16), (HORIZON / 4 * 10, 4), (3600, 1)])
    def test_by_what_it_took_to_record_them_too(
        self, monkeypatch: pytest.MonkeyPatch, seconds: float, room: int
    ) -> None:
        """On a slow disk a death in the middle of it would count a crash of sixty jobs."""
        monkeypatch.setattr(system, "monotonic", lambda: 0.0)
        batch = Batch(16)
        batch.start_next()
        batch.end()
        batch.recorded(10, seconds)
        batch.recorded(0, 99.0)
        assert batch.room == room

    def test_one_where_nobody_sees_to_those_that_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.after(monkeypatch, took=0.0, most=1) == 1


class TestClaimed:
    def test_in_order_and_run_in_order(self, desk: Desk) -> None:
        desk.add(*jobs(5))
        ran: list[str] = []
        with quick_worker(desk, during(lambda job: ran.append(job.name), succeeding(desk.clock))) as worker:
            worker.run_once()
            worker.run_once()
            # What has ended, to be recorded with the others, and those that wait.
            assert len(desk.files()["processing"]) == 4
            while worker.run_once():
                pass
        assert ran == jobs(5)
        assert settled(desk) == jobs(5)
        check(desk.root, jobs(5))

    def test_at_most_so_many(self, desk: Desk) -> None:
        desk.add(*jobs(5))
        with quick_worker(desk) as worker:
            got = claim_some(worker.store, NAME, desk.clock(), most=3)
            assert [one.place.job_id for one in got] == jobs(3)
            assert {row["state"] for row in desk.queue.jobs()} == {"processing", "pending"}

    @pytest.mark.parametrize(("count", "share"), [(1, 1), (2, 1), (3, 2), (8, 4), (100, 16)])
    def test_no_more_than_its_share_of_what_all_could_have(self, desk: Desk, count: int, share: int) -> None:
        desk.add(*jobs(count))
        with quick_worker(desk) as worker, quick_worker(desk, name="box-1-2-other"):
            assert len(claim_some(worker.store, NAME, desk.clock(), most=16)) == share

    @pytest.mark.parametrize("crashed", [0, 1, 2])
    def test_one_that_has_crashed_comes_alone(self, desk: Desk, crashed: int) -> None:
        for number, name in enumerate(jobs(3)):
            desk.put_job("pending", name, crashes=int(number == crashed))
        desk.look()
        with quick_worker(desk) as worker:
            got = claim_some(worker.store, NAME, desk.clock(), most=3)
        assert [one.place.job_id for one in got] == (jobs(3)[:crashed] or jobs(1))

    def test_what_cannot_be_moved_is_passed_over(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.add(*jobs(3))
        real = Spool.move

        def move(spool: Spool, place: Place, target: Place, **options: Any) -> None:
            if place.job_id == "job01":
                raise PermissionError(13, "held")
            real(spool, place, target, **options)

        with quick_worker(desk) as worker:
            monkeypatch.setattr(Spool, "move", move)
            got = claim_some(worker.store, NAME, desk.clock(), most=3)
            assert [one.place.job_id for one in got] == ["job00", "job02"]

    def test_a_lack_in_the_middle_leaves_those_before_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add(*jobs(3))
        real = Spool.read

        def read(spool: Spool, place: Place, limit: int, **options: Any) -> Any:
            if place.job_id == "job01":
                raise OSError(24, "too many open files")
            return real(spool, place, limit, **options)

        with quick_worker(desk) as worker:
            monkeypatch.setattr(Spool, "read", read)
            got = claim_some(worker.store, NAME, desk.clock(), most=3)
            assert [one.place.job_id for one in got] == ["job00"]

    def test_one_that_somebody_takes_away_before_its_turn_is_not_run(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        ran: list[str] = []

        def run(job: Job) -> None:
            ran.append(job.name)
            if job.name == "job01":
                desk.drag("job02", f"processing/{NAME}", "pending")

        with quick_worker(desk, during(run, succeeding(desk.clock))) as worker:
            for _ in range(4):
                worker.run_once()
            assert ran == ["job00", "job01", "job03"]
            desk.look()
            worker.run_once()
            worker.run_once()
        assert ran == ["job00", "job01", "job03", "job02"]
        check(desk.root, jobs(4))


def test_status_tells_what_runs_of_them(desk: Desk) -> None:
    desk.add(*jobs(4))
    told: list[Optional[str]] = []

    def run(job: Job) -> None:
        told.extend(one.job for one in desk.queue.status().workers)

    with quick_worker(desk, during(run, succeeding(desk.clock))) as worker:
        for _ in range(4):
            worker.run_once()
    assert told == jobs(4)


class TestGivenBack:
    """Byte for byte, for whoever comes next."""

    def test_as_its_worker_leaves(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        before = {path.name: path.read_bytes() for path in (desk.root / "pending").iterdir()}
        with quick_worker(desk) as worker:
            worker.run_once()
            worker.run_once()
        assert settled(desk) == jobs(2)
        after = {path.name: path.read_bytes() for path in (desk.root / "pending").iterdir()}
        assert after == {name: before[name] for name in ("job02.json", "job03.json")}
        assert not os.listdir(desk.root / "processing")

    def test_when_somebody_pauses(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        with quick_worker(desk) as worker:
            worker.run_once()
            worker.run_once()
            pause(worker.store.spool)
            assert worker.run_once() is False
            assert desk.files()["pending"] == ["job02.json", "job03.json"]

    def test_when_the_run_before_them_takes_long(self, desk: Desk) -> None:
        desk.add(*jobs(5))
        seen: list[Any] = []

        def run(job: Job, setting: Conditions) -> Any:
            if job.name == "job02":
                assert setting.lasts is not None
                setting.lasts()
                seen.append(desk.files())
                setting.lasts()
                seen.append(desk.files())
            return succeeding(desk.clock)(job, setting)

        with quick_worker(desk, run) as worker:
            for _ in range(3):
                worker.run_once()
        here = [f"{NAME}/job02.json"]
        pending, done = ["job03.json", "job04.json"], ["job00.json", "job01.json"]
        assert seen == [{"pending": pending, "processing": here, "done": done}] * 2
        check(desk.root, jobs(5))

    def test_nobody_minds_one_that_runs_alone(self, desk: Desk) -> None:
        desk.add("a")
        alone: list[Any] = []

        def run(job: Job, setting: Conditions) -> Any:
            alone.append(setting.lasts)
            return succeeding(desk.clock)(job, setting)

        with quick_worker(desk, run) as worker:
            worker.run_once()
        assert alone == [None]

    def test_others_hear_of_it(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        heard: list[int] = []
        with quick_worker(desk, freed=lambda: heard.append(len(desk.files()["pending"]))) as worker:
            worker.run_once()
            worker.run_once()
            assert heard == []
        assert heard == [2]

    def test_one_that_somebody_holds_then_is_put_back_when_he_lets_go(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And does not keep the end of what runs from being noticed meanwhile."""
        desk.add(*jobs(5))
        seen: list[Any] = []

        def run(job: Job, setting: Conditions) -> Any:
            if job.name == "job02":
                assert setting.lasts is not None
                with monkeypatch.context() as holding:
                    holding.setattr(Spool, "move", refusing("job01", "job03"))
                    seen.append((setting.lasts(), desk.files()))
                seen.append((setting.lasts(), desk.files()))
            return succeeding(desk.clock)(job, setting)

        with quick_worker(desk, run) as worker:
            for _ in range(3):
                worker.run_once()
        held = [f"{NAME}/job{number}.json" for number in ("01", "02", "03")]
        assert seen == [
            (True, {"pending": ["job04.json"], "processing": held, "done": ["job00.json"]}),
            (
                False,
                {
                    "pending": ["job03.json", "job04.json"],
                    "processing": [f"{NAME}/job02.json"],
                    "done": ["job00.json", "job01.json"],
                },
            ),
        ]
        check(desk.root, jobs(5))

    def test_when_the_one_before_them_cannot_be_started(self, desk: Desk) -> None:
        """Nor can they be, perhaps, and each try is followed by a pause."""
        desk.add(*jobs(5))

        def run(job: Job, setting: Conditions) -> Any:
            if job.name == "job02":
                raise OSError(11, "no room for a process")
            return succeeding(desk.clock)(job, setting)

        with quick_worker(desk, run) as worker:
            worker.run_once()
            worker.run_once()
            with pytest.raises(OSError, match="no room"):
                worker.run_once()
            assert desk.files() == {
                "pending": ["job02.json", "job03.json", "job04.json"],
                "done": ["job00.json", "job01.json"],
            }

    def test_by_others_when_the_one_before_them_takes_very_long_to_start(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        crew, seen = Crew(), list[Any]()

        def run(job: Job, setting: Conditions) -> Any:
            if job.name == "job01":
                seen.append((crew.free_waiting(desk.store, desk.clock()), desk.files().get("pending")))
                with patch.object(batches, "STALLED", 0.0):
                    seen.append((crew.free_waiting(desk.store, desk.clock()), desk.files()["pending"]))
                    seen.append(crew.free_waiting(desk.store, desk.clock()))
            return succeeding(desk.clock)(job, setting)

        with quick_worker(desk, run) as worker:
            crew.workers.append(worker)
            worker.run_once()
            worker.run_once()
        assert seen == [(False, None), (True, ["job02.json", "job03.json"]), False]

    def test_and_none_of_them_is_lost_where_they_cannot(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add(*jobs(4))
        crew = Crew()
        with quick_worker(desk) as worker:
            crew.workers.append(worker)
            worker.run_once()
            worker.run_once()
            with monkeypatch.context() as refusing_all, patch.object(batches, "STALLED", 0.0):
                refusing_all.setattr(Spool, "move", refusing("job02", "job03"))
                assert crew.free_waiting(desk.store, desk.clock()) is False
            assert worker.batch.waits
            while worker.run_once():
                pass
        assert settled(desk) == jobs(4)

    def test_who_finds_none_waits_for_those_that_somebody_is_putting_back(self, desk: Desk) -> None:
        """Else it would take them for strays, and both would move them."""
        desk.add(*jobs(3))
        order: list[str] = []
        with quick_worker(desk) as worker:
            worker.run_once()
            worker.run_once()
            batch = worker.batch
            batch.handing.acquire()
            (taken,) = batch.take_back()

            def put_back() -> None:
                order.append("put back")
                batch.put_back([taken])
                batch.handing.release()

            threading.Timer(0.2, put_back).start()
            assert worker.run_once() is True
            order.append("went on")
        assert order == ["put back", "went on"]
        assert settled(desk) == jobs(3)

    def test_and_where_that_cannot_be_done_it_is_tried_until_it_can(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add(*jobs(4))
        refusals, real = iter(range(3)), Spool.move

        def refuse(spool: Spool, place: Place, target: Place, **options: Any) -> None:
            if place.job_id == "job02" and target.state is State.PENDING and next(refusals, None) is not None:
                raise OSError(28, "no space")
            real(spool, place, target, **options)

        monkeypatch.setattr(Spool, "move", refuse)
        with quick_worker(desk) as worker:
            worker.run_once()
            worker.run_once()
            pause(worker.store.spool)
            assert worker.run_once() is False
        assert next(refusals, None) is None
        assert desk.files()["pending"] == ["job02.json", "job03.json"]

    def test_when_one_of_them_is_cancelled(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        crew, told = Crew(), list[bool]()

        def run(job: Job, setting: Conditions) -> Any:
            if job.name == "job01":
                desk.ask(NAME, ".cancel", "job03")
                crew.hear_requests(desk.store.spool)
                told.append(crew.unheard)
                assert setting.lasts is not None
                setting.lasts()
                crew.hear_requests(desk.store.spool)
                told.append(crew.unheard)
            return succeeding(desk.clock)(job, setting)

        with quick_worker(desk, run) as worker:
            crew.workers.append(worker)
            worker.run_once()
            worker.run_once()
        assert told == [True, False]
        assert desk.files()["pending"] == ["job02.json", "job03.json"]


class TestItsWorkerDies:
    """What ran has crashed; what waited has not."""

    def put(self, desk: Desk, *ids: str, note: Optional[bytes]) -> None:
        for name in ids:
            desk.put_job(f"processing/{NAME}", name)
        if note is not None:
            desk.drop(f"{NAME}.run", note, "locks")

    @pytest.mark.parametrize(
        ("note", "crashed"),
        [
            (b"b\n", ["b"]),
            (b"b", ["b"]),
            (b"b\nfter-a-longer-one\n", ["b"]),
            (b"\n", []),
            (b"gone\n", []),
            (b"b\nc\n\n", ["b", "c"]),
            (b"b\n\na\n\n", ["b"]),
            (b"\nc\n\n", ["c"]),
            (b"b\ngone\nc\n\nver\n\n", ["b", "c"]),
            (None, ["a", "b", "c"]),
            (b"", ["a", "b", "c"]),
        ],
    )
    def test_what_is_noted_has_run(self, desk: Desk, note: Optional[bytes], crashed: list[str]) -> None:
        self.put(desk, "a", "b", "c", note=note)
        freed = {one.job_id: one for one in recover(desk.store, desk.clock(), 0.5)}
        assert sorted(freed) == ["a", "b", "c"]
        assert [name for name in "abc" if desk.folder_of(name) == ["failed"]] == crashed
        for name in set("abc").difference(crashed):
            assert desk.folder_of(name) == ["pending"]
            assert desk.record("pending", name)["crashes"] == 0
            assert freed[name].reason == f"worker {NAME} died before it ran"
        check(desk.root, ["a", "b", "c"])

    @pytest.mark.parametrize("note", [b"\n", b"gone\n", b"a\n", None])
    def test_one_that_lies_there_alone_has_run(self, desk: Desk, note: Optional[bytes]) -> None:
        """Its run could not be noted, perhaps."""
        self.put(desk, "a", note=note)
        recover(desk.store, desk.clock(), 0.5)
        assert desk.record("failed", "a")["crashes"] == 1

    def test_where_a_run_cannot_be_noted_nothing_waits_beside_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add(*jobs(4))
        beside: list[Any] = []

        def run(job: Job, setting: Conditions) -> Any:
            beside.append(desk.files()["processing"])
            return succeeding(desk.clock)(job, setting)

        with quick_worker(desk, run) as worker:
            worker.run_once()
            worker.run_once()
            monkeypatch.setattr("queuectl.recorder.note_run", lambda *_, **__: False)
            worker.run_once()
        assert beside[1:] == [[f"{NAME}/{name}.json" for name in jobs(4)[1:]], [f"{NAME}/job02.json"]]


class TestRecorded:
    """With the next ones: to flush the disk once for all of them."""

    def test_with_the_last_of_them(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        with quick_worker(desk) as worker:
            states = []
            for _ in range(5):
                worker.run_once()
                states.append(sorted(row["state"][0] for row in desk.queue.jobs()))
        assert states == [[*"cppp"], [*"cppp"], [*"cppp"], [*"cccc"], [*"cccc"]]
        check(desk.root, jobs(4))

    def test_as_one_write_of_the_disk(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.add(*jobs(5))
        written: list[int] = []
        real = Spool.prepare

        def prepare(spool: Spool, records: Sequence[Job]) -> Any:
            written.append(len(records))
            return real(spool, records)

        monkeypatch.setattr(Spool, "prepare", prepare)
        with quick_worker(desk) as worker:
            while worker.run_once():
                pass
        assert written == [1, 4]

    def test_or_when_the_first_has_waited_for_long(self, desk: Desk) -> None:
        desk.add(*jobs(6))
        with quick_worker(desk) as worker:
            for _ in range(3):
                worker.run_once()
            assert len(desk.files()["done"]) == 1
            with patch.object(batches, "PATIENCE", 0.0):
                worker.run_once()
            assert settled(desk) == jobs(4)

    def test_one_that_somebody_holds_then_does_not_keep_those_that_wait(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add(*jobs(6))

        def run(job: Job) -> None:
            if job.name == "job01":
                monkeypatch.setattr(Spool, "move", refusing("job01"))

        with quick_worker(desk, during(run, succeeding(desk.clock))) as worker:
            with patch.object(batches, "PATIENCE", 0.0):
                for _ in range(5):
                    worker.run_once()
            assert settled(desk) == ["job00", "job02", "job03", "job04"]
            monkeypatch.undo()
            worker.run_once()
            assert settled(desk) == jobs(6)
        check(desk.root, jobs(6))

    def test_at_once_where_a_crash_is_final(self, desk: Desk) -> None:
        """Else a death of their worker would send them to the dead letters, though they had succeeded."""
        desk.queue.set_config("max_crashes", "1")
        desk.add(*jobs(4))
        done: list[int] = []
        with quick_worker(desk) as worker:
            for _ in range(4):
                worker.run_once()
                done.append(len(desk.files()["done"]))
        assert done == [1, 2, 3, 4]

    def test_whatever_became_of_them(self, desk: Desk) -> None:
        desk.add(*jobs(3))
        desk.add("one-shot", max_retries=0)

        def run(job: Job, setting: Conditions) -> Any:
            how = succeeding if job.name == "job01" else failing
            return how(desk.clock)(job, setting)

        heard = Heard()
        with quick_worker(desk, run, emit=heard) as worker:
            for _ in range(4):
                worker.run_once()
            rows = {row["id"]: row["state"] for row in desk.queue.jobs()}
        assert rows == {"job00": "failed", "job01": "completed", "job02": "failed", "one-shot": "dead"}
        told = {event.job_id: event.kind for event in heard.events if event.kind != events.JOB_STARTED}
        assert told == {
            "job00": events.JOB_FAILED,
            "job01": events.JOB_COMPLETED,
            "job02": events.JOB_FAILED,
            "one-shot": events.JOB_DEAD,
        }
        check(desk.root, [*jobs(3), "one-shot"])

    def test_each_by_itself_where_somebody_has_had_a_hand_in_it(self, desk: Desk) -> None:
        """One is edited, one taken away, one edited to no job, one doubled where it goes; two are plain."""
        desk.add(*jobs(7))

        def run(job: Job) -> None:
            if job.name != "job06":
                return
            desk.put_job(f"processing/{NAME}", "job01", command="edited")
            desk.path(f"processing/{NAME}", "job02.json").unlink()
            desk.path(f"processing/{NAME}", "job03.json").write_text("rubbish")
            desk.put_job("done", "job04", command="another")

        heard = Heard()
        with quick_worker(desk, during(run, succeeding(desk.clock)), emit=heard) as worker:
            while worker.run_once():
                pass
        assert set(settled(desk)) == {*jobs(7), "job04-2"} - {"job02"}
        assert desk.record("done", "job01")["command"] == "edited"
        assert desk.path("dead", "job03-2.json").read_text() == "rubbish"
        assert desk.record("done", "job04")["command"] == "another"
        assert any("taken away" in event.text for event in heard.events)
        assert heard.kinds.count(events.JOB_COMPLETED) == 6

    @pytest.mark.parametrize("step", ["prepare", "put_over", "move"])
    def test_and_one_that_is_refused_does_not_keep_the_others(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        desk.add(*jobs(5))
        real, refused = getattr(Spool, step), list[object]()

        def refuse(spool: Spool, first: Any, *given: Any, **more: Any) -> Any:
            about = str([job.name for job in first] if step == "prepare" else first) + str(given[:1])
            if "job02" in about and desk.path("pending", "job02.json").exists() is False and not refused:
                refused.append(about)
                raise PermissionError(13, "held by somebody")
            return real(spool, first, *given, **more)

        with quick_worker(desk) as worker:
            worker.run_once()
            worker.run_once()
            monkeypatch.setattr(Spool, step, refuse)
            while worker.run_once():
                pass
        assert refused
        assert settled(desk) == jobs(5)
        assert all(len(desk.record("done", name)["history"]) == 1 for name in jobs(5))
        check(desk.root, jobs(5))

    def test_what_has_ended_and_is_not_recorded_is_noted_behind_what_runs(self, desk: Desk) -> None:
        desk.add(*jobs(4))
        noted: list[Any] = []

        def run(job: Job) -> None:
            noted.append(noted_runs(desk.store.spool, NAME))

        with quick_worker(desk, during(run, succeeding(desk.clock))) as worker:
            for _ in range(4):
                worker.run_once()
            noted.append(noted_runs(desk.store.spool, NAME))
        assert noted == [
            ["job00"],
            ["job01"],
            ["job02", "job01"],
            ["job03", "job01", "job02"],
            [""],
        ]

    def test_a_worker_that_has_run_nothing_leaves_no_note(self, desk: Desk) -> None:
        with quick_worker(desk) as worker:
            assert worker.run_once() is False
            assert noted_runs(desk.store.spool, NAME) is None


def test_a_worker_that_has_lost_its_lock_claims_none(desk: Desk) -> None:
    desk.add(*jobs(4))
    with quick_worker(desk) as worker:
        assert claim_some(worker.store, NAME, desk.clock(), most=4, lives=lambda: False) == []
    with pytest.raises(QueueError), quick_worker(desk), desk.worker(name=NAME):
        raise AssertionError("two of one name")


def test_a_worker_that_is_asked_to_stop_claims_none_before_it_hears_it(desk: Desk) -> None:
    """What another one puts back as it is killed must not start again here."""
    desk.add("a")
    with quick_worker(desk) as worker:
        desk.ask(NAME, ".stop")
        assert worker.run_once() is False
    assert desk.folder_of("a") == ["pending"]


@pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows nothing inherits a lock")
def test_what_a_command_leaves_running_does_not_hold_up_the_retry(desk: Desk) -> None:
    daemons: list[int] = []

    def run(job: Job, setting: Conditions) -> Any:
        assert setting.inherit is not None
        desk.drop(f"{job.name}.log", b"hi", "logs")
        daemons.append(os.dup(setting.inherit))
        return failing(desk.clock)(job, setting)

    desk.queue.set_config("backoff_base", "0")
    desk.add("a")
    with quick_worker(desk, run) as first, quick_worker(desk, name="host-2-1-xyz") as second:
        first.run_once()
        assert second.run_once() is True
    os.close(daemons[0])
    assert settled(desk) == ["a"]


def test_a_run_whose_record_is_given_up_stays_noted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery is to count a crash of it, and none of those that waited."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "no space")

    desk.add(*jobs(4))
    with quick_worker(desk) as worker:
        worker.run_once()
        monkeypatch.setattr(worker.recorder, "hands", worker.hands._replace(gives_up=lambda: True))
        monkeypatch.setattr(Store, "transfer", refuse)
        worker.run_once()
        monkeypatch.setattr(Spool, "move", refuse)
        worker.close()
        monkeypatch.undo()
    assert sorted(desk.files()["processing"]) == [f"{NAME}/{name}.json" for name in jobs(4)[1:]]
    recover(desk.store, desk.clock(), 0.5)
    assert (desk.files()["failed"], desk.files()["pending"]) == (["job01.json"], ["job02.json", "job03.json"])


def test_a_cancel_between_two_of_a_batch_is_asked_for_again(desk: Desk) -> None:
    desk.add(*jobs(4))
    crew = Crew()
    with quick_worker(desk) as worker:
        crew.workers.append(worker)
        worker.run_once()
        crew.hear_requests(desk.store.spool)
        assert not crew.unheard
        worker.run_once()
        # Two wait, none runs just now.
        crew.hear_requests(desk.store.spool)
        assert crew.unheard


def test_of_two_jobs_of_one_worker_that_are_cancelled_each_is_asked_for(desk: Desk) -> None:
    """A worker has room for one request."""
    desk.add(*jobs(4))
    crew, asked = Crew(), list[Optional[str]]()

    def run(job: Job) -> None:
        if job.name != "job01":
            return
        client = threading.Thread(target=cancel)
        client.start()
        end = system.monotonic() + 30
        while client.is_alive() and system.monotonic() < end:
            asked.append(desk.asked(NAME, ".cancel"))
            crew.hear_requests(desk.store.spool)
            if asked.count("job01") == 3:
                # Not only in passing. As the kill would: it leaves the folder.
                break
            system.sleep(0.01)

    def cancel() -> None:
        with Queue.open(str(desk.root)) as queue, suppress(QueueError):
            queue.cancel(["job01", "job02"], deadline=5.0)

    with quick_worker(desk, during(run, succeeding(desk.clock))) as worker:
        crew.workers.append(worker)
        worker.run_once()
        worker.run_once()
    assert asked.count("job01") == 3


def test_what_is_written_into_a_lock_is_at_its_beginning(tmp_path: Path) -> None:
    held = locks.try_lock(str(tmp_path / "a.run"))
    assert held is not None
    for text in (b"a-long-one\n", b"b\n"):
        held.write(text)
    held.release()
    assert (tmp_path / "a.run").read_bytes() == b"b\nlong-one\n"


class TestWhatManyCost:
    """What is asked once for all of them, and what is written for each."""

    @staticmethod
    def asked(desk: Desk, monkeypatch: pytest.MonkeyPatch, count: int) -> tuple[list[str], list[str]]:
        """The statements and the folders, from a claim of so many to their settle."""
        statements, folders, real = list[str](), list[str](), system.names_in

        def names_in(path: str) -> list[str]:
            folders.append(os.path.basename(path))
            return real(path)

        with quick_worker(desk) as worker:
            desk.add(f"before{count}")
            worker.run_once()
            desk.add(*(f"of{count}-{name}" for name in jobs(count)))
            with monkeypatch.context() as watched:
                watched.setattr(system, "names_in", names_in)
                worker.store.index._sql.set_trace_callback(statements.append)
                while worker.batch.waits or not statements:
                    worker.run_once()
                worker.store.index._sql.set_trace_callback(None)
        return [one.split()[0] for one in statements], folders

    def test_no_more_questions_and_commits_than_one(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        few, _ = self.asked(desk, monkeypatch, 3)
        many, _ = self.asked(desk, monkeypatch, 12)
        assert [one for one in many if one != "UPDATE"] == [one for one in few if one != "UPDATE"]
        assert (few.count("UPDATE"), many.count("UPDATE")) == (2 * 3, 2 * 12)
        assert many.count("INSERT") == 2, "how they ended, and how long they waited"

    def test_and_the_index_says_of_each_what_its_file_does(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.asked(desk, monkeypatch, 5)
        known = rows_of(desk)
        desk.queue.reindex()
        assert rows_of(desk) == known

    def test_one_look_into_each_folder(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        _, folders = self.asked(desk, monkeypatch, 12)
        assert sorted(folders) == ["hooks", NAME]

    def test_to_be_given_back_one_commit(self, desk: Desk) -> None:
        desk.add(*jobs(9))
        statements: list[str] = []
        with quick_worker(desk) as worker:
            worker.run_once()
            worker.run_once()
            worker.store.index._sql.set_trace_callback(statements.append)
            worker.recorder.give_back_waiting()
            worker.store.index._sql.set_trace_callback(None)
            assert statements.count("COMMIT") == 1
            assert desk.files()["pending"] == [f"{name}.json" for name in jobs(9)[2:]]
        known = rows_of(desk)
        desk.queue.reindex()
        assert rows_of(desk) == known


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is known to help")
def test_what_their_records_replace_is_freed_by_another_thread(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from queuectl.system import freeing, linux_sync

    freed: list[tuple[str, int]] = []
    close = freeing._close

    def seen(held: Sequence[int]) -> None:
        freed.append((threading.current_thread().name, len(held)))
        close(held)

    monkeypatch.setattr(linux_sync, "is_on_disk", lambda descriptor: True)
    monkeypatch.setattr(freeing, "_close", seen)
    desk.add(*jobs(9))
    desk.look()
    with quick_worker(desk) as worker:
        while worker.run_once():
            pass
    assert settled(desk) == jobs(9)
    assert {name for name, _ in freed} == {"queuectl-free"}
    assert sum(count for _, count in freed) == 8, "all but the first, which is recorded alone"
