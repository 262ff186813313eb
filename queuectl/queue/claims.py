"""Claiming a job: the first of the two moves of a run.

Ownership is where the file lies. A claim moves it into the worker's folder in one step, under `claim.lock`:
`os.replace` alone does not decide it, two movers on Windows can both succeed.
"""

from __future__ import annotations

import errno
import math
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Callable, NamedTuple, Optional

import msgspec

from queuectl import system
from queuectl.errors import Conflict, InvalidInput, QueueError
from queuectl.index import Entry, Stamp
from queuectl.index.base import PARKED
from queuectl.job import Job, claimed, retried, wants_retry
from queuectl.names import CANCEL_SUFFIX, fold, program_of
from queuectl.queue.entries import entry_of
from queuectl.queue.gates import Groups, hold_back
from queuectl.queue.liveness import goes_on, running, still_runs
from queuectl.queue.reconcile import reconcile_one
from queuectl.queue.requests import is_paused, withdraw
from queuectl.queue.store import Store
from queuectl.retry import Policy
from queuectl.spool import CLAIM_PATIENCE, FileChanged, Place, Read, quarantine
from queuectl.state import State

CANDIDATES = 32
"""Jobs looked at in one claim: a few that cannot be moved just now must not hide the next."""
_OTHERS = {state: [one for one in State if one not in (state, State.PROCESSING)] for state in State}
POSTPONED = 0.5
"""Seconds for which a job that cannot be moved just now is passed over."""


class Claim(NamedTuple):
    """A job that a worker owns; `version` is the (mtime_ns, size) of the file it was read from."""

    job: Job
    place: Place
    version: tuple[int, int]
    stuck_since: Optional[float] = None
    """Since when it could not be run; None if it could, the last time."""


def has_work(store: Store, now: float) -> bool:
    """Whether a claim may find something; looks without a lock."""
    return store.index.has_ready(now) or Groups(store, now).has_work()


def count_work(store: Store, most: int) -> int:
    """How many jobs claims may find, counted up to so many; looks without a lock."""
    return store.index.count_ready(most)


def claim(
    store: Store, worker: str, now: float, *, lives: Callable[[], bool] = lambda: True
) -> Optional[Claim]:
    """The next job, as `claim_some` claims it; None when nothing is ready."""
    return next(iter(claim_some(store, worker, now, lives=lives)), None)


def claim_some(
    store: Store, worker: str, now: float, *, most: int = 1, lives: Callable[[], bool] = lambda: True
) -> list[Claim]:
    """The next jobs, at most so many, moved into the worker's folder; none when nothing is ready.

    Where fewer are ready than all workers could have, it takes its share: what runs side by side ends sooner.

    `lives` tells, under `claim.lock`, whether the worker holds its own lock: without it, others take it for
    dead. One that has crashed before is claimed alone.

    Raises:
        Busy: `claim.lock` could not be had.
    """
    if not has_work(store, now) or is_paused(store.spool):
        return []
    with store.claiming():
        if is_paused(store.spool) or not lives():
            # Paused while we waited for the lock.
            return []
        store.index.promote(now)
        groups = Groups(store, now)
        groups.let_in()
        with suppress(OSError):
            # Left by a client that died as an earlier run ended: it must not meet this one.
            withdraw(store.spool, worker, CANCEL_SUFFIX)
        look = _Look(store, worker, now, groups)
        look.take_first(_share(store, most, len(look.workers)))
    return look.claims


def _share(store: Store, most: int, workers: int) -> int:
    if most == 1 or workers <= 1:
        return most
    return min(most, max(1, math.ceil(store.index.count_ready(most * workers) / workers)))


