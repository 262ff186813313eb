"""What keeps a job that is due from its run: a person, other jobs, its group. Asked under `claim.lock`.

The index lets in what may pass; the files are asked before it does.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, Optional

from queuectl.errors import InvalidInput, QueueError
from queuectl.group import UNLIMITED, Group, Slots, moments_of, slots, with_starts
from queuectl.index.base import HELD
from queuectl.job import ANY, FAILURE, SUCCESS, After, Job, has_begun, is_first, parents, skipped
from queuectl.names import fold
from queuectl.queue.entries import entry_of
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.spool.named import NamedFile
from queuectl.spool.scan import Found
from queuectl.state import State

AT_ONCE = 1000
"""Jobs of a group without limits that are let in at once."""
_OPEN = Group()


class Wait(NamedTuple):
    """Why a job does not start; `skips`: it never will, since what it is for has not come."""

    why: str
    skips: bool = False


def waits_for(store: Store, job: Job) -> Optional[Wait]:
    """What other jobs keep this one from its first run, or None."""
    if not job.after or not is_first(job):
        return None
    begun = has_begun(job)
    waits = [wait for wait in (_wait(store, one, begun) for one in parents(job)) if wait is not None]
    return next((wait for wait in waits if wait.skips), waits[0] if waits else None)


def _wait(store: Store, one: After, begun: bool) -> Optional[Wait]:
    what = one.id if one.id is not None else f"batch {one.batch}"
    outcome = _outcome(store, one)
    if outcome == "" and begun:
        return None
    if outcome in (None, ""):
        return Wait(f"waits for {what}" + ("" if outcome is None else ", which is not here"))
    if one.on in (ANY, outcome):
        return None
    if outcome == SUCCESS:
        return Wait(f"only for a failure of {what}, which has completed", skips=True)
    return Wait(f"waits for {what}, which is dead")


def _outcome(store: Store, one: After) -> Optional[str]:
    """What it has come to; None while it goes on, nothing where it is not to be found."""
    if one.batch is not None:
        goes_on = store.index.batch_goes_on(one.batch)
        if goes_on is not False:
            return None if goes_on else ""
        return FAILURE if store.index.batch_has_dead(one.batch) else SUCCESS
    place = find_named(store, one.id or "")
    if place is None:
        return ""
    return {State.COMPLETED: SUCCESS, State.DEAD: FAILURE}.get(place.state)


def find_named(store: Store, job_id: str) -> Optional[Place]:
    """Where the job of this id lies, or of one that is the same but for case and Unicode form."""
    place = store.spool.locate(job_id)
    if place is not None:
        return place
    places = map(store.spool.locate, store.index.alike(fold(job_id)))
    return next((one for one in places if one is not None), None)


def hold_back(store: Store, place: Place, job: Job, version: tuple[int, int], now: float) -> bool:
    """See to a job that is held, or waits for others, when its turn has come; whether it is one."""
    wait = None if job.hold else waits_for(store, job)
    if not job.hold and wait is None:
        return False
    if wait is not None and wait.skips:
        store.transfer(place, skipped(job, now=now, why=wait.why), now, read=version)
        return True
    store.record_all([entry_of(place, job, version, now)._replace(due=HELD)])
    # Also where the row of another says otherwise: else it would be looked at again and again.
    with suppress(sqlite3.Error):
        store.index.hold(place.job_id)
    # RACE: what it waits for may have ended between the question and the row, and told nobody.
    return job.hold or waits_for(store, job) is not None


class Groups:
    """The limits of all groups, as they are at one moment."""

    def __init__(self, store: Store, now: float) -> None:
        self._store, self._now = store, now
        self._files = store.spool.groups
        self._groups: Optional[dict[str, Optional[Group]]] = None
        self._running: Optional[Counter[str]] = None
        self._claimed: Counter[str] = Counter()
        self._starts: dict[str, list[float]] = {}
        self._unreadable = False
        """The folder cannot be gone through: what the limits are nobody knows."""

    def slots(self, name: str) -> Slots:
        """How many jobs of this group may start now."""
        name = fold(name)
        group = self._all.get(name, _OPEN)
        if group is None or self._unreadable:
            # Its file is damaged: what its limits were nobody knows.
            return Slots(0)
        if group.limit is None and group.rate is None:
            return Slots(0 if group.paused else UNLIMITED)
        running = self._runs[name] + self._claimed[name] if group.limit else 0
        return slots(group, running, self._started(name) if group.rate else [], self._now)

    def has_rate(self, name: str) -> bool:
        """Whether so many of this group may start in a time."""
        group = self._all.get(fold(name))
        return group is not None and group.rate is not None

    def _started(self, name: str) -> list[float]:
        if name not in self._starts:
            self._starts[name] = moments_of(self._files.starts(name), self._now)
        return self._starts[name]

    def let_in(self) -> None:
        """Have of each group that waits so many jobs be ready as may start."""
        index = self._store.index
        if self._store.index.has_lanes():
            for lane in index.lanes():
                index.let_in(lane, min(self.slots(lane).free, AT_ONCE))

    def has_work(self) -> bool:
        """Whether a job that waits for its group may start."""
        index = self._store.index
        return index.has_parked() and any(
            index.is_parked(lane) and self.slots(lane).free > 0 for lane in index.lanes()
        )

    def next_opening(self) -> Optional[float]:
        """When a group that waits for its rate alone may go on, in seconds since the epoch."""
        index = self._store.index
        if not index.has_parked():
            return None
        opens = [self.slots(lane).opens for lane in index.lanes() if index.is_parked(lane)]
        return min((one for one in opens if one is not None), default=None)

    def claim(self, name: str) -> None:
        """One of its jobs is about to start; of a group with a rate that is kept first.

        Raises:
            OSError: it cannot be kept.
        """
        name = fold(name)
        group = self._all.get(name)
        if group is not None and group.rate is not None:
            self._files.write_starts(name, with_starts(self._files.starts(name), group, self._now, 1))
            self._started(name).append(self._now)
        self._claimed[name] += 1

    @property
    def _all(self) -> Mapping[str, Optional[Group]]:
        if self._groups is None:
            try:
                found = self._files.found()
            except OSError:
                found, self._unreadable = {}, True
            self._groups = {fold(name): self._read(file) for name, file in found.items()}
        return self._groups

    def _read(self, file: NamedFile) -> Optional[Group]:
        try:
            return self._files.read(file, patience=0.0)
        except (QueueError, OSError):
            return None

    @property
    def _runs(self) -> Counter[str]:
        """How many jobs of each group run, by the files."""
        if self._running is None:
            spool = self._store.spool
            seen = [one for worker in spool.workers() for one in spool.scan_worker(worker)]
            found = [one for one in seen if isinstance(one, Found)]
            known = self._store.index.lanes_of([one.job_id for one in found])
            groups = (known[one.job_id] if one.job_id in known else self._group_of(one) for one in found)
            self._running = Counter(fold(group) for group in groups if group is not None)
        return self._running

    def _group_of(self, found: Found) -> Optional[str]:
        try:
            place = Place(found.state, found.job_id, found.worker)
            return self._store.spool.read(place, self._store.config.max_job_bytes, patience=0.0).job.group
        except (InvalidInput, OSError):
            return None
