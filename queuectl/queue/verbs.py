"""What people do to jobs and workers: retry, cancel, purge, pause, stop. `Queue` has each as a method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

from queuectl import system
from queuectl.errors import Busy, Conflict, DamagedRecord, QueueError, system_error
from queuectl.job import Job, cancelled, retried
from queuectl.names import CANCEL_SUFFIX, STOP_SUFFIX, program_of, read_worker_name
from queuectl.queue.liveness import is_alive, outlived_by_command
from queuectl.queue.recovery import recover
from queuectl.queue.requests import FINISH, KILL, ask, heard, withdraw
from queuectl.queue.store import Store
from queuectl.spool import FileChanged, Place, Read, quarantine, too_large
from queuectl.state import FINISHED, WAITING, State

_STEP = 0.02


def retry(store: Store, places: Sequence[Place], *, only: Optional[State], now: float) -> None:
    """See `Queue.retry`."""
    with store.claiming():
        for place in places:
            if only is not None and place.state is not only:
                raise Conflict(f"job {place.job_id!r} is {place.state.value}, not {only.value}")
            if place.state not in FINISHED:
                raise Conflict(f"job {place.job_id!r} is {place.state.value}: there is nothing to retry")
        reads = [_runnable(store, place) for place in places]
        with telling(store, State.PENDING) as done:
            for place, read in zip(places, reads):
                _run_again(store, place, read, now)
                done.append(place.job_id)


def retry_one(store: Store, place: Place, now: float) -> None:
    """`retry` this one, which has ended. Asked under `claim.lock`; the folder is left to be synced."""
    _run_again(store, place, _runnable(store, place), now)


def _run_again(store: Store, place: Place, read: Read, now: float) -> None:
    # RACE: only a person's hand moves a file out of these folders without the lock.
    _transfer(store, place, retried(read.job, now=now), read, now)
    quarantine.forget_note(store.spool, place.job_id)


@contextmanager
def telling(store: Store, *states: State) -> Iterator[list[str]]:
    """Where several are acted on and one is in the way, it is told which had been done by then.

    The block fills the list with their ids. What is told as done outlives a power cut: the folders of these
    states are synced.
    """
    done: list[str] = []
    try:
        yield done
    except (QueueError, OSError) as error:
        if not done:
            raise
        store.spool.sync(*states)
        told = system_error(error) if isinstance(error, OSError) else error
        so_far = f"done before: {', '.join(done)}"
        told.hint = f"{told.hint}; {so_far}" if told.hint else so_far
        raise told from error
    store.spool.sync(*states)


def _runnable(store: Store, place: Place) -> Read:
    from queuectl.codec import job_size

    read, limit = read_waiting(store, place), store.config.max_job_bytes
    if job_size(read.job) > limit:
        raise DamagedRecord(f"{store.spool.in_spool(store.spool.path(place))}: {too_large(limit)}")
    return read


def _transfer(store: Store, place: Place, job: Job, read: Read, now: float) -> None:
    try:
        store.transfer(place, job, now, read=read.version)
    except OSError as error:
        if store.spool.is_plain(place) and not isinstance(error, FileChanged):
            raise
        raise moved_on(place) from None


def moved_on(place: Place) -> Conflict:
    """What is told of a job that somebody has had a hand in meanwhile."""
    return Conflict(f"job {place.job_id!r} has just been moved or changed", hint="look again")


def read_waiting(store: Store, place: Place) -> Read:
    """The record of a job that was there a moment ago.

    Raises:
        Conflict: it has been moved.
        DamagedRecord: its file holds no job.
    """
    try:
        return store.spool.read_sound(place, store.config.max_job_bytes)
    except FileNotFoundError:
        raise moved_on(place) from None
    except DamagedRecord as error:
        raise DamagedRecord(error.message, hint="mend the file, then retry it") from error


def cancel(store: Store, places: Sequence[Place], *, now: float, deadline: float) -> None:
    """See `Queue.cancel`."""
    for place in places:
        if place.state not in (*WAITING, State.PROCESSING):
            raise Conflict(f"job {place.job_id!r} is {place.state.value}: there is nothing to cancel")
    running = [place for place in places if place.state is State.PROCESSING]
    # Synced: else a power cut could undo it, and the job would run after all.
    with telling(store, State.DEAD) as done:
        with store.claiming():
            for place in places:
                if place.state is State.PROCESSING:
                    continue
                if store.spool.is_there(place):
                    cancel_waiting(store, place, now)
                    done.append(place.job_id)
                elif found := _cancel_finished(store, place.job_id):
                    # RACE: claimed between our look and our lock.
                    running.append(found)
        for place in running:
            ask(store.spool, place.worker or "", CANCEL_SUFFIX, place.job_id)
        _await_cancelled(store, running, deadline, done)


def cancel_waiting(store: Store, place: Place, now: float) -> None:
    """`cancel` this one, which waits. Asked under `claim.lock`; the folder is left to be synced."""
    read = read_waiting(store, place)
    _transfer(store, place, cancelled(read.job, now=now), read, now)


def _await_cancelled(store: Store, running: Sequence[Place], deadline: float, done: list[str]) -> None:
    end = system.monotonic() + deadline
    for place in running:
        runs: Optional[Place] = place
        while runs is not None:
            _await_end(store, runs, end)
            # It may have ended by itself; the request must not meet its next run.
            withdraw(store.spool, runs.worker or "", CANCEL_SUFFIX, runs.job_id)
            runs = _cancel_finished(store, runs.job_id)
            if runs is not None:
                # RACE: it failed by itself, and its retry has been claimed already.
                ask(store.spool, runs.worker or "", CANCEL_SUFFIX, runs.job_id)
        done.append(place.job_id)


def _await_end(store: Store, place: Place, end: float) -> None:
    worker = place.worker or ""
    while store.spool.is_there(place):
        if not is_alive(store.spool, worker):
            recover(store, system.now(), 0.5)
            if store.spool.is_there(place) and not store.spool.is_plain(place):
                raise Conflict(f"{store.spool.in_spool(store.spool.path(place))} is no plain file")
        elif heard(store.spool, worker, CANCEL_SUFFIX, unreadable=place.job_id) != place.job_id:
            # Another job of this worker was asked for meanwhile: it has room for one request.
            ask(store.spool, worker, CANCEL_SUFFIX, place.job_id)
        if system.monotonic() >= end:
            raise Busy(_why_not_yet(store, place))
        system.sleep(_STEP)


def _why_not_yet(store: Store, place: Place) -> str:
    worker = place.worker or ""
    if is_alive(store.spool, worker):
        return f"job {place.job_id!r} still runs; its worker has been asked to end it"
    if outlived_by_command(store.spool, worker):
        return f"job {place.job_id!r}: its worker has died, its command still runs; cancelled when that ends"
    return f"job {place.job_id!r}: its worker has died, and its file cannot be taken out of there just now"


def _cancel_finished(store: Store, job_id: str) -> Optional[Place]:
    """See to a job that ended by itself before its worker heard that it should; where it runs again."""
    with store.claiming():
        place = store.spool.locate(job_id)
        if place is not None and place.state in WAITING:
            cancel_waiting(store, place, system.now())
        elif place is not None and place.state is State.COMPLETED:
            raise Conflict(f"job {job_id!r} completed before it could be cancelled")
        return place if place is not None and place.state is State.PROCESSING else None


def purge(store: Store, places: Optional[Sequence[Place]]) -> list[str]:
    """See `Queue.purge`."""
    if places is None:
        dead = store.index.entries(state=State.DEAD)
        places = [Place(State.DEAD, entry.id) for entry in dead]
    for place in places:
        if place.state is not State.DEAD:
            raise Conflict(f"job {place.job_id!r} is {place.state.value}, not dead")
    with store.claiming():
        # RACE: one that was retried between our look and our lock lives.
        gone = [place.job_id for place in places if purge_one(store, place)]
        store.spool.sync(State.DEAD)
    return gone


def purge_one(store: Store, place: Place) -> bool:
    """`purge` this one, which is dead; False if it is there no more. Asked under `claim.lock`; the folder is
    left to be synced.
    """
    if not store.spool.delete(place):
        return False
    quarantine.forget_note(store.spool, place.job_id)
    store.forget(place.job_id)
    return True


def _has_salt(worker: str, salt: str) -> bool:
    return read_worker_name(worker) is not None and program_of(worker)[1] == f"-{salt}"


def stop_workers(store: Store, *, kill: bool, salt: Optional[str] = None) -> list[str]:
    """See `Queue.stop_workers`."""
    named = [name for name in store.spool.workers() if salt is None or _has_salt(name, salt)]
    living = [name for name in named if is_alive(store.spool, name)]
    # First all are told to claim no more: else what one has put back would be started by the next.
    for wish in (FINISH, KILL) if kill else (FINISH,):
        for name in living:
            ask(store.spool, name, STOP_SUFFIX, wish)
    return living
