"""Settling a job, the second move of a run: its outcome is recorded where it lies, then it moves.

Of quick jobs several are settled together: to flush one record takes as long as many commands, and many that
are flushed together hardly longer (databases call it group commit).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Optional

import msgspec

from queuectl.errors import Conflict, InvalidInput, QueueError
from queuectl.index import Entry, Stamp
from queuectl.job import Job, Run, dated, finished
from queuectl.measures import Measured, measured
from queuectl.names import next_free
from queuectl.queue.claims import Claim
from queuectl.queue.entries import created_of, entry_of
from queuectl.queue.hooks import fire, has_hooks
from queuectl.queue.intake import show_quarantined
from queuectl.queue.store import Store
from queuectl.retry import Decision
from queuectl.spool import CLAIM_PATIENCE, SETTLE_PATIENCE, Place, quarantine
from queuectl.state import State

LACK_PAUSES = (1.0, 60.0)
"""Seconds, least and most, for which one that cannot be started for a lack is passed over: as long as it has
been so."""


class End(NamedTuple):
    """How a run ended, and what follows from that."""

    claim: Claim
    run: Run
    decision: Decision
    seconds: float = 0.0
    """What it took."""
    result: Any = None
    """What it has left."""

    @property
    def target(self) -> Place:
        """Where its job goes."""
        return Place(self.decision.state, self.claim.place.job_id)


def settle_together(store: Store, ends: Sequence[End], now: float) -> set[str]:
    """Settle those that nothing speaks against; their ids.

    The others are left to `settle`, which sees to everything: those too whose record or move was refused.
    """
    jobs = [_as_ended(end, end.claim.job, now) for end in ends]
    settled: set[str] = set()
    rows, befores, runs = list[Entry](), list[Stamp](), list[Measured]()
    try:
        prepared = store.spool.prepare(jobs)
    except OSError:
        return set()
    # Asked once: to look for each of them would take longer than to move it.
    for_all = has_hooks(store)
    for end, job, (path, version) in zip(ends, jobs, prepared):
        place = end.claim.place
        try:
            store.freeing.hold(store.spool.path(place))
            # One that somebody holds must not keep the others waiting.
            store.spool.put_over(path, place, read=end.claim.version, patience=CLAIM_PATIENCE)
            fire(store, place, job, now, for_all=for_all)
            store.spool.move(place, end.target, patience=CLAIM_PATIENCE)
        except (OSError, Conflict):
            continue
        store.let_go(place)
        settled.add(place.job_id)
        rows.append(entry_of(end.target, job, version, now))
        befores.append(_stamp_of(end.claim))
        runs.append(_measured(end))
    store.freeing.let_go()
    store.record_changed(rows, befores, runs, now)
    return settled


def _measured(end: End) -> Measured:
    job, dead = end.claim.job, end.decision.state is State.DEAD
    return measured(job, end.run, dead=dead, created=created_of(job, end.claim.version))


def _stamp_of(claim: Claim) -> Stamp:
    return Stamp(claim.place.state.value, claim.place.worker, *claim.version)


def _as_ended(end: End, job: Job, now: float) -> Job:
    run_at = now + end.decision.delay if end.decision.delay else None
    if not job.created_at:
        job = dated(job, created_of(end.claim.job, end.claim.version))
    return finished(job, end.run, state=end.decision.state, run_at=run_at, now=now, result=end.result)


def settle(store: Store, end: End, now: float, *, patience: float = SETTLE_PATIENCE) -> Optional[Place]:
    """Record how the run ended, then move the file to where that puts it.

    None when somebody took the file away while the command ran: there is nothing to record it in.

    Raises:
        OSError: the record could not be written or moved; calling again is safe.
    """
    claim = end.claim
    place = claim.place
    try:
        version = store.spool.version(place)
        edited = _as_edited(store, claim, version)
        if edited is None:
            _keep_aside(store, place, version, now)
        job = _as_ended(end, edited or claim.job, now)
        hook = partial(fire, store, place, now=now)
        target = store.transfer(place, job, now, read=version, patience=patience, stamped=hook)
    except OSError:
        if store.spool.is_plain(place):
            raise
        store.let_go(place)
        store.forget(place.job_id)
        return None
    store.count([_measured(end)], now)
    return target


def give_back(
    store: Store, claim: Claim, now: float, *, patience: float = SETTLE_PATIENCE
) -> Optional[Place]:
    """Put a job whose run was cut short back into `pending`; it costs no attempt.

    None and raises as `settle`.
    """
    # One that was stamped as claimed is stamped again; any other goes back byte for byte.
    unstamped = claim.version if claim.job.state is State.PENDING else None
    try:
        version = store.spool.version(claim.place)
        edited = _as_edited(store, claim, version)
        # Where its name is taken it is stamped with another one.
        stamps = unstamped is None or store.spool.is_there(Place(State.PENDING, claim.place.job_id))
        if edited is None and stamps:
            _keep_aside(store, claim.place, version, now)
        waiting = msgspec.structs.replace(edited or claim.job, state=State.PENDING)
        return store.transfer(claim.place, waiting, now, read=version, version=unstamped, patience=patience)
    except OSError:
        if store.spool.is_plain(claim.place):
            raise
        store.forget(claim.place.job_id)
        return None


def give_back_some(store: Store, claims: Sequence[Claim], now: float) -> list[Claim]:
    """`give_back` each of these, with one try; those that are left: somebody holds them, for example."""
    left, rows, befores = list[Claim](), list[Entry](), list[Stamp]()
    for claim in claims:
        try:
            target = _give_back_as_it_is(store, claim)
            if target is None:
                give_back(store, claim, now, patience=CLAIM_PATIENCE)
            else:
                rows.append(entry_of(target, claim.job, claim.version, now))
                befores.append(_stamp_of(claim))
        except (OSError, sqlite3.Error, QueueError):
            left.append(claim)
    store.record_changed(rows, befores)
    return left


def _give_back_as_it_is(store: Store, claim: Claim) -> Optional[Place]:
    """Where it lies now; None where there is more to it than one move: then it lies where it lay.

    Raises:
        OSError: somebody holds it.
    """
    place, target = claim.place, Place(State.PENDING, claim.place.job_id)
    if claim.job.state is not State.PENDING or store.spool.is_there(target):
        return None
    try:
        if store.spool.version(place) != claim.version:
            return None
        store.spool.move(place, target, patience=CLAIM_PATIENCE)
    except FileNotFoundError:
        return None
    store.let_go(place)
    return target


def pass_over(store: Store, claim: Claim, job_id: str, now: float, lack: OSError) -> None:
    """Let others go before a job that was given back, `job_id` now, for what this machine lacks.

    It may be the only one that needs so much. The wait doubles each time, so that any number of these leaves
    the others their turns.
    """
    since = min(now, claim.stuck_since or now)
    least, most = LACK_PAUSES
    delay = min(max(least, now - since), most)
    store.index.postpone(job_id, now, delay, f"cannot be started: {lack.strerror or lack}", since)


def _as_edited(store: Store, claim: Claim, version: tuple[int, int]) -> Optional[Job]:
    """The record to stamp: as claimed, or as somebody edited it while the command ran; None: to no job."""
    if version == claim.version:
        return claim.job
    try:
        job = store.spool.read(claim.place, store.config.max_job_bytes, to_stamp=True).job
    except InvalidInput:
        return None
    if job.state in (State.PENDING, State.PROCESSING):
        return job
    # Our own stamp, from a first try whose move failed.
    return msgspec.structs.replace(job, attempts=claim.job.attempts, history=claim.job.history)


def _keep_aside(store: Store, place: Place, version: tuple[int, int], now: float) -> None:
    """Keep what somebody made of a running job's file: a copy in `dead/`, under another name.

    The file itself stays until the job's record is stamped over it, so that there is always one or the other.
    """
    if store.kept.get(place.job_id) == version:
        # Another try, of a settle whose stamp or move was refused.
        return
    reason = f"it is what {place.job_id} was edited to while it ran, and that is no job"
    with store.naming():
        name = next_free(place.job_id, lambda name: name == place.job_id or store.is_taken(name))
        show_quarantined(store, quarantine.copy_aside(store.spool, place, name, reason), now)
    store.kept[place.job_id] = version
