"""One action on a spool, in a process that dies at its n-th step: `crasher.py SPOOL ACTION N [VARIANT]`.

A step is an open, rename, remove, mkdir or rmdir inside the spool, an fsync, or a statement of SQL, and the
process dies just before it, with nothing flushed, closed or tidied up. It exits with DIED, or with 0 when the
action ended before its n-th step (0: it does not die); what was done so far it has said on stdout.
VARIANT replaces a part of the program by a careless one, which the tests must notice.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import traceback
from typing import Any, Callable

DIED = 99
BROKEN = 70
"""The exit code of an error that nobody has thought of."""
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
TASK = "a.task"
_TMPFS = 0x01021994
PATIENCE = 3
"""Tries of a worker that meets errors, until it stops."""


def die_at(spool: str, number: int) -> None:
    """Count the steps from now on, and die at this one."""
    root = os.path.abspath(spool)
    count = 0

    def step(*_: object) -> None:
        nonlocal count
        count += 1
        if count == number:
            os._exit(DIED)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in STEPS or not isinstance(args[0], (str, os.PathLike)):
            return
        if os.path.abspath(os.fspath(args[0])).startswith(root):
            step()

    sys.addaudithook(hook)
    _before_fsync(step)
    _before_syncfs(step)
    _before_each_statement(step)


def _before_fsync(step: Callable[[], None]) -> None:
    fsync = os.fsync

    def stepping(descriptor: int) -> None:
        step()
        fsync(descriptor)

    os.fsync = stepping  # type: ignore[assignment]


def _before_syncfs(step: Callable[[], None]) -> None:
    if sys.platform == "linux":
        from queuectl.system import linux_sync

        sync = linux_sync.sync_file_system

        def stepping(descriptor: int) -> bool:
            step()
            return sync(descriptor)

        linux_sync.sync_file_system = stepping


def _few_are_many() -> None:
    """Sync the files of a few jobs as those of many are synced on a disk, in memory too."""
    if sys.platform != "win32":
        from queuectl.system import linux_sync, posix

        posix.MANY = 2
        linux_sync.DISKS |= {_TMPFS}


def _before_each_statement(step: Callable[[str], None]) -> None:
    connect = sqlite3.connect

    def stepping(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(step)
        return connection

    sqlite3.connect = stepping  # type: ignore[assignment]


def say(text: str, descriptor: int = 1) -> None:
    """Acknowledge it. By a system call that nothing else makes where there is one: that is left alone."""
    data = f"{text}\n".encode()
    if hasattr(os, "writev"):
        os.writev(descriptor, [data])
    else:
        os.write(descriptor, data)


# Actions


def unfinished(reason: str) -> None:
    from queuectl.errors import QueueError

    raise QueueError(f"left for the next look: {reason}")


def init(spool: str) -> None:
    from queuectl.queue import Queue

    Queue.open(spool).close()
    say("made")


def enqueue(spool: str, *ids: str) -> None:
    from queuectl.queue import Queue

    with Queue.open(spool) as queue:
        places = queue.enqueue([{"id": job_id, "command": ["x"]} for job_id in ids])
        for place in places:
            say(place.job_id)


def work(
    spool: str,
    verdict: str = "completed",
    *,
    meanwhile: Callable[[], None] = lambda: None,
    leaves: bytes = b"",
) -> None:
    """One worker runs one job, without a command: it only says that it ran, and leaves this as its result."""
    from queuectl import system
    from queuectl.runner import Outcome

    def run(job: Any, setting: Any) -> Outcome:
        say(f"ran {job.name}")
        meanwhile()
        now = system.now()
        code = {"completed": 0, "failed": 1}.get(verdict)
        error = f"exit code {code}" if code else None
        outcome = Outcome(verdict, code, error, now, now)
        return outcome if not leaves else _leaving(leaves, setting.tidings, outcome)

    _run_one(spool, run)


def _run_one(
    spool: str,
    run: Any = None,
    tasks: Any = None,
    *,
    hired: Callable[[Any], object] = lambda worker: None,
    goes_on: bool = False,
) -> None:
    """A worker's life with one job; `run` in place of its runner's, or `tasks` that this calls. `hired` gets
    the worker; `goes_on`: its run has no end.
    """
    from queuectl import events, recorder
    from queuectl.hands import Hands
    from queuectl.queue.liveness import NONE_RAN, note_run
    from queuectl.queue.store import Store
    from queuectl.tasks.inside import Inside
    from queuectl.worker import Worker

    told: list[str] = []
    noted: list[bool] = []
    pauses: list[float] = []

    def hear(event: Any) -> None:
        told.append(event.kind)
        if "is not run" in event.text:
            say("no hook")

    def note(file: Any, begun: Any, **number: Any) -> bool:
        done = note_run(file, begun, **number)
        noted.extend([True] * (done and begun == [NONE_RAN]))
        return done

    recorder.note_run = note
    hands = Hands(emit=hear, pause=pauses.append, gives_up=lambda: len(pauses) >= PATIENCE)
    with Store.open(spool) as store:
        store.index.tasks = frozenset({TASK})
        worker = Worker(store, f"host-{os.getpid()}-1-abc123", hands, tasks=tasks and Inside(tasks))
        if run is not None:
            worker.runner.run = run  # type: ignore[method-assign]
        hired(worker)
        worker.start()
        try:
            _as_the_pool_does(worker.run_once)
        finally:
            worker.close()
    settled = {events.JOB_COMPLETED, events.JOB_FAILED, events.JOB_DEAD, events.JOB_INTERRUPTED}
    # What goes on is told by the worker's note alone.
    if not (noted if goes_on else settled.intersection(told)):
        unfinished("no run is recorded")


def call(spool: str, *, fails: bool = False) -> None:
    """One worker calls a function, in a thread beside its own; that prints, tells of itself, and returns."""
    from queuectl.queue import Queue
    from queuectl.tasks import output
    from queuectl.tasks.current import current
    from queuectl.tasks.task import Task

    def function() -> Any:
        say(f"ran {current().id}")
        with contextlib.suppress(OSError):
            print("what it prints", flush=True)
        current().progress(40, "on its way")
        if fails:
            raise ValueError("not today")
        say("left it")
        return {"rows": 3}

    output.install()
    _run_one(spool, tasks={TASK: Task(Queue(spool, create=False), function, TASK, {})})


def leave_behind(spool: str) -> None:
    """One worker calls a function that is to end, does not, and is left behind."""
    import threading

    from queuectl.queue import Queue
    from queuectl.runner import INTERRUPTED
    from queuectl.tasks.current import current
    from queuectl.tasks.task import Task

    workers: list[Any] = []

    def function() -> None:
        say(f"ran {current().id}")
        with contextlib.suppress(BaseException):
            workers[0].runner.kill(INTERRUPTED, force=True)
        while True:
            with contextlib.suppress(BaseException):
                threading.Event().wait()

    tasks = {TASK: Task(Queue(spool, create=False), function, TASK, {})}
    _run_one(spool, tasks=tasks, hired=workers.append, goes_on=True)


def _leaving(data: bytes, tidings: Any, outcome: Any) -> Any:
    """As a command and its runner do; what a command is refused is its own affair."""
    from queuectl.tidings import take

    for path, content in ((tidings.progress, b"40 on its way"), (tidings.result, data)):
        try:
            with open(path, "wb") as file:
                file.write(content)
        except OSError:
            continue
        if content == data:
            say("left it")
    left = take(tidings)
    return outcome._replace(result=left.value, refused=left.problem)


def complete_batch(spool: str) -> None:
    """One worker claims several jobs at once, runs one after the other and records them together."""
    from queuectl import batch, events, system
    from queuectl.hands import Hands
    from queuectl.queue.store import Store
    from queuectl.runner import Outcome
    from queuectl.worker import Worker

    told: list[str] = []
    pauses: list[float] = []
    batch.HORIZON = batch.PATIENCE = 1000.0

    def run(job: Any, setting: Any) -> Outcome:
        say(f"ran {job.name}")
        return Outcome("completed", 0, None, system.now(), system.now())

    def hear(event: Any) -> None:
        told.append(event.kind)
        if "is not run" in event.text:
            say("no hook")

    hands = Hands(
        emit=hear,
        pause=pauses.append,
        gives_up=lambda: len(pauses) >= PATIENCE,
    )
    with Store.open(spool) as store:
        worker = Worker(store, f"host-{os.getpid()}-1-abc123", hands, most=4)
        worker.runner.run = run  # type: ignore[method-assign]
        worker.start()
        try:
            # The first one is claimed alone.
            for _ in range(5):
                _as_the_pool_does(worker.run_once)
        finally:
            worker.close()
    if told.count(events.JOB_COMPLETED) < 5:
        unfinished("some runs are not recorded")


def _as_the_pool_does(run_once: Callable[[], bool]) -> None:
    """An error that may pass does not end a worker."""
    from queuectl.errors import QueueError

    for _ in range(PATIENCE):
        try:
            run_once()
            return
        except (sqlite3.Error, QueueError, OSError):
            continue


def complete_beside(spool: str) -> None:
    """While it runs, a person drags a file of its name into `done`."""
    work(
        spool,
        meanwhile=lambda: os.rename(
            os.path.join(spool, "from-elsewhere.json"), os.path.join(spool, "done", "job.json")
        ),
    )


def recover(spool: str) -> None:
    from queuectl import system
    from queuectl.queue import recovery
    from queuectl.queue.store import Store

    with Store.open(spool) as store:
        for job in recovery.recover(store, system.now(), 0.5):
            say(job.job_id)
        if store.taken_troubles():
            say("no hook")
        if store.spool.workers():
            unfinished("a dead worker's jobs")


def take_in(spool: str) -> None:
    """A look at the drops, as the workers' supervisor does it, later than any settle_time."""
    from queuectl import system
    from queuectl.queue.intake import settle_drops
    from queuectl.queue.store import Store
    from queuectl.queue.survey import reconcile_all

    with Store.open(spool) as store:
        unsettled = reconcile_all(store, system.now())
        settled, _ = settle_drops(store, unsettled, system.now() + 1000)
        if len(settled) < len(unsettled) or store.index.oddities():
            unfinished("a drop")


