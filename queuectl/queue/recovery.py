"""Jobs whose worker died: finish the move of a recorded run, count a crash for an unrecorded one.

A worker is alive while its lock is held. On POSIX its command holds a second lock, so a command that
outlives its worker still owns its job and is never run beside itself. Doing this twice is doing it once:
each step leaves a file that tells what remains.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Callable, NamedTuple, Optional

import msgspec

from queuectl import locks, system
from queuectl.errors import Conflict, InvalidInput
from queuectl.job import Job, Run, cancelled, crashed, next_attempt
from queuectl.measures import Measured, measured
from queuectl.moment import format_moment
from queuectl.names import (
    CANCEL_SUFFIX,
    HOST_SUFFIX,
    LIFE_SUFFIX,
    RUN_SUFFIX,
    STOP_SUFFIX,
    SUPERVISOR,
    TASKS_SUFFIX,
    read_worker_name,
)
from queuectl.queue.claims import policy_of
from queuectl.queue.entries import created_of
from queuectl.queue.hooks import fire
from queuectl.queue.intake import set_aside
from queuectl.queue.liveness import NONE_RAN, is_alive, is_lost, mark_lost, noted_runs, outlived_by_command
from queuectl.queue.requests import asked
from queuectl.queue.store import Store
from queuectl.retry import Decision, after_crash
from queuectl.spool import Place, Read, layout
from queuectl.spool.scan import Found
from queuectl.state import FINISHED, State

_RUBBISH = ("desktop.ini", "thumbs.db", ".ds_store")
"""What Explorer and Finder leave in a folder that somebody has looked into."""


Unrecorded = Callable[[Place, Read], tuple[Job, str, float]]
"""Of a job that does not say how a run ended: the record as it is to be, why, and the wait in seconds."""


class Recovered(NamedTuple):
    """What became of a job of a dead worker; `delay` is the wait in seconds before its next run."""

    job_id: str
    worker: str
    state: State
    reason: str
    delay: float = 0.0
    job: Optional[Job] = None
    """Its record, where that tells of a run that nobody has told of."""
    created: float = 0.0


def recover(store: Store, now: float, luck: float, *, living: Collection[str] = ()) -> list[Recovered]:
    """Free the jobs of every worker that has died and whose command has ended.

    `living` are known to live.
    """
    recovered: list[Recovered] = []
    for worker in set(store.spool.workers()).difference(living):
        try:
            recovered += _recover_if_dead(store, worker, now, luck)
        except (OSError, Conflict):
            # One that cannot be seen to must not keep the others from it; doctor tells of it.
            continue
    return recovered


def lost(store: Store, *, living: Collection[str] = ()) -> list[str]:
    """The workers with jobs of which it cannot be told yet whether they live: their locks' files are gone."""
    return [name for name in set(store.spool.workers()).difference(living) if _is_lost(store, name)]


def _is_lost(store: Store, worker: str) -> bool:
    return is_lost(store.spool, worker) and _holds_jobs(store, worker)


def _holds_jobs(store: Store, worker: str) -> bool:
    try:
        return any(isinstance(seen, Found) for seen in store.spool.scan_worker(worker))
    except OSError:
        # Who cannot look must not say that there is none.
        return True


def _recover_if_dead(store: Store, worker: str, now: float, luck: float) -> list[Recovered]:
    if is_alive(store.spool, worker) or (held := _hold(store, worker)) is None:
        return []
    try:
        if outlived_by_command(store.spool, worker):
            return []
        recovered = _recover_worker(store, worker, now, luck)
    finally:
        held.release()
    if not _has_folder(store, worker):
        clear_away(store, worker)
    return recovered


def _hold(store: Store, worker: str) -> Optional[locks.HeldLock]:
    """The lock of a worker that has died, so that nobody else sees to it; None when it is not that yet."""
    # It claims nothing meanwhile, nor afterwards, if it lives and somebody has deleted its lock's file.
    with store.claiming():
        if _is_lost(store, worker):
            mark_lost(store.spool, worker)
            return None
        return locks.try_lock(store.spool.lock_path(worker + LIFE_SUFFIX))


