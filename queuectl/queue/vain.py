"""Jobs that wait in vain: for one that is dead or not there, or for one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Optional

from queuectl.index.links import BATCH
from queuectl.queue.liveness import is_alive, noted_tasks
from queuectl.queue.store import Store
from queuectl.state import State

SHOWN = 20
"""Ids that are named: enough to see it."""
FEW = 1000
"""Held jobs that a look at the queue goes through."""


def entangled(waits: Mapping[str, Iterable[str]]) -> list[str]:
    """Of jobs and those that each waits for, the ones that wait in a circle, or for one in a circle.

    Source: Kahn, Topological sorting of large networks (1962).
    """
    children: dict[str, list[str]] = defaultdict(list)
    left: dict[str, int] = {}
    for job_id, others in waits.items():
        known = [other for other in others if other in waits]
        left[job_id] = len(known)
        for other in known:
            children[other].append(job_id)
    free = [job_id for job_id, count in left.items() if count == 0]
    while free:
        job_id = free.pop()
        del left[job_id]
        for child in children[job_id]:
            left[child] -= 1
            if left[child] == 0:
                free.append(child)
    return sorted(left)


def in_vain(store: Store, most: int) -> list[tuple[str, str]]:
    """The jobs that wait for one that is dead, or not there, each with what is to be said of it; so many at
    most.
    """
    found = ((child, _why(store, child, parent)) for child, parent in store.index.waits_in_vain(most))
    return [(child, why) for child, why in found if why is not None]


def unserved(store: Store) -> list[tuple[str, int]]:
    """The tasks that no worker here can run, where workers live at all, and how many jobs wait for each."""
    waiting = store.index.ready_tasks()
    living = [name for name in store.spool.workers() if is_alive(store.spool, name)] if waiting else []
    known = {task for worker in living for task in noted_tasks(store.spool, worker)}
    return [(task, store.index.count_ready_of(task)) for task in waiting if living and task not in known]


def said_of(task: str, count: int) -> str:
    """What a person is told of such a task."""
    jobs = "a job waits" if count == 1 else f"{count} jobs wait"
    return f"{jobs} for the task {task}, which no worker here can run: queuectl worker start --tasks MODULE"


def _why(store: Store, child: str, parent: str) -> Optional[str]:
    anyway = f"queuectl release --anyway {child}"
    if parent.startswith(BATCH):
        batch = parent[len(BATCH) :]
        gone = store.index.batch_goes_on(batch) is None
        return f"waits for batch {batch}, of which " + (
            f"no job is here: {anyway}" if gone else "a job is dead"
        )
    place = store.spool.locate(parent)
    if place is None:
        return f"waits for {parent}, which is not here: {anyway}"
    if place.state is State.DEAD:
        return f"waits for {parent}, which is dead: retry that, or cancel this"
    return None


def circles(store: Store, most: Optional[int] = None) -> list[str]:
    """A line of the jobs that wait for one another, if there are any: they were dropped as files, or it is by
    way of a batch. Of more than `most` that are held nothing is told.
    """
    rows = store.index.held_ties(most)
    ids = {fold: job_id for job_id, fold, _, _ in rows}
    members: dict[str, set[str]] = defaultdict(set)
    for job_id, _, batch, _ in rows:
        members[f"{BATCH}{batch}"].add(job_id)
    waits: dict[str, set[str]] = {job_id: set() for job_id in ids.values()}
    for job_id, _, _, parent in rows:
        if parent is not None:
            waits[job_id] |= members[parent] if parent in members else {ids.get(parent, "")}
    found = entangled(waits)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    told = (
        f"jobs {', '.join(found[:SHOWN])}{more} wait for one another: edit what one waits for, or cancel it"
    )
    return [told] if found else []
