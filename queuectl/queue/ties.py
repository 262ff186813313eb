"""What new jobs have to do with those that are there: what they wait for, and unique keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple, Optional, Union

import msgspec

from queuectl.errors import Conflict, InvalidInput, NoSuchJob
from queuectl.hook import own_hook
from queuectl.index import Entry
from queuectl.job import SUCCESS, After, Job, cancelled, parents
from queuectl.names import EVENTS, fold
from queuectl.queue.gates import find_named
from queuectl.queue.store import Store
from queuectl.queue.vain import entangled
from queuectl.queue.verbs import read_waiting
from queuectl.spool import Place, Read
from queuectl.state import TO_BE_DONE, WAITING, State

REFUSE, REPLACE, RETURN = "refuse", "replace", "return"
_SHOWN = 100


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


def check_parents(store: Store, jobs: Sequence[Job]) -> list[Job]:
    """These jobs, each with the ids that it waits for as those are written.

    Raises:
        NoSuchJob: a job that one waits for is neither there nor among these.
        InvalidInput: the same of a batch; or they wait for one another in a circle.
    """
    if not any(job.after for job in jobs):
        return list(jobs)
    new = {fold(job.id): job.id for job in jobs if job.id is not None}
    batches = {job.batch for job in jobs if job.batch is not None}
    checked = [_as_named(store, job, new, batches) if job.after else job for job in jobs]
    _refuse_circles(checked)
    return checked


def _as_named(store: Store, job: Job, new: Mapping[str, str], batches: set[str]) -> Job:
    after: list[Union[str, After]] = []
    for one in parents(job):
        if one.batch is not None:
            if one.batch not in batches and store.index.batch_goes_on(one.batch) is None:
                raise InvalidInput(f"no job belongs to the batch {one.batch!r}", hint="add its jobs first")
            after.append(one)
            continue
        name = new.get(fold(one.id or "")) or _name_of(store, one.id or "")
        after.append(name if one.on == SUCCESS else msgspec.structs.replace(one, id=name))
    return msgspec.structs.replace(job, after=after)


def _name_of(store: Store, job_id: str) -> str:
    place = find_named(store, job_id)
    if place is None:
        raise NoSuchJob(job_id)
    return store.as_named(place).job_id


def linked_anew(job: Job, new_id: Callable[[str], str]) -> Job:
    """This job with other ids of those that it names: what it and its hooks wait for, whose hook it is. The
    same object where none is another.
    """
    changes: dict[str, Any] = {"after": [_linked(one, new_id) for one in job.after]}
    if job.hook_of is not None:
        changes["hook_of"] = new_id(job.hook_of)
    for event in EVENTS:
        hook = own_hook(job, event)
        if isinstance(hook, dict) and isinstance(after := hook.get("after"), list):
            changes[event] = {**hook, "after": [_linked(one, new_id) for one in after]}
    new = msgspec.structs.replace(job, **changes)
    return job if new == job else new


def _linked(one: Any, new_id: Callable[[str], str]) -> Any:
    if isinstance(one, str):
        return new_id(one)
    if isinstance(one, After):
        return one if one.id is None else msgspec.structs.replace(one, id=new_id(one.id))
    return {**one, "id": new_id(one["id"])} if one.get("id") is not None else one


def _refuse_circles(jobs: Sequence[Job]) -> None:
    members: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.batch is not None and job.id is not None:
            members[job.batch].append(job.id)
    found = entangled({job.id: _among(job, members) for job in jobs if job.id is not None})
    if found:
        raise InvalidInput(f"these would wait for one another: {', '.join(found[:_SHOWN])}")


def _among(job: Job, members: Mapping[str, Sequence[str]]) -> set[str]:
    wanted = parents(job)
    ids = {one.id for one in wanted if one.id is not None}
    return ids.union(*(members.get(one.batch, ()) for one in wanted if one.batch is not None))


def refuse_circle(store: Store, job: Job) -> None:
    """Refuse a change by which a job would wait for itself by way of others.

    Raises:
        InvalidInput: so.
    """
    seen: set[str] = set()
    ahead = {fold(one.id) for one in parents(job) if one.id is not None}
    while ahead:
        if fold(job.name) in ahead:
            raise InvalidInput(f"after: {job.name} would wait for itself, by way of others")
        seen |= ahead
        ahead = set(store.index.parents_of(sorted(ahead)[:_SHOWN])) - seen
    # Of very many ways the first are followed: what is left is told of by status.


def holders_of(store: Store, job: Job, unique: Unique, now: float) -> list[Place]:
    """Where the jobs lie that have this one's unique key, one that runs first. Asked under `claim.lock`."""
    if job.unique_key is None:
        return []
    states = unique.states or (tuple(State) if unique.within is not None else TO_BE_DONE)
    rows = [entry for entry in store.index.of_key(job.unique_key) if _counts(entry, unique, now)]
    # The files tell.
    found = [store.spool.locate(entry.id) for entry in rows]
    places = [place for place in found if place is not None and place.state in states]
    return sorted(places, key=lambda place: place.state is not State.PROCESSING)


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


def read_those(store: Store, holders: Sequence[Place]) -> list[tuple[Place, Read]]:
    """Those of these that wait, with their records: they can be replaced.

    Raises:
        Conflict, DamagedRecord: one of them has just been moved, or its file holds no job.
    """
    return [(place, read_waiting(store, place)) for place in holders if place.state in WAITING]


def give_way(store: Store, waiting: Sequence[tuple[Place, Read]], by: Job, now: float) -> None:
    """Cancel jobs whose place another one takes. Asked under `claim.lock`."""
    for place, read in waiting:
        gone = cancelled(read.job, now=now, why=f"replaced by {by.name}")
        store.transfer(place, gone, now, read=read.version)
