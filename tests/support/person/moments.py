"""The moments in a job's life at which a person can lay hands on its file, each brought about on purpose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional
from unittest import mock

from queuectl import events
from queuectl.engine import Conditions
from queuectl.errors import QueueError
from queuectl.events import Event
from queuectl.job import Job
from queuectl.queue.doctor import examine
from queuectl.queue.recovery import recover
from queuectl.spool import Place, Spool
from queuectl.state import State
from tests.support.person.hands import ORIGINAL, Act
from tests.support.spools import Desk, Run, succeeding

WORKER, OTHER, LATER = "host-1-1-abc", "host-2-1-abc", "host-3-1-abc"
_PATIENCE = 8
"""Tries after which a worker that cannot record is told to give up: a second Ctrl+C."""


Ends = Callable[[Callable[[], float]], Run]
"""As `spools.succeeding`."""


class Scene:
    """One job `a` in a spool, and what its runs look like from outside."""

    def __init__(self, desk: Desk, ends: Optional[Ends] = None) -> None:
        self.desk = desk
        self.ends = ends or succeeding
        """How the first run ends; all others succeed."""
        self.runs: list[str] = []
        self.overlaps: list[str] = []
        self.told: list[str] = []
        self.gave_up = False
        """A worker had to be told to give a record up."""
        self.running: list[str] = []
        self.let_go: Callable[[], None] = lambda: None
        """Called when a worker has to wait."""

    def path(self, folder: str) -> Path:
        return self.desk.path(folder, "a.json")

    def emit(self, event: Event) -> None:
        self.told.append(f"{event.kind}: {event.text}")

    def run(self, job: Job, setting: Conditions) -> Any:
        """Stands in for a command."""
        self.begin(job, setting)
        return self.end(job, setting)

    def begin(self, job: Job, setting: Conditions) -> None:
        # As a command that has been started has one.
        Path(setting.log_path).touch()
        if job.name in self.running:
            self.overlaps.append(job.name)
        self.running.append(job.name)
        self.runs.append(f"{job.name}={str(job.command).split()[-1]}")

    def end(self, job: Job, setting: Conditions) -> Any:
        self.running.remove(job.name)
        ends, self.ends = self.ends, succeeding
        return ends(self.desk.clock)(job, setting)

    def work(
        self, name: str, run: Optional[Run] = None, emit: Optional[Callable[[Event], None]] = None
    ) -> bool:
        """One worker does what it finds to do."""
        tries = iter(range(_PATIENCE))

        def gives_up() -> bool:
            self.gave_up |= next(tries, None) is None
            return self.gave_up

        hands: dict[str, Any] = {"emit": emit or self.emit, "gives_up": gives_up, "pause": self.pause}
        with self.desk.worker(run or self.run, name, **hands) as worker:
            worked = False
            while worker.run_once():
                worked = True
            return worked

    def pause(self, seconds: float) -> None:
        self.desk.clock.advance(seconds)
        self.let_go()

    def leave(self) -> Path:
        """The job as a worker leaves it that is killed."""
        return self.desk.put_job(f"processing/{WORKER}", "a", command=ORIGINAL)

    def finish(self) -> None:
        """Fault-free workers look, recover and run until nothing is left to do."""
        idle = 0
        while idle < 2:
            # Later than any settle_time, and than any wait for a retry.
            self.desk.clock.advance(60)
            settled = self.desk.look()
            recovered = recover(self.desk.store, self.desk.clock(), 0.5)
            worked = self.work(LATER)
            idle = 0 if settled or recovered or worked else idle + 1

    def complaints(self) -> list[str]:
        """What `status` and the doctor say; the index that was behind is none of it."""
        told = [*self.desk.queue.status().problems]
        told += [one.text for one in examine(self.desk.store, fix=False) if "index.sqlite3" not in one.text]
        return list(dict.fromkeys(told))


@contextmanager
def before(owner: Any, name: str, act: Callable[[], object], when: Callable[..., bool]) -> Iterator[None]:
    """Act just before the first call for which `when` holds; fails when there is none."""
    real, done = getattr(owner, name), False

    def acting(*args: Any, **options: Any) -> Any:
        nonlocal done
        if not done and when(*args):
            done = True
            act()
        return real(*args, **options)

    with mock.patch.object(owner, name, acting):
        yield
    assert done, f"the moment before {name} has not come"


Story = Callable[[Scene, Act], None]


class Moment(NamedTuple):
    """Where the file lies then, and how it comes to that, with the act in it."""

    folder: str
    bring: Story


def dropped(scene: Scene, act: Act) -> None:
    scene.desk.add("a", command=ORIGINAL)
    act(scene.path("pending"))


def looked_at(scene: Scene, act: Act) -> None:
    scene.desk.add("a", command=ORIGINAL)
    scene.desk.look()
    act(scene.path("pending"))
    scene.work(WORKER)


def being_claimed(scene: Scene, act: Act) -> None:
    scene.desk.add("a", command=ORIGINAL)
    path = scene.path("pending")
    with before(Spool, "move", lambda: act(path), lambda _, place, *__: place.state is State.PENDING):
        scene.work(WORKER)


def claimed(scene: Scene, act: Act) -> None:
    scene.desk.add("a", command=ORIGINAL)

    def emit(event: Event) -> None:
        scene.emit(event)
        if event.kind == events.JOB_STARTED and not scene.runs:
            act(scene.path(f"processing/{WORKER}"))

    scene.work(WORKER, emit=emit)


def running(scene: Scene, act: Act) -> None:
    """Another worker looks and works meanwhile, for long enough to call a file no job."""
    scene.desk.add("a", command=ORIGINAL)

    def run(job: Job, setting: Conditions) -> Any:
        if scene.runs:
            return scene.run(job, setting)
        scene.begin(job, setting)
        act(scene.path(f"processing/{WORKER}"))
        for _ in range(2):
            scene.desk.clock.advance(20)
            scene.desk.look()
        scene.work(OTHER)
        return scene.end(job, setting)

    scene.work(WORKER, run)


def _settling(owner: Any, method: str, when: Callable[..., bool]) -> Moment:
    def bring(scene: Scene, act: Act) -> None:
        scene.desk.add("a", command=ORIGINAL)
        path = scene.path(f"processing/{WORKER}")
        with before(owner, method, lambda: act(path), when):
            scene.work(WORKER)

    return Moment("processing", bring)


def _recovery(owner: Any, method: str, when: Callable[..., bool]) -> Moment:
    def bring(scene: Scene, act: Act) -> None:
        path = scene.leave()
        scene.desk.look()
        with before(owner, method, lambda: act(path), when):
            recover(scene.desk.store, scene.desk.clock(), 0.5)

    return Moment("processing", bring)


def _verb(name: str, method: str, folder: str, **fields: Any) -> Moment:
    def bring(scene: Scene, act: Act) -> None:
        path = scene.desk.put_job(folder, "a", command=ORIGINAL, **fields)
        scene.desk.look()
        with before(Spool, method, lambda: act(path), lambda *_: True):
            try:
                getattr(scene.desk.queue, name)(["a"])
            except QueueError as error:
                scene.told.append(f"{error.kind}: {error}")

    return Moment(folder, bring)


def _rest(folder: str, **fields: Any) -> Moment:
    def bring(scene: Scene, act: Act) -> None:
        path = scene.desk.put_job(folder, "a", command=ORIGINAL, **fields)
        scene.desk.look()
        act(path)
        scene.work(WORKER)

    return Moment(folder, bring)


def left(scene: Scene, act: Act) -> None:
    path = scene.leave()
    scene.desk.look()
    act(path)
    scene.work(OTHER)


def _owned(_: Spool, place: Place, *__: Any) -> bool:
    return place.state is State.PROCESSING


def _stamps(source: str, target: str) -> bool:
    return Path(source).parent.name == "tmp" and Path(target).parent.parent.name == "processing"


_FAILED = {"state": "failed", "attempts": 1, "error": "exit code 1", "exit_code": 1}
_DEAD = {**_FAILED, "state": "dead", "attempts": 4}

MOMENTS: dict[str, Moment] = {
    "dropped": Moment("pending", dropped),
    "looked at": Moment("pending", looked_at),
    "being claimed": Moment("pending", being_claimed),
    "claimed": Moment("processing", claimed),
    "running": Moment("processing", running),
    "about to be recorded": _settling(Spool, "stamp", _owned),
    "being recorded": _settling(os, "replace", _stamps),
    "recorded": _settling(Spool, "move", _owned),
    "waits for its retry": _rest("failed", run_at="2027-01-15T08:00:10.000Z", **_FAILED),
    "due": _rest("failed", **_FAILED),
    "done": _rest("done", state="completed", attempts=1, exit_code=0),
    "dead": _rest("dead", **_DEAD),
    "left by a dead worker": Moment("processing", left),
    "about to be recovered": _recovery(Spool, "stamp", _owned),
    "being recovered": _recovery(os, "replace", _stamps),
    "recovered": _recovery(Spool, "move", _owned),
    "about to be retried": _verb("retry", "stamp", "dead", **_DEAD),
    "being retried": _verb("retry", "move", "dead", **_DEAD),
    "about to be cancelled": _verb("cancel", "stamp", "failed", **_FAILED),
    "being cancelled": _verb("cancel", "move", "failed", **_FAILED),
}
