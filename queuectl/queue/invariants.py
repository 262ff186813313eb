"""What holds of a spool whatever has happened to it: no job is lost or doubled, none runs beside itself.

One function, asked of a living spool by `doctor`, and by the fault tests after every fault, which also know
what was acknowledged and what has run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Optional

from queuectl.errors import InvalidInput
from queuectl.names import fold
from queuectl.queue.reconcile import place_of
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.spool.scan import Found
from queuectl.state import WAITING, State


class Ran(NamedTuple):
    """One run of a job's command as somebody saw it, not as we recorded it; times in seconds.

    `ended` is None for one that was seen to start and not to end.
    """

    job_id: str
    started: float
    ended: Optional[float] = None
    succeeded: bool = False


def broken(store: Store, acknowledged: Collection[str] = (), runs: Collection[Ran] = ()) -> Iterator[str]:
    """What does not hold, a line each; nothing if all is well.

    Every id lies in one place, those that `enqueue` has `acknowledged` do; every record is one and gives its
    file's name as id. Of `runs`, no two of one job overlap, a completed job has a run that succeeded, and
    just one if no run of it has crashed.
    """
    places: dict[str, list[Place]] = defaultdict(list)
    # A scan may meet a name twice.
    for seen in dict.fromkeys(store.spool.scan()):
        if isinstance(seen, Found) and store.spool.is_there(place_of(seen)):
            places[fold(seen.job_id)].append(place_of(seen))
    for job_id in acknowledged:
        if job_id not in (place.job_id for place in places[fold(job_id)]):
            yield f"{job_id} was acknowledged and is nowhere"
    for several in places.values():
        if len(several) > 1:
            shown = ", ".join(store.spool.in_spool(store.spool.path(place)) for place in several)
            yield f"{several[0].job_id} lies in {len(several)} places: {shown}"
    yield from _unsound_records(store, [place for several in places.values() for place in several])
    yield from _impossible_runs(store, places, runs)


def _unsound_records(store: Store, places: Iterable[Place]) -> Iterator[str]:
    limit = store.config.max_job_bytes
    for place in places:
        if place.state in (State.PENDING, State.DEAD):
            # There lies what somebody is still writing, and what was set aside as no job.
            continue
        shown = store.spool.in_spool(store.spool.path(place))
        try:
            read = store.spool.read(place, limit)
        except InvalidInput as error:
            # In `failed` a worker sees to it.
            if place.state not in WAITING:
                yield f"{shown}: holds no job: {error}"
        except OSError:
            # It has moved on, or cannot be read just now.
            continue
        else:
            if not read.faithful:
                yield f"{shown}: its record gives another id; the file's name counts"


def _impossible_runs(store: Store, places: dict[str, list[Place]], runs: Collection[Ran]) -> Iterator[str]:
    seen: dict[str, list[Ran]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.started):
        seen[run.job_id].append(run)
    for job_id, its in seen.items():
        for one, following in zip(its, its[1:]):
            if one.ended is not None and following.started < one.ended:
                yield f"{job_id} ran beside itself: from {one.started} and from {following.started}"
        yield from _unaccounted(store, job_id, places[fold(job_id)], its)


def _unaccounted(store: Store, job_id: str, places: list[Place], runs: list[Ran]) -> Iterator[str]:
    if [place.state for place in places] != [State.COMPLETED]:
        return
    succeeded = sum(run.succeeded for run in runs)
    crashes = store.spool.read(places[0], store.config.max_job_bytes).job.crashes
    if succeeded == 0:
        yield f"{job_id} is completed, and no run of it has succeeded"
    elif succeeded > 1 and not crashes:
        yield f"{job_id} has succeeded {succeeded} times, and none of its runs crashed"
