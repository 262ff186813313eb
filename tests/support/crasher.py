"""One action on a spool, in a process that dies at its n-th step: `crasher.py SPOOL ACTION N [VARIANT]`.

A step is an open, rename, remove, mkdir or rmdir inside the spool, and the process dies just before it, with
nothing flushed, closed or tidied up. It exits with DIED, or with 0 when the action ended before its n-th
step; what was done so far it has said on stdout. VARIANT replaces a part of the program by a careless one,
which the tests must notice.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any, Callable

DIED = 99
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")


def die_at(spool: str, number: int) -> None:
    """Count the steps from now on, and die at this one."""
    root = os.path.abspath(spool)
    count = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in STEPS or not isinstance(args[0], (str, os.PathLike)):
            return
        if os.path.abspath(os.fspath(args[0])).startswith(root):
            count += 1
            if count == number:
                os._exit(DIED)

    sys.addaudithook(hook)


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


# Careless variants


def write_in_place() -> None:
    """A record is written over the old one, in two writes."""
    from queuectl import system
    from queuectl.codec import encode_job
    from queuectl.spool import Spool

    def stamp(self: Spool, place: Any, job: Any, **_: Any) -> tuple[int, int]:
        path, data = self.path(place), encode_job(job)
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            open(os.path.join(self.root, "tmp", "pause"), "ab").close()
            file.write(data[len(data) // 2 :])
        system.remove(os.path.join(self.root, "tmp", "pause"))
        return system.file_stamp(os.stat(path))

    Spool.stamp = stamp  # type: ignore[method-assign]


def copy_then_remove() -> None:
    """A file is moved by a copy, with a removal of the original behind it."""
    from queuectl.spool import Spool

    def move(self: Spool, place: Any, target: Any, **_: Any) -> None:
        shutil.copyfile(self.path(place), self.path(target))
        os.remove(self.path(place))

    Spool.move = move  # type: ignore[method-assign]


def move_then_stamp() -> None:
    """A finished run is moved first and recorded then."""
    from queuectl.queue import claims
    from queuectl.spool import Spool
    from queuectl.state import FINISHED, State

    stamp = Spool.stamp

    def later(self: Spool, place: Any, job: Any, **options: Any) -> tuple[int, int]:
        if place.state is State.PROCESSING and job.state in FINISHED:
            return (0, 0)
        return stamp(self, place, job, **options)

    def move_settled(store: Any, place: Any, job: Any, version: Any, now: float) -> Any:
        target = store.spool.move_beside(place, job.state)
        store.record(target, job, stamp(store.spool, target, job), now)
        return target

    Spool.stamp = later  # type: ignore[method-assign]
    claims.move_settled = move_settled


VARIANTS: dict[str, Callable[[], None]] = {
    "sound": lambda: None,
    "write_in_place": write_in_place,
    "copy_then_remove": copy_then_remove,
    "move_then_stamp": move_then_stamp,
}

# Actions


def enqueue(spool: str, ids: list[str]) -> None:
    from queuectl.queue import Queue

    with Queue.open(spool) as queue:
        places = queue.enqueue([{"id": job_id, "command": ["x"]} for job_id in ids])
        for place in places:
            say(place.job_id)


def work(spool: str, *, code: int) -> None:
    """One worker runs one job, without a command: it only says that it ran."""
    from queuectl import system
    from queuectl.queue.store import Store
    from queuectl.runner import COMPLETED, FAILED, Outcome
    from queuectl.worker import Worker

    def run(job: Any, setting: Any) -> Outcome:
        say(f"ran {job.name}")
        now = system.now()
        verdict = FAILED if code else COMPLETED
        return Outcome(verdict, code, f"exit code {code}" if code else None, now, now)

    with Store.open(spool) as store:
        worker = Worker(store, f"host-{os.getpid()}-1-abc123")
        worker.runner.run = run  # type: ignore[method-assign]
        worker.start()
        worker.run_once()
        worker.close()


def recover(spool: str) -> None:
    from queuectl import system
    from queuectl.queue import recovery
    from queuectl.queue.store import Store

    with Store.open(spool) as store:
        for job in recovery.recover(store, system.now(), 0.5):
            say(job.job_id)


def take_in(spool: str) -> None:
    """A look at the drops, as the workers' supervisor does it."""
    from queuectl import system
    from queuectl.queue.intake import settle_drops
    from queuectl.queue.reconcile import reconcile_all
    from queuectl.queue.store import Store

    with Store.open(spool) as store:
        # Later than any settle_time.
        unsettled = reconcile_all(store, system.now())
        settle_drops(store, unsettled, system.now() + 1000)


def verb(spool: str, name: str, *ids: str) -> None:
    from queuectl.queue import Queue

    with Queue.open(spool, create=False) as queue:
        getattr(queue, name)(list(ids))


ACTIONS: dict[str, Callable[[str], None]] = {
    "enqueue": lambda spool: enqueue(spool, ["first", "second"]),
    "complete": lambda spool: work(spool, code=0),
    "fail": lambda spool: work(spool, code=1),
    "recover": recover,
    "take_in": take_in,
    "retry": lambda spool: verb(spool, "retry", "dead", "done"),
    "cancel": lambda spool: verb(spool, "cancel", "waits", "failed"),
    "purge": lambda spool: verb(spool, "purge", "dead", "other"),
}


def main(spool: str, action: str, number: str, variant: str = "sound") -> None:
    # What is imported lazily is no step, and neither is the making of the index.
    from queuectl import codec, worker  # noqa: F401
    from queuectl.queue import Queue

    with Queue.open(spool) as queue:
        queue.refresh()
    VARIANTS[variant]()
    die_at(spool, int(number))
    ACTIONS[action](spool)


if __name__ == "__main__":
    main(*sys.argv[1:])
