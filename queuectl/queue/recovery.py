"""Jobs whose worker died: finish the move of a recorded run, count a crash for an unrecorded one.

A worker is alive while its lock is held. On POSIX its command holds a second lock, so a command that
outlives its worker still owns its job and is never run beside itself. Doing this twice is doing it once:
each step leaves a file that tells what remains.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple, Optional

from queuectl import locks, system
from queuectl.errors import InvalidInput
from queuectl.job import Job, Run, crashed
from queuectl.moment import format_moment
from queuectl.names import CANCEL_SUFFIX, LIFE_SUFFIX, RUN_SUFFIX, STOP_SUFFIX, read_worker_name
from queuectl.queue.claims import policy_of
from queuectl.queue.intake import set_aside
from queuectl.queue.liveness import is_alive, outlived_by_command
from queuectl.queue.requests import asked
from queuectl.queue.store import Store
from queuectl.retry import Decision, after_crash
from queuectl.spool import Place, Read, layout
from queuectl.spool.scan import Found
from queuectl.state import FINISHED, State

_RUBBISH = ("desktop.ini", "thumbs.db", ".ds_store")
"""What Explorer and Finder leave in a folder that somebody has looked into."""


class Recovered(NamedTuple):
    """What became of a job of a dead worker; `delay` is the wait in seconds before its next run."""

    job_id: str
    worker: str
    state: State
    reason: str
    delay: float = 0.0


def recover(store: Store, now: float, luck: float, *, living: Collection[str] = ()) -> list[Recovered]:
    """Free the jobs of every worker that has died and whose command has ended.

    `living` are known to live.
    """
    recovered: list[Recovered] = []
    for worker in set(store.spool.workers()).difference(living):
        try:
            recovered += _recover_if_dead(store, worker, now, luck)
        except OSError:
            # One that cannot be seen to must not keep the others from it; doctor tells of it.
            continue
    return recovered


def _recover_if_dead(store: Store, worker: str, now: float, luck: float) -> list[Recovered]:
    held = locks.try_lock(store.spool.lock_path(worker + LIFE_SUFFIX))
    if held is None:
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


def clear_away(store: Store, worker: str) -> None:
    """Remove what a worker that is gone leaves in `processing/`, `tmp/` and `locks/`."""
    store.spool.tmp.remove_of(worker)
    _remove_folder(store, worker)
    for suffix in (CANCEL_SUFFIX, STOP_SUFFIX, RUN_SUFFIX, LIFE_SUFFIX):
        try:
            system.remove(store.spool.lock_path(worker + suffix), patience=0.1)
        except OSError:
            # Somebody looks whether it is held just now (Windows); doctor knows leftovers.
            continue


def ownerless_locks(store: Store, *, clear: bool) -> list[str]:
    """The workers of whom only files in `locks/` are left; with `clear` these are removed."""
    names = {path.split(".", 1)[0] for path in _names(os.path.join(store.spool.root, layout.LOCKS))}
    without_folder = [name for name in names if read_worker_name(name) and not _has_folder(store, name)]
    if not without_folder:
        return []
    # Under claim.lock no worker is between making its lock and making its folder; to look is to take it.
    with store.claiming():
        gone = sorted(name for name in without_folder if _is_ownerless(store, name))
        for name in gone if clear else []:
            clear_away(store, name)
    return gone


def _has_folder(store: Store, worker: str) -> bool:
    return os.path.isdir(store.spool.worker_folder(worker))


def _is_ownerless(store: Store, name: str) -> bool:
    living = is_alive(store.spool, name) or outlived_by_command(store.spool, name)
    return not living and not _has_folder(store, name)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _recover_worker(store: Store, worker: str, now: float, luck: float) -> list[Recovered]:
    recovered: list[Recovered] = []
    for seen in store.spool.scan_worker(worker):
        if not isinstance(seen, Found):
            continue
        try:
            if outcome := _recover_job(store, Place(seen.state, seen.job_id, worker), now, luck):
                recovered.append(outcome)
        except OSError:
            # RACE: somebody holds or has moved the file; the folder stays, and so does its turn.
            continue
    _remove_folder(store, worker)
    return recovered


def _remove_folder(store: Store, worker: str) -> None:
    folder = store.spool.worker_folder(worker)
    names = _names(folder)
    try:
        if all(name.lower() in _RUBBISH for name in names):
            for name in names:
                system.remove(os.path.join(folder, name))
            system.remove_folder(folder, patience=0.1)
    except OSError:
        # Somebody stands in it (Windows: a cmd.exe has it as its folder). A later scan sees to it.
        return


def _recover_job(store: Store, place: Place, now: float, luck: float) -> Optional[Recovered]:
    worker = place.worker or ""
    try:
        read = store.spool.read(place, store.config.max_job_bytes)
    except FileNotFoundError:
        return None
    except InvalidInput as error:
        target = set_aside(store, place, place.job_id, str(error))
        return Recovered(target.job_id, worker, State.DEAD, f"its file was no job: {error}")
    if read.job.state in FINISHED:
        target = store.transfer(place, read.job, now, version=read.version)
        return Recovered(target.job_id, worker, read.job.state, "its run had been recorded")
    job, decision = _crash(store, place, read, now, luck)
    target = store.transfer(place, job, now, read=read.version)
    return Recovered(target.job_id, worker, job.state, job.error or "", decision.delay)


def _crash(store: Store, place: Place, read: Read, now: float, luck: float) -> tuple[Job, Decision]:
    job = read.job
    run = Run(
        outcome="crashed",
        attempt=job.attempts + 1,
        worker=place.worker,
        finished_at=format_moment(now),
        error=f"worker {place.worker} died while it ran",
    )
    decision = after_crash(policy_of(store, job), crashes=job.crashes + 1, luck=luck)
    if asked(store.spool, place.worker or "", CANCEL_SUFFIX) == place.job_id:
        decision = Decision(State.DEAD)
    run_at = now + decision.delay if decision.delay else None
    return crashed(job, run, state=decision.state, run_at=run_at, now=now), decision
