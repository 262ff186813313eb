"""Schedules make jobs: whoever looks at the folders for workers settles each moment of each schedule once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Optional

from queuectl import events, system
from queuectl.due import due_moments, fired, next_firing, settled
from queuectl.errors import Busy, QueueError
from queuectl.events import Event, Listener
from queuectl.moment import parse_moment
from queuectl.names import fold
from queuectl.queue.moments import Made, active_jobs, current, its_recurrence, make_job, settling
from queuectl.queue.store import Store
from queuectl.queue.verbs import cancel
from queuectl.schedule import Record, Schedule, job_of
from queuectl.spool.named import NamedFile

AGAIN = 1.0
"""Seconds between looks whether a job has ended that others wait for, and after what could not be done."""
GONE_AFTER = 10.0
"""Seconds after which a file that is not there is one that was deleted: some editors do that to save it."""
STEP = 0.05
"""Seconds that are spent in one go: whoever looks does other things as well."""
SCAN_PAUSE, SCAN_SHARE = 0.5, 20
"""Seconds, at least, and times what it took, until the folder is gone through again that seems unchanged."""


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
        self._scanned: object = None
        """What the folder was like when it was gone through last."""
        self._next_scan = 0.0
        self._unread: list[NamedFile] = []
        self._now = 0.0

    def look(self, now: float) -> bool:
        """Read what has changed, and add the jobs of the moments that have come; whether to go on at once.

        What is wrong with one of them is told, and keeps no other one from its jobs.

        Raises:
            OSError: the folder cannot be read just now.
        """
        end = system.monotonic() + STEP
        if now < self._now:
            # The clock was set back: what is due then is another question.
            for known in self._known.values():
                known.due = None if known.due is None else 0.0
        self._now = now
        self._scan()
        self._read_changed(end)
        over = self._attend_all(now, end)
        dues = [known.due for known in self._known.values() if known.due is not None]
        self.next_due = min(dues, default=None)
        return bool(self._unread) or not over

    def hasten(self) -> None:
        """Somebody has touched a schedule: go through the folder at the next look."""
        self._next_scan = 0.0

    def _scan(self) -> None:
        files, began = self.store.spool.schedules, system.monotonic()
        folder = _seen(files.folder)
        if folder == self._scanned and began < self._next_scan:
            return
        found = files.found()
        self._scanned = folder
        self._forget_gone(found)
        changed = (file for name, file in found.items() if not self._is_known(name, file))
        self._unread = list(changed)
        took = system.monotonic() - began
        self._next_scan = began + max(SCAN_PAUSE, took * SCAN_SHARE) if found else began

    def _is_known(self, name: str, file: NamedFile) -> bool:
        before = self._known.get(name)
        return before is not None and before.file == file

    def _forget_gone(self, files: Mapping[str, NamedFile]) -> None:
        now = system.monotonic()
        if self._gone is None:
            # Those that went while nobody looked, perhaps.
            self._gone = dict.fromkeys(self.store.spool.schedules.kept_names(), now)
        for name in [name for name in self._known if name not in files]:
            del self._known[name]
            self._gone[name] = now
        for name, since in list(self._gone.items()):
            if name in files:
                del self._gone[name]
            elif now - since > GONE_AFTER:
                del self._gone[name]
                # Where case does not count, another name of it leads to the same record.
                if fold(name) not in map(fold, files):
                    self.store.spool.schedules.forget(name)

    def _read_changed(self, end: float) -> None:
        while self._unread and system.monotonic() < end:
            file = self._unread.pop()
            try:
                schedule = self.store.spool.schedules.read(file, patience=0.0)
            except FileNotFoundError:
                continue
            except (QueueError, OSError) as error:
                if isinstance(error, OSError) and system.is_transient(error):
                    # Somebody saves it just now, or holds it open: at the next look.
                    continue
                self._known[file.name] = _Known(file, None)
                self._tell(file, error)
                continue
            self._known[file.name] = _Known(file, schedule)
            self._said.pop(file.name, None)

    def _attend_all(self, now: float, end: float) -> bool:
        """Whether nothing is left that is due."""
        due = [one for one in self._known.values() if one.due is not None and one.due <= now]
        for number, known in enumerate(due):
            if number and system.monotonic() >= end:
                return False
            try:
                with settling(self.store, 0.0):
                    self._attend(known, now)
            except Busy:
                # Another program is about it. One try for all of them.
                for other in due[number:]:
                    other.due = now + AGAIN
                break
        return True

    def _attend(self, known: _Known, now: float) -> None:
        assert known.schedule is not None
        try:
            due = self._settle(known.file.name, known.schedule, now)
            known.due = due if due is None or due > now else now + AGAIN
            self._said.pop(known.file.name, None)
        except (QueueError, OSError, ValueError, ArithmeticError) as error:
            # The last two of a time that nobody has thought of: it must not end the workers.
            known.due = now + AGAIN
            self._tell(known.file, error)

    def _tell(self, file: NamedFile, error: Exception) -> None:
        # Not the path, in which a number changes each time.
        text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
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
        made: list[Made] = []
        for stamp in record.firing:
            one = make_job(self.store, job_of(name, schedule, parse_moment(stamp)), now)
            made.append(one)
            if one.new:
                text = f"by schedule {name}, for {stamp}"
                self.emit(Event(events.JOB_SCHEDULED, job_id=one.job_id, text=text))
        ids = [one.job_id for one in made]
        others = [job_id for job_id in active if job_id not in ids]
        record = fired(record, ids, others, sum(one.new for one in made))
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


def _seen(folder: str) -> Optional[tuple[int, int, int]]:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns
