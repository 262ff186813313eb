"""Whatever people, programs and crashes do to a spool, in whatever order: no job is lost, none is doubled.

A model goes along: every file that comes in holds a token of its own, and after each step each token must lie
in the folder, with the counts, that the model says. So a job that is overwritten, run without right or
counted wrongly is noticed, whatever its file is called by then.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queuectl.errors import Conflict, DamagedRecord
from queuectl.job import Job
from queuectl.job import Run as Ended
from queuectl.names import fold
from queuectl.queue.claims import claim, settle
from queuectl.queue.recovery import recover
from queuectl.retry import Decision
from queuectl.spool import Place
from queuectl.state import State
from tests.support.invariants import check, job_files
from tests.support.spools import Clock, Desk, during, failing, interrupted, read_record, succeeding

IDS = st.sampled_from(["a", "A", "é", "e\u0301"])
"""Few, and each two of them one name on Windows: nearly every job meets another of its name."""
RUBBISH = b"rubbish "
FINISHED = ("completed", "failed", "dead")
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
RETRIES, CRASHES = 3, 3
"""The settings, which nobody changes here."""
PATIENCE = 11
"""Seconds after which a file that is no job is set aside."""


class Death(BaseException):
    """A worker dies where this is raised: nothing of it runs any more."""


@dataclass(frozen=True)
class Model:
    """What must be true of one file: where it lies and what its record says.

    `attempts`, `crashes` and `state` are what was stamped; in `pending` a finished run's stamp is void.
    """

    folder: str = "pending"
    attempts: int = 0
    crashes: int = 0
    state: str = "pending"
    retries: int = RETRIES
    due: float = 0.0

    @property
    def starts(self) -> Model:
        """It, in the hands of a worker that claims it."""
        if self.folder == "failed":
            return replace(self, folder="processing", state="processing")
        if self.state in FINISHED:
            return replace(self, folder="processing", attempts=0, crashes=0, state="pending")
        return replace(self, folder="processing")

    def ended(self, state: str, due: float = 0.0) -> Model:
        return replace(self, folder=_folder(state), state=state, due=due)

    def succeeded(self, now: float) -> Model:
        return replace(self, attempts=self.attempts + 1).ended("completed")

    def failed(self, now: float) -> Model:
        attempts = self.attempts + 1
        state = "dead" if attempts > self.retries else "failed"
        return replace(self, attempts=attempts).ended(state, now + 2**attempts)

    def interrupted(self, now: float) -> Model:
        return self.ended("pending")

    def crashed(self, now: float) -> Model:
        crashes = self.crashes + 1
        state = "dead" if crashes >= CRASHES else "failed"
        return replace(self, crashes=crashes).ended(state, now + 2**crashes)


ENDINGS: dict[str, tuple[Any, Callable[[Model, float], Model]]] = {
    "succeeding": (succeeding, Model.succeeded),
    "failing": (failing, Model.failed),
    "interrupted": (interrupted, Model.interrupted),
}


class QueueMachine(RuleBasedStateMachine):
    """`acknowledged` are the ids that a program was told of; `jobs` and `rubbish` all that there must be."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.desk = Desk(os.path.join(self.home.name, "spool"), self.clock)
        self.acknowledged: set[str] = set()
        self.jobs: dict[str, Model] = {}
        self.rubbish: set[str] = set()
        self.recorded: dict[str, Model] = {}
        """Of those whose worker died between record and move, what recovery makes of them."""
        self.workers = self.files = 0

    def teardown(self) -> None:
        self.desk.close()
        self.home.cleanup()

    def here(self, *folders: str) -> list[str]:
        return sorted(path.stem for folder in folders for path in (self.desk.root / folder).glob("*.json"))

    @initialize(endings=st.lists(st.sampled_from(sorted(ENDINGS)), max_size=3))
    def begin(self, endings: list[str]) -> None:
        """Something has happened already."""
        for how in endings:
            self.enqueue_many(["a"])
            self.work(how, "", 1)

    # Programs

    @rule(job_id=IDS, priority=st.integers(-1, 1), retries=st.none() | st.integers(0, 2))
    def enqueue(self, job_id: str, priority: int, retries: Optional[int]) -> None:
        token = self.token()
        limits = {"priority": priority, "max_retries": retries}
        job = {"id": job_id, "command": "x", "meta": {"t": token}, **limits}
        known = fold(job_id) in {fold(path.stem) for path in job_files(self.desk.root)}
        with pytest.raises(Conflict) if known else nullcontext():
            (place,) = self.desk.queue.enqueue([job])
            assert place.job_id == job_id
            self.acknowledged.add(job_id)
            self.jobs[token] = Model(retries=RETRIES if retries is None else retries)

    @rule(some=st.lists(IDS, min_size=1, max_size=3))
    def enqueue_many(self, some: list[str]) -> None:
        tokens = [self.token() for _ in some]
        jobs = [{"id": one, "command": "x", "meta": {"t": token}} for one, token in zip(some, tokens)]
        places = self.desk.queue.enqueue(jobs, rename=True)
        self.acknowledged |= {place.job_id for place in places}
        self.jobs.update(dict.fromkeys(tokens, Model()))

    @rule(data=st.data())
    @precondition(lambda self: self.here("done", "failed", "dead"))
    def retry(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.here("done", "failed", "dead")))
        token = _token(self.desk.store.spool.path(self.desk.queue.locate(job_id)))
        with pytest.raises(DamagedRecord) if token in self.rubbish else nullcontext():
            self.desk.queue.retry([job_id])
            self.jobs[token] = Model(retries=self.jobs[token].retries)

    @rule(data=st.data(), copied=st.booleans())
    @precondition(lambda self: self.here("pending", "failed"))
    def cancel(self, data: st.DataObject, copied: bool) -> None:
        """With `copied` a person has put a copy where the job is to go."""
        job_id = data.draw(st.sampled_from(self.here("pending", "failed")))
        place = self.desk.store.spool.path(self.desk.queue.locate(job_id))
        token = _token(place)
        if copied:
            self.copy_to(place, "dead", f"{job_id}.json")
        with pytest.raises(DamagedRecord) if token in self.rubbish else nullcontext():
            self.desk.queue.cancel([job_id])
            self.jobs[token] = self.jobs[token].ended("dead")
        self.desk.look()

    # Workers

    @rule(
        how=st.sampled_from([*ENDINGS, "failing"]),
        copied=st.sampled_from(["", "early", "late"]),
        runs=st.integers(1, 3),
    )
    def work(self, how: str, copied: str, runs: int) -> None:
        for number in range(runs):
            if number:
                self.wait(20)
            self.work_once(how, copied)

    def work_once(self, how: str, copied: str) -> None:
        """With `copied` a person puts a copy where the job is to go, while it runs or as it is recorded."""
        run, ended = ENDINGS[how]
        ran: list[str] = []
        self.workers += 1
        name = f"host-1-{self.workers}-ok"
        self.desk.look()

        late = [True] if copied == "late" else []

        def meddle(job_id: str) -> None:
            then = ended(self.jobs[ran[0]], self.clock())
            model = then if copied == "late" else self.jobs[ran[0]]
            path = self.desk.path(f"processing/{name}", f"{job_id}.json")
            self.copy_to(path, then.folder, path.name, model)

        def begin(job: Job) -> None:
            ran.append(self.claimed(job))
            if copied == "early":
                meddle(job.name)

        # What cannot be recorded is given up: a job left in `processing` is noticed, an endless loop is not.
        end = self.clock() + 60
        hands = {"gives_up": lambda: self.clock() > end}
        with self.desk.worker(during(begin, run(self.clock)), name=name, **hands) as worker:
            stamp = worker.store.spool.stamp

            def stamping(place: Place, job: Job, **options: Any) -> tuple[int, int]:
                version = stamp(place, job, **options)
                if ran and late:
                    late.clear()
                    meddle(place.job_id)
                return version

            worker.store.spool.stamp = stamping  # type: ignore[method-assign]
            ready = self.ready()
            assert worker.run_once() == bool(ready)
        for token in ran:
            self.jobs[token] = ended(self.jobs[token], self.clock())

    @rule(crashes=st.integers(1, 3))
    @precondition(lambda self: self.ready())
    def crash_often(self, crashes: int) -> None:
        """As of a job that kills its worker."""
        for _ in range(crashes):
            self.crash("")
            self.recover(copied=False)
            self.wait(20)

    @rule(recorded=st.sampled_from(["", "", "succeeding", "failing"]))
    @precondition(lambda self: self.ready())
    def crash(self, recorded: str) -> None:
        """A worker dies in the middle of a run, or with `recorded` between the run's record and its move."""
        self.workers += 1
        name = f"host-1-{self.workers}-dead"
        (self.desk.root / "processing" / name).mkdir()
        self.desk.look()
        got = claim(self.desk.store, name, self.clock())
        if got is None:
            return
        token = self.claimed(got.job)
        if not recorded:
            return
        model = ENDINGS[recorded][1](self.jobs[token], self.clock())
        decision = Decision(State(model.state), model.due - self.clock() if model.state == "failed" else 0.0)
        with patch.object(self.desk.store.spool, "move", side_effect=Death), pytest.raises(Death):
            settle(self.desk.store, got, Ended(outcome=recorded), decision, self.clock())
        self.jobs[token] = replace(model, folder="processing")
        self.recorded[token] = model

    @rule(copied=st.booleans())
    @precondition(lambda self: self.desk.files().get("processing"))
    def recover(self, copied: bool) -> None:
        """With `copied` a person has put a copy of one file where it is to go."""
        for path in (self.desk.root / "processing").glob("*/*.json"):
            token = _token(path)
            model = self.recorded.pop(token, None) or self.jobs[token].crashed(self.clock())
            self.jobs[token], before = model, self.jobs[token]
            if copied:
                self.copy_to(path, model.folder, path.name, before)
                copied = False
        recover(self.desk.store, self.clock(), 0.5)
        assert recover(self.desk.store, self.clock(), 0.5) == []

    @rule(seconds=st.sampled_from([1, 5, 20]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.desk.look()

    def ready(self) -> list[str]:
        """The jobs that a worker may claim now."""
        now = self.clock()
        waiting = {token: one for token, one in self.jobs.items() if one.folder in ("pending", "failed")}
        return [token for token, one in waiting.items() if one.folder == "pending" or one.due <= now]

    def claimed(self, job: Job) -> str:
        """A worker has got this job: that it may, and with the counts that it should."""
        token = str((job.meta or {})["t"])
        assert token in self.ready()
        self.jobs[token] = self.jobs[token].starts
        assert (job.attempts, job.crashes) == (self.jobs[token].attempts, self.jobs[token].crashes)
        return token

    # People

    @rule(job_id=IDS, rubbish=st.sampled_from([False, False, True]), hidden=st.booleans())
    def drop(self, job_id: str, rubbish: bool, hidden: bool) -> None:
        name = f"{job_id}.json.txt" if hidden else f"{job_id}.json"
        if self.desk.path("pending", name).exists():
            return
        token = self.token()
        if rubbish:
            self.rubbish.add(token)
            self.put(name, RUBBISH + token.encode())
        else:
            self.jobs[token] = Model()
            self.put(name, {"command": "dropped", "meta": {"t": token}})
        self.look_twice()

    @rule(move=HANDS, data=st.data())
    def drag(self, move: tuple[str, str], data: st.DataObject) -> None:
        source, target = move
        free = self.free(source, target)
        if free:
            job_id = data.draw(st.sampled_from(free))
            token = _token(self.desk.path(source, f"{job_id}.json"))
            self.desk.drag(job_id, source, target)
            if token in self.jobs:
                self.jobs[token] = replace(self.jobs[token], folder=target)
            elif target == "pending" and data.draw(st.booleans()):
                self.mend(job_id)
            else:
                # Not left there: a file that is no job holds its name in this very spelling only.
                self.look_twice()

    @rule(source=st.sampled_from(["done", "done", "failed", "dead"]), data=st.data())
    @precondition(lambda self: self.here("done", "failed", "dead"))
    def copy(self, source: str, data: st.DataObject) -> None:
        """A person copies a finished job into `pending`: another job of a name that is known."""
        free = self.free(source, "pending")
        if free:
            name = f"{data.draw(st.sampled_from(free))}.json"
            self.copy_to(self.desk.path(source, name), "pending", name)
            self.look_twice()

    @rule(data=st.data())
    @precondition(lambda self: self.here("pending"))
    def edit(self, data: st.DataObject) -> None:
        self.mend(data.draw(st.sampled_from(self.here("pending"))))

    def mend(self, job_id: str) -> None:
        self.forget(_token(self.desk.path("pending", f"{job_id}.json")))
        token = self.token()
        job = {"id": job_id, "command": "edited", "max_retries": 1, "meta": {"t": token}}
        self.put(f"{job_id}.json", job)
        self.jobs[token] = Model(retries=1)

    @rule(data=st.data())
    @precondition(lambda self: self.here("pending", "done", "dead"))
    def delete(self, data: st.DataObject) -> None:
        folder = data.draw(st.sampled_from([one for one in ("pending", "done", "dead") if self.here(one)]))
        job_id = data.draw(st.sampled_from(self.here(folder)))
        path = self.desk.path(folder, f"{job_id}.json")
        self.forget(_token(path))
        path.unlink()
        self.acknowledged.discard(job_id)

    @rule()
    def lose_the_index(self) -> None:
        self.desk.close()
        for path in self.desk.root.glob("index.sqlite3*"):
            path.unlink()
        self.desk = Desk(self.desk.root, self.clock)

    def token(self) -> str:
        self.files += 1
        return f"token{self.files:04}"

    def forget(self, token: str) -> None:
        self.jobs.pop(token, None)
        self.rubbish.discard(token)

    def free(self, source: str, target: str) -> list[str]:
        """What lies in `source` and can be put in `target` under its own name, on every system."""
        taken = {fold(name) for name in self.here(target)}
        return [name for name in self.here(source) if fold(name) not in taken]

    def copy_to(self, path: Any, folder: str, name: str, model: Optional[Model] = None) -> None:
        """Copy by hand, time and size as they were; nothing where something lies: Explorer would ask."""
        target = self.desk.path(folder, name)
        if target.exists():
            return
        old, new, stat = _token(path), self.token(), os.stat(path)
        self.desk.drop(name, Path(path).read_bytes().replace(old.encode(), new.encode()), folder)
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        if old in self.rubbish:
            self.rubbish.add(new)
        else:
            model = model or self.jobs[old]
            self.jobs[new] = replace(model, folder=folder)

    def look_twice(self) -> None:
        """As long as it takes until a file that is no job has been set aside."""
        self.desk.look()
        self.clock.advance(PATIENCE)
        self.desk.look()

    def put(self, name: str, data: Any) -> None:
        """Write a file in `pending`, later than any before: jobs are ordered by their files' times."""
        moment = int(self.clock() * 1e9) + self.files * 1_000_000
        os.utime(self.desk.drop(name, data), ns=(moment, moment))

    # What must hold

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        files = job_files(self.desk.root)
        assert sorted(map(_token, files)) == sorted([*self.jobs, *self.rubbish])
        check(self.desk.root, self.acknowledged, attempts_matter=False)
        told = self.desk.queue.status().counts
        waiting = [path for path in files if path.parent.name == "pending" and _token(path) in self.rubbish]
        assert sum(told.values()) == len(files) - len(waiting)

    @invariant()
    def no_name_is_used_twice(self) -> None:
        names = sorted(path.stem for path in job_files(self.desk.root))
        assert len({fold(name) for name in names}) == len(names), names

    @invariant()
    def each_is_where_and_what_it_must_be(self) -> None:
        for path in job_files(self.desk.root):
            token = _token(path)
            if token in self.rubbish:
                continue
            record, model = read_record(path), self.jobs[token]
            folder = path.relative_to(self.desk.root).parts[0]
            counts = record.get("attempts", 0), record.get("crashes", 0), record.get("state", "pending")
            assert (folder, *counts) == (model.folder, model.attempts, model.crashes, model.state), path


def _folder(state: str) -> str:
    return State(state).folder


def _token(path: Any) -> str:
    found = re.search(rb"token\d{4}", Path(path).read_bytes())
    assert found, f"{path} holds what nobody has put there"
    return found[0].decode()


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
    _play(6 if os.name == "nt" else 50, 25, same=True)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_job_is_lost_or_doubled_in_a_long_play() -> None:
    _play(400, 50, same=False)
