"""Adding jobs: all or none, whole, and on the disk before anybody is told."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timezone
from functools import lru_cache
from itertools import count
from typing import Any, Optional, Union

import msgspec

from queuectl import system
from queuectl.codec import checked, decode_job, job_size
from queuectl.errors import Conflict, InvalidInput, SpoolUnusable
from queuectl.job import Job, accepted, parents
from queuectl.names import fold, next_free
from queuectl.queue.entries import entry_of
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.queue.ties import (
    RETURN,
    Unique,
    check_parents,
    give_way,
    holders_of,
    read_those,
    refuse_doubles,
    refuse_holder,
)
from queuectl.spool import Place, too_large
from queuectl.uncut import uncut

TRIES = 5
_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"
_TAIL = 6


class _Taken(Conflict):
    """The id is another job's."""


class Prepared:
    """A job whose record lies in `tmp/`, at `path`."""

    def __init__(self, path: str, job: Job, version: tuple[int, int]) -> None:
        self.path, self.job, self.version = path, job, version
        self.place = Place(job.state, job.name)
        self.admitted = False
        self.holders: list[Place] = []
        """The other jobs that have its unique key."""


def enqueue(
    store: Store, jobs: Sequence[Job], *, rename: bool, now: float, unique: Optional[Unique] = None
) -> list[Place]:
    """Add these jobs to `pending`; see `Queue.enqueue`."""
    limit = store.config.max_job_bytes
    if any(job_size(job) > limit for job in jobs):
        raise too_large(limit)
    if store.index.is_empty() or any(job.unique_key is not None or job.after for job in jobs):
        # It must know which ids differ from a new one in case only, who has a key, what belongs to a batch.
        reconcile_all(store, now, spare=True)
    jobs = check_parents(store, jobs)
    refuse_doubles(jobs)
    for tries in range(TRIES):
        try:
            # Nor is what was written to be left in `tmp/`.
            with uncut():
                return _enqueue(store, jobs, rename=rename, now=now, unique=unique or Unique())
        except _Taken:
            # RACE: somebody has taken a name that we had chosen before we had the lock again.
            ours = rename or any(job.id is None for job in jobs)
            if not ours or tries == TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _enqueue(store: Store, jobs: Sequence[Job], *, rename: bool, now: float, unique: Unique) -> list[Place]:
    prepared: list[Prepared] = []
    try:
        named = _named(store, jobs, rename=rename, now=now)
        # Written and fsynced outside of the lock: workers go on claiming meanwhile.
        written = store.spool.prepare(named)
        prepared = [Prepared(path, job, version) for job, (path, version) in zip(named, written)]
        with store.naming():
            return admit(store, prepared, now, unique)
    except OSError as error:
        where = f" ({store.spool.in_spool(error.filename)})" if isinstance(error.filename, str) else ""
        why = f"{error.strerror or error}{where}"
        raise SpoolUnusable(f"cannot write to {store.spool.root}: {why}") from error
    finally:
        for one in prepared:
            if not one.admitted:
                system.remove(one.path)


def as_job(job: Union[Job, Mapping[str, Any]]) -> Job:
    """What a program gives as a job, through the same checks as a file; a schedule has not made it.

    Raises:
        InvalidInput: it is none.
    """
    return msgspec.structs.replace(_as_given(job), schedule=None, scheduled_at=None)


def _as_given(job: Union[Job, Mapping[str, Any]]) -> Job:
    if isinstance(job, Job):
        return checked(job)
    from json import dumps

    try:
        return decode_job(dumps(job).encode())
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a job is a mapping of JSON values: {error}") from error


def new_id(now: float) -> str:
    """An id for a job that has none: by time, so that Explorer sorts them.

    Within a second one follows the other: those that run together lie together in the index, and are written
    there at once.
    """
    moment = datetime.fromtimestamp(now, timezone.utc)
    number, tail = next(_numbers(os.getpid())), ""
    for _ in range(_TAIL):
        number, digit = divmod(number, len(_ALPHABET))
        tail = _ALPHABET[digit] + tail
    return f"{moment:%Y%m%d-%H%M%S}-{tail}"


@lru_cache(1)
def _numbers(pid: int) -> Iterator[int]:
    """Those of this program, from any on: others, what forks from this one too, begin elsewhere."""
    return count(int.from_bytes(os.urandom(8), "big"))