def fire(spool: str) -> None:
    """A look at the schedules, as the workers' supervisor does it."""
    from queuectl import events, system
    from queuectl.events import Event
    from queuectl.queue.firing import Firing
    from queuectl.queue.store import Store

    made: list[str] = []

    def hear(event: Event) -> None:
        if event.kind == events.JOB_SCHEDULED:
            made.append(event.job_id or "")
            say(made[-1])

    with Store.open(spool) as store:
        firing = Firing(store, hear)
        firing.look(system.now())
        soon = system.now() + 60
        if not made or firing.next_due is None or firing.next_due < soon:
            unfinished("a moment of the schedule")


def add_schedule(spool: str) -> None:
    from queuectl.job import Job
    from queuectl.queue import Queue
    from queuectl.schedule import Schedule

    with Queue.open(spool, create=False) as queue:
        queue.schedules.add("yearly", Schedule(cron="0 0 1 1 *", timezone="UTC", job=Job(command=["x"])))
        say("yearly")


def pause_schedule(spool: str) -> None:
    from queuectl.queue import Queue

    with Queue.open(spool, create=False) as queue:
        queue.schedules.pause(["yearly"])
        say("yearly")


def keep(spool: str) -> None:
    """The looks at what may go, as the workers' supervisor takes them."""
    from queuectl import system
    from queuectl.events import nobody
    from queuectl.queue.keeping import Keeping
    from queuectl.queue.store import Store

    with Store.open(spool) as store:
        keeping, now = Keeping(store, nobody), system.now()
        keeping.follow(store.config, now)
        for _ in range(PATIENCE):
            keeping.look(now)
            now = max(now, min(keeping.next_due or now, now + 2))
    left = [name for name in ("done/done", "dead/dead", "dead/other") if _lies(spool, f"{name}.json")]
    if left:
        unfinished(f"what may go: {left}")


