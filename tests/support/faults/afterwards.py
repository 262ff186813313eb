"""What another process, which knows no more of a dead one than its files, makes of a spool."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queuectl import system
from queuectl.events import nobody
from queuectl.hands import Hands
from queuectl.queue import Queue
from queuectl.queue.doctor import examine
from queuectl.queue.firing import Firing
from queuectl.queue.recovery import recover
from queuectl.queue.store import Store
from queuectl.runner import COMPLETED, Outcome
from queuectl.worker import Worker
from tests.support.faults.crasher import TASK
from tests.support.invariants import job_files

STATE_FOLDERS = ("pending", "processing", "done", "failed", "dead")
LASTING = {"claim.lock", "schedules.lock", "house.lock"}
"""In `locks/`: those that are nobody's."""
LATER = 10_000.0
"""Seconds: every retry is due by then, and what lies in tmp/ belongs to nobody any more."""


def carry_on(spool: Path, *, left: bool = False) -> None:
    """What the next worker, and in time a doctor, make of it; doing it twice is doing it once.

    `left`: there may be something that only a person can decide.
    """
    with Store.open(str(spool)) as store:
        recover(store, system.now(), 0.5)
        after_once = picture(spool)
        assert recover(store, system.now(), 0.5) == []
        assert picture(spool) == after_once
        for path in (spool / "tmp").iterdir():
            os.utime(path, (0, 0))
        examine(store, fix=True)
        # An index that could not be read was set aside: that is told until a person has deleted it.
        found = [one.text for one in examine(store, fix=True) if ".damaged-" not in one.text]
        assert left or found == [], str(found)


def picture(spool: Path) -> dict[str, bytes]:
    """Every file in the state folders, with its bytes."""
    return {
        path.relative_to(spool).as_posix(): path.read_bytes()
        for folder in STATE_FOLDERS
        for path in (spool / folder).rglob("*")
        if path.is_file()
    }


def run_all(spool: Path) -> list[str]:
    """Run what is left, whenever it is due; the ids, in their order, and nothing is left of the worker."""
    ran: list[str] = []

    def run(job: Any, setting: Any) -> Outcome:
        ran.append(job.name)
        return Outcome(COMPLETED, 0, None, system.now(), system.now())

    with Queue.open(str(spool), create=False) as queue:
        queue.refresh()
        queue.store.index.tasks = frozenset({TASK})
        worker = Worker(queue.store, "host-1-1-later", Hands(now=lambda: system.now() + LATER))
        worker.runner.run = run  # type: ignore[method-assign]
        worker.start()
        while worker.run_once():
            pass
        worker.close()
    assert os.listdir(spool / "processing") == []
    assert set(os.listdir(spool / "locks")) - LASTING == set()
    return sorted(ran)


def fire(spool: Path) -> None:
    """A look at the schedules."""
    with Store.open(str(spool)) as store:
        Firing(store, nobody).look(system.now())


def places(spool: Path) -> dict[str, str]:
    """Of each id, the folder that its file lies in."""
    return {path.stem: path.relative_to(spool).parts[0] for path in job_files(spool)}


def rows(spool: Path, *job_ids: str) -> Sequence[dict[str, Any]]:
    """What `show` tells of these jobs."""
    with Queue.open(str(spool), create=False) as queue:
        return [queue.show(job_id) for job_id in job_ids]
