"""A spool at work, for hands on its folders: a job of each kind, and a worker with its supervisor."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

from queuectl.crew import Crew
from queuectl.errors import QueueError
from queuectl.queue.doctor import examine
from queuectl.sweep import Sweep
from queuectl.worker import Worker
from tests.support.spools import Desk, Heard, Run, during, succeeding

WINDOWS = sys.platform == "win32"
WORKER = "host-1-1-abc"
RESTS = {"waits": "pending", "later": "failed", "ended": "done", "gone": "dead"}
"""The jobs beside `runs`, and where they lie before anything has run."""
_PATIENCE = 20
"""Tries to record, after which a worker gives up: else a test that fails would not end."""


def allowed(act: Callable[[], object]) -> bool:
    """Do it; False where Windows does not let anybody, because a file in there is open."""
    try:
        act()
    except PermissionError:
        if not WINDOWS:
            raise
        return False
    return True


class Shop:
    """A spool with a job of each kind, and a worker that runs one of them; `look` is its supervisor's."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.heard = desk, Heard()
        self.sweep = Sweep(desk.store, self.heard)
        self.ran: list[str] = []
        desk.put_job("pending", "waits")
        desk.put_job("failed", "later", state="failed", attempts=1, run_at="2999-01-01T00:00:00Z")
        desk.put_job("done", "ended", state="completed", attempts=1, exit_code=0)
        desk.put_job("dead", "gone", state="dead", attempts=4)
        desk.add("runs", priority=9)

    def run_with(self, act: Callable[[], object]) -> Run:
        """The commands of this worker; while the first of them runs, this is done."""

        def once(job: Any) -> None:
            self.ran.append(job.name)
            if self.ran == ["runs"]:
                act()

        return during(once, succeeding(self.desk.clock))

    @contextmanager
    def worker(self, run: Run) -> Iterator[Worker]:
        tries = iter(range(_PATIENCE))
        hands: dict[str, Any] = {
            "emit": self.heard,
            "pause": lambda _: self.look(worker),
            "gives_up": lambda: next(tries, None) is None,
        }
        with self.desk.worker(run, WORKER, **hands) as worker:
            self.look(worker)
            yield worker

    def look(self, *workers: Worker) -> None:
        for worker in workers:
            worker.life.keep()
        self.sweep.hasten()
        self.sweep.look((), [worker.name for worker in workers])
        crew = Crew()
        crew.workers.extend(workers)
        crew.keep_folders(self.desk.store.spool)

    def work(self, act: Callable[[], object]) -> None:
        with self.worker(self.run_with(act)) as worker:
            for _ in range(2):
                while worker.run_once():
                    pass
                self.look(worker)

    def ask(self) -> list[str]:
        """What people call meanwhile; a clear refusal is fine."""
        asked: list[Callable[[], object]] = [
            self.desk.queue.status,
            self.desk.queue.jobs,
            lambda: examine(self.desk.store, fix=False),
        ]
        refused = []
        for question in asked:
            try:
                question()
            except (QueueError, OSError) as error:
                # Around the doctor's OSError the command line puts our own.
                refused.append(str(error))
        return refused

    @property
    def notices(self) -> str:
        return "\n".join(event.text for event in self.heard.events if event.kind == "notice")