def _with_logs(spool: str, delete: Callable[[str], None]) -> None:
    """One that cannot be removed just now stays, which is no error."""
    delete(spool)
    if any(_lies(spool, f"logs/{name}.log") for name in ("done", "dead", "other")):
        unfinished("a log, for keep_logs")


def _lies(spool: str, name: str) -> bool:
    return os.path.lexists(os.path.join(spool, name))


def prune(spool: str) -> None:
    """What the settings say."""
    from queuectl.queue import Queue

    with Queue.open(spool, create=False) as queue:
        if queue.house.prune().left:
            unfinished("a job that may go")
        say("prune")


def archive(spool: str) -> None:
    from queuectl.queue import Queue

    with Queue.open(spool, create=False) as queue:
        for state in ("completed", "dead"):
            if queue.house.archive(state=state, older_than="1h").left:
                unfinished("a job that is to be put away")
        say("archive")


def import_(spool: str) -> None:
    from queuectl.queue import Queue

    path = os.path.join(spool, "from-elsewhere.jsonl")
    with open(path, "rb") as file, Queue.open(spool, create=False) as queue:
        for place in queue.house.import_(file).places:
            say(place.job_id)


def verb(spool: str, name: str, *ids: str) -> None:
    from queuectl.queue import Queue

    with Queue.open(spool, create=False) as queue:
        getattr(queue, name)(list(ids))
        say(name)


