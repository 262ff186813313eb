"""Unique keys: while a job is to be done, no second of its key is added."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl.errors import Conflict, InvalidInput, NoSuchJob
from queuectl.queue import Queue
from queuectl.queue.ties import Unique
from queuectl.spool import Spool
from queuectl.state import State
from tests.support.spools import Desk, failing

KEY = "nightly"


def add(desk: Desk, job_id: str, *, unique: Optional[Unique] = None, **fields: Any) -> str:
    job = {"id": job_id, "command": "x", "unique_key": KEY, **fields}
    (place,) = desk.queue.enqueue([job], unique=unique)
    return place.job_id


class TestASecondJobOfAKey:
    @pytest.mark.parametrize("state", ["pending", "failed", "processing"])
    def test_is_refused_while_the_first_is_to_be_done(self, desk: Desk, state: str) -> None:
        add(desk, "a")
        if state == "failed":
            desk.run_once(failing(desk.clock))
        if state == "processing":
            with desk.worker() as worker:
                worker._claim()
                with pytest.raises(Conflict, match=r"job 'a' \(processing\) has the unique key 'nightly'"):
                    add(desk, "b")
            return
        with pytest.raises(Conflict, match="has the unique key 'nightly'"):
            add(desk, "b")
        assert desk.ids() == ["a"]

    def test_is_taken_once_the_first_is_done(self, desk: Desk) -> None:
        add(desk, "a")
        desk.run_once()
        assert add(desk, "b") == "b"

    def test_is_answered_with_the_first_one(self, desk: Desk) -> None:
        add(desk, "a")
        assert add(desk, "b", unique=Unique("return")) == "a"
        assert desk.ids() == ["a"]
        assert list((desk.root / "tmp").iterdir()) == []

    def test_takes_the_place_of_one_that_waits(self, desk: Desk) -> None:
        add(desk, "a")
        assert add(desk, "b", unique=Unique("replace")) == "b"
        assert desk.record("dead", "a")["error"] == "replaced by b"
        assert desk.ids("pending") == ["b"]

    def test_but_not_of_one_that_runs(self, desk: Desk) -> None:
        add(desk, "a")
        with desk.worker() as worker:
            worker._claim()
            with pytest.raises(Conflict, match="only one that does not can be replaced"):
                add(desk, "b", unique=Unique("replace"))

    def test_nor_is_anything_replaced_where_another_job_of_the_call_is_refused(self, desk: Desk) -> None:
        add(desk, "a")
        desk.add("taken")
        with pytest.raises(Conflict):
            desk.queue.enqueue(
                [{"id": "b", "command": "x", "unique_key": KEY}, {"id": "taken", "command": "x"}],
                unique=Unique("replace"),
            )
        assert sorted(desk.ids("pending")) == ["a", "taken"]

    def test_within_one_call_is_refused(self, desk: Desk) -> None:
        jobs = [{"command": "x", "unique_key": KEY}] * 2
        with pytest.raises(Conflict, match="is given twice"):
            desk.queue.enqueue(jobs)
        assert desk.ids() == []

    def test_over_the_states_that_are_named(self, desk: Desk) -> None:
        add(desk, "a")
        desk.run_once()
        over_done = Unique(states=[State.COMPLETED])
        with pytest.raises(Conflict, match="completed"):
            add(desk, "b", unique=over_done)
        add(desk, "c")
        assert add(desk, "d", unique=Unique("return", states=[State.FAILED])) == "d"

    def test_within_a_time_whatever_has_become_of_it(self, desk: Desk) -> None:
        add(desk, "a")
        desk.run_once()
        hour = Unique("return", within=3600)
        desk.clock.advance(3599)
        assert add(desk, "b", unique=hour) == "a"
        desk.clock.advance(1)
        assert add(desk, "b", unique=hour) == "b"

    def test_of_an_index_that_was_deleted_it_is_known_too(self, desk: Desk) -> None:
        add(desk, "a")
        desk.store.index.clear()
        with pytest.raises(Conflict):
            add(desk, "b")

    def test_a_row_without_a_file_is_nobody(self, desk: Desk) -> None:
        add(desk, "a")
        desk.path("pending", "a.json").unlink()
        assert add(desk, "b") == "b"

    def test_one_that_was_dropped_counts_as_well(self, desk: Desk) -> None:
        desk.add("other")
        desk.drop("a.json", {"command": "x", "unique_key": KEY})
        with pytest.raises(Conflict):
            add(desk, "b")

    def test_one_that_runs_is_not_replaced_by_way_of_one_that_waits(self, desk: Desk) -> None:
        desk.put_job("pending", "runs", unique_key=KEY)
        with desk.worker() as worker:
            desk.look()
            worker._claim()
            desk.put_job("pending", "waits", unique_key=KEY)
            desk.look()
            with pytest.raises(Conflict, match="'runs'"):
                add(desk, "b", unique=Unique("replace"))

    def test_nobody_waits_for_a_job_in_whose_place_another_is_returned(self, desk: Desk) -> None:
        add(desk, "a")
        jobs = [
            {"id": "b", "command": "x", "unique_key": KEY},
            {"id": "c", "command": "x", "after": ["b"]},
        ]
        with pytest.raises(Conflict, match="in whose place another job is returned"):
            desk.queue.enqueue(jobs, unique=Unique("return"))
        assert desk.ids() == ["a"]

    def test_a_key_that_is_taken_is_asked_about_once(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(desk, "a")
        prepared: list[int] = []
        prepare = Spool.prepare

        def counted(spool: Spool, jobs: Any) -> Any:
            prepared.append(len(jobs))
            return prepare(spool, jobs)

        monkeypatch.setattr(Spool, "prepare", counted)
        with pytest.raises(Conflict):
            desk.queue.enqueue([{"command": "x", "unique_key": KEY}])
        assert prepared == [1]


def test_of_many_programs_one_adds_it(tmp_path: Path) -> None:
    root, added, refused = str(tmp_path / "spool"), list[str](), list[str]()
    Queue.open(root).close()
    ready = threading.Barrier(4)

    def enqueue(number: int) -> None:
        with Queue.open(root) as queue:
            ready.wait()
            for one in range(5):
                job = {"id": f"{one}-{number}", "command": "x", "unique_key": str(one)}
                try:
                    added.extend(place.job_id for place in queue.enqueue([job]))
                except Conflict:
                    refused.append(job["id"])

    threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.partition("-")[0] for one in added) == list("01234")
    assert len(refused) == 15


class TestWhatNewJobsWaitFor:
    def test_must_be_there_or_come_with_them(self, desk: Desk) -> None:
        with pytest.raises(NoSuchJob, match="nope"):
            desk.add("a", after=["nope"])
        with pytest.raises(InvalidInput, match="no job belongs to the batch 'nope'"):
            desk.add("a", after=[{"batch": "nope"}])
        desk.queue.enqueue([{"id": "a", "command": "x", "after": ["b"]}, {"id": "b", "command": "x"}])
        assert sorted(desk.ids()) == ["a", "b"]

    @pytest.mark.parametrize(
        "jobs",
        [
            [{"id": "a", "after": ["b"]}, {"id": "b", "after": ["a"]}],
            [{"id": "a", "after": ["b"]}, {"id": "b", "after": ["c"]}, {"id": "c", "after": ["a"]}],
            [{"id": "a", "after": [{"batch": "x"}]}, {"id": "b", "batch": "x", "after": ["a"]}],
        ],
    )
    def test_cannot_be_themselves_by_way_of_others(self, desk: Desk, jobs: list[dict[str, Any]]) -> None:
        with pytest.raises(InvalidInput, match="would wait for one another: a, b"):
            desk.queue.enqueue([{"command": "x", **job} for job in jobs])
        assert desk.ids() == []

    def test_a_long_chain_is_no_circle(self, desk: Desk) -> None:
        chain = [{"id": f"c{n}", "command": "x", "after": [f"c{n - 1}"] if n else []} for n in range(300)]
        desk.queue.enqueue(chain[::-1])
        assert desk.store.index.count(State.PENDING) == 300