def clear_away(store: Store, worker: str) -> None:
    """Remove what a worker that is gone leaves in `processing/`, `tmp/` and `locks/`, as far as possible."""
    # Somebody looks whether a lock is held just now (Windows), for example; doctor knows leftovers.
    with suppress(OSError):
        store.spool.tmp.remove_of(worker)
    _remove_folder(store, worker)
    suffixes = [CANCEL_SUFFIX, STOP_SUFFIX, TASKS_SUFFIX]
    if not _holds_jobs(store, worker):
        # Where a job is left, the files of the locks tell that its worker is dead, and what it ran.
        suffixes += [RUN_SUFFIX, HOST_SUFFIX, LIFE_SUFFIX]
    for suffix in suffixes:
        with suppress(OSError):
            system.remove(store.spool.lock_path(worker + suffix), patience=0.1)


def ownerless_locks(store: Store, *, clear: bool) -> list[str]:
    """The workers of whom only files in `locks/` are left; with `clear` these are removed."""
    names = {path.split(".", 1)[0] for path in system.names_in(os.path.join(store.spool.root, layout.LOCKS))}
    without_folder = [name for name in names if read_worker_name(name) and not _has_folder(store, name)]
    suspects = [name for name in without_folder if not _is_living_supervisor(store, name)]
    if not suspects:
        return []
    # Under claim.lock no worker is between making its lock and making its folder; to look is to take it.
    with store.claiming():
        gone = sorted(name for name in suspects if _is_ownerless(store, name))
        for name in gone if clear else []:
            clear_away(store, name)
    return gone


def _has_folder(store: Store, worker: str) -> bool:
    return os.path.isdir(store.spool.worker_folder(worker))


def _is_living_supervisor(store: Store, name: str) -> bool:
    told = read_worker_name(name)
    return told is not None and told.number == SUPERVISOR and is_alive(store.spool, name)


def _is_ownerless(store: Store, name: str) -> bool:
    living = is_alive(store.spool, name) or outlived_by_command(store.spool, name)
    return not living and not _has_folder(store, name)


def _recover_worker(store: Store, worker: str, now: float, luck: float) -> list[Recovered]:
    ran = _ran(store, worker)

    def unrecorded(place: Place, read: Read) -> tuple[Job, str, float]:
        if ran is None or place.job_id in ran:
            return _crash(store, place, read, now, luck)
        return _put_back(place, read, f"worker {worker} died before it ran")

    recovered = _take_out(store, worker, now, unrecorded)
    _remove_folder(store, worker)
    return recovered


def _ran(store: Store, worker: str) -> Optional[Collection[str]]:
    """Of what lies in the folder of a worker that has died, what it had started; None if that is not told.

    A job whose run could not be noted lies there alone.
    """
    there = {seen.job_id for seen in store.spool.scan_worker(worker) if isinstance(seen, Found)}
    noted = noted_runs(store.spool, worker)
    if noted is None:
        return None
    begun = there.intersection(noted)
    return begun if begun or len(there) > 1 or NONE_RAN in noted else None


def free_strays(store: Store, worker: str, now: float) -> list[Recovered]:
    """Take out of a living worker's folder what it does not run: a person has put it there, or renamed it."""
    reason = "it lay in the folder of a worker that did not run it"
    # What it has recorded itself it has seen to itself.
    return _take_out(store, worker, now, lambda place, read: _put_back(place, read, reason), fires=False)


def _take_out(
    store: Store, worker: str, now: float, unrecorded: Unrecorded, *, fires: bool = True
) -> list[Recovered]:
    """Move each job of this worker to where it belongs; `unrecorded` tells it of one without an outcome.

    With `fires` what is to be run for the end of a run is added where its worker has not lived to do so.
    """
    taken: list[Recovered] = []
    for seen in store.spool.scan_worker(worker):
        if not isinstance(seen, Found):
            continue
        try:
            place = Place(seen.state, seen.job_id, worker)
            if outcome := _take_out_job(store, place, now, unrecorded, fires=fires):
                taken.append(outcome)
        except (OSError, Conflict):
            # RACE: somebody holds, changes or has moved the file, or has put one of its name where it was to
            # go; the folder stays, and so does its turn.
            continue
    return taken


