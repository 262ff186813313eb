"""What new jobs have to do with those that are there: what they wait for, and unique keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from queuectl.errors import Conflict, InvalidInput, NoSuchJob
from queuectl.index import Entry
from queuectl.job import Job, cancelled, parents
from queuectl.queue.store import Store
from queuectl.queue.verbs import read_waiting
from queuectl.spool import Place
from queuectl.state import WAITING, State

REFUSE, REPLACE, RETURN = "refuse", "replace", "return"
TO_BE_DONE = (*WAITING, State.PROCESSING)


class Unique(NamedTuple):
    """What becomes of a new job whose `unique_key` another one has."""

    if_exists: str = REFUSE
    """It is refused, or `replace`s the other, which is cancelled if it waits; or the other is `return`ed."""
    states: Optional[Sequence[State]] = None
    """Which others count: by these states; if left out those that are still to be done."""
    within: Optional[float] = None
    """Only those that came in within so many seconds; then of whatever state, unless `states` says."""


def refuse_doubles(jobs: Sequence[Job]) -> None:
    """Refuse jobs that have a unique key in common.

    Raises:
        Conflict: some have.
    """
    keys = [job.unique_key for job in jobs if job.unique_key is not None]
    for key in keys if len(set(keys)) < len(keys) else ():
        if keys.count(key) > 1:
            raise Conflict(f"the unique key {key!r} is given twice")


def check_parents(store: Store, jobs: Sequence[Job]) -> None:
    """Refuse jobs that would wait for what is not there, or for one another.

    Raises:
        NoSuchJob: a job that one waits for is neither there nor among these.
        InvalidInput: the same of a batch; or they wait for one another in a circle.
    """
    ids = {job.id for job in jobs if job.id is not None}
    batches = {job.batch for job in jobs if job.batch is not None}
    for job in jobs:
        for one in parents(job):
            if one.id is not None and one.id not in ids and store.spool.locate(one.id) is None:
                raise NoSuchJob(one.id)
            if one.batch is None or one.batch in batches:
                continue
            if store.index.batch_goes_on(one.batch) is None:
                raise InvalidInput(f"no job belongs to the batch {one.batch!r}", hint="add its jobs first")
    _refuse_circles(jobs)


def _refuse_circles(jobs: Sequence[Job]) -> None:
    waits = {job.id: _among(job, jobs) for job in jobs if job.after and job.id is not None}
    while waits:
        free = [job_id for job_id, others in waits.items() if not others & waits.keys()]
        if not free:
            raise InvalidInput(f"these would wait for one another: {', '.join(sorted(map(str, waits)))}")
        for job_id in free:
            del waits[job_id]


def _among(job: Job, jobs: Sequence[Job]) -> set[Optional[str]]:
    wanted = parents(job)
    ids = {one.id for one in wanted if one.id is not None}
    batches = {one.batch for one in wanted if one.batch is not None}
    return {*ids, *(other.id for other in jobs if other.batch in batches)}


def holder_of(store: Store, job: Job, unique: Unique, now: float) -> Optional[Place]:
    """Where the job lies that has this one's unique key, the latest of several. Asked under `claim.lock`."""
    if job.unique_key is None:
        return None
    states = unique.states or (tuple(State) if unique.within is not None else TO_BE_DONE)
    rows = [entry for entry in store.index.of_key(job.unique_key) if _counts(entry, unique, now)]
    # The files tell.
    places = (store.spool.locate(entry.id) for entry in rows)
    return next((place for place in places if place is not None and place.state in states), None)


def _counts(entry: Entry, unique: Unique, now: float) -> bool:
    return unique.within is None or entry.created > now - unique.within


def refuse_holder(job: Job, holder: Place, unique: Unique) -> None:
    """Refuse a job whose unique key another one has, unless it takes that one's place.

    Raises:
        Conflict: so.
    """
    if unique.if_exists == REPLACE and holder.state is not State.PROCESSING:
        return
    hint = "it runs, and only one that does not can be replaced" if unique.if_exists == REPLACE else None
    raise Conflict(
        f"job {holder.job_id!r} ({holder.state.value}) has the unique key {job.unique_key!r}", hint=hint
    )


def give_way(store: Store, holder: Place, by: Job, now: float) -> None:
    """Cancel a waiting job whose place another one takes. Asked under `claim.lock`."""
    if holder.state in WAITING:
        read = read_waiting(store, holder)
        gone = cancelled(read.job, now=now, why=f"replaced by {by.name}")
        store.transfer(holder, gone, now, read=read.version)
