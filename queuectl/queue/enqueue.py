"""Adding jobs: all or none, whole, and on the disk before anybody is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from json import dumps
from typing import Any, Union

from queuectl import system
from queuectl.codec import checked, decode_job, job_size
from queuectl.errors import Conflict, InvalidInput, SpoolUnusable
from queuectl.job import Job, accepted
from queuectl.names import fold, next_free
from queuectl.queue.store import Store, entry_of
from queuectl.spool import Place, too_large
from queuectl.state import State

TRIES = 5
_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"


def enqueue(store: Store, jobs: Sequence[Job], *, rename: bool, now: float) -> list[Place]:
    """Add these jobs to `pending`; see `Queue.enqueue`."""
    limit = store.config.max_job_bytes
    if any(job_size(job) > limit for job in jobs):
        raise too_large(limit)
    for tries in range(TRIES):
        try:
            return _enqueue(store, jobs, rename=rename, now=now)
        except Conflict:
            # RACE: somebody has taken a name that we had chosen before we had the lock again.
            ours = rename or any(job.id is None for job in jobs)
            if not ours or tries == TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _enqueue(store: Store, jobs: Sequence[Job], *, rename: bool, now: float) -> list[Place]:
    prepared: list[tuple[str, Job]] = []
    try:
        with store.claiming():
            named = _named(store, jobs, rename=rename, now=now)
        # Written and fsynced outside of the lock: workers go on claiming meanwhile. One by one, so that what
        # was written before a full disk is removed again.
        for job in named:
            prepared += [(store.spool.prepare(job), job)]
        with store.claiming():
            return _admit(store, prepared, now)
    except OSError as error:
        raise SpoolUnusable(f"cannot write to {store.spool.root}: {error.strerror or error}") from error
    finally:
        for path, _ in prepared:
            system.remove(path)


def as_job(job: Union[Job, Mapping[str, Any]]) -> Job:
    """What a program gives as a job, through the same checks as a file.

    Raises:
        InvalidInput: it is none.
    """
    if isinstance(job, Job):
        return checked(job)
    try:
        return decode_job(dumps(job).encode())
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a job is a mapping of JSON values: {error}") from error


def new_id(now: float) -> str:
    """An id for a job that has none: by time, so that Explorer sorts them."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    tail = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(6))
    return f"{moment:%Y%m%d-%H%M%S}-{tail}"


def _named(store: Store, jobs: Sequence[Job], *, rename: bool, now: float) -> list[Job]:
    used: set[str] = set()
    named: list[Job] = []
    for position, job in enumerate(jobs):
        wanted = job.id if job.id is not None else new_id(now)
        if rename or job.id is None:
            wanted = next_free(wanted, lambda name: fold(name) in used or store.is_taken(name))
        elif fold(wanted) in used:
            raise Conflict(f"the id {wanted!r} is given twice")
        used.add(fold(wanted))
        named.append(accepted(job, job_id=wanted, now=now, position=position))
    return named


def _admit(store: Store, prepared: Sequence[tuple[str, Job]], now: float) -> list[Place]:
    for _, job in prepared:
        _refuse_known(store, job.name)
    admitted: list[Place] = []
    try:
        for path, job in prepared:
            place = Place(State.PENDING, job.name)
            store.spool.admit(path, place)
            admitted.append(place)
        store.spool.sync(State.PENDING)
    except BaseException:
        # Nobody can have claimed them: that takes the lock that we hold.
        for place in admitted:
            system.remove(store.spool.path(place))
        raise
    _index(store, prepared, now)
    return admitted


def _index(store: Store, prepared: Sequence[tuple[str, Job]], now: float) -> None:
    rows = []
    for _, job in prepared:
        place = Place(State.PENDING, job.name)
        rows.append(entry_of(place, job, store.spool.version(place), now))
    store.record_all(rows)


def _refuse_known(store: Store, job_id: str) -> None:
    if not store.is_taken(job_id):
        return
    known = store.spool.locate(job_id)
    where = known.state.value if known else "under a name that differs in case only"
    raise Conflict(
        f"a job {job_id!r} is in this spool already ({where})",
        hint="give another id, or retry that one",
    )
