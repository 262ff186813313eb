"""A spool to play with: time is set by the test, commands need not run, files are put and moved by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional, Union

from queuectl.engine import Conditions
from queuectl.events import Event
from queuectl.hands import Hands
from queuectl.job import Job
from queuectl.queue import Queue
from queuectl.queue.intake import Settled, settle_drops
from queuectl.queue.requests import ask, asked
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.runner import COMPLETED, FAILED, INTERRUPTED, Outcome
from queuectl.spool.making import make_spool
from queuectl.tasks.inside import Inside
from queuectl.tasks.task import Task
from queuectl.worker import Worker

START = 1_800_000_000.0
"""2027-01-15T08:00:00Z: when a test's clock begins."""

FOLDERS = ("pending", "processing", "done", "failed", "dead")


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self, start: float = START) -> None:
        self.time = start

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


class Desk:
    """One person at one spool, with a queue and a clock; a context manager."""

    def __init__(self, root: Union[str, Path], clock: Optional[Clock] = None) -> None:
        self.root = Path(root)
        self.clock = clock or Clock()
        make_spool(str(self.root))
        self.queue = Queue(self.root, create=False, now=self.clock)
        # Not when it is first needed: by then a test may have moved the folder.
        assert self.store.spool.root

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.queue.close()

    @property
    def store(self) -> Store:
        return self.queue.store

    # Files, as people handle them

    def path(self, folder: str, name: str) -> Path:
        return self.root / folder / name

    def drop(self, name: str, data: Any = None, folder: str = "pending") -> Path:
        """Put a file there: bytes as they are, text in UTF-8, anything else as JSON."""
        path = self.path(folder, name)
        path.parent.mkdir(exist_ok=True)
        if folder.startswith("processing/"):
            # Of a worker that has died: the file of its lock is there, and nobody holds it.
            (self.root / "locks" / f"{folder.partition('/')[2]}.lock").touch()
        path.write_bytes(_as_bytes({"command": "echo hi"} if data is None else data))
        return path

    def drag(self, job_id: str, source: str, target: str) -> None:
        """Move a job's file from one folder to another, as in Explorer."""
        os.rename(self.path(source, f"{job_id}.json"), self.path(target, f"{job_id}.json"))

    def record(self, folder: str, job_id: str) -> dict[str, Any]:
        return read_record(self.path(folder, f"{job_id}.json"))

    def files(self) -> dict[str, list[str]]:
        """Of each state folder that is not empty, the paths below it."""
        found = {folder: _below(self.root / folder) for folder in FOLDERS}
        return {folder: names for folder, names in found.items() if names}

    def folder_of(self, job_id: str) -> list[str]:
        """The state folders that hold a file of this id."""
        return [folder for folder, names in self.files().items() if f"{job_id}.json" in map(_last, names)]

    # The product

    def look(self) -> list[Settled]:
        """What a running worker does at each look: take in what has changed, settle what needs a hand."""
        left = reconcile_all(self.store, self.clock())
        settled: list[Settled] = []
        while left:
            some, left = settle_drops(self.store, left, self.clock())
            settled += some
        reconcile_all(self.store, self.clock())
        return settled

    def ask(self, worker: str, suffix: str, text: str = "") -> None:
        """Leave a request for this worker."""
        ask(self.store.spool, worker, suffix, text)

    def asked(self, worker: str, suffix: str) -> Optional[str]:
        """The request that lies there for this worker."""
        return asked(self.store.spool, worker, suffix)

    def ids(self, state: Optional[str] = None) -> list[str]:
        return [job["id"] for job in self.queue.jobs(state=state)]

    def row(self, job_id: str) -> dict[str, Any]:
        (found,) = (job for job in self.queue.jobs() if job["id"] == job_id)
        return found

    def add(self, *ids: str, **fields: Any) -> None:
        self.queue.enqueue([{"id": job_id, "command": "echo hi", **fields} for job_id in ids])

    def put_job(self, folder: str, job_id: str, **fields: Any) -> Path:
        """A record as queuectl writes it, in any folder (`processing/<worker>` too)."""
        stamp = "2027-01-15T07:00:00.000Z"
        kept = {"state": "pending", "attempts": 0, "crashes": 0, "created_at": stamp, "updated_at": stamp}
        return self.drop(f"{job_id}.json", {"id": job_id, "command": "echo hi", **kept, **fields}, folder)

    @contextmanager
    def worker(
        self,
        run: Optional[Run] = None,
        name: str = "host-1-1-abc",
        *,
        tasks: Optional[Mapping[str, Task[Any, Any]]] = None,
        **hands: Any,
    ) -> Iterator[Worker]:
        """A live worker with a connection of its own; `run` stands in for the running of commands. It calls
        these tasks in a thread.
        """
        given = {"now": self.clock, "luck": lambda: 0.5, "pause": self.clock.advance, **hands}
        with Store.open(str(self.root)) as store:
            store.index.tasks = frozenset(tasks or ())
            worker = Worker(store, name, Hands(**given), tasks=Inside(tasks) if tasks else None)
            if run is not None:
                worker.runner.run = run  # type: ignore[method-assign]
            worker.start()
            try:
                yield worker
            finally:
                worker.close()

    def run_once(self, run: Optional[Run] = None, **options: Any) -> bool:
        """Bring the index up to date, then have a new worker claim, run and settle one job."""
        self.look()
        with self.worker(run or succeeding(self.clock), **options) as worker:
            return worker.run_once()


Run = Callable[[Job, Conditions], Outcome]


def ending(verdict: str, code: Optional[int], error: Optional[str], now: Callable[[], float]) -> Run:
    """A command that ends like this, at once."""

    def run(job: Job, setting: Conditions) -> Outcome:
        return Outcome(verdict, code, error, now(), now())

    return run


def succeeding(now: Callable[[], float]) -> Run:
    return ending(COMPLETED, 0, None, now)


def failing(now: Callable[[], float], code: int = 1) -> Run:
    return ending(FAILED, code, f"exit code {code}", now)


def interrupted(now: Callable[[], float]) -> Run:
    return ending(INTERRUPTED, None, "interrupted", now)


def during(action: Callable[[Job], object], run: Run) -> Run:
    """`run`, in whose middle `action` happens."""

    def acting(job: Job, setting: Conditions) -> Outcome:
        action(job)
        return run(job, setting)

    return acting


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def read_record(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_bytes())
    assert isinstance(record, dict)
    return record


def _as_bytes(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    text = (
        data if isinstance(data, str) else json.dumps(data if not isinstance(data, Mapping) else dict(data))
    )
    return text.encode()


def _below(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]