def _unused_id(now: float, used: Container[str]) -> str:
    while (made := new_id(now)) in used:
        pass
    return made


def _named(store: Store, jobs: Sequence[Job], *, rename: bool, now: float) -> list[Job]:
    used: set[str] = set()
    named: list[Job] = []
    # Whether others have an id is asked when the jobs are admitted; only to choose another it is asked here.
    with store.naming() if rename else nullcontext():
        for position, job in enumerate(jobs):
            wanted = job.id if job.id is not None else _unused_id(now, used)
            if rename:
                wanted = next_free(wanted, lambda name: fold(name) in used or store.is_taken(name))
            elif fold(wanted) in used:
                raise Conflict(f"the id {wanted!r} is given twice")
            used.add(fold(wanted))
            named.append(accepted(job, job_id=wanted, now=now, position=position))
    return named


def admit(
    store: Store, prepared: Sequence[Prepared], now: float, unique: Optional[Unique] = None
) -> list[Place]:
    """Move these in as new jobs, all or none; where they lie now. The caller holds `Store.naming`.

    Without `unique` their unique keys are not asked about.

    Raises:
        Conflict: an id is taken, or a unique key is.
        OSError, SpoolUnusable: that cannot be done.
    """
    workers = store.spool.workers()
    new = list(prepared) if unique is None else _without_returned(store, prepared, unique, now)
    replaced = [(one.job, read_those(store, one.holders)) for one in new]
    for one in new:
        refuse_known(store, one.job.name, workers)
    try:
        for one in new:
            store.spool.admit(one.path, one.place)
            one.admitted = True
        store.spool.sync(*{one.place.state for one in prepared})
    except BaseException as error:
        _take_back(store, [one.place for one in prepared if one.admitted], error)
        raise
    # RACE: one that a person has just moved is in all the same, and the next look finds it.
    store.record_all([entry_of(one.place, one.job, one.version, now) for one in new])
    for job, waiting in replaced:
        give_way(store, waiting, job, now)
    return [one.place if one.admitted else one.holders[0] for one in prepared]


def _without_returned(
    store: Store, prepared: Sequence[Prepared], unique: Unique, now: float
) -> list[Prepared]:
    """Those of these in whose place no job is returned that has their unique key.

    Raises:
        Conflict: a key is taken.
    """
    for one in prepared:
        one.holders = holders_of(store, one.job, unique, now)
        if one.holders and unique.if_exists != RETURN:
            refuse_holder(one.job, one.holders[0], unique)
    new = [one for one in prepared if not one.holders or unique.if_exists != RETURN]
    _refuse_orphans(prepared, new)
    return new


def _refuse_orphans(prepared: Sequence[Prepared], new: Sequence[Prepared]) -> None:
    """Refuse that one waits for another of the call in whose place a job is that was there before."""
    answered = {one.job.name for one in prepared} - {one.job.name for one in new}
    for one in new if answered else ():
        if waits := answered.intersection(parent.id for parent in parents(one.job) if parent.id):
            raise Conflict(
                f"{one.job.name} would wait for {sorted(waits)[0]}, in whose place another job is returned",
                hint="add it in a call of its own",
            )


def _take_back(store: Store, admitted: Sequence[Place], why: BaseException) -> None:
    """Remove them again. Nobody can have claimed them: that takes the lock that we hold.

    Raises:
        SpoolUnusable: some stay, whose files somebody holds.
    """
    stay: list[str] = []
    for place in admitted:
        path = store.spool.path(place)
        try:
            system.remove(path)
        except OSError:
            stay.append(store.spool.in_spool(path))
    if stay:
        reason = getattr(why, "strerror", None) or str(why) or "interrupted"
        raise SpoolUnusable(
            f"cannot add all ({reason}), and what cannot be removed again will run: {', '.join(stay)}",
            hint="cancel these, or add the others",
        ) from why


def refuse_known(store: Store, job_id: str, workers: Sequence[str]) -> None:
    """Raise Conflict if a job of this id is in the spool."""
    if not store.is_taken(job_id, workers=workers):
        return
    known = store.spool.locate(job_id)
    where = known.state.value if known else "under a name that differs in case only"
    raise _Taken(
        f"a job {job_id!r} is in this spool already ({where})",
        hint="give another id, or retry that one",
    )
