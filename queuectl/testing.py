"""Tests of programs that enqueue, without a worker: a spool in a temporary folder, and a clock that you set.

::

    from queuectl.testing import rehearse
    from photos import tasks

    def test_a_picture_is_made_smaller():
        with rehearse(tasks.queue) as stage:
            made = tasks.resize.enqueue("a.png", width=200)
            stage.run_until_idle()
            assert made.job().result == "a-200.png"

With pytest the fixture `queuectl_stage` does the same: `stage = queuectl_stage(tasks.queue)`.

After huey's `immediate` mode and Oban's `drain_queue`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Optional

from queuectl import system
from queuectl.batch import MOST
from queuectl.errors import TimedOut
from queuectl.events import JOB_STARTED, Event
from queuectl.hands import Hands
from queuectl.index.base import PARKED
from queuectl.job import Job
from queuectl.layers import Layers
from queuectl.names import make_worker_name
from queuectl.queue import Queue
from queuectl.queue.claims import has_work
from queuectl.queue.store import Store
from queuectl.spool import making
from queuectl.state import State
from queuectl.tasks.here import Here
from queuectl.worker import Worker

START = 1_800_000_000.0
"""2027-01-15T08:00:00Z: when a clock of these begins."""
_MOST = 100_000
"""Runs after which tasks that enqueue one another are said to have no end."""


class Clock:
    """A clock that stands still until it is moved; in seconds since the epoch."""

    def __init__(self, time: float = START) -> None:
        self.time = time

    def __call__(self) -> float:
        """The time."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let so much time go by."""
        self.time += seconds


class Stage:
    """A queue in a temporary folder, whose jobs run when the test says so, in the test's own thread."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self.queue, self.clock = queue, clock
        self._number = 0

    def run_until_idle(self, *, raising: bool = False) -> list[Job]:
        """Run what is due by the clock, and what that enqueues; the records of what was run, in that order.

        A job that fails waits for its retry: `clock.advance` lets its time come. With `raising` what a task
        raises is raised here as well.

        Raises:
            TimedOut: there was no end to it.
        """
        ran: list[str] = []
        engine = Here(self.queue.tasks)
        with self._worker(engine, ran) as worker:
            while worker.run_once() or self._takes_in():
                if raising and engine.error is not None:
                    raise engine.error
                if len(ran) > _MOST:
                    raise TimedOut(f"{_MOST} runs, and there is no end to it")
        return [self.queue.get(job_id) for job_id in dict.fromkeys(ran) if job_id in self.queue]

    def run_until_done(self, *, raising: bool = False) -> list[Job]:
        """As `run_until_idle`, and let the time of each retry and each delay come, while there is any.

        What is held, or waits for another job in vain, stays.
        """
        ran = self.run_until_idle(raising=raising)
        while (coming := self.queue.coming(1)) and coming[0].due < PARKED and len(ran) <= _MOST:
            self.clock.time = max(self.clock.time, coming[0].due)
            ran += self.run_until_idle(raising=raising)
        return ran

    def _takes_in(self) -> bool:
        """Whether files were dropped that can run now."""
        if system.names_in(os.path.join(self.queue.root, State.PENDING.folder)):
            self.queue.refresh()
        return has_work(self.queue.store, self.clock())

    @contextmanager
    def _worker(self, engine: Here, ran: list[str]) -> Iterator[Worker]:
        def heard(event: Event) -> None:
            if event.kind == JOB_STARTED and event.job_id is not None:
                ran.append(event.job_id)

        self._number += 1
        name = make_worker_name(system.host_name(), system.process_id(), self._number, "stage")
        store = self.queue.store
        store.index.tasks, before = frozenset(self.queue.tasks), store.index.tasks
        worker = Worker(store, name, Hands(emit=heard, now=self.clock), most=MOST, tasks=engine)
        worker.start()
        try:
            yield worker
        finally:
            worker.close()
            store.index.tasks = before


@contextmanager
def rehearse(queue: Optional[Queue] = None, folder: Optional[str] = None) -> Iterator[Stage]:
    """Let this queue, or a new one, be in a temporary folder for the block; nothing is flushed to the disk.

    What is registered with it can be enqueued and run as ever. `Handle.wait` and `Queue.wait` run what there
    is, as `Stage.run_until_done` does: nobody else would. `folder` is one that is there, for the spool.

    Settings are those that the program gives (`Queue(settings=...)`, `set_config` on the stage), else the
    defaults: a test must not turn out otherwise for what somebody has in their environment.
    """
    clock = Clock()
    with _temporary(folder) as place, system.unflushed():
        spool = os.path.join(place, "spool")
        making.make_spool(spool)
        acted = Queue(spool, now=clock) if queue is None else queue
        stage = Stage(acted, clock)
        make = partial(Store.open, spool, trust_writers=True, layers=Layers({}, acted.own_settings))
        with acted.moved(spool, make, clock, stage.run_until_done):
            yield stage


@contextmanager
def _temporary(folder: Optional[str]) -> Iterator[str]:
    if folder is not None:
        yield folder
        return
    made = tempfile.mkdtemp(prefix="queuectl-")
    try:
        yield made
    finally:
        # What a test has left running may hold a file open (Windows).
        shutil.rmtree(made, ignore_errors=True)