def _remove_folder(store: Store, worker: str) -> None:
    folder = store.spool.worker_folder(worker)
    try:
        names = system.names_in(folder)
        if all(name.lower() in _RUBBISH for name in names):
            for name in names:
                system.remove(os.path.join(folder, name))
            system.remove_folder(folder, patience=0.1)
    except OSError:
        # Somebody stands in it (Windows: a cmd.exe has it as its folder). A later scan sees to it.
        return


def _take_out_job(
    store: Store, place: Place, now: float, unrecorded: Unrecorded, *, fires: bool
) -> Optional[Recovered]:
    worker = place.worker or ""
    try:
        # What somebody else has put here would be ours once it is stamped, and would run.
        read = store.spool.read(place, store.config.max_job_bytes, to_stamp=True)
    except FileNotFoundError:
        return None
    except InvalidInput as error:
        target = set_aside(store, place, place.job_id, str(error), now)
        return Recovered(target.job_id, worker, State.DEAD, f"its file was no job: {error}")
    if read.job.state is State.FAILED and _is_unwanted(store, place):
        unwanted = cancelled(read.job, now=now)
        target = store.transfer(place, unwanted, now, read=read.version)
        why = "its run had been recorded, and it was cancelled"
        found = Recovered(target.job_id, worker, State.DEAD, why)
        return _counted(store, found, unwanted, read, now) if fires and read.job.history else found
    if read.job.state in FINISHED:
        return _finished(store, place, read, now, fires=fires)
    job, reason, delay = unrecorded(place, read)
    ran = job.history[-1:] != read.job.history[-1:]
    hook = partial(fire, store, place, now=now) if ran else lambda job: None
    target = store.transfer(place, job, now, read=read.version, stamped=hook)
    found = Recovered(target.job_id, worker, job.state, reason, delay)
    return _counted(store, found, job, read, now) if ran else found


def _finished(store: Store, place: Place, read: Read, now: float, *, fires: bool) -> Recovered:
    """Finish the move of a run that is recorded."""
    job, worker = read.job, place.worker or ""
    # One that another worker has run somebody has put here, perhaps long after.
    is_its_own = fires and bool(job.history) and job.history[-1].worker == worker
    if is_its_own:
        fire(store, place, job, now)
    target = store.transfer(
        place, job, now, read=read.version, version=read.version if read.faithful else None
    )
    found = Recovered(target.job_id, worker, job.state, "its run had been recorded")
    # Its worker counts a run, and tells of it, when it has moved the file.
    return _counted(store, found, job, read, now) if is_its_own else found


def _counted(store: Store, found: Recovered, job: Job, read: Read, now: float) -> Recovered:
    """Count the last run of this record, which nobody has lived to do, and have it told of."""
    store.count([_measured(job, len(job.history) > 1)], now)
    return found._replace(job=job, created=created_of(read.job, read.version))


def _measured(job: Job, again: bool) -> Measured:
    """What is counted of the last run of this record; since when a further one was due it does not say."""
    since = msgspec.structs.replace(job, run_at=None, created_at=None if again else job.created_at)
    return measured(since, job.history[-1], dead=job.state is State.DEAD)._replace(again=again)


def _put_back(place: Place, read: Read, reason: str) -> tuple[Job, str, float]:
    """Nothing has run that could have crashed."""
    return msgspec.structs.replace(read.job, state=State.PENDING), reason, 0.0


def _crash(store: Store, place: Place, read: Read, now: float, luck: float) -> tuple[Job, str, float]:
    job, error = read.job, f"worker {place.worker} died while it ran"
    decision, outcome = after_crash(policy_of(store, job), crashes=job.crashes + 1, luck=luck), "crashed"
    if _is_unwanted(store, place):
        decision, outcome, error = Decision(State.DEAD), "cancelled", f"cancelled; {error}"
    run = Run(
        outcome=outcome,
        attempt=next_attempt(job),
        worker=place.worker,
        finished_at=format_moment(now),
        error=error,
    )
    run_at = now + decision.delay if decision.delay else None
    return crashed(job, run, state=decision.state, run_at=run_at, now=now), error, decision.delay


def _is_unwanted(store: Store, place: Place) -> bool:
    """Whether its worker was asked to cancel this job, and has not lived to hear it."""
    return asked(store.spool, place.worker or "", CANCEL_SUFFIX) == place.job_id
