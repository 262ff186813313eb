"""Whatever people, programs and crashes do to a spool, in whatever order: no job is lost, none is doubled."""

from __future__ import annotations

import os
import tempfile
from contextlib import nullcontext
from typing import Any, Optional

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queuectl.errors import Conflict, DamagedRecord
from queuectl.queue.claims import claim
from queuectl.queue.recovery import recover
from tests.support.invariants import check, job_files
from tests.support.spools import Clock, Desk, Run, failing, interrupted, succeeding

IDS = st.sampled_from(["a", "A", "b", "b-2", "c", "é", "e\u0301"])
RUBBISH = b"rubbish"
HANDS = st.sampled_from(
    [
        ("failed", "pending"),
        ("dead", "pending"),
        ("done", "pending"),
        ("pending", "dead"),
        ("pending", "done"),
    ]
)
"""Moves by hand that count as something: back to `failed` is left out, it gives a run beyond the limit."""


class QueueMachine(RuleBasedStateMachine):
    """`acknowledged` are the ids that a program was told of; `count` is how many jobs there must be."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.desk = Desk(os.path.join(self.home.name, "spool"), self.clock)
        self.acknowledged: set[str] = set()
        self.count = 0
        self.workers = self.files = 0

    def teardown(self) -> None:
        self.desk.close()
        self.home.cleanup()

    def here(self, *folders: str) -> list[str]:
        return sorted(path.stem for folder in folders for path in (self.desk.root / folder).glob("*.json"))

    # Programs

    @rule(job_id=IDS, priority=st.integers(-1, 1), retries=st.none() | st.integers(0, 2))
    def enqueue(self, job_id: str, priority: int, retries: Optional[int]) -> None:
        job: dict[str, Any] = {"id": job_id, "command": "x", "priority": priority, "max_retries": retries}
        try:
            (place,) = self.desk.queue.enqueue([job])
        except Conflict:
            return
        assert place.job_id == job_id
        self.acknowledged.add(job_id)
        self.count += 1

    @rule(some=st.lists(IDS, min_size=1, max_size=3))
    def enqueue_many(self, some: list[str]) -> None:
        places = self.desk.queue.enqueue([{"id": one, "command": "x"} for one in some], rename=True)
        self.acknowledged |= {place.job_id for place in places}
        self.count += len(places)

    @rule(data=st.data())
    @precondition(lambda self: self.here("done", "failed", "dead"))
    def retry(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.here("done", "failed", "dead")))
        place = self.desk.store.spool.path(self.desk.queue.locate(job_id))
        with open(place, "rb") as file:
            rubbish = file.read() == RUBBISH
        with pytest.raises(DamagedRecord) if rubbish else nullcontext():
            self.desk.queue.retry([job_id])

    @rule(data=st.data())
    @precondition(lambda self: self.known("pending", "failed"))
    def cancel(self, data: st.DataObject) -> None:
        self.desk.queue.cancel([data.draw(st.sampled_from(self.known("pending", "failed")))])

    def known(self, *folders: str) -> list[str]:
        """Of what lies there, what `locate` finds there: a drop beside a known job is another one."""
        return [one for one in self.here(*folders) if self.desk.queue.locate(one).state.folder in folders]

    # Workers

    @rule(how=st.sampled_from([succeeding, failing, interrupted]))
    def work(self, how: Any) -> None:
        run: Run = how(self.clock)
        self.workers += 1
        self.desk.look()
        with self.desk.worker(run, name=f"host-1-{self.workers}-ok") as worker:
            worker.run_once()

    @rule()
    def crash(self) -> None:
        """A worker dies in the middle of a run."""
        self.workers += 1
        name = f"host-1-{self.workers}-dead"
        (self.desk.root / "processing" / name).mkdir()
        self.desk.look()
        claim(self.desk.store, name, self.clock())

    @rule()
    def recover(self) -> None:
        recover(self.desk.store, self.clock(), 0.5)
        assert recover(self.desk.store, self.clock(), 0.5) == []

    @rule()
    def look(self) -> None:
        self.desk.look()

    @rule(seconds=st.sampled_from([1, 5, 20]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # People

    @rule(job_id=IDS, rubbish=st.booleans(), hidden=st.booleans())
    def drop(self, job_id: str, rubbish: bool, hidden: bool) -> None:
        name = f"{job_id}.json.txt" if hidden else f"{job_id}.json"
        path = self.desk.path("pending", name)
        if path.exists():
            return
        self.put(name, RUBBISH if rubbish else {"command": "dropped"})
        self.desk.look()
        if rubbish:
            self.clock.advance(11)
            self.desk.look()
        self.count += 1

    @rule(move=HANDS, data=st.data())
    def drag(self, move: tuple[str, str], data: st.DataObject) -> None:
        source, target = move
        taken = {name.casefold() for name in self.here(target)}
        free = [name for name in self.here(source) if name.casefold() not in taken]
        if free:
            self.desk.drag(data.draw(st.sampled_from(free)), source, target)

    @rule(data=st.data())
    @precondition(lambda self: self.here("pending"))
    def edit(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.here("pending")))
        self.put(f"{job_id}.json", {"id": job_id, "command": "edited", "max_retries": 1})

    @rule(data=st.data())
    @precondition(lambda self: self.here("pending", "done", "dead"))
    def delete(self, data: st.DataObject) -> None:
        folder = data.draw(st.sampled_from([one for one in ("pending", "done", "dead") if self.here(one)]))
        job_id = data.draw(st.sampled_from(self.here(folder)))
        self.desk.path(folder, f"{job_id}.json").unlink()
        if not [path for path in job_files(self.desk.root) if path.stem == job_id]:
            self.acknowledged.discard(job_id)
        self.count -= 1

    @rule()
    def lose_the_index(self) -> None:
        self.desk.close()
        for path in self.desk.root.glob("index.sqlite3*"):
            path.unlink()
        self.desk = Desk(self.desk.root, self.clock)

    def put(self, name: str, data: Any) -> None:
        """Write a file in `pending`, later than any before: jobs are ordered by their files' times."""
        self.files += 1
        moment = int(self.clock() * 1e9) + self.files * 1_000_000
        os.utime(self.desk.drop(name, data), ns=(moment, moment))

    # What must hold

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert len(job_files(self.desk.root)) == self.count
        check(self.desk.root, self.acknowledged)
        told = self.desk.queue.status().counts
        waiting = [path for path in (self.desk.root / "pending").iterdir() if path.read_bytes() == RUBBISH]
        assert sum(told.values()) == self.count - len(waiting)


def _play(examples: int, steps: int, *, same: bool) -> None:
    plan = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=same,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(QueueMachine, settings=plan)  # type: ignore[no-untyped-call]


@pytest.mark.timeout(600)  # A failure is made as small as it can be, which takes some time.
def test_no_job_is_lost_or_doubled() -> None:
    _play(6 if os.name == "nt" else 30, 20, same=True)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_job_is_lost_or_doubled_in_a_long_play() -> None:
    _play(400, 50, same=False)
