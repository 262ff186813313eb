"""What people do to schedules: add, look at, pause, remove, fire now. `Queue.schedules` is one of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Any, Callable, Optional

import msgspec

from queuectl.codec import job_size
from queuectl.due import LATE, fires_at
from queuectl.errors import InvalidInput, QueueError
from queuectl.job import KEPT_FIELDS
from queuectl.moment import format_moment, parse_moment
from queuectl.queue.enqueue import enqueue
from queuectl.queue.guard import guarded
from queuectl.queue.moments import active_jobs, current, its_recurrence, settling
from queuectl.queue.store import Store
from queuectl.recurrence import moments
from queuectl.schedule import MOST_KEPT, Record, Schedule, job_of, name_problem, seconds_of
from queuectl.schedule_codec import checked_schedule
from queuectl.spool import too_large
from queuectl.spool.named import NamedFile


class Schedules:
    """The schedules of one queue."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self.store, self._now = store, now
        self._files = store.spool.schedules

    @guarded
    def add(self, name: str, schedule: Schedule, *, replace: bool = False) -> str:
        """Write a schedule; the path of its file. Once this returns it outlives a power cut.

        With `replace` it takes the place of one of that name; where its times are the same it goes on from
        there.

        Raises:
            InvalidInput: it cannot be one, or have this name.
            Conflict: there is one of this name.
        """
        if problem := name_problem(name):
            raise InvalidInput(problem)
        schedule = checked_schedule(schedule)
        limit = self.store.config.max_job_bytes
        if job_size(schedule.job) > limit:
            raise too_large(limit)
        with settling(self.store):
            there = self._files.named(name)
            over = there if replace else None
            if there is None:
                # Of one of this name that was deleted: this one counts from now.
                self._files.forget(name)
            self._files.save(name, schedule, over=over)
            return self._files.get(name).path

    @guarded
    def rows(self) -> list[dict[str, Any]]:
        """Each schedule, as plain data, by name; what is wrong with one is its `problem`."""
        return [self._row(file) for file in self._files.found().values()]

    @guarded
    def show(self, name: str) -> dict[str, Any]:
        """One schedule, as plain data, with its job.

        Raises:
            NoSuchSchedule: there is none.
        """
        return self._row(self._files.get(name), whole=True)

    @guarded
    def next(self, names: Sequence[str] = (), count: int = 5) -> list[dict[str, Any]]:
        """The next so many moments of these schedules, or of all that are not paused, in their order.

        Raises:
            NoSuchSchedule: one of these is not there.
            InvalidInput: one of these cannot be read.
        """
        found = {name: self._files.get(name) for name in names} if names else self._files.found()
        streams = []
        for name, file in found.items():
            try:
                schedule = self._files.read(file)
                if names or not schedule.paused:
                    streams.append(self._coming(name, schedule))
            except (InvalidInput, OSError):
                if names:
                    raise
        return [
            {"schedule": name, "at": format_moment(moment)} for moment, name in islice(merge(*streams), count)
        ]

    def _coming(self, name: str, schedule: Schedule) -> Iterator[tuple[float, str]]:
        now, jitter = self._now(), seconds_of(schedule.jitter)
        record = current(schedule, self._files.record(name), now)
        begin = max(now - jitter, parse_moment(record.since))
        recurrence = its_recurrence(schedule, record)
        coming = (fires_at(name, one, jitter) for one in moments(recurrence, begin))
        # Jitter may put one before the one that comes before it: they are fired in their order.
        return ((one, name) for one in _rising(coming) if one > now)

    @guarded
    def pause(self, names: Sequence[str]) -> None:
        """Fire nothing of these until they are resumed; moments that pass meanwhile are not made up for.

        Raises:
            NoSuchSchedule: one of them is not there.
            InvalidInput: one of them cannot be read.
        """
        self._set_paused(names, paused=True)

    @guarded
    def resume(self, names: Sequence[str]) -> None:
        """Go on with these, from now on. Raises as `pause`."""
        self._set_paused(names, paused=False)

    def _set_paused(self, names: Sequence[str], *, paused: bool) -> None:
        with settling(self.store):
            read = [(file, self._files.read(file)) for file in map(self._files.get, dict.fromkeys(names))]
            for file, schedule in read:
                if schedule.paused == paused:
                    continue
                changed = msgspec.structs.replace(schedule, paused=paused)
                self._files.save(file.name, changed, over=file)
                record = current(changed, self._files.record(file.name), self._now())
                self._files.write_record(file.name, record)

    @guarded
    def remove(self, names: Sequence[str]) -> None:
        """Delete these schedules; the jobs that they have made stay.

        Raises:
            NoSuchSchedule: one of them is not there; then none is deleted.
        """
        with settling(self.store):
            for file in [self._files.get(name) for name in dict.fromkeys(names)]:
                self._files.remove(file)

    @guarded
    def run_now(self, name: str) -> str:
        """Add a job of this schedule at once, whatever its times and others of its jobs; the job's id.

        Raises:
            NoSuchSchedule: there is none.
            InvalidInput: it cannot be read.
        """
        now = self._now()
        with settling(self.store):
            schedule = self._files.read(self._files.get(name))
            record = current(schedule, self._files.record(name), now)
            [place] = enqueue(self.store, [job_of(name, schedule, now)], rename=True, now=now)
            jobs = [*active_jobs(self.store, record), place.job_id]
            latest = list(dict.fromkeys(jobs))[-MOST_KEPT:]
            self._files.write_record(name, msgspec.structs.replace(record, jobs=latest))
        return place.job_id

    # Rows

    def _row(self, file: NamedFile, *, whole: bool = False) -> dict[str, Any]:
        now, row = self._now(), dict.fromkeys(_ROW)
        row.update(dict.fromkeys(_WHOLE) if whole else {}, name=file.name, file=file.path)
        try:
            schedule = self._files.read(file)
            record = current(schedule, self._files.record(file.name), now)
            row.update(self._past(record), next_at=self._next_at(file.name, schedule, record, now))
        except (QueueError, OSError) as error:
            return {**row, "problem": str(error)}
        said = {field: getattr(schedule, field) for field in row.keys() & set(Schedule.__struct_fields__)}
        job = msgspec.to_builtins(schedule.job)
        if whole:
            said["job"] = {field: value for field, value in job.items() if field not in KEPT_FIELDS}
        return {**row, **said}

    def _past(self, record: Record) -> dict[str, Any]:
        last = record.jobs[-1] if record.jobs else None
        kept = {field: getattr(record, field) for field in ("last_due", "queued", "fired", "note")}
        return {**kept, "last_job": last, "last_state": None if last is None else self._state_of(last)}

    def _next_at(self, name: str, schedule: Schedule, record: Record, now: float) -> Optional[str]:
        if schedule.paused:
            return None
        since = parse_moment(record.since)
        if schedule.catch_up == "skip":
            since = max(since, now - LATE)
        recurrence, jitter = its_recurrence(schedule, record), seconds_of(schedule.jitter)
        one = next(moments(recurrence, since), None)
        return None if one is None else format_moment(fires_at(name, one, jitter))

    def _state_of(self, job_id: str) -> Optional[str]:
        place = self.store.spool.locate(job_id)
        return None if place is None else place.state.value


_ROW = (
    *("name", "cron", "every", "timezone", "overlap", "catch_up", "paused", "description"),
    *("next_at", "last_due", "last_job", "last_state", "queued", "fired", "note", "problem", "file"),
)
_WHOLE = ("start_at", "end_at", "jitter", "catch_up_limit", "job")


def _rising(values: Iterator[float]) -> Iterator[float]:
    latest = float("-inf")
    for value in values:
        latest = max(latest, value)
        yield latest