def set_config(spool: str) -> None:
    from queuectl.queue import Queue

    # As `judges.CHANGES` has it.
    with Queue.open(spool, create=False) as queue:
        for name, value in (("max_retries", "7"), ("backoff_base", "5")):
            queue.set_config(name, value)
            say(name)


def simple(spool: str, name: str) -> None:
    """A verb of the whole spool."""
    from queuectl.queue import Queue

    with Queue.open(spool, create=False) as queue:
        getattr(queue, name)()
        say(name)


ACTIONS: dict[str, Callable[[str], None]] = {
    "init": init,
    "enqueue": lambda spool: enqueue(spool, "first"),
    "enqueue_many": lambda spool: enqueue(spool, "first", "second", "third"),
    "take_in": take_in,
    "complete": work,
    "fail": lambda spool: work(spool, "failed"),
    "leave": lambda spool: work(spool, leaves=b'{"rows": 3}'),
    "leave_rubbish": lambda spool: work(spool, "failed", leaves=b"no JSON"),
    "call": call,
    "call_and_fail": lambda spool: call(spool, fails=True),
    "leave_behind": leave_behind,
    "interrupt": lambda spool: work(spool, "interrupted"),
    "complete_beside": complete_beside,
    "complete_batch": complete_batch,
    "recover": recover,
    "fire": fire,
    "add_schedule": add_schedule,
    "pause_schedule": pause_schedule,
    "retry": lambda spool: verb(spool, "retry", "dead", "done", "mended"),
    "cancel": lambda spool: verb(spool, "cancel", "waits", "failed"),
    "purge": lambda spool: verb(spool, "purge", "dead", "other", "bad"),
    "keep": lambda spool: _with_logs(spool, keep),
    "prune": lambda spool: _with_logs(spool, prune),
    "archive": archive,
    "import": import_,
    "set_config": set_config,
    "reindex": lambda spool: simple(spool, "reindex"),
    "refresh": lambda spool: simple(spool, "refresh"),
    "pause": lambda spool: simple(spool, "pause"),
    "resume": lambda spool: simple(spool, "resume"),
}


def perform(spool: str, action: str) -> int:
    """Do it; the exit code: 0, that of an error as the command line tells it, or BROKEN."""
    from queuectl.errors import QueueError, system_error
    from queuectl.index import usable_error

    _few_are_many()
    try:
        ACTIONS[action](spool)
    except QueueError as error:
        told = error
    except OSError as error:
        told = system_error(error)
    except sqlite3.Error as error:
        told = usable_error(error, "the index")
    except Exception:  # noqa: BLE001  told to the test
        say(traceback.format_exc(), 2)
        return BROKEN
    else:
        return 0
    say(f"{type(told).__name__}: {told}", 2)
    return told.exit_code


def main(spool: str, action: str, number: str, variant: str = "sound") -> None:
    # What is imported lazily is no step.
    import zipfile  # noqa: F401

    import cronsim  # noqa: F401

    from queuectl import codec, worker  # noqa: F401
    from queuectl.queue import (
        Queue,  # noqa: F401
        house,  # noqa: F401
        schedules,  # noqa: F401
    )
    from queuectl.tasks import calling, inside  # noqa: F401
    from tests.support.faults.careless import VARIANTS

    VARIANTS[variant]()
    die_at(spool, int(number))
    os._exit(perform(spool, action))


if __name__ == "__main__":
    main(*sys.argv[1:])
