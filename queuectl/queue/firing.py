"""Schedules make jobs: whoever looks at the folders for workers settles each moment of each schedule once.

What is decided is written first, then the jobs are added, then that they were: a program that dies in between
leaves a record by which the next one goes on, and a job's id tells for which moment it was made already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Optional

import msgspec

from queuectl import events, locks, system
from queuectl.errors import Conflict, DamagedRecord, InvalidInput, QueueError
from queuectl.events import Event, Listener
from queuectl.job import Job
from queuectl.moment import format_moment, parse_moment
from queuectl.queue.enqueue import enqueue
from queuectl.queue.store import Store
from queuectl.queue.verbs import cancel
from queuectl.recurrence import Recurrence
from queuectl.schedule import (
    LATE,
    Record,
    Schedule,
    begun,
    due_moments,
    fired,
    job_of,
    next_firing,
    recurrence_of,
    settled,
    timing_of,
)
from queuectl.spool.named import NamedFile
from queuectl.state import WAITING, State

LOCK = "schedules.lock"
LOCK_PATIENCE = 5.0
"""Seconds that are waited for somebody else who settles moments."""
AGAIN = 1.0
"""Seconds between looks whether a job has ended that others wait for, and after what could not be done."""
GONE_AFTER = 10.0
"""Seconds after which a file that is not there is one that was deleted: some editors do that to save it."""


@contextmanager
def settling(store: Store) -> Iterator[None]:
    """Hold the lock under which moments are settled.

    Raises:
        Busy: somebody else holds it all the time.
    """
    with locks.exclusive(store.spool.lock_path(LOCK), LOCK_PATIENCE):
        yield


def its_recurrence(schedule: Schedule, record: Record) -> Recurrence:
    """The moments of a schedule whose past is known.

    Raises:
        InvalidInput: this machine's time zone cannot be told, and it names none.
    """
    from queuectl.system.zone import zone_name

    needs_zone = schedule.timezone is None and schedule.cron is not None
    try:
        zone = zone_name() if needs_zone else "UTC"
    except ValueError as error:
        raise InvalidInput(str(error), hint='let it name one: "timezone": "Europe/Berlin"') from error
    return recurrence_of(schedule, zone, parse_moment(record.begun))


def current(schedule: Schedule, record: Optional[Record], now: float) -> Record:
    """What is known of its past, brought in line with what the schedule says now."""
    if record is None or record.timing != timing_of(schedule):
        new = begun(schedule, now)
        return new if record is None else msgspec.structs.replace(new, jobs=record.jobs, fired=record.fired)
    clock_went_back = parse_moment(record.since) > now + LATE
    if record.paused != schedule.paused or clock_went_back:
        return msgspec.structs.replace(record, paused=schedule.paused, since=format_moment(now))
    return record


def active_jobs(store: Store, record: Record) -> list[str]:
    """Those of its jobs that wait or run."""
    places = [store.spool.locate(job_id) for job_id in record.jobs]
    states = (*WAITING, State.PROCESSING)
    return [place.job_id for place in places if place is not None and place.state in states]


def make_job(store: Store, job: Job, now: float) -> str:
    """Add the job of a moment, unless it was; its id, which is another one where somebody has taken that.

    Raises:
        QueueError: as `enqueue`.
    """
    try:
        enqueue(store, [job], rename=False, now=now)
        return job.name
    except Conflict:
        if _was_made(store, job):
            return job.name
        [place] = enqueue(store, [job], rename=True, now=now)
        return place.job_id


def _was_made(store: Store, job: Job) -> bool:
    try:
        found = store.spool.find(job.name, store.config.max_job_bytes)
    except DamagedRecord:
        return False
    if found is None:
        return False
    known = found[1].job
    return (known.schedule, known.scheduled_at) == (job.schedule, job.scheduled_at)


class _Known:
    """A schedule as it was last read."""

    def __init__(self, file: NamedFile, schedule: Optional[Schedule]) -> None:
        self.file, self.schedule = file, schedule
        self.due: Optional[float] = None if schedule is None else 0.0
        """When something is to be done for it, in seconds since the epoch."""


class Firing:
    """Settles the moments of one spool's schedules for the workers of this process."""

    def __init__(self, store: Store, emit: Listener) -> None:
        self.store, self.emit = store, emit
        self.next_due: Optional[float] = None
        """When something is to be done next, in seconds since the epoch."""
        self._known: dict[str, _Known] = {}
        self._gone: Optional[dict[str, float]] = None
        """Of those whose files have gone, since when on the monotonic clock."""
        self._said: dict[str, str] = {}

    def look(self, now: float) -> None:
        """Read what has changed, and add the jobs of the moments that have come.

        What is wrong with one of them is told, and keeps no other one from its jobs.

        Raises:
            OSError: the folder cannot be read just now.
        """
        files = self.store.spool.schedules.found()
        if files or self._known or self._gone is None or self._gone:
            self._forget_gone(files)
            self._read_changed(files)
            for known in list(self._known.values()):
                if known.due is not None and known.due <= now:
                    self._attend(known, now)
        dues = [known.due for known in self._known.values() if known.due is not None]
        self.next_due = min(dues, default=None)

    def _forget_gone(self, files: Mapping[str, NamedFile]) -> None:
        if self._gone is None:
            # Those that went while nobody looked.
            self._gone = dict.fromkeys(self.store.spool.schedules.kept_names(), 0.0)
        for name in [name for name in self._known if name not in files]:
            del self._known[name]
            self._gone[name] = system.monotonic()
        for name, since in list(self._gone.items()):
            if name in files:
                del self._gone[name]
            elif system.monotonic() - since > GONE_AFTER:
                self.store.spool.schedules.forget(name)
                del self._gone[name]

    def _read_changed(self, files: Mapping[str, NamedFile]) -> None:
        for name, file in files.items():
            before = self._known.get(name)
            if before is not None and before.file == file:
                continue
            try:
                self._known[name] = _Known(file, self.store.spool.schedules.read(file))
                self._said.pop(name, None)
            except QueueError as error:
                self._known[name] = _Known(file, None)
                self._tell(file, str(error))
            except OSError:
                # Somebody saves it just now, or holds it open: at the next look.
                continue

    def _attend(self, known: _Known, now: float) -> None:
        assert known.schedule is not None
        try:
            with settling(self.store):
                known.due = self._settle(known.file.name, known.schedule, now)
            self._said.pop(known.file.name, None)
        except (QueueError, OSError) as error:
            known.due = now + AGAIN
            self._tell(known.file, str(error))

    def _tell(self, file: NamedFile, text: str) -> None:
        if self._said.get(file.name) != text:
            self._said[file.name] = text
            self.emit(Event(events.NOTICE, text=f"{self.store.spool.in_spool(file.path)}: {text}"))

    def _settle(self, name: str, schedule: Schedule, now: float) -> Optional[float]:
        """Settle what is due; when there is something to do again."""
        files = self.store.spool.schedules
        before = files.record(name)
        record = current(schedule, before, now)
        recurrence = its_recurrence(schedule, record)
        if record.firing:
            record = self._fire(name, schedule, record, now)
        since = parse_moment(record.since)
        if not schedule.paused:
            due = due_moments(name, schedule, recurrence, since, now)
            active = active_jobs(self.store, record) if due or record.queued else []
            decision = settled(name, schedule, record, due, now=now, active=bool(active))
            for job_id in active if decision.stops else ():
                self._stop(job_id, now)
            self._tell_left_out(name, record, decision.record)
            record, since = decision.record, parse_moment(decision.record.since)
        if record != before:
            files.write_record(name, record)
        if record.firing:
            record = self._fire(name, schedule, record, now)
        if schedule.paused:
            return None
        after = next_firing(name, schedule, recurrence, since)
        return min(now + AGAIN, after or now + AGAIN) if record.queued else after

    def _fire(self, name: str, schedule: Schedule, record: Record, now: float) -> Record:
        active = active_jobs(self.store, record)
        made: list[str] = []
        for stamp in record.firing:
            job_id = make_job(self.store, job_of(name, schedule, parse_moment(stamp)), now)
            made.append(job_id)
            self.emit(Event(events.JOB_SCHEDULED, job_id=job_id, text=f"by schedule {name}, for {stamp}"))
        record = fired(record, made, [one for one in active if one not in made])
        self.store.spool.schedules.write_record(name, record)
        return record

    def _stop(self, job_id: str, now: float) -> None:
        place = self.store.spool.locate(job_id)
        # Asked, and not waited for: the next look sees whether it has ended.
        with suppress(QueueError):
            if place is not None:
                cancel(self.store, [place], now=now, deadline=0.0)

    def _tell_left_out(self, name: str, before: Record, after: Record) -> None:
        if after.note is not None and after.note != before.note:
            self.emit(Event(events.SCHEDULE_LEFT_OUT, text=f"schedule {name}: {after.note}"))
