"""The moments of one schedule: what is known of its past, and the job of a moment, which is added once.

What is decided is written first, then the jobs are added, then that they were: a program that dies in between
leaves a record by which the next one goes on, and a job's id tells for which moment it was made already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timezone
from typing import NamedTuple, Optional

import msgspec

from queuectl import locks
from queuectl.due import LATE
from queuectl.errors import Conflict, DamagedRecord, InvalidInput
from queuectl.job import Job
from queuectl.moment import format_moment, parse_moment
from queuectl.names import next_free
from queuectl.queue.enqueue import enqueue
from queuectl.queue.store import Store
from queuectl.recurrence import Recurrence
from queuectl.schedule import Record, Schedule, begun, recurrence_of, timing_of
from queuectl.state import WAITING, State

LOCK = "schedules.lock"
LOCK_PATIENCE = 5.0
"""Seconds that a command waits for somebody else who settles moments; workers come back."""


@contextmanager
def settling(store: Store, patience: float = LOCK_PATIENCE) -> Iterator[None]:
    """Hold the lock under which moments are settled.

    Raises:
        Busy: somebody else holds it all the time.
    """
    with locks.exclusive(store.spool.lock_path(LOCK), patience):
        yield


def its_recurrence(schedule: Schedule, record: Record) -> Recurrence:
    """The moments of a schedule whose past is known.

    Raises:
        InvalidInput: this machine's time zone cannot be told, and it names none.
    """
    from queuectl.system.zone import local_zone

    needs_zone = schedule.timezone is None and schedule.cron is not None
    try:
        zone = local_zone() if needs_zone else timezone.utc
    except ValueError as error:
        raise InvalidInput(str(error), hint='let it name one: "timezone": "Europe/Berlin"') from error
    return recurrence_of(schedule, zone, parse_moment(record.begun))


def current(schedule: Schedule, record: Optional[Record], now: float) -> Record:
    """What is known of its past, brought in line with what the schedule says now."""
    if record is None:
        return begun(schedule, now)
    clock_went_back = max(parse_moment(record.since), parse_moment(record.begun)) > now + LATE
    if record.timing != timing_of(schedule) or clock_went_back:
        return msgspec.structs.replace(begun(schedule, now), jobs=record.jobs, fired=record.fired)
    if record.paused != schedule.paused:
        return msgspec.structs.replace(record, paused=schedule.paused, since=format_moment(now))
    return record


def active_jobs(store: Store, record: Record) -> list[str]:
    """Those of its jobs that wait or run."""
    places = [store.spool.locate(job_id) for job_id in record.jobs]
    states = (*WAITING, State.PROCESSING)
    return [place.job_id for place in places if place is not None and place.state in states]


class Made(NamedTuple):
    """The job of a moment; `new` unless somebody had added it before."""

    job_id: str
    new: bool


def make_job(store: Store, job: Job, now: float) -> Made:
    """Add the job of a moment, unless it is there; it gets the next free id where others have its own.

    Raises:
        QueueError: as `enqueue`.
    """
    try:
        enqueue(store, [job], rename=False, now=now)
        return Made(job.name, True)
    except Conflict:
        if (known := _made_before(store, job)) is not None:
            return Made(known, False)
        [place] = enqueue(store, [job], rename=True, now=now)
        return Made(place.job_id, True)


def _made_before(store: Store, job: Job) -> Optional[str]:
    """The id by which the job of this moment is there, if it is: its own, or one after that."""
    seen: list[str] = []
    while True:
        job_id = next_free(job.name, lambda name: name in seen)
        seen.append(job_id)
        try:
            found = store.spool.find(job_id, store.config.max_job_bytes)
        except DamagedRecord:
            continue
        if found is None and len(seen) > 1:
            return None
        known = None if found is None else found[1].job
        if known is not None and (known.schedule, known.scheduled_at) == (job.schedule, job.scheduled_at):
            return job_id