class _Look:
    """One look for jobs to claim, under `claim.lock`."""

    def __init__(self, store: Store, worker: str, now: float, groups: Groups) -> None:
        self.store, self.worker, self.now, self.groups = store, worker, now, groups
        self.workers = store.spool.workers()
        self.limit = store.config.max_job_bytes
        self.claims: list[Claim] = []
        self.rows: list[Entry] = []
        """Of those that are another version of their files than the index knows."""
        self._changed: list[Entry] = []
        """Of the others."""
        self._befores: list[Stamp] = []
        """What the index knows of these."""
        self._owned: Optional[set[str]] = None
        self._tried: set[str] = set()
        self._alone = False
        """What is claimed is to start at once: how many do in a time is counted."""
        self._alike: dict[str, list[str]] = {}
        self._running: Optional[dict[str, str]] = None

    def take_first(self, most: int) -> None:
        """Claim so many at most of those that are ready."""
        index = self.store.index
        # Of jobs that have crashed, one kills its worker perhaps: run side by side, it would take the others
        # to the dead letters with it.
        crashes = 0 if index.runs_crashed(*program_of(self.worker)) else None
        try:
            for limit in (most, CANDIDATES):
                entries = list(index.ready(limit, most_crashes=crashes))
                self._take_some(entries, most)
                if self.claims or len(entries) < limit:
                    break
        finally:
            # What was moved is ours, whatever came then.
            self.store.record_all(self.rows)
            self.store.record_changed(self._changed, self._befores)

    def _take_some(self, entries: Sequence[Entry], most: int) -> None:
        """Claim those of these that can be, in their order."""
        self._alike = self.store.index.alike_all([fold(entry.id) for entry in entries])
        for entry in entries:
            if len(self.claims) == most or (self.claims and entry.crashes):
                return
            if entry.id in self._tried:
                continue
            self._tried.add(entry.id)
            try:
                self._try(entry)
            except (OSError, sqlite3.Error, QueueError):
                # A lack of this machine, for example; what is claimed already can run.
                if not self.claims:
                    raise
                return
            if self.claims and (entry.crashes or self._alone):
                return

    def _try(self, entry: Entry) -> None:
        store, now = self.store, self.now
        try:
            self._take(entry, Place(State(entry.state), entry.id))
        except FileNotFoundError:
            # Moved or deleted by somebody, or the row was behind.
            reconcile_one(store, entry.id, now)
        except (InvalidInput, Conflict, FileChanged):
            # Being edited, or doubled, by somebody: the next look finds what became of it.
            store.forget(entry.id)
        except OSError as error:
            if system.is_lack(error):
                raise
            # RACE: a preview or a scanner holds the file (Windows). It must not stop the queue.
            why = f"cannot be moved: {error.strerror or error}"
            store.index.postpone(entry.id, now, POSTPONED, why, now)

    def _take(self, entry: Entry, place: Place) -> None:
        store, now = self.store, self.now
        alike = self._alike.get(fold(entry.id), ())
        if self._is_taken(place, alike):
            # A row that is behind its file speaks of no second one. (It leaves here only under our lock.)
            if not store.spool.is_there(place):
                raise FileNotFoundError(errno.ENOENT, "it has moved on", store.spool.path(place))
            raise Conflict(f"there is another job {place.job_id}")
        read = store.spool.read(place, self.limit, patience=CLAIM_PATIENCE)
        if self._waits(entry, place, read):
            return
        job, version = _ready_record(store, place, read, now)
        if job.due is not None and job.due > now:
            store.record_all([entry_of(place, job, version, now)._replace(due=job.due)])
            return
        if place.state is State.FAILED and job.attempts > policy_of(store, job).max_retries:
            # The setting was lowered while it waited for a retry that it has no more.
            store.transfer(place, msgspec.structs.replace(job, state=State.DEAD), now)
            return
        if self._still_runs(place.job_id, job):
            # A person has dragged it out of a worker's folder. Two runs of one job never overlap.
            raise BlockingIOError(errno.EBUSY, "its earlier run still goes on")
        target = Place(State.PROCESSING, place.job_id, self.worker)
        if job.group is not None:
            self.groups.claim(job.group)
            self._alone = self.groups.has_rate(job.group)
        store.spool.move(place, target, patience=CLAIM_PATIENCE)
        self.claims.append(Claim(job, target, version, entry.stuck_since))
        self._note_row(entry, target, job, version)
        _forget_note(store, place.job_id)

    def _still_runs(self, job_id: str, job: Job) -> bool:
        if job.task is None:
            return still_runs(self.store.spool, job_id, besides=self.worker)
        # A task that prints nothing has no log by which it could be told that it has been started. Asked once
        # for all: whoever has seen a file where jobs wait has seen it there after its run was noted.
        if self._running is None:
            self._running = running(self.store.spool, besides=self.worker)
        return job_id in self._running and goes_on(self.store.spool, self._running[job_id])

    def _is_taken(self, place: Place, alike: Sequence[str]) -> bool:
        """Whether the file at `place` is not the only one of its id, as `Store.is_taken`."""
        spool, job_id = self.store.spool, place.job_id
        if self._owned is None:
            # Asked once: into a worker's folder jobs come under our lock alone. Where one has gone out of it
            # since, or a person has a hand in this, each place is looked at below.
            self._owned = {fold(name) for worker in self.workers for name in spool.names_of(worker)}
        elsewhere = fold(place.name) in self._owned or spool.is_in(job_id, _OTHERS[place.state])
        if not elsewhere and {job_id}.issuperset(alike):
            return False
        return self.store.is_taken(job_id, besides=place, workers=self.workers, alike=alike)

    def _note_row(self, entry: Entry, target: Place, job: Job, version: tuple[int, int]) -> None:
        if version != (entry.mtime_ns, entry.size):
            self.rows.append(entry_of(target, job, version, self.now))
            return
        # What the row tells of the file still holds.
        state = target.state.value
        row = entry._replace(state=state, worker=target.worker, due=None, stuck_since=None, stuck_why=None)
        self._changed.append(row)
        self._befores.append(entry.stamp)

    def _waits(self, entry: Entry, place: Place, read: Read) -> bool:
        """See to a job that may not start yet, though it is due; whether it is one."""
        store, now, job = self.store, self.now, read.job
        if (job.hold or job.after) and hold_back(store, place, job, read.version, now):
            return True
        if job.group is None:
            return False
        if self.claims and self.groups.has_rate(job.group):
            # Not behind others: it would start when they have ended.
            return True
        if self.groups.slots(job.group).free <= 0:
            # The row was behind: of another group, or of none.
            store.record_all([entry_of(place, job, read.version, now)._replace(due=PARKED)])
            return True
        return False


def _forget_note(store: Store, job_id: str) -> None:
    """Of a file that was no job once, and has been mended and dragged back."""
    try:
        quarantine.forget_note(store.spool, job_id)
    except OSError:
        # Somebody reads it (Windows). Nothing may stop a job that is claimed; doctor knows orphaned notes.
        return


def _ready_record(store: Store, place: Place, read: Read, now: float) -> tuple[Job, tuple[int, int]]:
    """The record as it must be when a worker gets it: with no stamp that looks like a finished run's."""
    job = read.job
    if place.state is State.PENDING and wants_retry(job):
        job = retried(job, now=now)
    elif place.state is State.FAILED and (job.due is None or job.due <= now):
        job = claimed(job, now=now)
    elif read.faithful:
        return job, read.version
    return store.stamp(place, job, read.version, patience=CLAIM_PATIENCE)


def policy_of(store: Store, job: Job) -> Policy:
    """The limits that hold for this job now."""
    config = store.config
    return Policy(
        max_retries=config.max_retries if job.max_retries is None else job.max_retries,
        backoff_base=config.backoff_base if job.backoff_base is None else job.backoff_base,
        backoff_max=config.backoff_max,
        backoff_jitter=config.backoff_jitter,
        max_crashes=config.max_crashes,
    )
